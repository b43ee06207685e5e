//! [`Placement`]: a map made ready for look-ups.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use fxhash::FxHashMap;

use super::hash::{rendezvous_winner, spread_hash, xxh3};
use super::{NodeId, PartitionMap, Portion};
use crate::key::CompositeKey;

/// Where a key belongs in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The virtual partition.
    pub partition: u32,
    /// Its owner.
    pub node: NodeId,
    /// The portion that was hashed.
    pub portion: Portion,
    /// Which of the `2^spread` parts of the prefix the key is in.
    pub spread_index: u32,
}

/// Look-ups on one map. Rule probing is O(components of the key); the owner of
/// a partition is computed in O(nodes) once and then remembered, two bytes a partition.
///
/// Many threads may look up at once: an owner depends on the map alone, so whoever computes it first writes the same.
#[derive(Debug)]
pub struct Placement {
    map: Arc<PartitionMap>,
    /// XXH3 of a rule's slashed prefix -> indices of the rules with that hash.
    rules: FxHashMap<u64, Vec<u32>>,
    default: Portion,
    /// Bit n is set where a rule has n components.
    depths: u32,
    /// Index into `map.nodes` (at most 4,096 of them) plus one; 0 is not computed yet.
    owners: Box<[AtomicU16]>,
}

impl Placement {
    /// Prepares `map`, in O(rules) and two bytes a partition.
    ///
    /// `map` must be [valid](PartitionMap::validate), as a decoded one always is.
    pub fn new(map: Arc<PartitionMap>) -> Self {
        let mut rules: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
        let (mut default, mut depths) = (Portion::default(), 0);
        for (at, rule) in map.rules.iter().enumerate() {
            if rule.prefix.depth() == 0 {
                default = rule.portion;
            } else {
                depths |= 1 << rule.prefix.depth();
                rules.entry(xxh3(0, rule.prefix.slashed().as_bytes())).or_default().push(at as u32);
            }
        }
        let owners = (0..map.partitions).map(|_| AtomicU16::new(0)).collect();
        Self { map, rules, default, depths, owners }
    }

    /// The map behind it.
    pub fn map(&self) -> &Arc<PartitionMap> {
        &self.map
    }

    /// Where `key` belongs.
    pub fn locate(&self, key: &CompositeKey) -> Location {
        let (partition, portion, spread_index) = self.partition(key);
        Location { partition, node: self.owner(partition), portion, spread_index }
    }

    /// The virtual partition of `key`, the portion hashed, and the spread index.
    pub fn partition(&self, key: &CompositeKey) -> (u32, Portion, u32) {
        let (ends, count) = key.ends();
        let ends = ends.get(..count).unwrap_or_default();
        let portion = self.longest(key, ends);
        let end = match portion.depth {
            0 => 0,
            depth => ends.get(usize::from(depth) - 1).or(ends.last()).copied().unwrap_or(0),
        };
        let (head, rest) = key.split_at(end);
        let hash = xxh3(self.map.seeds[0], head.as_bytes());
        let index = match ends.get(usize::from(portion.depth)) {
            Some(next) if portion.spread > 0 => {
                let next = rest.get(..usize::from(next - end)).unwrap_or_default();
                (xxh3(self.map.seeds[1], next.as_bytes()) & ((1 << portion.spread) - 1)) as u32
            }
            _ => 0,
        };
        let spread = spread_hash(self.map.seeds[0], hash, index);
        ((spread % u64::from(self.map.partitions)) as u32, portion, index)
    }

    /// The portion of the longest rule that covers `key`.
    pub fn portion(&self, key: &CompositeKey) -> Portion {
        let (ends, count) = key.ends();
        self.longest(key, ends.get(..count).unwrap_or_default())
    }

    /// Looks only at depths that rules have: most maps have them at one or two.
    fn longest(&self, key: &CompositeKey, ends: &[u16]) -> Portion {
        // Bit n: a rule of n components.
        let mut depths = self.depths & ((2_u32 << ends.len()) - 1);
        while depths != 0 {
            let depth = depths.ilog2();
            depths ^= 1 << depth;
            let Some(&end) = ends.get(depth as usize - 1) else { break };
            let (prefix, _) = key.split_at(end);
            let Some(candidates) = self.rules.get(&xxh3(0, prefix.as_bytes())) else { continue };
            let matching = candidates.iter().map(|&at| &self.map.rules[at as usize]);
            if let Some(rule) = matching.into_iter().find(|rule| rule.prefix.slashed() == prefix) {
                return rule.portion;
            }
        }
        self.default
    }

    /// The owner of `partition`.
    ///
    /// # Panics
    /// For a partition that the map does not have.
    pub fn owner(&self, partition: u32) -> NodeId {
        let slot = &self.owners[partition as usize];
        let mut owner = slot.load(Ordering::Relaxed);
        if owner == 0 {
            owner = self.compute_owner(partition) + 1;
            slot.store(owner, Ordering::Relaxed);
        }
        self.map.nodes[usize::from(owner) - 1].id
    }

    fn compute_owner(&self, partition: u32) -> u16 {
        let nodes = &self.map.nodes;
        if let Some(id) = self.map.exceptions.get(&partition)
            && let Ok(at) = nodes.binary_search_by_key(id, |n| n.id)
        {
            return at as u16;
        }
        rendezvous_winner(self.map.seeds[0], partition, nodes)
    }
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
