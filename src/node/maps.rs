//! The maps that a node has seen, and how a caller gets from its map to the newest.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::partition::{MapDelta, MapError, PartitionMap, Placement};
use crate::protocol::{MapKnowledge, MapUpdate};

struct Known {
    map: Arc<PartitionMap>,
    hash: u64,
    /// Delta from this map to the newest, once somebody asked for it. `None` inside: there is no delta.
    delta: Option<Option<Vec<u8>>>,
}

/// The newest map made ready for look-ups, and a bounded history to base deltas on.
pub(super) struct Maps {
    pub(super) placement: Placement,
    encoded: Vec<u8>,
    /// Newest last; never empty.
    history: VecDeque<Known>,
    limit: usize,
}

impl Maps {
    pub(super) fn new(map: Arc<PartitionMap>, limit: usize) -> Self {
        let encoded = map.encode();
        let hash = crate::partition::xxh3(0, &encoded);
        let known = Known { map: map.clone(), hash, delta: None };
        Self { placement: Placement::new(map), encoded, history: VecDeque::from([known]), limit: limit.max(1) }
    }

    pub(super) fn map(&self) -> &Arc<PartitionMap> {
        self.placement.map()
    }

    pub(super) fn len(&self) -> usize {
        self.history.len()
    }

    pub(super) fn knowledge(&self) -> MapKnowledge {
        let hash = self.history.back().map_or(0, |known| known.hash);
        MapKnowledge { epoch: self.map().epoch, hash }
    }

    /// Takes over `map` where it is newer; `Ok(false)` where it is not.
    pub(super) fn publish(&mut self, map: Arc<PartitionMap>) -> Result<bool, MapError> {
        map.validate()?;
        let current = self.map();
        if (map.partitions, map.storage) != (current.partitions, current.storage) {
            return Err(MapError::Invalid("partition count and storage layout are fixed at creation"));
        }
        if map.epoch <= current.epoch {
            return Ok(false);
        }
        self.encoded = map.encode();
        let hash = crate::partition::xxh3(0, &self.encoded);
        self.history.iter_mut().for_each(|known| known.delta = None);
        self.history.push_back(Known { map: map.clone(), hash, delta: None });
        while self.history.len() > self.limit {
            self.history.pop_front();
        }
        self.placement = Placement::new(map);
        Ok(true)
    }

    /// What takes a caller with `known` to the newest map: nothing, a delta, or the whole map.
    pub(super) fn update(&mut self, known: Option<MapKnowledge>) -> Option<MapUpdate> {
        let current = self.knowledge();
        let Some(known) = known else { return Some(MapUpdate::Full(self.encoded.clone())) };
        // A caller that is ahead keeps its map: this node will hear of it from the store.
        if known.hash == current.hash || known.epoch > current.epoch {
            return None;
        }
        let newest = self.placement.map();
        let full = self.encoded.len();
        if let Some(base) = self.history.iter_mut().find(|base| base.hash == known.hash) {
            let map = &base.map;
            let delta = base.delta.get_or_insert_with(|| MapDelta::between(map, newest).map(|d| d.encode()));
            if let Some(delta) = delta
                && delta.len() < full
            {
                return Some(MapUpdate::Delta(delta.clone()));
            }
        }
        Some(MapUpdate::Full(self.encoded.clone()))
    }
}
