//! [`LocalCache`]: a bounded store of keymaps.

use std::sync::Arc;

use super::cache_config::CacheConfig;
use super::cache_stats::CacheStats;
use super::coverage::{Cacheability, Coverage};
use super::evicted::{Departures, DropReason, Evicted};
use super::fence::{Event, Fence, Fences, Passage};
use super::ids::Ids;
use super::index::Index;
use super::inserted::{Inserted, Source};
use super::invalidate::Invalidate;
use super::lookup::{Hit, Lookup};
use super::moment::Moment;
use super::queues::{QueueEntry, Queues};
use crate::Millis;
use crate::key::CompositeKey;
use crate::order::sorted;
use crate::protocol::{Keymap, MAX_CHANGES, MAX_SHARDS, ReadPoint};

/// Recent changes remembered: one whole answer of the feed.
const KNOWN_CHANGES: usize = MAX_CHANGES;
/// Recent invalidations and own writes remembered.
const FENCES: usize = 1_024;

/// A bounded store of keymaps on a client or isolate. See the [module](super) for what it guarantees.
///
/// Entries are found by XXH3-64 of the key under the instance's seed and
/// confirmed by the full key. Accesses cost O(1) plus O(log shards), insertions also O(log entries) for the
/// prefix index. The same calls give the same results whatever the seed, unless two ids
/// collide: then the newer key takes the place of the older.
#[derive(Debug)]
pub struct LocalCache {
    pub(super) config: CacheConfig,
    pub(super) ids: Ids,
    pub(super) queues: Queues,
    pub(super) coverage: Coverage,
    pub(super) fences: Fences,
    pub(super) index: Index,
    evicted: Departures,
    /// Moments up to here are of unknown age: the clock broke then.
    pub(super) unknown_until: Option<Moment>,
    /// Counters only; the rest is filled in by `stats`.
    counted: CacheStats,
}

impl LocalCache {
    /// An empty cache. It allocates as it fills.
    pub fn new(config: CacheConfig) -> Self {
        Self::with_memory(config, KNOWN_CHANGES, FENCES)
    }

    pub(super) fn with_memory(config: CacheConfig, changes: usize, fences: usize) -> Self {
        Self {
            ids: Ids { seed: config.seed },
            queues: Queues::new(&config),
            coverage: Coverage::new(changes),
            fences: Fences::new(fences),
            index: Index::default(),
            evicted: Departures::default(),
            unknown_until: None,
            counted: CacheStats::default(),
            config,
        }
    }

    /// A demand access: counts, and makes a prefetched entry a proven one.
    pub fn get(&mut self, now: Millis, key: &CompositeKey, max_staleness_ms: u32) -> Lookup {
        let id = self.ids.key(key);
        let lookup = self.look_up(id, now, key, max_staleness_ms);
        match &lookup {
            Lookup::Miss => {
                self.counted.misses += 1;
                if self.queues.find(id).is_some_and(|entry| entry.key == *key) {
                    self.remove(id, DropReason::Expired);
                }
                return lookup;
            }
            Lookup::Stale(_) => self.counted.stale += 1,
            Lookup::Hit(hit) => {
                self.counted.hits += 1;
                self.counted.negative_hits += u64::from(hit.keymap.is_none());
                self.counted.first_uses += u64::from(hit.first_use);
            }
        }
        let left = self.queues.demand(id);
        self.forget(left, DropReason::Capacity);
        lookup
    }

    /// The answer that [`LocalCache::get`] would give, without any effect.
    pub fn peek(&self, now: Millis, key: &CompositeKey, max_staleness_ms: u32) -> Lookup {
        self.look_up(self.ids.key(key), now, key, max_staleness_ms)
    }

    /// `true` where a demand access would be a hit. No effect.
    pub fn contains_fresh(&self, now: Millis, key: &CompositeKey, max_staleness_ms: u32) -> bool {
        matches!(self.peek(now, key, max_staleness_ms), Lookup::Hit(_))
    }

