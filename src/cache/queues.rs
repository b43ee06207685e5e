//! The queues, and who has to leave.

use std::sync::Arc;

use fxhash::FxBuildHasher;
use lru::LruCache;

use super::cache_config::CacheConfig;
use super::coverage::Covered;
use super::moment::Moment;
use super::probation_share::{Gone, ProbationShare, is_recent_above};
use crate::Millis;
use crate::key::CompositeKey;
use crate::protocol::Keymap;

/// Further demands that let an entry pass from the recent to the main queue, and most that are remembered.
const PASSES: u8 = 2;
const MAX_USES: u8 = 3;
/// An entry just left if fewer left its queue since than an eighth of the cache holds, and at least four. A sixteenth
/// and a quarter replay level, so do two and eight.
const NEAR: (usize, usize) = (8, 4);
/// An item above this part of the capacity would empty too much of the cache for one key.
const LARGEST_ITEM: usize = 8;
/// Entries that one demand gives back at most of the room that was borrowed from probation: no pause, yet
/// probation has its share again after half as many demands as there are entries too many.
const GIVE_BACK: usize = 2;

/// A cached answer with its bookkeeping.
#[derive(Debug, Clone)]
pub(super) struct QueueEntry {
    pub(super) key: CompositeKey,
    pub(super) value: Option<Arc<Keymap>>,
    pub(super) shard: u16,
    /// Log position that the answer included; at least the value's version.
    pub(super) position: u64,
    /// Time that the answer itself was current as of.
    pub(super) as_of: Moment,
    pub(super) covered: Option<Covered>,
    /// End of a negative entry's life.
    pub(super) expires_at: Millis,
    pub(super) unused_prefetch: bool,
    /// Demands since it was proven or last spared, at most 3.
    pub(super) uses: u8,
    pub(super) cost: usize,
}

impl QueueEntry {
    /// Bookkeeping beside `QueueEntry` itself, rounded up: queue node 40, hash slot 34, place in the prefix index
    /// 32, headers of two shared allocations 32, five quarters of a remembered id of an entry that left 80.
    const OVERHEAD: usize = 220;
    /// A place in the tag index, in B-tree nodes that are half full.
    const PER_TAG: usize = 32;

    /// `QueueEntry` itself where pointers have 64 bits. It counts as much where they are shorter: the same entries are to fit
    /// into as many bytes, or native code and WebAssembly would decide differently.
    const OWN: usize = 72;

    /// Least bytes that an entry counts for.
    const LEAST: usize = Self::OWN + Self::OVERHEAD;

    /// Bytes that an entry counts for: key, keymap, `QueueEntry` and the bookkeeping above.
    pub(super) fn cost(key: &CompositeKey, value: Option<&Keymap>) -> usize {
        let value = value.map_or(0, |keymap| keymap.weight() + Self::PER_TAG * keymap.fields.tags.len());
        Self::LEAST + key.as_str().len() + value
    }

    pub(super) fn tags(&self) -> &[String] {
        self.value.as_deref().map_or(&[], |keymap| &keymap.fields.tags)
    }
}

const _: () = assert!(size_of::<QueueEntry>() <= QueueEntry::OWN);

/// One LRU queue that knows its bytes.
#[derive(Debug)]
struct Queue {
    entries: LruCache<u64, QueueEntry, FxBuildHasher>,
    bytes: usize,
}

impl Queue {
    fn new() -> Self {
        Self { entries: LruCache::unbounded_with_hasher(FxBuildHasher::default()), bytes: 0 }
    }

    /// Makes `entry` the most recently used. The caller has removed any other of that id.
    fn push(&mut self, id: u64, entry: QueueEntry) {
        self.bytes += entry.cost;
        if let Some(old) = self.entries.put(id, entry) {
            self.bytes -= old.cost;
        }
    }

    fn pop(&mut self, id: u64) -> Option<QueueEntry> {
        let entry = self.entries.pop(&id)?;
        self.bytes -= entry.cost;
        Some(entry)
    }

