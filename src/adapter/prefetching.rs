//! Fetching ahead: from the engine's orders to fetches that nobody waits for.

use super::demand::Adapter;
use super::fetches::{Fetch, FetchId, Progress};
use super::{Scope, action::FlightId};
use crate::Millis;
use crate::analyzer::Access;
use crate::key::CompositeKey;
use crate::prefetch::{Fate, Order};
use crate::protocol::Class;

impl Adapter {
    /// Lets the engine learn from a request and starts what it orders.
    pub(super) fn prefetch_after(
        &mut self,
        now: Millis,
        scope: Scope,
        stream: &str,
        key: &CompositeKey,
        access: Access,
    ) {
        // First what left: a new order for such a key would be taken for the one that it left unused.
        self.settle_evicted(now);
        let mut orders = Vec::new();
        let (cache, fetches) = (&self.cache, &self.fetches);
        let mut skip = |key: &CompositeKey| cache.contains(now, key) || fetches.of_key(key).next().is_some();
        self.engine.on_access(now, stream, key, access, &mut skip, &mut orders);
        for order in orders {
            self.prefetch_keymap(now, scope, order);
        }
    }

    /// Fetches one keymap ahead. The engine has already held its confidence against the threshold (and logged the
    /// failure below it); what is left to refuse here is what this client cannot take on.
    fn prefetch_keymap(&mut self, now: Millis, scope: Scope, order: Order) {
        if self.fetches.prefetching() >= self.config.max_prefetching || self.cache.is_off() {
            self.engine.on_fate(now, &order.key, Fate::Refunded);
            return;
        }
        self.start_prefetch(now, scope, order.key, true);
    }

    /// Fetches ahead what the application names. Keys that are cached or on their way are left alone.
    pub fn prefetch(&mut self, now: Millis, scope: Scope, keys: impl IntoIterator<Item = CompositeKey>) {
        for key in keys {
            let known = self.cache.contains(now, &key) || self.fetches.of_key(&key).next().is_some();
            if !known && self.fetches.prefetching() < self.config.max_prefetching && !self.cache.is_off() {
                self.start_prefetch(now, scope, key, false);
            }
        }
        self.rearm(now, scope, false);
    }

    fn start_prefetch(&mut self, now: Millis, scope: Scope, key: CompositeKey, ordered: bool) {
        let fetch = Fetch {
            scope,
            key,
            class: Class::Prefetch,
            ordered,
            waiters: Vec::new(),
            attempts: 0,
            strong: false,
            max_staleness_ms: self.config.max_staleness_ms,
            held: None,
            progress: Progress::Queued,
            fence: self.cache.fence(now),
            avoid: None,
        };
        self.enqueue(fetch);
    }

    /// Tells the engine which of its prefetched entries left the cache unused.
    pub(super) fn settle_evicted(&mut self, now: Millis) {
        for evicted in self.cache.take_evicted() {
            if evicted.unused_prefetch {
                self.engine.on_fate(now, &evicted.key, Fate::Wasted);
            }
        }
    }

    /// Ends a fetch without an answer. Its waiters must be gone.
    pub(super) fn drop_fetch(&mut self, now: Millis, id: FetchId) {
        let Some(fetch) = self.fetches.remove(id) else { return };
        if fetch.ordered {
            let unsent = fetch.progress == Progress::Queued;
            self.engine.on_fate(now, &fetch.key, if unsent { Fate::Refunded } else { Fate::Failed });
        }
    }

    /// Aborts a flight that carries nothing anybody needs.
    pub(super) fn abort_if_unneeded(&mut self, flight_id: FlightId) {
        let Some(flight) = self.flights.get(&flight_id) else { return };
        let needed = |id: &FetchId| self.fetches.get(*id).is_some_and(|f| f.ordered || !f.waiters.is_empty());
        if flight.exchanges() || flight.fetches().iter().any(needed) {
            return;
        }
        if let Some(flight) = self.flights.remove(&flight_id) {
            for id in flight.fetches() {
                self.fetches.remove(*id);
            }
            self.actions.push_back(super::Action::Abort { flight: flight_id });
        }
    }
}
