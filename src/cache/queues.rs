//! The two queues, and who has to leave.

use std::sync::Arc;

use fxhash::FxBuildHasher;
use lru::LruCache;

use super::coverage::Covered;
use super::types::CacheConfig;
use crate::Millis;
use crate::key::CompositeKey;
use crate::protocol::Keymap;

/// Below this many entries a probation queue is too small to let a guess live until it is used.
const SMALL: usize = 60;
/// Share of a small cache's places that unused guesses may take; replayed best at 8 entries.
const SMALL_GUESS_SHARE: f64 = 0.7;
/// An item above this part of the capacity would empty too much of the cache for one key.
const LARGEST_ITEM: usize = 8;
/// Entries that one demand gives back at most of the room that was borrowed from probation: no pause, yet
/// probation has its share again after half as many demands as there are entries too many.
const GIVE_BACK: usize = 2;

/// A cached answer with its bookkeeping.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: CompositeKey,
    pub(super) value: Option<Arc<Keymap>>,
    pub(super) shard: u16,
    /// Log position that the answer included; at least the value's version.
    pub(super) position: u64,
    /// Time that the answer itself was current as of.
    pub(super) as_of: Millis,
    pub(super) covered: Option<Covered>,
    /// End of a negative entry's life.
    pub(super) expires_at: Millis,
    pub(super) unused_prefetch: bool,
    pub(super) cost: usize,
}

impl Entry {
    /// Bookkeeping beside `Entry` itself, rounded up: queue node 40, hash slot 34, place in the prefix index
    /// 32, headers of two shared allocations 32.
    const OVERHEAD: usize = 144;
    /// A place in the tag index, in B-tree nodes that are half full.
    const PER_TAG: usize = 32;

    /// Bytes that an entry counts for: key, keymap, `Entry` and the bookkeeping above.
    pub(super) fn cost(key: &CompositeKey, value: Option<&Keymap>) -> usize {
        let value = value.map_or(0, |keymap| keymap.weight() + Self::PER_TAG * keymap.fields.tags.len());
        size_of::<Self>() + Self::OVERHEAD + key.as_str().len() + value
    }

    pub(super) fn tags(&self) -> &[String] {
        self.value.as_deref().map_or(&[], |keymap| &keymap.fields.tags)
    }
}

/// One LRU queue that knows its bytes.
#[derive(Debug)]
struct Queue {
    entries: LruCache<u64, Entry, FxBuildHasher>,
    bytes: usize,
}

impl Queue {
    fn new() -> Self {
        Self { entries: LruCache::unbounded_with_hasher(FxBuildHasher::default()), bytes: 0 }
    }

    /// Makes `entry` the most recently used. The caller has removed any other of that id.
    fn push(&mut self, id: u64, entry: Entry) {
        self.bytes += entry.cost;
        if let Some(old) = self.entries.put(id, entry) {
            self.bytes -= old.cost;
        }
    }

    fn pop(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.pop(&id)?;
        self.bytes -= entry.cost;
        Some(entry)
    }

    fn pop_oldest(&mut self) -> Option<(u64, Entry)> {
        let (id, entry) = self.entries.pop_lru()?;
        self.bytes -= entry.cost;
        Some((id, entry))
    }

    fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Main queue (proven entries) and probation queue (guesses that nobody has asked for yet).
///
/// * A guess makes room among guesses only; where that is not enough it is refused.
/// * A demand at full capacity takes from probation what that holds above its share, else from the main queue.
/// * The main queue may borrow the whole capacity while prefetching is idle, that is when the last guess is
///   more demand insertions ago than there are entries. Later guesses get the room back from demands, a
///   few entries each.
/// * A cache of fewer than 60 entries is one LRU queue in which unused guesses have at most 70 % of the places
///   (a further one replaces the oldest): the most recently demanded 30 % are safe from guesses, the older ones are not.
///
/// O(1) per operation, but O(entries) for a guess in a small cache.
#[derive(Debug)]
pub(super) struct Queues {
    main: Queue,
    probation: Queue,
    max_bytes: usize,
    max_entries: usize,
    /// What the main queue may hold while prefetching is in use.
    main_bytes: usize,
    main_entries: usize,
    demands_since_guess: usize,
}

impl Queues {
    pub(super) fn new(config: &CacheConfig) -> Self {
        let share = if config.probation_share.is_nan() { 0.0 } else { config.probation_share.clamp(0.0, 1.0) };
        let part = |whole: usize| whole.min((whole as f64 * (1.0 - f64::from(share))).round() as usize);
        Self {
            main: Queue::new(),
            probation: Queue::new(),
            max_bytes: config.max_bytes,
            max_entries: config.max_entries,
            main_bytes: part(config.max_bytes),
            main_entries: part(config.max_entries),
            demands_since_guess: usize::MAX,
        }
    }

    pub(super) fn find(&self, id: u64) -> Option<&Entry> {
        self.main.entries.peek(&id).or_else(|| self.probation.entries.peek(&id))
    }

