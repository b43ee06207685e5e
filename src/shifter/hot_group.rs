//! [`HotGroup`]: keys that are served by the same replicas.

use std::collections::BTreeMap;

use super::input::PlanInput;
use crate::key::CompositeKey;
use crate::partition::Placement;

/// Keys of one parent that are served by the same replicas, so that a batch of them stays together.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct HotGroup {
    /// Keys with their loads.
    pub(super) keys: Vec<(CompositeKey, f64)>,
    /// Indices of nodes, ascending.
    pub(super) nodes: Vec<u16>,
}

impl HotGroup {
    /// Most keys of one parent that share their replicas. More are taken one by one.
    pub(super) const MAX_KEYS: usize = 16;

    /// Load of all keys.
    pub(super) fn load(&self) -> f64 {
        self.keys.iter().map(|(_, load)| load).sum()
    }

    /// Load that each replica takes.
    pub(super) fn piece(&self) -> f64 {
        self.load() / self.nodes.len().max(1) as f64
    }

    /// `true` where its keys are still to be asked for, as a step is foreseen.
    pub(super) fn is_foreseen(&self, input: &PlanInput<'_>) -> bool {
        self.keys.first().is_some_and(|(key, _)| input.is_foreseen_key(key))
    }
}

/// The keys that have replicas in the map, with their loads: what was replicated together, and has the same nodes, is a group.
pub(super) fn groups_of(input: &PlanInput<'_>, placement: &Placement) -> Vec<HotGroup> {
    let map = input.map;
    let mut groups: Vec<HotGroup> = Vec::new();
    let mut known: BTreeMap<(&str, Vec<u16>), usize> = BTreeMap::new();
    for hot in &map.hot {
        let mut nodes: Vec<u16> = hot.nodes.iter().filter_map(|&id| map.index_of(id)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let key = (hot.key.clone(), input.load.key(&hot.key));
        let parent = parent(&hot.key, placement);
        match known.get(&(parent, nodes.clone())) {
            Some(&at) if groups[at].keys.len() < HotGroup::MAX_KEYS => groups[at].keys.push(key),
            _ => {
                known.insert((parent, nodes.clone()), groups.len());
                groups.push(HotGroup { keys: vec![key], nodes });
            }
        }
    }
    groups
}

/// The prefix that the keys of a group share: one component more than is hashed. Such keys are fetched together more often than not.
pub(super) fn parent<'a>(key: &'a CompositeKey, placement: &Placement) -> &'a str {
    key.portion(usize::from(placement.partition(key).1.depth) + 1)
}
