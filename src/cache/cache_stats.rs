//! [`CacheStats`]: what a cache reports about itself.

use serde::Serialize;

/// Fill, bounds and counters. Counters start at the cache's creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheStats {
    /// Entries held.
    pub entries: usize,
    /// Their bound; `None` where only bytes are bounded.
    pub max_entries: Option<usize>,
    /// Bytes held, bookkeeping included.
    pub bytes: usize,
    /// Their bound.
    pub max_bytes: usize,
    /// Entries on probation.
    pub probation_entries: usize,
    /// Bytes on probation.
    pub probation_bytes: usize,
    /// Fresh answers served, negative ones included.
    pub hits: u64,
    /// Fresh answers served that said "no such keymap".
    pub negative_hits: u64,
    /// Hits that were the first use of a prefetched entry.
    pub first_uses: u64,
    /// Demand accesses that found an entry older than asked for.
    pub stale: u64,
    /// Demand accesses that found nothing.
    pub misses: u64,
    /// Entries that left for room.
    pub evictions: u64,
    /// Entries that an invalidation dropped.
    pub invalidations: u64,
    /// Entries that a change or own write dropped.
    pub changed: u64,
    /// Answers refused because they were in flight at an invalidation or own write.
    pub fenced: u64,
    /// Answers refused because a known change had overtaken them.
    pub outdated: u64,
    /// Answers kept without coverage by the feed.
    pub not_covered: u64,
    /// Answers refused as too large, or as guesses without room.
    pub refused: u64,
    /// Keys in the prefix index: one per entry.
    pub indexed_keys: usize,
    /// Pairs of tag and entry in the tag index; their bytes count into `bytes`.
    pub indexed_tags: usize,
    /// Storage shards tracked.
    pub shards: usize,
    /// Their bound.
    pub max_shards: usize,
    /// Entries remembered that left for room, by id; their bytes count into `bytes`.
    pub gone: usize,
    /// Their bound.
    pub max_gone: usize,
    /// Recent changes remembered.
    pub known_changes: usize,
    /// Their bound.
    pub max_known_changes: usize,
    /// Recent invalidations and own writes remembered.
    pub fences: usize,
    /// Their bound.
    pub max_fences: usize,
    /// Entries that left and wait for `take_evicted`.
    pub evicted_pending: usize,
    /// Their bound.
    pub max_evicted_pending: usize,
    /// Entries that left unreported because that list was full.
    pub evicted_unreported: u64,
}
