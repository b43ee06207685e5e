//! [`Snapshot`]: all that a phase reads.

use std::sync::Arc;

use super::assignment::Assignment;
use super::hot_group::groups_of;
use super::input::PlanInput;
use super::moves::Move;
use super::pairs::Pairs;
use super::part_loads::PartLoads;
use crate::key::KeyPrefix;
use crate::partition::{Placement, Portion};

/// All that a phase reads: what the plan is made from, and what the phases before have come to.
#[derive(Debug)]
pub(super) struct Snapshot<'a> {
    pub(super) input: PlanInput<'a>,
    pub(super) placement: Placement,
    /// Mean load of a node.
    pub(super) mean: f64,
    pub(super) pairs: Pairs,
    pub(super) assignment: Assignment<'a>,
}

impl<'a> Snapshot<'a> {
    /// The map and the loads as they are. O(partitions + heavy prefixes).
    pub(super) fn new(input: &PlanInput<'a>) -> Self {
        let placement = Placement::new(Arc::clone(input.map));
        let mut assignment = Assignment::new(input, groups_of(input, &placement));
        let pairs = Pairs::new(input.load, &assignment);
        let tied: Vec<u32> = pairs.at_home(&assignment).collect();
        assignment.tie(tied);
        Self { input: *input, placement, mean: assignment.nodes().mean(), pairs, assignment }
    }

    /// Load, over what it is to bear, from which on a node is relieved, and until which. What a node serves is known with the
    /// deviation of chance, and of many nodes the heaviest seems heavier than it is: by `sqrt(2 ln nodes)` deviations, over the
    /// rounds that count.
    pub(super) fn band(&self) -> (f64, f64) {
        const ROUNDS_THAT_COUNT: f64 = 6.0;
        let nodes = self.input.map.nodes.len() as f64;
        let chance = (2.0 * nodes.ln() / (ROUNDS_THAT_COUNT * self.mean.max(1.0))).sqrt().min(0.2);
        (self.input.settings.relieve_from + chance, self.input.settings.relieve_to + chance / 2.0)
    }

    /// The assignment that moves lead to, whatever they re-home.
    pub(super) fn with(&self, moves: &[Move]) -> Assignment<'a> {
        let mut assignment = self.assignment.clone();
        let hash = |assignment: &mut Assignment<'_>, prefix: &KeyPrefix, portion: Portion| {
            let Some(now) = self.assignment.prefixes().get(prefix) else { return };
            let spread = if usize::from(portion.depth) == prefix.depth() { portion.spread } else { 0 };
            assignment.hash(now, portion, &PartLoads::of(now, spread));
        };
        for change in moves {
            match change {
                Move::Place { prefix, portion } => hash(&mut assignment, prefix, *portion),
                Move::Merge { prefix } => {
                    let covering = assignment.covering(prefix);
                    hash(&mut assignment, prefix, covering);
                }
                Move::Assign { partition, node } => {
                    let node = node.and_then(|id| self.input.map.index_of(id));
                    assignment.assign(*partition, node.unwrap_or(assignment.home(*partition)));
                }
                Move::Replicate { key, nodes } => {
                    let nodes = nodes.iter().filter_map(|&id| self.input.map.index_of(id)).collect();
                    assignment.serve(key, self.input.load.key(key), self.placement.partition(key).0, nodes);
                }
                Move::Members { .. } => {}
            }
        }
        assignment
    }
}
