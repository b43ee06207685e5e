//! What goes into the cache and what comes out.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::key::{CompositeKey, KeyPrefix};
use crate::protocol::{Keymap, ReadPoint};

/// A moment on the clock of [`Millis`](crate::Millis), negative before that clock began: what a page learns in its first
/// seconds may be older than the page.
pub(super) type Moment = i64;

/// The moment `age_ms` before `now`; `u32::MAX` is not known, and so before any moment.
pub(super) fn before(now: crate::Millis, age_ms: u32) -> Moment {
    if age_ms == u32::MAX { Moment::MIN } else { now as Moment - Moment::from(age_ms) }
}

/// Bounds and seed of a [`LocalCache`](super::LocalCache).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CacheConfig {
    /// Most bytes of all entries, bookkeeping included; 0 turns the cache off. An item above an eighth is not cached.
    pub max_bytes: usize,
    /// Most entries; 0 turns the cache off, `usize::MAX` leaves only the bound in bytes.
    pub max_entries: usize,
    /// Share of bytes and of entries that belongs to prefetched entries at first, 0 to 1. While prefetching is in
    /// use it follows, between 0.1 and 0.9, from whether guesses or proven entries that just left are missed more.
    pub probation_share: f32,
    /// Longest life of a negative entry in milliseconds.
    pub negative_ttl_ms: u64,
    /// Seed of the in-process table ids. Draw it at random where keys may be hostile; results do not depend on it.
    pub seed: u64,
}

impl Default for CacheConfig {
    /// 8 MiB; the share of 0.30 replayed best on most traces (0.1 lost up to nine points of hit ratio).
    fn default() -> Self {
        Self { max_bytes: 8 << 20, max_entries: usize::MAX, probation_share: 0.30, negative_ttl_ms: 5_000, seed: 0 }
    }
}

/// How an entry came into the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Somebody asked for it.
    Demand,
    /// It was fetched ahead.
    Prefetch,
}

/// What the cache knows about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// No older than asked for: serve it.
    Hit(Hit),
    /// Older than asked for: revalidate by version, or serve where stale answers are allowed. Kept until its room
    /// is needed, as a revalidation costs less than a fetch and `at.age_ms` lets the caller draw its own line.
    Stale(Hit),
    /// Nothing.
    Miss,
}

/// A cached answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The keymap; `None` where the key is known not to exist.
    pub keymap: Option<Arc<Keymap>>,
    /// What the answer is current as of: it includes every change of its storage shard up to `position`, and
    /// every change that was committed more than `age_ms` ago. Can be passed on to the next tier as it is.
    pub at: ReadPoint,
    /// Whether this is the first demand access, hit or stale, to a prefetched entry.
    pub first_use: bool,
    /// Whether the answer itself is older than asked for, and only what was learnt of its shard since keeps it fresh.
    pub kept_fresh: bool,
}

/// What became of an answer handed to [`LocalCache::insert`](super::LocalCache::insert).
///
/// A prefetch that is `Covered` or `NotCovered` has exactly one outcome later: a [`Hit`] with `first_use`, or an
/// [`Evicted`] with `unused_prefetch`. Two prefetches of one key in a row share it. Any other result is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Inserted {
    /// Kept, and the change feed keeps it fresh from here on.
    Covered,
    /// Kept, but it ages from its own time: the feed may have passed changes that it does not include.
    NotCovered,
    /// The cache already holds the same version or something newer; that stays, and got younger where it could.
    Superseded,
    /// Not kept: the key is known to have changed since.
    Outdated,
    /// Not kept: invalidated or written by this client while the request was in flight.
    Fenced,
    /// Not kept: larger than an eighth of the capacity.
    TooLarge,
    /// Not kept: a guess that only a proven entry could have made room for.
    NoRoom,
    /// Not kept: the keymap is of another key.
    Mismatch,
    /// Not kept: the cache is off.
    Off,
}

impl Inserted {
    /// Whether the cache now holds this answer, or a newer one, for the key.
    pub fn is_held(self) -> bool {
        matches!(self, Self::Covered | Self::NotCovered | Self::Superseded)
    }
}

/// What to drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalidate {
    /// One key.
    Key(CompositeKey),
    /// A key and everything below it.
    Prefix(KeyPrefix),
    /// Every keymap with this tag.
    Tag(String),
    /// Everything.
    All,
}

/// Why an entry left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DropReason {
    /// The room was needed.
    Capacity,
    /// [`LocalCache::invalidate`](super::LocalCache::invalidate) or `clear`.
    Invalidated,
    /// The change feed or an own write made it outdated.
    Changed,
    /// A newer answer took its place; reported only for a prefetch that nobody had used.
    Replaced,
    /// A negative entry reached the end of its life.
    Expired,
}

/// An entry that left, for the ledger of prefetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evicted {
    /// Its key.
    pub key: CompositeKey,
    /// Whether it was prefetched and never asked for.
    pub unused_prefetch: bool,
    /// Why it left.
    pub reason: DropReason,
}

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
