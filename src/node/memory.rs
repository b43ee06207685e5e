//! The memory tier: keymaps of the node's own partitions, absences included.

use fxhash::FxBuildHasher;
use lru::LruCache;

use crate::key::CompositeKey;
use crate::partition::xxh3;
use crate::protocol::Keymap;

/// One key as the store told it.
pub(super) struct Entry {
    key: CompositeKey,
    /// Absent where the store has no such keymap.
    pub(super) value: Option<Keymap>,
    /// Log position of the store read: a change at or below it is already included.
    as_of: u64,
    /// Generation of the key's shard when the entry came in.
    pub(super) generation: u32,
    weight: usize,
}

impl Entry {
    /// Log position that the entry includes where the log was applied up to `applied`. The store read may have been
    /// ahead of it, and a session that saw the entry must not be sent back behind that.
    pub(super) fn reach(&self, applied: u64) -> u64 {
        self.as_of.max(applied)
    }
}

/// Least-recently-used entries, bounded by number and by bytes. O(1) an operation.
pub(super) struct Memory {
    entries: LruCache<u64, Entry, FxBuildHasher>,
    seed: u64,
    max_entries: usize,
    max_bytes: usize,
    bytes: usize,
    pub(super) evictions: u64,
}

impl Memory {
    /// Two hash table slots and the list links of one entry, estimated from above.
    const OVERHEAD: usize = 96;

    pub(super) fn new(seed: u64, max_entries: usize, max_bytes: usize) -> Self {
        let entries = LruCache::unbounded_with_hasher(FxBuildHasher::default());
        Self { entries, seed, max_entries, max_bytes, bytes: 0, evictions: 0 }
    }

    // The seed differs per instance, so that keys cannot be chosen to collide.
    fn id(&self, key: &CompositeKey) -> u64 {
        xxh3(self.seed, key.as_str().as_bytes())
    }

    pub(super) fn get(&mut self, key: &CompositeKey) -> Option<&Entry> {
        let id = self.id(key);
        self.entries.get(&id).filter(|entry| entry.key == *key)
    }

    /// Keeps what the store told as of `as_of`, unless something newer of the same generation is there: store reads
    /// may overtake each other.
    pub(super) fn insert(&mut self, key: CompositeKey, value: Option<Keymap>, as_of: u64, generation: u32) {
        let weight = Self::OVERHEAD
            + size_of::<Entry>()
            + key.as_str().len()
            + value.as_ref().map_or(0, |v| v.weight() - Keymap::OWN_BYTES);
        if weight > self.max_bytes || self.max_entries == 0 {
            return;
        }
        let id = self.id(&key);
        let newer = |held: &Entry| held.key == key && held.generation == generation && held.as_of > as_of;
        if self.entries.peek(&id).is_some_and(newer) {
            return;
        }
        if let Some(old) = self.entries.put(id, Entry { key, value, as_of, generation, weight }) {
            self.bytes -= old.weight;
        }
        self.bytes += weight;
        while self.bytes > self.max_bytes || self.entries.len() > self.max_entries {
            let Some((_, gone)) = self.entries.pop_lru() else { break };
            self.bytes -= gone.weight;
            self.evictions += 1;
        }
    }

    /// Drops `key` unless what is held already includes the change at `version`. Says whether it dropped it.
    pub(super) fn invalidate(&mut self, key: &CompositeKey, version: u64) -> bool {
        let id = self.id(key);
        let outdated = |entry: &Entry| entry.key == *key && entry.as_of < version;
        if !self.entries.peek(&id).is_some_and(outdated) {
            return false;
        }
        if let Some(gone) = self.entries.pop(&id) {
            self.bytes -= gone.weight;
        }
        true
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