    /// `true` where anything is cached of `key`, fresh or not. No effect.
    pub fn contains(&self, now: Millis, key: &CompositeKey) -> bool {
        self.contains_fresh(now, key, u32::MAX)
    }

    /// `true` where nothing is cached.
    pub fn is_empty(&self) -> bool {
        self.queues.len() == 0
    }

    /// `true` where the configuration leaves no room at all.
    pub fn is_off(&self) -> bool {
        self.queues.is_off()
    }

    /// Taken when a request is sent, at `sent_at`; handed back with its answer.
    pub fn fence(&self, sent_at: Millis) -> Fence {
        self.fences.take(sent_at)
    }

    /// Offers an answer: a keymap, or `None` where there is none. `at` is what it came with.
    ///
    /// A guess never evicts a proven entry, and nothing older ever replaces anything newer.
    pub fn insert(
        &mut self,
        now: Millis,
        fence: Fence,
        key: &CompositeKey,
        value: Option<Arc<Keymap>>,
        at: ReadPoint,
        source: Source,
    ) -> Inserted {
        if self.queues.is_off() {
            return Inserted::Off;
        }
        if value.as_ref().is_some_and(|keymap| keymap.key != *key) {
            return Inserted::Mismatch;
        }
        let id = self.ids.key(key);
        let expires_at = match value {
            Some(_) => Millis::MAX,
            None => now.saturating_add(self.config.negative_ttl_ms),
        };
        let mut entry = QueueEntry {
            shard: at.shard,
            // A value proves that the log had reached its version.
            position: at.position.max(value.as_ref().map_or(0, |keymap| keymap.version)),
            as_of: fence.as_of(at.age_ms),
            covered: None,
            expires_at,
            unused_prefetch: source == Source::Prefetch,
            uses: 0,
            cost: QueueEntry::cost(key, value.as_deref()),
            key: key.clone(),
            value,
        };
        match self.admit(fence, id, &entry, &at) {
            Ok(Cacheability::Covered(covered)) => entry.covered = Some(covered),
            Ok(_) => {}
            Err(refused) => {
                self.drop_overtaken(id, &entry);
                return refused;
            }
        }
        if self.renews(id, &entry, source) {
            return Inserted::Superseded;
        }
        self.store(id, entry, source)
    }

    /// A gateway confirmed the cached `version`: the entry gets younger. Returns `false` where that version is not
    /// cached (any more) or the confirmation was overtaken by an invalidation, an own write or a change. A
    /// confirmation that nobody asked for yet has one outcome later, as a prefetch that was inserted.
    pub fn refresh(&mut self, fence: Fence, key: &CompositeKey, version: u64, at: ReadPoint, source: Source) -> bool {
        let id = self.ids.key(key);
        let Some(entry) = self.queues.find(id) else { return false };
        let same = entry.key == *key && entry.value.as_ref().is_some_and(|keymap| keymap.version == version);
        if !same || entry.shard != at.shard {
            return false;
        }
        let mut confirmed = entry.clone();
        confirmed.position = at.position.max(version);
        confirmed.as_of = fence.as_of(at.age_ms);
        confirmed.covered = match self.admit(fence, id, &confirmed, &at) {
            Ok(Cacheability::Covered(covered)) => Some(covered),
            Ok(_) => None,
            Err(_) => return false,
        };
        let renewed = self.renews(id, &confirmed, Source::Prefetch);
        if renewed
            && source == Source::Prefetch
            && let Some(entry) = self.queues.find_mut(id)
        {
            entry.unused_prefetch = true;
        }
        renewed
    }