    fn pop_oldest(&mut self) -> Option<(u64, QueueEntry)> {
        let (id, entry) = self.entries.pop_lru()?;
        self.bytes -= entry.cost;
        Some((id, entry))
    }

    fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Proven entries in the two queues of S3-FIFO (Yang et al., 2023), and a probation queue of guesses that nobody
/// has asked for yet.
///
/// * A proven entry begins in the *recent* queue, a fifth of the room. Asked for twice more, it passes to the *main*
///   queue, else it leaves, and its id is remembered: back soon, it begins in the main queue. There, the oldest
///   leaves unless it was asked for since it was last spared. So a scan passes through the recent queue alone.
/// * A guess makes room among guesses only; where that is not enough it is refused.
/// * A demand at full capacity takes from probation what that holds above its share, else from the proven entries.
/// * Proven entries may borrow the whole capacity while prefetching is idle, that is when the last guess is
///   more demand insertions ago than there are entries. Later guesses get the room back from demands, a
///   few entries each.
/// * While prefetching is in use, the share of probation follows from which of the entries that just left are
///   missed (`shares.rs`). How long a guess must live to be used, and how soon entries are asked for again, differs
///   between workloads; in a cache of a few dozen entries any fixed share serves one at the cost of another.
///
/// O(1) per operation, amortised where an entry is spared.
#[derive(Debug)]
pub(super) struct Queues {
    recent: Queue,
    main: Queue,
    probation: Queue,
    shares: ProbationShare,
    /// Entries that left the recent queue, as many as there are proven entries.
    gone: Gone,
    /// Entries that just left the other two.
    gone_main: Gone,
    gone_guesses: Gone,
    max_bytes: usize,
    max_entries: usize,
    /// Bytes that proven entries may hold while prefetching is in use.
    proven_bytes: usize,
    proven_entries: usize,
    demands_since_guess: usize,
}

impl Queues {
    pub(super) fn new(config: &CacheConfig) -> Self {
        let shares = ProbationShare::new(config.probation_share);
        Self {
            recent: Queue::new(),
            main: Queue::new(),
            probation: Queue::new(),
            shares,
            gone: Gone::new(),
            gone_main: Gone::new(),
            gone_guesses: Gone::new(),
            max_bytes: config.max_bytes,
            max_entries: config.max_entries,
            proven_bytes: shares.proven(config.max_bytes),
            proven_entries: shares.proven(config.max_entries),
            demands_since_guess: usize::MAX,
        }
    }

    fn queue(&self, id: u64) -> Option<&Queue> {
        [&self.main, &self.recent, &self.probation].into_iter().find(|queue| queue.entries.contains(&id))
    }

    fn queue_mut(&mut self, id: u64) -> Option<&mut Queue> {
        let queues = [&mut self.main, &mut self.recent, &mut self.probation];
        queues.into_iter().find(|queue| queue.entries.contains(&id))
    }

    pub(super) fn find(&self, id: u64) -> Option<&QueueEntry> {
        self.queue(id)?.entries.peek(&id)
    }

