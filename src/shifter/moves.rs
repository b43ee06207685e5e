//! The moves that a shift is made of.

use serde::Serialize;

use crate::key::{CompositeKey, KeyPrefix};
use crate::partition::{HotKey, MapError, MapNode, NodeId, PartitionMap, Portion, Rule};

/// One change to a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Move {
    /// Hash `portion` for keys below `prefix`. One more spread bit re-homes about half of the prefix, another depth
    /// nearly all of it.
    Place {
        /// Whole leading components.
        prefix: KeyPrefix,
        /// The portion that is hashed below it from now on.
        portion: Portion,
    },
    /// Drop the rule of `prefix`: its keys follow the next shorter rule again.
    Merge {
        /// The prefix of the rule.
        prefix: KeyPrefix,
    },
    /// Give a partition to a node, or back to its rendezvous winner.
    Assign {
        /// The partition.
        partition: u32,
        /// Its owner; `None` for the rendezvous winner.
        node: Option<NodeId>,
    },
    /// Serve one key from several nodes; from its owner alone where `nodes` is empty.
    Replicate {
        /// The key.
        key: CompositeKey,
        /// The nodes, the first preferred.
        nodes: Vec<NodeId>,
    },
    /// Replace the list of nodes. Exceptions and replicas of nodes that are gone fall back to the rendezvous winner.
    Members {
        /// The nodes, in any order.
        nodes: Vec<MapNode>,
    },
}

/// The next epoch of `map` with `moves` applied in order. `map` is untouched.
///
/// # Errors
/// [`MapError::Invalid`] where the result contradicts itself, for instance names an unknown node; then nothing of the
/// shift holds.
pub fn shift(map: &PartitionMap, moves: &[Move]) -> Result<PartitionMap, MapError> {
    let mut next = map.clone();
    next.epoch.number += 1;
    for change in moves {
        apply(&mut next, change);
    }
    next.validate()?;
    Ok(next)
}

/// `true` where `map` is as `moves` would have it.
pub(super) fn has(map: &PartitionMap, moves: &[Move]) -> bool {
    let mut after = map.clone();
    moves.iter().for_each(|change| apply(&mut after, change));
    after == *map
}

fn apply(map: &mut PartitionMap, change: &Move) {
    match change {
        Move::Place { prefix, portion } => {
            map.rules.retain(|rule| rule.prefix != *prefix);
            map.rules.push(Rule { prefix: prefix.clone(), portion: *portion });
            map.rules.sort();
        }
        Move::Merge { prefix } => map.rules.retain(|rule| rule.prefix != *prefix),
        Move::Assign { partition, node } => {
            match node {
                Some(node) => map.exceptions.insert(*partition, *node),
                None => map.exceptions.remove(partition),
            };
        }
        Move::Replicate { key, nodes } => {
            map.hot.retain(|hot| hot.key != *key);
            if !nodes.is_empty() {
                map.hot.push(HotKey { key: key.clone(), nodes: nodes.clone() });
                map.hot.sort();
            }
        }
        Move::Members { nodes } => {
            map.nodes.clone_from(nodes);
            map.nodes.sort();
            let known = |node: &NodeId| nodes.iter().any(|n| n.id == *node);
            map.exceptions.retain(|_, node| known(node));
            for hot in &mut map.hot {
                hot.nodes.retain(known);
            }
            map.hot.retain(|hot| !hot.nodes.is_empty());
        }
    }
}

#[cfg(test)]
#[path = "moves_tests.rs"]
mod tests;