    /// Drops entries, fences the answers in flight, and returns how many were dropped. From `now` on no older answer
    /// enters for what it covers, whenever that was asked for. O(log entries) each, one sort of the dropped for a
    /// tag, O(entries) for all.
    pub fn invalidate(&mut self, now: Millis, what: &Invalidate) -> usize {
        let ids = match what {
            Invalidate::Key(key) => {
                let id = self.ids.key(key);
                self.fences.raise(id, Event::Invalidated(now));
                self.queues.find(id).filter(|entry| entry.key == *key).map(|_| id).into_iter().collect()
            }
            Invalidate::Prefix(prefix) if prefix.depth() > 0 => {
                self.fences.raise(self.ids.prefix(prefix.slashed()), Event::Invalidated(now));
                let itself = self.ids.text(prefix.as_str());
                let itself = self.queues.find(itself).filter(|e| e.key.as_str() == prefix.as_str()).map(|_| itself);
                let below = self.index.below(prefix.slashed());
                itself.into_iter().chain(below.iter().map(|key| self.ids.key(key))).collect()
            }
            Invalidate::Tag(tag) => {
                let tag = self.ids.tag(tag);
                self.fences.raise_tag(tag, now);
                let ids = self.index.tagged(tag);
                let key = |at: usize| self.queues.find(ids[at]).map(|entry| &entry.key);
                // In the order of their keys, not of ids that depend on the seed.
                sorted(ids.len(), &|a, b| key(a).cmp(&key(b))).into_iter().map(|at| ids[at]).collect()
            }
            Invalidate::Prefix(_) | Invalidate::All => {
                self.fences.raise_all(now);
                return self.drop_all();
            }
        };
        let ids: Vec<u64> = ids;
        for &id in &ids {
            self.remove(id, DropReason::Invalidated);
        }
        ids.len()
    }

    /// This client's write of `version` was acknowledged: nothing older is served from here on, answers in
    /// flight included.
    pub fn wrote(&mut self, key: &CompositeKey, version: u64) {
        let id = self.ids.key(key);
        self.fences.raise(id, Event::Wrote(version));
        self.drop_older(id, key, version);
    }

    /// A caller has seen `version` of `key` somewhere else: nothing older is served from here on.
    pub fn saw(&mut self, key: &CompositeKey, version: u64) {
        self.drop_older(self.ids.key(key), key, version);
    }

    /// `true` where a request for `key` under `fence` left before an invalidation or own write that concerns it: a read that
    /// began later must not wait for its answer.
    pub fn is_overtaken(&self, fence: Fence, key: &CompositeKey) -> bool {
        let scopes = key.slashed_prefixes().map(|prefix| self.ids.prefix(prefix));
        self.fences.is_overtaken(fence, self.ids.key(key), scopes)
    }

    /// An answer about `key` has to be current as of a moment after this one, which is that of the latest invalidation
    /// that may concern it; 0 where there was none.
    pub fn needed_after(&self, key: &CompositeKey) -> Millis {
        let scopes = key.slashed_prefixes().map(|prefix| self.ids.prefix(prefix));
        self.fences.needed_after(self.ids.key(key), scopes)
    }

    /// Entries that left since the last call, in order. At most 1,024 wait; what did not fit is counted in `stats`.
    pub fn take_evicted(&mut self) -> Vec<Evicted> {
        self.evicted.take()
    }

    /// Drops everything and fences every answer in flight. What is known of the shards' logs stays.
    pub fn clear(&mut self, now: Millis) {
        self.invalidate(now, &Invalidate::All);
    }

    /// Drops everything for another store: positions and versions of the one before mean nothing in it.
    pub fn start_over(&mut self, now: Millis) {
        self.clear(now);
        self.fences.start_over(now);
        self.coverage = Coverage::new(self.coverage.bound());
    }

    /// Fill, bounds and counters.
    pub fn stats(&self) -> CacheStats {
        let (probation_entries, probation_bytes) = self.queues.on_probation();
        let (gone, max_gone) = self.queues.gone();
        CacheStats {
            entries: self.queues.len(),
            max_entries: (self.config.max_entries != usize::MAX).then_some(self.config.max_entries),
            bytes: self.queues.bytes(),
            max_bytes: self.config.max_bytes,
            probation_entries,
            probation_bytes,
            gone,
            max_gone,
            indexed_keys: self.index.keys(),
            indexed_tags: self.index.tags(),
            shards: self.coverage.shards(),
            max_shards: MAX_SHARDS + 1,
            known_changes: self.coverage.known_changes(),
            max_known_changes: self.coverage.bound(),
            fences: self.fences.len(),
            max_fences: self.fences.bound(),
            evicted_pending: self.evicted.len(),
            max_evicted_pending: Departures::MAX,
            evicted_unreported: self.evicted.unreported,
            ..self.counted
        }
    }

