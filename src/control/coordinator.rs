//! [`Coordinator`]: turns who lives, and what somebody plans, into the next map.
//!
//! Every gateway has one; the one whose process holds the lease acts. Its host repeats a round: it reads what the
//! store knows and does the one [`CoordinatorStep`] that comes back, naming its term, so that what a coordinator of an earlier
//! term still sends is refused by the store. All that has to outlive a coordinator is in the store, so any
//! step may be the last one: whoever comes next goes on from there.
//!
//! ```text
//! a wanted map -> proposal in the store -> members that gain something warm up, and say so -> flip
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Member, MemberState, new_owners};
use crate::Millis;
use crate::partition::{Epoch, MapNode, NodeId, PartitionMap};
use crate::shifter::{Move, shift};

/// Patience of a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// Longest time that a node of the map may be missing until it loses its partitions: a restart within it moves nothing.
    pub grace_ms: Millis,
    /// Longest wait for members to warm up.
    pub warm_ms: Millis,
}

/// State of the store as a round found it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Members whose registration has not expired, by ascending id.
    pub members: &'a [Member],
    /// The map in force.
    pub map: &'a PartitionMap,
    /// The proposal that is stored, if one is and it can be read.
    pub proposal: Option<&'a Arc<PartitionMap>>,
    /// Moves that are planned besides. Left out whole where they contradict the map in force with the nodes that live. A
    /// proposal that was made with a plan is given up with it.
    pub plan: &'a [Move],
}

/// Task of the host after a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoordinatorStep {
    /// Nothing.
    Rest,
    /// Store this map as the proposal.
    Propose(Arc<PartitionMap>),
    /// Put this map in force where the one in force has the epoch `expect`, then remove the proposal.
    Flip {
        /// Epoch of the map in force.
        expect: Epoch,
        /// The next one.
        map: Arc<PartitionMap>,
    },
    /// Remove the proposal: nobody wants it any more.
    Clear,
}

/// Decides the next step of whoever leads. O(map + members) a round; remembers one moment for each node of the
/// map that is missing.
#[derive(Debug)]
pub struct Coordinator {
    config: CoordinatorConfig,
    term: Option<u64>,
    missing: BTreeMap<NodeId, Millis>,
    warming: Option<Warming>,
    /// Content hash of the proposal that it made with a plan, and that plan.
    planned: Option<(u64, Vec<Move>)>,
}

/// The proposal it waits for.
#[derive(Debug)]
struct Warming {
    /// Its content hash.
    hash: u64,
    since: Millis,
    /// Nodes that may own more by it.
    new_owners: BTreeSet<NodeId>,
}

impl Coordinator {
    /// One that does not lead.
    pub fn new(config: CoordinatorConfig) -> Self {
        Self { config, term: None, missing: BTreeMap::new(), warming: None, planned: None }
    }

    /// The next step under `term`, which is `None` without the lease. What it knew of an earlier term is forgotten: it may
    /// have been away for any time.
    pub fn round(&mut self, now: Millis, term: Option<u64>, seen: &Seen<'_>) -> CoordinatorStep {
        if term != self.term {
            *self = Self { term, ..Self::new(self.config) };
        }
        if term.is_none() {
            return CoordinatorStep::Rest;
        }
        let Some(nodes) = self.nodes(now, seen) else { return CoordinatorStep::Rest };
        match seen.proposal {
            // Also one of a predecessor, with whatever it planned: it is finished before anything else begins.
            Some(proposal)
                if follows(seen.map, proposal) && proposal.nodes == nodes && !self.is_given_up(proposal, seen.plan) =>
            {
                if !self.is_warm(now, seen, proposal) {
                    return CoordinatorStep::Rest;
                }
                CoordinatorStep::Flip { expect: seen.map.epoch, map: proposal.clone() }
            }
            outdated => match wanted(seen, nodes) {
                Some(next) => {
                    self.planned = (!seen.plan.is_empty()).then(|| (next.hash(), seen.plan.to_vec()));
                    CoordinatorStep::Propose(Arc::new(next))
                }
                None if outdated.is_some() => CoordinatorStep::Clear,
                None => CoordinatorStep::Rest,
            },
        }
    }

    /// Tells whether it made `proposal` with a plan that is not wanted any more. What a predecessor planned nobody knows.
    fn is_given_up(&self, proposal: &PartitionMap, plan: &[Move]) -> bool {
        let made = |(hash, moves): &(u64, Vec<Move>)| moves != plan && *hash == proposal.hash();
        self.planned.as_ref().is_some_and(made)
    }

    /// The nodes that the map should have; `None` where nobody would be left.
    fn nodes(&mut self, now: Millis, seen: &Seen<'_>) -> Option<Vec<MapNode>> {
        let live = |id: NodeId| find(seen.members, id);
        self.missing.retain(|&id, _| live(id).is_none() && seen.map.node(id).is_some());
        let mut nodes: Vec<MapNode> = Vec::new();
        for member in seen.members.iter().filter(|member| member.state == MemberState::Serving) {
            nodes.push(MapNode { id: member.id, origin: member.origin.clone(), weight: member.weight });
        }
        for node in seen.map.nodes.iter().filter(|node| live(node.id).is_none()) {
            let since = *self.missing.entry(node.id).or_insert(now);
            if now.saturating_sub(since) < self.config.grace_ms {
                nodes.push(node.clone());
            }
        }
        nodes.sort();
        nodes.iter().any(|node| node.weight > 0).then_some(nodes)
    }

    /// Tells whether every live member that gains something has warmed up for `proposal`, or had its time.
    fn is_warm(&mut self, now: Millis, seen: &Seen<'_>, proposal: &PartitionMap) -> bool {
        let hash = proposal.hash();
        self.warming.take_if(|warming| warming.hash != hash);
        let begin = || Warming { hash, since: now, new_owners: new_owners(seen.map, proposal) };
        let warming = self.warming.get_or_insert_with(begin);
        let cold = |&id: &NodeId| find(seen.members, id).is_some_and(|member| member.warm_for != hash);
        now.saturating_sub(warming.since) >= self.config.warm_ms || !warming.new_owners.iter().any(cold)
    }
}

fn find(members: &[Member], id: NodeId) -> Option<&Member> {
    members.binary_search_by_key(&id, |member| member.id).ok().map(|at| &members[at])
}

/// The next epoch; `None` where it would be no different.
fn wanted(seen: &Seen<'_>, nodes: Vec<MapNode>) -> Option<PartitionMap> {
    let members = Move::Members { nodes };
    let moves: Vec<Move> = std::iter::once(&members).chain(seen.plan).cloned().collect();
    let next = shift(seen.map, &moves).or_else(|_| shift(seen.map, &[members])).ok()?;
    let changed = PartitionMap { epoch: seen.map.epoch, ..next.clone() } != *seen.map;
    changed.then_some(next)
}

/// Tells whether `proposal` is what may come right after `map`.
fn follows(map: &PartitionMap, proposal: &PartitionMap) -> bool {
    let fixed = |m: &PartitionMap| (m.hash_id, m.seeds, m.partitions, m.storage);
    let next = Epoch { number: map.epoch.number + 1, ..map.epoch };
    proposal.epoch == next && fixed(map) == fixed(proposal)
}

#[cfg(test)]
#[path = "coordinator_tests.rs"]
mod tests;
