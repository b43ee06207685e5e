//! Fetching ahead: from the engine's requests to fetches that nobody waits for.

use super::adapter::Adapter;
use super::feed::FEED_SCOPE;
use super::fetches::{Fetch, FetchId};
use super::{Scope, action::FlightId};
use crate::Millis;
use crate::analyzer::Access;
use crate::cache::Lookup;
use crate::key::CompositeKey;
use crate::prefetch::{PrefetchEngine, PrefetchOutcome, PrefetchRequest, Verdict};
use crate::protocol::Class;

/// Whether a batch may go out for what was predicted alone.
///
/// Users are billed by the request. Predicted keys ride on batches that go out anyway; a batch of their own is sent only
/// on credit, which earlier predictions earned: one request for each moment that was answered by what had been fetched
/// ahead, and asked for nothing else. So with prediction on there are never more requests than without.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    credit: u64,
    /// The present moment: all that is asked for within it goes out together.
    moment: Millis,
    used: bool,
    asked: bool,
}

impl Ahead {
    /// Most credit kept: what was earned long ago is no reason for a burst.
    const MOST: u64 = 64;

    /// A request is made at `now`.
    pub(super) fn begin(&mut self, now: Millis) {
        if now == self.moment {
            return;
        }
        if self.used && !self.asked {
            self.credit = (self.credit + 1).min(Self::MOST);
        }
        (self.moment, self.used, self.asked) = (now, false, false);
    }

    /// It was answered by what had been fetched ahead.
    pub(super) fn used(&mut self, now: Millis) {
        self.begin(now);
        self.used = true;
    }

    /// It has to ask a gateway.
    pub(super) fn asked(&mut self) {
        self.asked = true;
    }

    /// Takes the credit for one batch. What the present moment earns counts: nothing else of it will be asked for.
    fn withdraw(&mut self) -> bool {
        let earned = std::mem::take(&mut self.used) && !self.asked;
        if earned {
            return true;
        }
        let enough = self.credit > 0;
        self.credit -= u64::from(enough);
        enough
    }
}

/// How long nothing is fetched ahead where a gateway with too much to do does not say, and at most.
const PAUSE_MS: Millis = 1_000;
const LONGEST_PAUSE_MS: Millis = 30_000;

fn pause_until(now: Millis, retry_after: Option<Millis>) -> Millis {
    now + retry_after.unwrap_or(PAUSE_MS).min(LONGEST_PAUSE_MS)
}

impl Adapter {
    /// Fetches nothing ahead for as long as a gateway asks, which has more to do than it can.
    pub(super) fn pause_prefetch(&mut self, now: Millis, retry_after: Option<Millis>) {
        self.ahead_from = self.ahead_from.max(pause_until(now, retry_after));
    }

    /// A gateway has turned somebody away: whatever can go elsewhere does, for as long as it asks.
    pub(super) fn pause_origin(&mut self, now: Millis, origin: &str, retry_after: Option<Millis>) {
        self.pause_prefetch(now, retry_after);
        self.origins.pause(origin, pause_until(now, retry_after));
    }

    /// Whether nothing is fetched ahead for a while.
    pub(super) fn is_prefetch_paused(&self, now: Millis) -> bool {
        now < self.ahead_from
    }

    /// What is to go out of `queue`: all of it where somebody waits for any, or where what was predicted may go by itself. Else
    /// that waits for the next request, which asks for it, or predicts anew.
    pub(super) fn rides(&mut self, scope: Scope, queue: Vec<FetchId>) -> Vec<FetchId> {
        let rides = |id: &FetchId| self.fetches.get(*id).is_none_or(|fetch| fetch.rides);
        if queue.is_empty() || !queue.iter().all(rides) || self.ahead.withdraw() {
            return queue;
        }
        self.scopes.get(scope).held.extend(queue);
        Vec::new()
    }

    /// Gives up what was predicted and did not find a ride before the next request of `scope`.
    fn refund_held(&mut self, now: Millis, scope: Scope) {
        for id in std::mem::take(&mut self.scopes.get(scope).held) {
            // What was claimed meanwhile does not ride any more, and stands in the queue.
            if self.fetches.get(id).is_some_and(|fetch| fetch.rides) {
                self.drop_fetch(now, id);
            }
        }
    }

    /// Lets the engine learn from a request and starts what it asks for.
    pub(super) fn prefetch_after(
        &mut self,
        now: Millis,
        scope: Scope,
        stream: &str,
        key: &CompositeKey,
        access: Access,
    ) {
        self.refund_held(now, scope);
        // First what left: a new prefetch for such a key would be taken for the one that it left unused.
        self.settle_evicted(now);
        self.look_ahead(now, scope, |engine, skip, wanted| {
            engine.handle_access(now, stream, key, access, skip, wanted)
        });
        if let Some(trail) = &mut self.shared.trail {
            trail.note(stream, key, access == Access::Hit);
        }
    }