    fn look_up(&self, id: u64, now: Millis, key: &CompositeKey, max_staleness_ms: u32) -> Lookup {
        let Some(entry) = self.queues.find(id).filter(|entry| entry.key == *key && now < entry.expires_at) else {
            return Lookup::Miss;
        };
        let (position, as_of) = self.reach(entry);
        let age = (now as Moment).saturating_sub(as_of).max(0);
        let age_ms = if self.is_unknown(as_of) { u32::MAX } else { u32::try_from(age).unwrap_or(u32::MAX) };
        let at = ReadPoint { shard: entry.shard, position, age_ms };
        let own_age = (now as Moment).saturating_sub(entry.as_of);
        let kept_fresh = own_age > Moment::from(max_staleness_ms);
        let hit = Hit { keymap: entry.value.clone(), at, first_use: entry.unused_prefetch, kept_fresh };
        if age_ms <= max_staleness_ms { Lookup::Hit(hit) } else { Lookup::Stale(hit) }
    }

    /// The coverage with which an answer may be cached, or the cause for which it may not.
    fn admit(&mut self, fence: Fence, id: u64, entry: &QueueEntry, at: &ReadPoint) -> Result<Cacheability, Inserted> {
        let scopes = self.ids.scopes(&entry.key, entry.tags());
        let passage = self.fences.check(fence, id, entry.position, entry.as_of, scopes);
        let admission = match passage {
            Passage::Open => self.coverage.admit(id, at, entry.position),
            Passage::Outdated => Cacheability::Outdated,
            Passage::Fenced => {
                self.counted.fenced += 1;
                return Err(Inserted::Fenced);
            }
        };
        if admission == Cacheability::Outdated {
            self.counted.outdated += 1;
            return Err(Inserted::Outdated);
        }
        Ok(admission)
    }

    /// `true` where the cache holds the version of `answer`, which then gets as young as it, or something newer.
    fn renews(&mut self, id: u64, answer: &QueueEntry, source: Source) -> bool {
        let Some(held) = self.queues.find(id).filter(|held| held.key == answer.key && held.shard == answer.shard)
        else {
            return false;
        };
        let (position, _) = self.reach(held);
        let version = |entry: &QueueEntry| entry.value.as_ref().map(|keymap| keymap.version);
        // A negative answer has no version to compare, and a new one starts a new life.
        let same = held.value.is_some() && version(held) == version(answer);
        if same && let Some(held) = self.queues.find_mut(id) {
            held.position = held.position.max(answer.position);
            held.as_of = held.as_of.max(answer.as_of);
            held.covered = answer.covered.or(held.covered);
            if source == Source::Prefetch {
                return true;
            }
            if held.unused_prefetch {
                let key = held.key.clone();
                self.evicted.note(Evicted { key, unused_prefetch: true, reason: DropReason::Replaced });
            }
            let left = self.queues.demand(id);
            self.forget(left, DropReason::Capacity);
        }
        same || answer.position < position
    }

    fn store(&mut self, id: u64, entry: QueueEntry, source: Source) -> Inserted {
        let (shard, covered) = (entry.shard, entry.covered.is_some());
        let proven = source == Source::Prefetch && self.queues.is_proven(id);
        if self.queues.is_too_large(entry.cost) {
            // What it replaces is outdated all the same.
            self.remove(id, DropReason::Replaced);
            self.counted.refused += 1;
            return Inserted::TooLarge;
        }
        let key = entry.key.clone();
        let tags: Vec<u64> = entry.tags().iter().map(|tag| self.ids.tag(tag)).collect();
        let left = if proven && let Some(old) = self.queues.find(id).filter(|old| old.key == key).cloned() {
            self.unlink(id, &old);
            self.link(id, &key, shard, tags);
            self.queues.replace_proven(id, entry)
        } else {
            if source == Source::Prefetch
                && let Some(old) = self.queues.find_mut(id).filter(|old| old.key == key)
            {
                // The new guess takes over the outcome of the old one.
                old.unused_prefetch = false;
            }
            self.remove(id, DropReason::Replaced);
            let (admitted, left) = match source {
                Source::Demand => (true, self.queues.put_demanded(id, entry)),
                Source::Prefetch => self.queues.put_guess(id, entry),
            };
            if !admitted {
                self.counted.refused += 1;
                return Inserted::NoRoom;
            }
            self.link(id, &key, shard, tags);
            left
        };
        self.forget(left, DropReason::Capacity);
        if covered {
            return Inserted::Covered;
        }
        self.counted.not_covered += 1;
        Inserted::NotCovered
    }

