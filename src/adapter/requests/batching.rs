//! From the queue to batches: one per origin and consistency, demand first.

use std::sync::Arc;

use super::{Fetch, Progress, RequestContext, Requests};
use crate::Millis;
use crate::adapter::action::{FlightId, Scope};
use crate::adapter::agenda::FetchId;
use crate::adapter::transport::Flight;
use crate::adapter::transport::retry::ATTEMPT_MS;
use crate::protocol::{BatchItem, BatchRequest, Class, Consistency};

/// Knowledge of a gateway's memory is rarely younger, nor is its read of the store much faster: below, it is asked to read
/// the store at once.
const TIGHT_MS: u32 = 20;

/// Keys that go to one origin at one consistency.
pub(in crate::adapter) struct Group {
    origin: Arc<str>,
    strong: bool,
    /// True where what is fetched ahead may ride on it: not where somebody asked for strong reads.
    takes_guests: bool,
    fetches: Vec<FetchId>,
}

impl Group {
    /// Origin, consistency (whether strong) and fetches.
    pub(in crate::adapter) fn into_parts(self) -> (Arc<str>, bool, Vec<FetchId>) {
        (self.origin, self.strong, self.fetches)
    }
}

impl Requests {
    /// Groups what is queued in `scope`. Demand goes to the owner of each key. Prefetches ride on a demand batch where there
    /// is one, as a further request would cost more than the gateway's hop; otherwise all of them go out as one batch.
    /// Where prefetching is `paused` they are dropped.
    pub(in crate::adapter) fn group(
        &mut self,
        cx: &mut RequestContext<'_>,
        scope: Scope,
        queue: Vec<FetchId>,
        paused: bool,
    ) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut ahead = Vec::new();
        for id in queue {
            let Some(fetch) = self.fetches.get(id).filter(|f| f.progress == Progress::Queued) else { continue };
            if fetch.class == Class::Prefetch && paused {
                self.drop_fetch(id);
                continue;
            }
            let asked_strong = fetch.strong;
            let origin = cx.transport.origin_for(cx.now, Some(&fetch.key), fetch.avoid.as_deref());
            if fetch.class == Class::Prefetch {
                ahead.push((id, origin));
                continue;
            }
            let strong = self.is_strong(cx, fetch, &origin);
            if let Some(fetch) = self.fetches.get_mut(id) {
                fetch.strong = strong;
            }
            match groups.iter_mut().find(|g| g.origin == origin && g.strong == strong) {
                Some(group) => {
                    group.takes_guests &= !asked_strong;
                    group.fetches.push(id);
                }
                None => groups.push(Group { origin, strong, takes_guests: !asked_strong, fetches: vec![id] }),
            }
        }
        self.seat(cx, scope, ahead, &mut groups);
        groups
    }

    /// Lets what is fetched ahead ride: with its owner's batch, or else with any.
    fn seat(
        &self,
        cx: &mut RequestContext<'_>,
        scope: Scope,
        ahead: Vec<(FetchId, Arc<str>)>,
        groups: &mut Vec<Group>,
    ) {
        let demanded = !groups.is_empty();
        for (id, origin) in ahead {
            let own = groups.iter().position(|g| g.takes_guests && g.origin == origin);
            let at = own.or_else(|| groups.iter().position(|g| g.takes_guests));
            let Some(fetch) = self.fetches.get(id) else { continue };
            match at {
                Some(at) => groups[at].fetches.push(id),
                None if fetch.rides && demanded => cx.agenda.hold(scope, [id]),
                None => {
                    let strong = self.is_strong(cx, fetch, &origin);
                    groups.push(Group { origin, strong, takes_guests: true, fetches: vec![id] });
                }
            }
        }
    }

    /// Returns whether a fetch is to be read through the store: it was asked to, or nothing that a gateway remembers could still be
    /// young enough when it arrives. Asking memory first would only cost a second round trip.
    fn is_strong(&self, cx: &RequestContext<'_>, fetch: &Fetch, origin: &str) -> bool {
        let round_trip_ms = cx.transport.round_trip_ms(origin);
        fetch.strong || (self.may_be_old(cx.now, fetch, round_trip_ms) < TIGHT_MS && !self.only_any(fetch))
    }

    /// Greatest age of a gateway's knowledge for a fetch that leaves now, in milliseconds, so that its answer arrives
    /// within the bound and is no older than what was invalidated.
    fn may_be_old(&self, now: Millis, fetch: &Fetch, round_trip_ms: u32) -> u32 {
        // Where any age will do, a later answer is better than none.
        let way_back = if self.only_any(fetch) { 0 } else { round_trip_ms };
        let bound = fetch.max_staleness_ms.saturating_sub(way_back);
        let since = match fetch.needed_after {
            0 => u32::MAX,
            at => u32::try_from(now.saturating_sub(at + 1)).unwrap_or(u32::MAX),
        };
        bound.min(since)
    }

    pub(super) fn only_any(&self, fetch: &Fetch) -> bool {
        let consistencies = fetch.waiters.iter().filter_map(|w| self.waiting.get(w)).map(|w| w.consistency);
        !fetch.waiters.is_empty() && consistencies.into_iter().all(|c| c == Consistency::Any)
    }

    /// Returns whether none of `ids` was sent before.
    pub(in crate::adapter) fn are_unsent(&self, ids: &[FetchId]) -> bool {
        ids.iter().all(|id| self.fetches.get(*id).is_none_or(|fetch| fetch.attempts == 0))
    }

    /// Puts `ids` on `flight`, as a `hedge` beside the flight that carries them already, and into `request`. Returns whether
    /// somebody waits for any of them, and for how long the most patient one does.
    pub(in crate::adapter) fn load(
        &mut self,
        cx: &RequestContext<'_>,
        flight: FlightId,
        hedge: bool,
        origin: &str,
        ids: &[FetchId],
        request: &mut BatchRequest,
    ) -> (bool, u32) {
        let round_trip_ms = cx.transport.round_trip_ms(origin);
        let (mut demand, mut timeout_ms, mut bound, mut asker) = (false, 0, u32::MAX, None);
        for &id in ids {
            let Some(fetch) = self.fetches.get(id) else { continue };
            let deadline = self.latest_deadline(fetch);
            bound = bound.min(self.may_be_old(cx.now, fetch, round_trip_ms));
            let Some(fetch) = self.fetches.get_mut(id) else { continue };
            if hedge {
                fetch.hedge = Some(flight);
            } else {
                fetch.progress = Progress::InFlight(flight);
                fetch.attempts += 1;
            }
            demand |= fetch.class == Class::Demand;
            asker = asker.or(fetch.waiters.first().copied());
            timeout_ms = timeout_ms.max(deadline.map_or(ATTEMPT_MS, |at| at.saturating_sub(cx.now) as u32));
            let if_version = fetch.held.as_ref().map(|keymap| keymap.version);
            request.items.push(BatchItem { key: fetch.key.clone(), if_version, class: fetch.class });
        }
        // The sequence that the next tier's analyzer should see this in: prefetches have no part in it.
        let stream = asker.and_then(|asker| self.waiting.get(&asker)).map(|waiting| waiting.stream.to_string());
        request.stream = stream.filter(|stream| !stream.is_empty());
        request.max_staleness_ms = bound;
        (demand, timeout_ms)
    }

    pub(super) fn latest_deadline(&self, fetch: &Fetch) -> Option<Millis> {
        fetch.waiters.iter().filter_map(|w| self.waiting.get(w)).map(|w| w.deadline).max()
    }

    /// Returns whether all who wait for `ids` let another gateway be asked as well.
    pub(in crate::adapter) fn allow_hedge(&self, ids: &[FetchId]) -> bool {
        let allowed = |id: &FetchId| {
            let waiters = &self.fetches.get(*id)?.waiters;
            Some(waiters.iter().all(|waiter| self.waiting.get(waiter).is_some_and(|waiting| waiting.hedge)))
        };
        ids.iter().all(|id| allowed(id).unwrap_or(false))
    }

    /// Scope, origin and keys of a batch that has taken unusually long, as far as somebody waits for them and no other
    /// flight carries them.
    pub(in crate::adapter) fn unusually_late(
        &self,
        cx: &RequestContext<'_>,
        flight: FlightId,
    ) -> Option<(Scope, Arc<str>, Vec<FetchId>)> {
        let Flight::Batch { scope, origin, fetches, .. } = cx.transport.flight(flight)? else { return None };
        let waited_for = |id: &&FetchId| {
            self.fetches.get(**id).is_some_and(|fetch| {
                let is_first = fetch.flight() == Some(flight) && fetch.hedge.is_none();
                is_first && fetch.class == Class::Demand && !fetch.waiters.is_empty()
            })
        };
        Some((*scope, origin.clone(), fetches.iter().filter(waited_for).copied().collect()))
    }
}
