//! Hedged reads: a second gateway is asked once an answer takes unusually long.
//!
//! After the time within which an origin answers 95 of 100 reads, the keys of a batch that somebody waits for go to another
//! origin as well, and whichever answers first is taken (J. Dean and L. A. Barroso, "The Tail at Scale", 2013). A
//! budget keeps that below a fiftieth of the batches.

use super::action::FlightId;
use super::adapter::Adapter;
use super::fetches::FetchId;
use super::sending::Flight;
use crate::Millis;
use crate::protocol::Class;

/// Hundredths that a batch brings: a fiftieth of a hedge.
const DEPOSIT: u32 = 2;
/// Hundredths that a hedge costs.
const COST: u32 = 100;
/// Most hedges that may come at once.
const FULL: u32 = 2 * COST;

/// The budget of hedges.
#[derive(Debug, Clone, Default)]
pub(super) struct HedgeBudget {
    tokens: u32,
}

impl HedgeBudget {
    pub(super) fn deposit(&mut self) {
        self.tokens = (self.tokens + DEPOSIT).min(FULL);
    }

    fn withdraw(&mut self) -> bool {
        let enough = self.tokens >= COST;
        if enough {
            self.tokens -= COST;
        }
        enough
    }
}

impl Adapter {
    /// When a batch to `origin` that leaves now is to be hedged; `None` where nobody would be helped by it.
    pub(super) fn hedge_at(&self, now: Millis, origin: &str, strong: bool, ids: &[FetchId]) -> Option<Millis> {
        let allowed = |id: &FetchId| {
            let waiters = &self.fetches.get(*id)?.waiters;
            Some(waiters.iter().all(|waiter| self.waiting.get(waiter).is_some_and(|waiting| waiting.hedge)))
        };
        if strong || !ids.iter().all(|id| allowed(id).unwrap_or(false)) || !self.origins.has_other(now, origin) {
            return None;
        }
        Some(now + self.origins.unusual_ms(origin)?)
    }

    /// `flight` has taken unusually long: asks another origin too, if the budget allows.
    pub(super) fn hedge(&mut self, now: Millis, flight: FlightId) {
        let Some(Flight::Batch { scope, origin, fetches, .. }) = self.flights.get(&flight).map(Box::as_ref) else {
            return;
        };
        let (scope, origin) = (*scope, origin.clone());
        let waited_for = |id: &FetchId| {
            let fetch = self.fetches.get(*id)?;
            let is_first = fetch.flight() == Some(flight) && fetch.hedge.is_none() && fetch.class == Class::Demand;
            (is_first && !fetch.waiters.is_empty()).then_some(*id)
        };
        let ids: Vec<FetchId> = fetches.iter().filter_map(waited_for).collect();
        if ids.is_empty() || !self.origins.has_other(now, &origin) || !self.hedges.withdraw() {
            return;
        }
        let other = self.origins.choose(now, None, Some(&origin));
        self.counters.hedges += 1;
        self.send_batch(now, scope, other, false, ids, true);
    }
}

#[cfg(test)]
#[path = "hedge_tests.rs"]
mod tests;
