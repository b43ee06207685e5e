//! The rules of the replay: what a cache and a predictor are, and how a trace runs through both.

use std::collections::hash_map::Entry;
use std::hash::Hash;

use foremap::analyzer::Access;
use foremap::prefetch::PrefetchOutcome;
use fxhash::FxHashMap;

use super::clock::Clock;
use super::demand::Demand;
use super::flights::Flights;
use super::settings::Latency;
use super::tally::Tally;
use super::trace::Request;

/// A cache of unit-sized keys.
pub(super) trait Cache<K> {
    /// A demand access, the `at`th request of the trace. A miss inserts the key.
    fn demand(&mut self, at: usize, key: &K) -> Demand;

    /// Tells whether an access would be a hit.
    fn contains(&self, key: &K) -> bool;

    /// Inserts a prefetched key that is not there; returns whether it was taken in.
    fn land(&mut self, key: &K) -> bool;

    /// Appends the prefetched keys that left unused since the last call.
    fn take_unused(&mut self, unused: &mut Vec<K>);
}

/// A request, as a predictor sees it.
pub(super) struct Observed<'a, K> {
    /// Its number in the trace.
    pub(super) at: usize,
    /// Milliseconds since the start of the trace, never stepping back.
    pub(super) now: u64,
    pub(super) client: u32,
    pub(super) key: &'a K,
    pub(super) access: Access,
}

/// Learns from requests and orders prefetches.
pub(super) trait Predictor<K> {
    /// Set where there is anything to time.
    const PREDICTS: bool = true;

    /// One request. Appends what to prefetch, in the order of landing; what is cached or in flight is dropped anyway.
    fn observe(&mut self, observed: &Observed<'_, K>, skip: &mut dyn FnMut(&K) -> bool, orders: &mut Vec<K>);

    /// The outcome of a prefetch, told once. `client` is the owner of a private cache, and 0 with a shared one.
    fn outcome(&mut self, _now: u64, _client: u32, _key: &K, _fate: PrefetchOutcome) {}

    /// A prefetch arrives; its outcome is told later.
    fn landed(&mut self, _client: u32, _key: &K) {}

    /// A cache has its first request next; `client` as with outcomes. Not timed.
    fn opened(&mut self, _now: u64, _client: u32) {}

    /// A request is over, and what it ordered has departed. Not timed.
    fn asked(&mut self, _now: u64, _client: u32, _key: &K) {}

    /// A cache has had its last request, nothing is in flight to it, and no more outcomes of it are told. Not timed.
    fn closed(&mut self, _client: u32) {}
}

/// The predictor of a method without one.
pub(super) struct Nothing;

impl<K> Predictor<K> for Nothing {
    const PREDICTS: bool = false;

    fn observe(&mut self, _: &Observed<'_, K>, _: &mut dyn FnMut(&K) -> bool, _: &mut Vec<K>) {}
}

/// One cache for all clients, or one for each. It is there from its first request until it is closed.
pub(super) struct Caches<'a, C> {
    private: bool,
    new: Box<dyn FnMut() -> C + 'a>,
    open: FxHashMap<usize, C>,
}

impl<'a, C> Caches<'a, C> {
    pub(super) fn new(private: bool, new: impl FnMut() -> C + 'a) -> Self {
        Self { private, new: Box::new(new), open: FxHashMap::default() }
    }

    fn index(&self, client: u32) -> usize {
        if self.private { client as usize } else { 0 }
    }

    /// Makes a cache unless it is there; returns whether it was made.
    fn open(&mut self, index: usize) -> bool {
        match self.open.entry(index) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert((self.new)());
                true
            }
        }
    }

    fn get(&mut self, index: usize) -> &mut C {
        self.open.entry(index).or_insert_with(&mut self.new)
    }

    /// Of each cache, the number of its last request.
    fn last_requests(&self, requests: &[Request]) -> FxHashMap<usize, usize> {
        requests.iter().enumerate().map(|(at, request)| (self.index(request.client), at)).collect()
    }
}

/// A replay under way.
pub(super) struct Player<'a, K, C, P> {
    pub(super) keys: &'a [K],
    pub(super) caches: Caches<'a, C>,
    pub(super) predictor: &'a mut P,
    flights: Flights<K>,
    tally: Tally,
    now: u64,
    clock: Clock<'a>,
    /// Nanoseconds that the predictor took for the present request.
    spent: u64,
    unused: Vec<K>,
    /// Of each cache, the number of its last request.
    last: FxHashMap<usize, usize>,
}

