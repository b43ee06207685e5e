//! The maps that a node has seen, and how a caller gets from its map to the newest.

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use crate::partition::{MapDelta, MapError, PartitionMap, Placement};
use crate::protocol::{MapKnowledge, MapUpdate};

/// An earlier map.
struct Base {
    map: Arc<PartitionMap>,
    hash: u64,
    /// Delta from it to the newest map, once somebody asked for it. `None` inside: there is no delta.
    delta: OnceLock<Option<Vec<u8>>>,
}

/// The newest map made ready for look-ups, and a bounded history to base deltas on. It never changes.
pub(super) struct Epochs {
    pub(super) placement: Placement,
    encoded: Vec<u8>,
    hash: u64,
    /// Newest last.
    bases: Vec<Base>,
}

impl Epochs {
    fn new(map: Arc<PartitionMap>, bases: Vec<Base>) -> Self {
        let encoded = map.encode();
        let hash = crate::partition::xxh3(0, &encoded);
        Self { placement: Placement::new(map), encoded, hash, bases }
    }

    pub(super) fn map(&self) -> &Arc<PartitionMap> {
        self.placement.map()
    }

    /// Maps held.
    pub(super) fn len(&self) -> usize {
        self.bases.len() + 1
    }

    pub(super) fn knowledge(&self) -> MapKnowledge {
        MapKnowledge { epoch: self.map().epoch, hash: self.hash }
    }

    /// Update that takes a caller with `known` to the newest map: nothing, a delta, or the whole map.
    pub(super) fn update(&self, known: Option<MapKnowledge>) -> Option<MapUpdate> {
        let Some(known) = known else { return Some(MapUpdate::Full(self.encoded.clone())) };
        let newest = self.map();
        // A caller that is ahead keeps its map: this node will hear of it from the store.
        if known.hash == self.hash || known.epoch > newest.epoch {
            return None;
        }
        if let Some(base) = self.bases.iter().find(|base| base.hash == known.hash) {
            let delta = base.delta.get_or_init(|| MapDelta::between(&base.map, newest).map(|delta| delta.encode()));
            if let Some(delta) = delta
                && delta.len() < self.encoded.len()
            {
                return Some(MapUpdate::Delta(delta.clone()));
            }
        }
        Some(MapUpdate::Full(self.encoded.clone()))
    }
}

/// The newest [`Epochs`]: readers take a reference and go on with it, whatever is published meanwhile.
pub(super) struct Maps {
    newest: RwLock<Arc<Epochs>>,
    /// One publisher at a time, so that readers wait for no more than the exchange of a pointer.
    publishing: Mutex<()>,
    limit: usize,
}

impl Maps {
    pub(super) fn new(map: Arc<PartitionMap>, limit: usize) -> Self {
        let newest = RwLock::new(Arc::new(Epochs::new(map, Vec::new())));
        Self { newest, publishing: Mutex::new(()), limit: limit.max(1) }
    }

    pub(super) fn newest(&self) -> Arc<Epochs> {
        self.newest.read().clone()
    }

    /// Takes over `map` where it is newer; `Ok(false)` where it is not.
    pub(super) fn publish(&self, map: Arc<PartitionMap>) -> Result<bool, MapError> {
        map.validate()?;
        let _alone = self.publishing.lock();
        let epochs = self.newest();
        let current = epochs.map();
        if (map.partitions, map.storage) != (current.partitions, current.storage) {
            return Err(MapError::Invalid("partition count and storage layout are fixed at creation"));
        }
        if map.epoch <= current.epoch {
            return Ok(false);
        }
        let base = |map: &Arc<PartitionMap>, hash| Base { map: map.clone(), hash, delta: OnceLock::new() };
        let left_out = epochs.len().saturating_sub(self.limit - 1);
        let held = epochs.bases.iter().map(|old| base(&old.map, old.hash));
        let bases = held.chain([base(current, epochs.hash)]).skip(left_out).collect();
        let next = Arc::new(Epochs::new(map, bases));
        *self.newest.write() = next;
        Ok(true)
    }
}