    /// For changes that leave the cost as it is; the order of the queue stays too.
    pub(super) fn find_mut(&mut self, id: u64) -> Option<&mut Entry> {
        match self.main.entries.peek_mut(&id) {
            None => self.probation.entries.peek_mut(&id),
            found => found,
        }
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Entry> {
        self.main.pop(id).or_else(|| self.probation.pop(id))
    }

    /// A demand access to `id`, which is proven from now on. Returns what had to leave.
    pub(super) fn demand(&mut self, id: u64) -> Vec<(u64, Entry)> {
        if let Some(entry) = self.main.entries.get_mut(&id) {
            entry.unused_prefetch = false;
            return Vec::new();
        }
        let Some(mut entry) = self.probation.pop(id) else { return Vec::new() };
        entry.unused_prefetch = false;
        self.main.push(id, entry);
        let mut out = Vec::new();
        self.give_back(&mut out);
        out
    }

    /// Adds an entry that somebody asked for. Returns what had to leave.
    pub(super) fn put_demanded(&mut self, id: u64, entry: Entry) -> Vec<(u64, Entry)> {
        self.main.push(id, entry);
        self.demands_since_guess = self.demands_since_guess.saturating_add(1);
        let mut out = Vec::new();
        self.make_room(&mut out);
        self.give_back(&mut out);
        out
    }

    /// Adds a guess, if there is room for it. Returns whether it was added and what had to leave.
    pub(super) fn put_guess(&mut self, id: u64, entry: Entry) -> (bool, Vec<(u64, Entry)>) {
        self.demands_since_guess = 0;
        let mut out = Vec::new();
        if self.is_small() {
            let admitted = self.put_small_guess(id, entry, &mut out);
            return (admitted, out);
        }
        if self.main.bytes + entry.cost > self.max_bytes || self.main.len() >= self.max_entries {
            return (false, out);
        }
        self.probation.push(id, entry);
        while self.is_over() {
            out.extend(self.probation.pop_oldest());
        }
        (true, out)
    }

    /// Puts a fetched-ahead newer answer in the place of a proven entry. Not a guess about a new key: it may
    /// need more room than the answer before.
    pub(super) fn replace_proven(&mut self, id: u64, entry: Entry) -> Vec<(u64, Entry)> {
        let mut out = Vec::new();
        let cost = entry.cost;
        if let Some(place) = self.main.entries.peek_mut(&id) {
            let before = std::mem::replace(place, entry).cost;
            self.main.bytes = self.main.bytes - before + cost;
            self.make_room(&mut out);
        }
        out
    }

    fn put_small_guess(&mut self, id: u64, entry: Entry, out: &mut Vec<(u64, Entry)>) -> bool {
        let places = (self.max_entries as f64 * SMALL_GUESS_SHARE) as usize;
        if places == 0 {
            return false;
        }
        let unused = self.main.entries.iter().filter(|(_, entry)| entry.unused_prefetch);
        if unused.count() >= places {
            let oldest = self.main.entries.iter().rev().find(|(_, entry)| entry.unused_prefetch).map(|(&id, _)| id);
            out.extend(oldest.and_then(|id| Some((id, self.main.pop(id)?))));
        }
        self.main.push(id, entry);
        self.make_room(out);
        true
    }

    /// Back below the bounds. The newest entry of the main queue stays: alone it is within them.
    fn make_room(&mut self, out: &mut Vec<(u64, Entry)>) {
        while self.is_over() {
            let guesses_first =
                self.probation.len() > 0 && (self.is_idle() || self.is_probation_above_share() || self.main.len() <= 1);
            let left = if guesses_first { self.probation.pop_oldest() } else { self.main.pop_oldest() };
            match left {
                Some(left) => out.push(left),
                None => break,
            }
        }
    }

    /// Returns borrowed room, a little at a time.
    fn give_back(&mut self, out: &mut Vec<(u64, Entry)>) {
        if self.is_small() || self.is_idle() {
            return;
        }
        for _ in 0..GIVE_BACK {
            let borrowed = self.main.bytes > self.main_bytes || self.main.len() > self.main_entries;
            if !borrowed || self.main.len() <= 1 {
                break;
            }
            out.extend(self.main.pop_oldest());
        }
    }

    fn is_over(&self) -> bool {
        self.bytes() > self.max_bytes || self.len() > self.max_entries
    }

    fn is_idle(&self) -> bool {
        self.demands_since_guess > self.len()
    }

    fn is_small(&self) -> bool {
        self.max_entries < SMALL
    }

    fn is_probation_above_share(&self) -> bool {
        self.probation.bytes > self.max_bytes - self.main_bytes
            || self.probation.len() > self.max_entries - self.main_entries
    }

    pub(super) fn is_off(&self) -> bool {
        self.max_bytes == 0 || self.max_entries == 0
    }

    pub(super) fn is_too_large(&self, cost: usize) -> bool {
        cost > self.max_bytes / LARGEST_ITEM
    }

    pub(super) fn is_proven(&self, id: u64) -> bool {
        self.main.entries.contains(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.main.len() + self.probation.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.main.bytes + self.probation.bytes
    }

    /// Entries and bytes on probation.
    pub(super) fn on_probation(&self) -> (usize, usize) {
        (self.probation.len(), self.probation.bytes)
    }

    /// Empties both queues, oldest first, proven before guessed.
    pub(super) fn drain(&mut self) -> Vec<(u64, Entry)> {
        let mut out = Vec::with_capacity(self.len());
        out.extend(std::iter::from_fn(|| self.main.pop_oldest()));
        out.extend(std::iter::from_fn(|| self.probation.pop_oldest()));
        out
    }
}

#[cfg(test)]
#[path = "queues_tests.rs"]
mod tests;