    /// For changes that leave the cost as it is; the order of the queue stays too.
    pub(super) fn find_mut(&mut self, id: u64) -> Option<&mut QueueEntry> {
        self.queue_mut(id)?.entries.peek_mut(&id)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<QueueEntry> {
        self.queue_mut(id)?.pop(id)
    }

    /// A demand access to `id`, which is proven from now on. Returns what had to leave.
    pub(super) fn demand(&mut self, id: u64) -> Vec<(u64, QueueEntry)> {
        let mut out = Vec::new();
        if let Some(mut entry) = self.probation.pop(id) {
            entry.unused_prefetch = false;
            let known = self.gone.take(id).is_some();
            self.push_proven(id, entry, known);
            self.give_back(&mut out);
        } else if let Some(entry) = self.find_mut(id) {
            entry.unused_prefetch = false;
            entry.uses = (entry.uses + 1).min(MAX_USES);
        }
        out
    }

    fn push_proven(&mut self, id: u64, mut entry: QueueEntry, known: bool) {
        entry.uses = 0;
        let queue = if known { &mut self.main } else { &mut self.recent };
        queue.push(id, entry);
    }

    /// An entry that is not there was asked for: had its queue been a little longer, it would be. Returns whether
    /// it left the recent queue lately.
    fn learn(&mut self, id: u64) -> bool {
        let near = self.near() as u64;
        let recent = self.gone.take(id);
        let left = [(false, recent), (false, self.gone_main.take(id)), (true, self.gone_guesses.take(id))];
        if !self.is_idle() {
            let entries = self.len();
            for &(guess, _) in left.iter().filter(|(_, after)| after.is_some_and(|after| after < near)) {
                self.shares.missed(guess, entries);
            }
            self.proven_bytes = self.shares.proven(self.max_bytes);
            self.proven_entries = self.shares.proven(self.max_entries);
        }
        recent.is_some()
    }

    fn near(&self) -> usize {
        (self.len() / NEAR.0).max(NEAR.1)
    }

    /// Entries remembered that left, and most of them at any time.
    pub(super) fn gone(&self) -> (usize, usize) {
        let most = self.max_entries.min(self.max_bytes / QueueEntry::LEAST);
        let most = most.max(1) + 2 * (most / NEAR.0).max(NEAR.1);
        (self.gone.len() + self.gone_main.len() + self.gone_guesses.len(), most)
    }

    /// Adds an entry that somebody asked for. Returns what had to leave.
    pub(super) fn put_demanded(&mut self, id: u64, entry: QueueEntry) -> Vec<(u64, QueueEntry)> {
        let known = self.learn(id);
        self.push_proven(id, entry, known);
        self.demands_since_guess = self.demands_since_guess.saturating_add(1);
        let mut out = Vec::new();
        self.make_room(&mut out);
        self.give_back(&mut out);
        out
    }

    /// Adds a guess, if there is room for it. Returns whether it was added and what had to leave.
    pub(super) fn put_guess(&mut self, id: u64, entry: QueueEntry) -> (bool, Vec<(u64, QueueEntry)>) {
        self.demands_since_guess = 0;
        let mut out = Vec::new();
        if self.proven_bytes_held() + entry.cost > self.max_bytes || self.proven_len() >= self.max_entries {
            return (false, out);
        }
        self.probation.push(id, entry);
        self.gone_guesses.take(id);
        while self.is_over() {
            out.extend(self.pop_guess());
        }
        (true, out)
    }

    /// Puts a fetched-ahead newer answer in the place of a proven entry. Not a guess about a new key: it may
    /// need more room than the answer before.
    pub(super) fn replace_proven(&mut self, id: u64, mut entry: QueueEntry) -> Vec<(u64, QueueEntry)> {
        let mut out = Vec::new();
        let cost = entry.cost;
        if let Some(queue) = self.queue_mut(id)
            && let Some(place) = queue.entries.peek_mut(&id)
        {
            entry.uses = place.uses;
            let before = std::mem::replace(place, entry).cost;
            queue.bytes = queue.bytes - before + cost;
            self.make_room(&mut out);
        }
        out
    }

    fn pop_guess(&mut self) -> Option<(u64, QueueEntry)> {
        let left = self.probation.pop_oldest()?;
        self.gone_guesses.add(left.0, self.near());
        Some(left)
    }

    /// Takes out the proven entry whose turn it is.
    fn pop_proven(&mut self) -> Option<(u64, QueueEntry)> {
        // Each step takes an entry out of the recent queue for good or one of at most three uses from another.
        loop {
            // Never the newest of a queue while the other has any: it may be what the room is for.
            let from_recent = match (self.recent.len(), self.main.len()) {
                (0 | 1, 1..) => false,
                (2.., 0 | 1) | (_, 0) => true,
                _ => self.is_recent_above_share(),
            };
            if from_recent {
                let (id, mut entry) = self.recent.pop_oldest()?;
                if entry.uses >= PASSES {
                    entry.uses = 0;
                    self.main.push(id, entry);
                    continue;
                }
                self.gone.add(id, self.proven_len());
                return Some((id, entry));
            }
            let (id, mut entry) = self.main.pop_oldest()?;
            if entry.uses == 0 {
                self.gone_main.add(id, self.near());
                return Some((id, entry));
            }
            entry.uses -= 1;
            self.main.push(id, entry);
        }
    }

    fn is_recent_above_share(&self) -> bool {
        let (entries, bytes) = (self.proven_len(), self.proven_bytes_held());
        is_recent_above((self.recent.len(), entries), (self.recent.bytes, bytes))
    }

    /// Back below the bounds.
    fn make_room(&mut self, out: &mut Vec<(u64, QueueEntry)>) {
        while self.is_over() {
            let guesses_first = self.probation.len() > 0
                && (self.is_idle() || self.is_probation_above_share() || self.proven_len() <= 1);
            let left = if guesses_first { self.pop_guess() } else { self.pop_proven() };
            match left {
                Some(left) => out.push(left),
                None => break,
            }
        }
    }

    /// Returns borrowed room, a little at a time.
    fn give_back(&mut self, out: &mut Vec<(u64, QueueEntry)>) {
        if self.is_idle() {
            return;
        }
        for _ in 0..GIVE_BACK {
            let borrowed = self.proven_bytes_held() > self.proven_bytes || self.proven_len() > self.proven_entries;
            if !borrowed || self.proven_len() <= 1 {
                break;
            }
            out.extend(self.pop_proven());
        }
    }

    fn is_over(&self) -> bool {
        self.bytes() > self.max_bytes || self.len() > self.max_entries
    }

    fn is_idle(&self) -> bool {
        self.demands_since_guess > self.len()
    }

    fn is_probation_above_share(&self) -> bool {
        self.probation.bytes > self.max_bytes - self.proven_bytes
            || self.probation.len() > self.max_entries - self.proven_entries
    }

    pub(super) fn is_off(&self) -> bool {
        self.max_bytes == 0 || self.max_entries == 0
    }

    pub(super) fn is_too_large(&self, cost: usize) -> bool {
        cost > self.max_bytes / LARGEST_ITEM
    }

    pub(super) fn is_proven(&self, id: u64) -> bool {
        self.main.entries.contains(&id) || self.recent.entries.contains(&id)
    }

    fn proven_len(&self) -> usize {
        self.main.len() + self.recent.len()
    }

    fn proven_bytes_held(&self) -> usize {
        self.main.bytes + self.recent.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.proven_len() + self.probation.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.proven_bytes_held() + self.probation.bytes
    }

    /// Entries and bytes on probation.
    pub(super) fn on_probation(&self) -> (usize, usize) {
        (self.probation.len(), self.probation.bytes)
    }

    /// The proven entries, those first that were asked for more than once, and the newest of each kind first.
    pub(super) fn proven(&self) -> impl Iterator<Item = &QueueEntry> {
        self.main.entries.iter().chain(self.recent.entries.iter()).map(|(_, entry)| entry)
    }

    /// Empties all queues, oldest first, proven before guessed.
    pub(super) fn drain(&mut self) -> Vec<(u64, QueueEntry)> {
        let mut out = Vec::with_capacity(self.len());
        out.extend(std::iter::from_fn(|| self.main.pop_oldest()));
        out.extend(std::iter::from_fn(|| self.recent.pop_oldest()));
        out.extend(std::iter::from_fn(|| self.probation.pop_oldest()));
        out
    }
}

#[cfg(test)]
#[path = "queues_tests.rs"]
mod tests;