    /// Starts what is now to be fetched ahead after the latest request of a client's own scope.
    pub(super) fn prefetch_again(&mut self, now: Millis) {
        let Some((stream, key)) = self.history.latest() else { return };
        self.settle_evicted(now);
        self.look_ahead(now, FEED_SCOPE, |engine, skip, wanted| engine.look_again(now, &stream, &key, skip, wanted));
        self.rearm(now, FEED_SCOPE, false);
    }

    /// Starts what the engine asks for, which is told what is cached or on its way.
    fn look_ahead(
        &mut self,
        now: Millis,
        scope: Scope,
        ask: impl FnOnce(&mut PrefetchEngine, &mut dyn FnMut(&CompositeKey) -> bool, &mut Vec<PrefetchRequest>),
    ) {
        let mut wanted = Vec::new();
        let (cache, fetches, renew) = (&self.cache, &self.fetches, !self.feed_serves(now));
        let bound = if renew { self.config.max_staleness_ms } else { u32::MAX };
        let mut skip =
            |key: &CompositeKey| cache.contains_fresh(now, key, bound) || fetches.of_key(key).next().is_some();
        ask(&mut self.engine, &mut skip, &mut wanted);
        for prefetch in wanted {
            self.prefetch_keymap(now, scope, prefetch);
        }
    }

    /// Fetches one keymap ahead. The engine has already held its confidence against the threshold (and logged the
    /// failure below it); what is left to refuse here is what this client cannot take on.
    fn prefetch_keymap(&mut self, now: Millis, scope: Scope, prefetch: PrefetchRequest) {
        let is_full = self.fetches.prefetching() >= self.config.max_prefetching;
        if is_full || self.cache.is_off() || self.is_prefetch_paused(now) {
            self.engine.handle_outcome(now, &prefetch.key, PrefetchOutcome::Refunded);
            return;
        }
        self.start_prefetch(now, scope, prefetch.key, true, true);
    }

    /// Fetches ahead what the application says will be asked for, with a probability and within so many milliseconds, as
    /// far as experience with its hints and the budget allow. Keys that are cached or on their way are left alone; where
    /// prediction is off, so that there is neither, all others are fetched.
    pub fn prefetch(
        &mut self,
        now: Millis,
        scope: Scope,
        keys: impl IntoIterator<Item = CompositeKey>,
        probability: Option<f32>,
        within: Option<Millis>,
    ) {
        for key in keys {
            let known = self.cache.contains_fresh(now, &key, self.config.max_staleness_ms)
                || self.fetches.of_key(&key).next().is_some()
                || self.fetches.prefetching() >= self.config.max_prefetching
                || self.cache.is_off()
                || self.is_prefetch_paused(now);
            let predicts = self.config.prefetch.enabled;
            let verdict =
                if predicts { self.engine.hint(now, &key, probability, within, known) } else { Verdict::Fetch };
            if verdict == Verdict::Fetch && !known {
                self.start_prefetch(now, scope, key, predicts, false);
            }
        }
        self.rearm(now, scope, false);
    }

    fn start_prefetch(&mut self, now: Millis, scope: Scope, key: CompositeKey, issued: bool, rides: bool) {
        let needed_after = self.cache.needed_after(&key);
        let held = match self.cache.peek(now, &key, u32::MAX) {
            Lookup::Hit(hit) | Lookup::Stale(hit) => hit.keymap,
            Lookup::Miss => None,
        };
        let fetch = Fetch::new(scope, key, Class::Prefetch, self.config.max_staleness_ms);
        self.enqueue(Fetch { issued, rides, needed_after, held, ..fetch });
    }

    /// Tells the engine which of its prefetched entries left the cache unused.
    pub(super) fn settle_evicted(&mut self, now: Millis) {
        for evicted in self.cache.take_evicted() {
            if evicted.unused_prefetch {
                self.engine.handle_outcome(now, &evicted.key, PrefetchOutcome::Wasted);
            }
        }
    }

    /// Ends a fetch without an answer. Its waiters must be gone.
    pub(super) fn drop_fetch(&mut self, now: Millis, id: FetchId) {
        let Some(fetch) = self.fetches.remove(id) else { return };
        if fetch.issued {
            let unsent = fetch.attempts == 0;
            self.engine.handle_outcome(
                now,
                &fetch.key,
                if unsent { PrefetchOutcome::Refunded } else { PrefetchOutcome::Failed },
            );
        }
    }

    /// Aborts a flight that carries nothing anybody needs.
    pub(super) fn abort_if_unneeded(&mut self, flight_id: FlightId) {
        let Some(flight) = self.flights.get(&flight_id) else { return };
        let needed = |id: &FetchId| self.fetches.get(*id).is_some_and(|f| f.issued || !f.waiters.is_empty());
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

#[cfg(test)]
#[path = "prefetching_tests.rs"]
mod tests;
