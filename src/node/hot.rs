//! [`HotSet`]: the keys that a node serves most, to warm up whoever owns them next.

use fxhash::FxHashMap;

use crate::key::CompositeKey;

/// A key with its count.
struct Counter {
    id: u64,
    key: CompositeKey,
    count: u32,
    /// Part of the count that it may owe to the key whose place it took.
    error: u32,
}

/// The most frequent keys by Space-Saving (A. Metwally, D. Agrawal, A. El Abbadi, 2005): a key that is not among them
/// takes the place of the rarest and goes on from its count. Whatever makes up more than one in
/// [`HotSet::CAPACITY`] of what was counted is among them.
///
/// All counts are halved every [`HotSet::HALVED_EVERY`] accesses, so what was hot once gives way. O(1) an access: a
/// count grows by one, so its key moves to the head of those that had the same. About 64 bytes a key, plus its text.
#[derive(Default)]
pub(super) struct HotSet {
    /// By descending count.
    counters: Vec<Counter>,
    /// Place in `counters` by id. Two keys of one id would share a count, which does no harm.
    places: FxHashMap<u64, u32>,
    /// Place of the first of all that have the same count.
    heads: FxHashMap<u32, u32>,
    counted: usize,
}

impl HotSet {
    /// Most keys.
    pub(super) const CAPACITY: usize = 4_096;
    /// Long enough for a key at the capacity's edge to be told from chance.
    const HALVED_EVERY: usize = 64 * Self::CAPACITY;

    /// Counts an access to `key`, whose seeded hash is `id`.
    pub(super) fn count(&mut self, id: u64, key: &CompositeKey) {
        let at = match self.places.get(&id) {
            Some(&at) => at as usize,
            None => self.enter(id, key),
        };
        self.raise(at);
        self.counted += 1;
        if self.counted == Self::HALVED_EVERY {
            self.halve();
        }
    }

    /// At most `limit` keys, by the count that is certainly their own, the hottest first. O(capacity log capacity).
    pub(super) fn hottest(&self, limit: usize) -> Vec<CompositeKey> {
        let mut counters: Vec<&Counter> = self.counters.iter().collect();
        // Equal counts by key: the order of their arrival is no reason.
        counters.sort_unstable_by(|a, b| (b.count - b.error).cmp(&(a.count - a.error)).then_with(|| a.key.cmp(&b.key)));
        counters.into_iter().take(limit).map(|counter| counter.key.clone()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.counters.len()
    }

    /// Makes a place for a key, whose count is about to be raised; returns the place.
    fn enter(&mut self, id: u64, key: &CompositeKey) -> usize {
        let key = key.clone();
        if self.counters.len() < Self::CAPACITY {
            self.heads.entry(0).or_insert(self.counters.len() as u32);
            self.counters.push(Counter { id, key, count: 0, error: 0 });
        } else if let Some(rarest) = self.counters.last_mut() {
            self.places.remove(&rarest.id);
            *rarest = Counter { id, key, count: rarest.count, error: rarest.count };
        }
        let at = self.counters.len() - 1;
        self.places.insert(id, at as u32);
        at
    }

    /// Adds one to the count at `at`.
    fn raise(&mut self, at: usize) {
        let count = self.counters[at].count;
        let head = self.heads.remove(&count).map_or(at, |head| head as usize);
        if head != at {
            self.counters.swap(at, head);
            self.places.insert(self.counters[at].id, at as u32);
            self.places.insert(self.counters[head].id, head as u32);
        }
        self.counters[head].count += 1;
        if self.counters.get(head + 1).is_some_and(|next| next.count == count) {
            self.heads.insert(count, head as u32 + 1);
        }
        // Those that had one more before are right in front of it.
        self.heads.entry(count + 1).or_insert(head as u32);
    }

    fn halve(&mut self) {
        self.counted = 0;
        self.counters.retain_mut(|counter| {
            counter.count /= 2;
            counter.error /= 2;
            counter.count > 0
        });
        self.places.clear();
        self.heads.clear();
        for (at, counter) in (0..).zip(&self.counters) {
            self.places.insert(counter.id, at);
            self.heads.entry(counter.count).or_insert(at);
        }
    }
}

#[cfg(test)]
#[path = "hot_tests.rs"]
mod tests;
