//! Prefetches that have not landed yet.

use std::collections::VecDeque;
use std::hash::Hash;

use fxhash::FxHashMap;

use super::settings::Latency;

/// Prefetches in flight, in the order of departure, which with one latency for all is that of landing.
pub(super) struct Flights<K> {
    latency: Latency,
    queue: VecDeque<Flight<K>>,
    /// Departure of each key in flight.
    open: FxHashMap<(usize, K), u64>,
    /// Number of them to each cache; caches without any are left out.
    to: FxHashMap<usize, usize>,
    departed: u64,
}

struct Flight<K> {
    /// Request, or millisecond, before which it lands.
    due: u64,
    cache: usize,
    key: K,
    departure: u64,
}

impl<K: Clone + Eq + Hash> Flights<K> {
    pub(super) fn new(latency: Latency) -> Self {
        Self { latency, queue: VecDeque::new(), open: FxHashMap::default(), to: FxHashMap::default(), departed: 0 }
    }

    pub(super) fn contains(&self, cache: usize, key: &K) -> bool {
        !self.open.is_empty() && self.open.contains_key(&(cache, key.clone()))
    }

    /// A prefetch after request `at`. Without latency it is returned, to land at once.
    pub(super) fn depart(&mut self, at: usize, now: u64, cache: usize, key: K) -> Option<K> {
        let due = match self.latency {
            Latency::Requests(0) | Latency::Millis(0) => return Some(key),
            Latency::Requests(requests) => at as u64 + 1 + requests,
            Latency::Millis(millis) => now.saturating_add(millis),
        };
        self.departed += 1;
        self.open.insert((cache, key.clone()), self.departed);
        *self.to.entry(cache).or_default() += 1;
        self.queue.push_back(Flight { due, cache, key, departure: self.departed });
        None
    }

    /// The next prefetch that lands before request `at`, at time `now`: its cache and key.
    pub(super) fn land(&mut self, at: usize, now: u64) -> Option<(usize, K)> {
        let reached = match self.latency {
            Latency::Requests(_) => at as u64,
            Latency::Millis(_) => now,
        };
        while self.queue.front().is_some_and(|flight| flight.due <= reached) {
            let flight = self.queue.pop_front()?;
            let name = (flight.cache, flight.key);
            // Else it was joined by a demand, and perhaps departed again.
            if self.open.get(&name) == Some(&flight.departure) {
                self.close(name.0, &name.1);
                return Some(name);
            }
        }
        None
    }

    /// A demand for a key in flight: it does not land any more. Returns whether there was any.
    pub(super) fn join(&mut self, cache: usize, key: &K) -> bool {
        !self.open.is_empty() && self.close(cache, key)
    }

    /// Tells whether nothing is in flight to a cache.
    pub(super) fn none_to(&self, cache: usize) -> bool {
        !self.to.contains_key(&cache)
    }

    fn close(&mut self, cache: usize, key: &K) -> bool {
        let closed = self.open.remove(&(cache, key.clone())).is_some();
        if closed && let Some(left) = self.to.get_mut(&cache) {
            *left -= 1;
            if *left == 0 {
                self.to.remove(&cache);
            }
        }
        closed
    }
}