impl<'a, K: Clone + Eq + Hash, C: Cache<K>, P: Predictor<K>> Player<'a, K, C, P> {
    pub(super) fn new(
        keys: &'a [K],
        caches: Caches<'a, C>,
        predictor: &'a mut P,
        latency: Latency,
        tally: Tally,
        clock: Clock<'a>,
    ) -> Self {
        Self {
            keys,
            caches,
            predictor,
            flights: Flights::new(latency),
            tally,
            now: 0,
            clock,
            spent: 0,
            unused: Vec::new(),
            last: FxHashMap::default(),
        }
    }

    /// Replays all requests; `progress` is told of each.
    pub(super) fn play(mut self, requests: &[Request], mut progress: impl FnMut()) -> Tally {
        let start = requests.first().map_or(0, |request| request.at_ms);
        let mut orders = Vec::new();
        self.last = self.caches.last_requests(requests);
        for (at, request) in requests.iter().enumerate() {
            self.now = self.now.max(u64::try_from(request.at_ms.saturating_sub(start)).unwrap_or(0));
            while let Some((cache, key)) = self.flights.land(at, self.now) {
                self.land(cache, &key);
                self.close_if_over(cache, at);
            }
            let cache = self.caches.index(request.client);
            if self.caches.open(cache) {
                self.predictor.opened(self.now, cache as u32);
            }
            self.request(at, request, &mut orders);
            for key in orders.drain(..) {
                self.issue(at, cache, key);
            }
            let is_timed = P::PREDICTS && self.clock.is_there();
            self.tally.end_request(cache, is_timed.then_some(self.spent));
            self.spent = 0;
            self.predictor.asked(self.now, request.client, &self.keys[request.key as usize]);
            self.close_if_over(cache, at + 1);
            progress();
        }
        self.tally.end();
        self.tally
    }

    fn request(&mut self, at: usize, request: &Request, orders: &mut Vec<K>) {
        let index = self.caches.index(request.client);
        let key = &self.keys[request.key as usize];
        let late = self.flights.join(index, key);
        let demand = self.caches.get(index).demand(at, key);
        self.tally.demand(index, request.key, demand);
        let access = match demand {
            Demand::Hit => Access::Hit,
            Demand::FirstUse => Access::FirstUse,
            Demand::Miss if late => Access::Late,
            Demand::Miss => Access::Miss,
        };
        if demand == Demand::FirstUse {
            self.tell(index, key, PrefetchOutcome::Used);
        } else if late {
            self.tally.waste(index);
            // The rules fetch a second time.
            self.tell(index, key, PrefetchOutcome::Overtaken);
        }
        self.settle(index);
        let observed = Observed { at, now: self.now, client: request.client, key, access };
        let (cache, flights) = (&*self.caches.get(index), &self.flights);
        let mut skip = |key: &K| cache.contains(key) || flights.contains(index, key);
        self.spent += self.clock.time(|| self.predictor.observe(&observed, &mut skip, orders));
    }

    fn issue(&mut self, at: usize, cache: usize, key: K) {
        if self.caches.get(cache).contains(&key) || self.flights.contains(cache, &key) {
            self.tell(cache, &key, PrefetchOutcome::Refunded);
            return;
        }
        self.tally.issue(cache);
        if let Some(key) = self.flights.depart(at, self.now, cache, key) {
            self.land(cache, &key);
        }
    }

    fn land(&mut self, cache: usize, key: &K) {
        self.spent += self.clock.time(|| self.predictor.landed(cache as u32, key));
        if !self.caches.get(cache).land(key) {
            self.tally.waste(cache);
            self.tell(cache, key, PrefetchOutcome::Wasted);
        }
        self.settle(cache);
    }

    /// Books what left a cache unused.
    fn settle(&mut self, cache: usize) {
        let mut unused = std::mem::take(&mut self.unused);
        self.caches.get(cache).take_unused(&mut unused);
        for key in unused.drain(..) {
            self.tally.waste(cache);
            self.tell(cache, &key, PrefetchOutcome::Wasted);
        }
        self.unused = unused;
    }

    /// Drops a cache to which nothing can happen any more, now that `gone` requests are over. What is unused in it is
    /// waste, which is counted at the end.
    fn close_if_over(&mut self, cache: usize, gone: usize) {
        if self.last.get(&cache).is_none_or(|last| *last < gone) && self.flights.none_to(cache) {
            self.caches.open.remove(&cache);
            self.predictor.closed(cache as u32);
        }
    }

    fn tell(&mut self, cache: usize, key: &K, outcome: PrefetchOutcome) {
        self.spent += self.clock.time(|| self.predictor.outcome(self.now, cache as u32, key, outcome));
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