    /// Puts an entry in whose key is not there yet, as if somebody had asked for it.
    pub(super) fn put_proven(&mut self, id: u64, entry: QueueEntry) {
        let tags: Vec<u64> = entry.tags().iter().map(|tag| self.ids.tag(tag)).collect();
        let (key, shard) = (entry.key.clone(), entry.shard);
        let left = self.queues.put_demanded(id, entry);
        self.link(id, &key, shard, tags);
        self.forget(left, DropReason::Capacity);
    }

    pub(super) fn reach(&self, entry: &QueueEntry) -> (u64, Moment) {
        self.coverage.reach(entry.shard, entry.position, entry.as_of, entry.covered)
    }

    pub(super) fn drop_older(&mut self, id: u64, key: &CompositeKey, version: u64) -> bool {
        let older = self.queues.find(id).is_some_and(|entry| entry.key == *key && entry.position < version);
        if older {
            self.remove(id, DropReason::Changed);
        }
        older
    }

    /// An answer that is not cached reaches its caller all the same: what it proves outdated must not be served after it.
    fn drop_overtaken(&mut self, id: u64, answer: &QueueEntry) {
        let version = |entry: &QueueEntry| entry.value.as_ref().map(|keymap| keymap.version);
        let overtaken = self.queues.find(id).is_some_and(|held| {
            held.key == answer.key && version(held) != version(answer) && self.reach(held).0 < answer.position
        });
        if overtaken {
            self.remove(id, DropReason::Changed);
        }
    }

    fn drop_all(&mut self) -> usize {
        let dropped = self.queues.drain();
        let count = dropped.len();
        self.index.clear();
        self.forget(dropped, DropReason::Invalidated);
        count
    }

    fn remove(&mut self, id: u64, reason: DropReason) {
        let entry = self.queues.remove(id);
        self.forget(entry.into_iter().map(|entry| (id, entry)).collect(), reason);
    }

    fn link(&mut self, id: u64, key: &CompositeKey, shard: u16, tags: Vec<u64>) {
        self.index.add(key, id, tags.into_iter());
        self.coverage.attach(shard);
    }

    /// Takes entries that left their queue out of everything else, and notes them for the ledger.
    fn forget(&mut self, left: Vec<(u64, QueueEntry)>, reason: DropReason) {
        for (id, entry) in left {
            self.unlink(id, &entry);
            match reason {
                DropReason::Capacity => self.counted.evictions += 1,
                DropReason::Invalidated => self.counted.invalidations += 1,
                DropReason::Changed => self.counted.changed += 1,
                // An update of what somebody asked for is no loss to report.
                DropReason::Replaced if !entry.unused_prefetch => continue,
                DropReason::Replaced | DropReason::Expired => {}
            }
            self.evicted.note(Evicted { key: entry.key, unused_prefetch: entry.unused_prefetch, reason });
        }
    }

    fn unlink(&mut self, id: u64, entry: &QueueEntry) {
        let ids = self.ids;
        self.index.remove(&entry.key, id, entry.tags().iter().map(|tag| ids.tag(tag)));
        self.coverage.detach(entry.shard);
    }
}

#[cfg(test)]
#[path = "local_cache_tests.rs"]
mod tests;

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "model_tests.rs"]
mod model_tests;
