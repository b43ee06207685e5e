//! [`Snapshot`]: all that a phase reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::assignment::Assignment;
use super::hot_group::groups_of;
use super::input::PlanInput;
use super::moves::Move;
use super::pairs::Pairs;
use super::parts::Parts;
use crate::key::{CompositeKey, KeyPrefix};
use crate::load::{PrefixNow, cell_of};
use crate::partition::{Placement, Portion};

/// All that a phase reads: what the plan is made from, and what the phases before have come to.
#[derive(Debug)]
pub(super) struct Snapshot<'a> {
    pub(super) input: PlanInput<'a>,
    pub(super) placement: Placement,
    /// Mean load of a node.
    pub(super) mean: f64,
    /// Prefixes that matter, by ascending prefix; without what goes to replicas.
    pub(super) prefixes: BTreeMap<KeyPrefix, PrefixNow>,
    pub(super) pairs: Pairs,
    pub(super) assignment: Assignment<'a>,
}

impl<'a> Snapshot<'a> {
    /// The map and the loads as they are. O(partitions + heavy prefixes).
    pub(super) fn new(input: &PlanInput<'a>) -> Self {
        let placement = Placement::new(Arc::clone(input.map));
        let mut assignment = Assignment::new(input, groups_of(input, &placement));
        let mean = assignment.mean();
        let least = mean * input.settings.merge_below.min(input.settings.piece) / 4.0;
        let prefixes = input.load.prefixes(least.max(1.0)).map(|now| (now.prefix.clone(), now)).collect();
        let pairs = Pairs::new(input.load, &assignment);
        let tied: Vec<u32> = pairs.at_home(&assignment).collect();
        assignment.tie(tied);
        let mut snapshot = Self { input: *input, placement, mean, prefixes, pairs, assignment };
        snapshot.note_entries();
        snapshot
    }

    /// Counts the entries of heavy prefixes with the partitions that hold them.
    fn note_entries(&mut self) {
        for now in self.prefixes.values() {
            // What is one component deeper is below another one that is among them.
            if usize::from(self.assignment.portion(&now.prefix).depth) == now.prefix.depth()
                && let Some(parts) = self.assignment.parts(&now.prefix)
            {
                let share = self.input.share(now) / parts.len() as f64;
                parts.into_iter().for_each(|part| self.assignment.add_share(part, share));
            }
        }
    }

    /// Load over its target from which on a node is relieved, and until which. What a node serves is known with the deviation of chance, and of
    /// many nodes the heaviest seems heavier than it is: by `sqrt(2 ln nodes)` deviations, over the rounds that count.
    pub(super) fn band(&self) -> (f64, f64) {
        const ROUNDS_THAT_COUNT: f64 = 6.0;
        let nodes = self.input.map.nodes.len() as f64;
        let chance = (2.0 * nodes.ln() / (ROUNDS_THAT_COUNT * self.mean.max(1.0))).sqrt().min(0.2);
        (self.input.settings.relieve_from + chance, self.input.settings.relieve_to + chance / 2.0)
    }

    /// Goes on to where a phase leads. Neither the prefix of the portion of a key that is taken off nor the one below has its load
    /// any more.
    pub(super) fn follow(&mut self, assignment: Assignment<'a>, taken_off: &[(CompositeKey, f64)]) {
        self.assignment = assignment;
        for (key, load) in taken_off {
            let depth = usize::from(self.placement.partition(key).1.depth);
            for depth in [depth, depth + 1] {
                let Some(next) = key.component_after(depth) else { continue };
                let Some(now) = self.prefixes.get_mut(&KeyPrefix::of_portion(key.portion(depth))) else { continue };
                now.load = (now.load - load).max(0.0);
                let at = cell_of(self.input.map.seeds[1], next);
                if let Ok(cell) = now.cells.binary_search_by_key(&at, |cell| cell.0) {
                    now.cells[cell].1 = (now.cells[cell].1 - load).max(0.0);
                }
            }
        }
    }

    /// The assignment that moves lead to, whatever they re-home.
    pub(super) fn with(&self, moves: &[Move]) -> Assignment<'a> {
        let mut assignment = self.assignment.clone();
        let hash = |assignment: &mut Assignment<'_>, prefix: &KeyPrefix, portion: Portion| {
            let Some(now) = self.prefixes.get(prefix) else { return };
            let spread = if usize::from(portion.depth) == prefix.depth() { portion.spread } else { 0 };
            assignment.hash(now, portion, &Parts::of(now, spread));
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
