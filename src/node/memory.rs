//! The memory tier: keymaps of the node's own partitions, absences included.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fxhash::FxBuildHasher;
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use crate::key::CompositeKey;
use crate::partition::xxh3;
use crate::protocol::Keymap;

/// One key as the store told it.
pub(super) struct MemoryEntry {
    key: CompositeKey,
    /// Absent where the store has no such keymap.
    pub(super) value: Option<Keymap>,
    /// Log position of the store read: a change at or below it is already included.
    as_of: u64,
    /// Generation of the key's shard when the entry came in.
    pub(super) generation: u32,
    weight: u64,
}

impl MemoryEntry {
    /// Log position that the entry includes where the log was applied up to `applied`. The store read may have been
    /// ahead of it, and a session that saw the entry must not be sent back behind that.
    pub(super) fn reach(&self, applied: u64) -> u64 {
        self.as_of.max(applied)
    }
}

/// Entries by seeded key hash, bounded by number and by bytes, for many threads. O(1) an operation; a hit takes the
/// read lock of one slice of the table.
///
/// What stays is decided by the table's CLOCK-Pro variant (`quick_cache`; S. Jiang, F. Chen, X. Zhang, 2005), which has
/// no clock and no randomness: the same calls in the same order leave the same entries.
///
/// [`Memory::insert`] and [`Memory::invalidate`] of one key must exclude each other; the lock of the key's storage
/// shard sees to that. Look-ups and evictions may come at any time: an eviction only ever takes an entry away.
pub(super) struct Memory {
    entries: Cache<u64, Arc<MemoryEntry>, Floor, FxBuildHasher, Collect>,
    seed: u64,
    keeps: bool,
    bytes: AtomicU64,
    evictions: AtomicU64,
}

/// Charges an entry its bytes, but at least its share of them where the table is full by number: the one bound that
/// the table has then keeps both.
#[derive(Clone)]
struct Floor(u64);

impl Weighter<u64, Arc<MemoryEntry>> for Floor {
    fn weight(&self, _: &u64, entry: &Arc<MemoryEntry>) -> u64 {
        entry.weight.max(self.0)
    }
}

/// Hands out what left, so that it is counted, and freed outside the table's lock.
#[derive(Clone)]
struct Collect;

impl Lifecycle<u64, Arc<MemoryEntry>> for Collect {
    type RequestState = Vec<Arc<MemoryEntry>>;

    fn on_evict(&self, gone: &mut Self::RequestState, _: u64, entry: Arc<MemoryEntry>) {
        gone.push(entry);
    }
}

impl Memory {
    /// Table slot, half a slot of an entry that left, index, and the blocks of the heap, estimated from above.
    const OVERHEAD: usize = 128;
    /// Most slices, each with its lock and its share of the bounds.
    const MAX_SLICES: usize = 64;
    /// A slice has room for so many entries and bytes, or it is the only one: ten of the largest keymaps.
    const SLICE_ENTRIES: usize = 64;
    const SLICE_BYTES: usize = 256 << 10;

    pub(super) fn new(seed: u64, max_entries: usize, max_bytes: usize) -> Self {
        let fit = (max_entries / Self::SLICE_ENTRIES).min(max_bytes / Self::SLICE_BYTES);
        let slices = 1_usize << fit.clamp(1, Self::MAX_SLICES).ilog2();
        let slice_bytes = (max_bytes / slices) as u64;
        let floor = slice_bytes / (max_entries / slices).saturating_add(1) as u64 + 1;
        let options = OptionsBuilder::new()
            .shards(slices)
            .estimated_items_capacity(max_entries)
            .weight_capacity(slice_bytes * slices as u64)
            // As by default. Named, as it decides what stays.
            .hot_allocation(0.97)
            .ghost_allocation(0.5)
            .build();
        let options = options.expect("every option that the table asks for is given");
        let entries = Cache::with_options(options, Floor(floor), FxBuildHasher::default(), Collect);
        let keeps = max_entries > 0 && max_bytes > 0;
        Self { entries, seed, keeps, bytes: AtomicU64::new(0), evictions: AtomicU64::new(0) }
    }

    /// Id that the table knows `key` by. The seed differs per instance, so that keys cannot be chosen to collide.
    pub(super) fn id(&self, key: &CompositeKey) -> u64 {
        xxh3(self.seed, key.as_str().as_bytes())
    }

    /// The entry of `key`, whose id is `id`.
    pub(super) fn get(&self, id: u64, key: &CompositeKey) -> Option<Arc<MemoryEntry>> {
        self.entries.get(&id).filter(|entry| entry.key == *key)
    }

    /// Tells whether `key` is held as of `generation`; that it was asked for does not count.
    pub(super) fn holds(&self, key: &CompositeKey, generation: u32) -> bool {
        let held = self.entries.peek(&self.id(key));
        held.is_some_and(|entry| entry.key == *key && entry.generation == generation)
    }

    /// Keeps what the store told as of `as_of`, unless something newer of the same generation is there: store reads
    /// may overtake each other. Between the look and the insertion the newer one may be evicted at most.
    pub(super) fn insert(&self, key: CompositeKey, value: Option<Keymap>, as_of: u64, generation: u32) {
        if !self.keeps {
            return;
        }
        let id = self.id(&key);
        let newer = |held: &MemoryEntry| held.key == key && held.generation == generation && held.as_of > as_of;
        if self.entries.peek(&id).is_some_and(|held| newer(&held)) {
            return;
        }
        let text = key.as_str().len() + value.as_ref().map_or(0, |v| v.weight() - Keymap::OWN_BYTES);
        let weight = (Self::OVERHEAD + size_of::<MemoryEntry>() + text) as u64;
        let entry = Arc::new(MemoryEntry { key, value, as_of, generation, weight });
        // Before it can be evicted, and taken off again.
        self.bytes.fetch_add(weight, Ordering::Relaxed);
        let mut gone = Vec::new();
        self.entries.insert_with_lifecycle(id, entry.clone(), &mut gone);
        if gone.is_empty() {
            return;
        }
        // Among them is what the entry replaced, or the entry itself where it is too large for its slice.
        let evicted = gone.iter().filter(|old| old.key != entry.key).count();
        self.evictions.fetch_add(evicted as u64, Ordering::Relaxed);
        self.bytes.fetch_sub(gone.iter().map(|old| old.weight).sum(), Ordering::Relaxed);
    }

    /// Drops `key` unless what is held already includes the change at `version`. Says whether it dropped it.
    pub(super) fn invalidate(&self, key: &CompositeKey, version: u64) -> bool {
        let outdated = |entry: &Arc<MemoryEntry>| entry.key == *key && entry.as_of < version;
        let Some((_, gone)) = self.entries.remove_if(&self.id(key), outdated) else { return false };
        self.bytes.fetch_sub(gone.weight, Ordering::Relaxed);
        true
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
