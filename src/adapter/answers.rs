//! What comes back: answers, failures, the map and the changes that ride on them.

use std::sync::Arc;

use super::action::{Action, Answer, FailureKind, FlightId, RequestId, Served};
use super::adapter::Adapter;
use super::fetches::{Fetch, FetchId, Progress};
use super::retry::MAX_ATTEMPTS;
use super::scopes::Timer;
use super::sending::Flight;
use crate::Millis;
use crate::cache::{Fence, Inserted, Source};
use crate::partition::{MapDelta, MapError, PartitionMap, Placement};
use crate::prefetch::PrefetchOutcome;
use crate::protocol::{
    BatchResponse, Class, Consistency, ErrorCode, ItemResult, Keymap, MapUpdate, Outcome, ReadPoint,
};

/// A batch that came back.
struct Landing {
    flight: FlightId,
    sent_at: Millis,
    /// Whether it was read through the store.
    strong: bool,
    fence: Fence,
    /// Sessions that were reset before it was sent.
    session: u64,
}

/// Why a fetch did not get its answer, and whether asking again can help.
struct Failure {
    code: ErrorCode,
    detail: String,
    retry_after: Option<Millis>,
}

impl Adapter {
    /// The response of an [`Action::Send`].
    pub fn on_response(
        &mut self,
        now: Millis,
        flight: FlightId,
        status: u16,
        retry_after: Option<Millis>,
        body: &[u8],
    ) {
        let id = flight;
        let Some(flight) = self.flights.remove(&id) else { return };
        let Flight::Batch { scope, origin, sent_at, fetches, strong, fence, session, .. } = *flight else { return };
        self.counters.bytes_received += body.len() as u64;
        let is_demand = |id: &FetchId| self.fetches.get(*id).is_some_and(|fetch| fetch.class == Class::Demand);
        if self.shared.trail.is_some() && fetches.iter().any(is_demand) {
            self.earn(body.len());
        }
        if status == 200 && retry_after.is_some() {
            // It has answered what somebody waits for, and left out the rest.
            self.pause_prefetch(now, retry_after);
        }
        let decoded = if status == 200 { BatchResponse::decode(body).ok() } else { None };
        match decoded.filter(|response| response.results.len() == fetches.len()) {
            Some(response) => {
                self.origins.succeeded(now, &origin, now.saturating_sub(sent_at));
                let landing = Landing { flight: id, sent_at, strong, fence, session };
                self.apply(now, &landing, fetches, response);
                self.feed_due(now);
            }
            None => {
                let code = if status == 200 { ErrorCode::BadAnswer } else { code_of(status, body) };
                // A gateway that turns somebody away is there.
                let is_there = matches!(code, ErrorCode::TooManyRequests | ErrorCode::Overloaded);
                if is_there {
                    self.pause_origin(now, &origin, retry_after);
                } else if code.retryable() {
                    self.origins.failed(now, &origin);
                }
                let detail = format!("{origin} answered {status}");
                self.flight_failed(now, id, &origin, fetches, &Failure { code, detail, retry_after });
            }
        }
        self.settle_evicted(now);
        self.rearm(now, scope, false);
    }

    /// An [`Action::Send`] or [`Action::Attempt`] that brought no response.
    pub fn on_failure(&mut self, now: Millis, flight: FlightId, kind: FailureKind) {
        let id = flight;
        let Some(flight) = self.flights.remove(&id) else { return };
        let (scope, origin) = (flight.scope(), flight.origin().clone());
        let code = match kind {
            FailureKind::Network => ErrorCode::Network,
            FailureKind::Timeout => ErrorCode::Timeout,
            FailureKind::Aborted => ErrorCode::Aborted,
        };
        if kind != FailureKind::Aborted {
            self.origins.failed(now, &origin);
        }
        match *flight {
            Flight::Batch { fetches, .. } => {
                let detail = format!("{origin} could not be reached");
                self.flight_failed(now, id, &origin, fetches, &Failure { code, detail, retry_after: None });
            }
            Flight::Call { call, .. } => self.call_failed(now, call, &origin, code, None),
        }
        self.rearm(now, scope, false);
    }

    fn apply(&mut self, now: Millis, landing: &Landing, fetches: Vec<FetchId>, response: BatchResponse) {
        if !self.heed(now, response.epoch.incarnation) {
            let detail = "the gateway answers for a store that is gone".to_owned();
            let failure = Failure { code: ErrorCode::Unavailable, detail, retry_after: None };
            fetches.into_iter().for_each(|id| self.fetch_failed(now, landing.flight, id, None, &failure));
            return;
        }
        let sent_at = landing.sent_at;
        self.feed_answer(now, sent_at, response.clock);
        if let Some(update) = &response.map {
            self.update_map(update);
        }
        // Changes first: a value in this answer is at least as new as they are. Cursors of the store before this one say
        // nothing about where this one's log was followed.
        if landing.session == self.counters.sessions_reset {
            self.take_changes(sent_at, &response);
        }
        for (id, result) in fetches.into_iter().zip(response.results) {
            self.settle(now, landing, id, result);
        }
    }

    fn take_changes(&mut self, sent_at: Millis, response: &BatchResponse) {
        for &shard in &response.resets {
            self.counters.resets += 1;
            self.cache.reset_shard(shard);
        }
        for change in &response.changes {
            self.counters.changes += u64::from(self.cache.apply_change(change));
        }
        for position in &response.positions {
            self.cache.cover(position, sent_at);
        }
    }

    /// Takes over a newer map. A delta for another map than the one at hand is dropped: answers under way together
    /// bring it more than once, and the next batch asks on from the map at hand.
    fn update_map(&mut self, update: &MapUpdate) {
        let next = match (update, self.map()) {
            (MapUpdate::Full(bytes), _) => PartitionMap::decode(bytes),
            (MapUpdate::Delta(bytes), Some(map)) => MapDelta::decode(bytes).and_then(|delta| delta.apply(map)),
            (MapUpdate::Delta(_), None) => return,
        };
        if next == Err(MapError::WrongBase) {
            return;
        }
        match next {
            Ok(next) if self.map().is_none_or(|map| next.epoch > map.epoch) => {
                self.counters.maps += 1;
                self.map_hash = next.hash();
                self.placement = Some(Placement::new(Arc::new(next)));
            }
            Ok(_) => {}
            Err(_) => {
                // Without a map the next batch asks for the whole one.
                self.counters.map_errors += 1;
                self.placement = None;
            }
        }
    }

    /// One result: check it, cache it, hand it to the waiters.
    fn settle(&mut self, now: Millis, landing: &Landing, id: FetchId, result: ItemResult) {
        let &Landing { flight, sent_at, strong, .. } = landing;
        let Some(fetch) = self.fetches.get(id) else { return };
        let at = result.at;
        let (keymap, served) = match result.outcome {
            Outcome::Found { keymap } if keymap.key == fetch.key => (Some(Arc::new(keymap)), Served::Network),
            Outcome::Unchanged { version } => match fetch.held.clone().filter(|held| held.version == version) {
                Some(held) => (Some(held), Served::Revalidated),
                None => {
                    return self.ask_again(now, flight, id, "the gateway confirmed a version that was not asked for");
                }
            },
            Outcome::Missing => (None, Served::Network),
            Outcome::Found { .. } => return self.ask_again(now, flight, id, "the gateway answered another key"),
            Outcome::Error { code, detail } => {
                return self.fetch_failed(now, flight, id, None, &Failure { code, detail, retry_after: None });
            }
        };
        let age_ms = self.age_of(now, landing, at.age_ms);
        if at.position < self.floor(fetch.scope, at.shard) {
            return self.ask_again(now, flight, id, "no gateway is as new as this session");
        }
        let as_of = sent_at as i64 - i64::from(at.age_ms);
        if !strong && fetch.needed_after > 0 && as_of <= fetch.needed_after as i64 {
            return self.ask_again(now, flight, id, "no gateway is as new as the invalidation");
        }
        if !strong && age_ms > u64::from(fetch.max_staleness_ms) && !self.only_any(fetch) {
            return self.ask_again(now, flight, id, "no gateway answers within the staleness bound");
        }
        let Some(mut fetch) = self.fetches.remove(id) else { return };
        let waiters = std::mem::take(&mut fetch.waiters);
        self.floors.raise(at.shard, at.position);
        self.store(now, landing.fence, &fetch, keymap.clone(), served, at);
        let other = if fetch.flight() == Some(flight) { fetch.hedge } else { fetch.flight() };
        other.into_iter().for_each(|other| self.abort_if_unneeded(other));
        let mut outdated = Vec::new();
        for (nth, waiter) in waiters.into_iter().enumerate() {
            let Some(waiting) = self.waiting.get(&waiter) else { continue };
            // A read of the store is as new as can be for those who asked before it, not for those who came later.
            let late = waiting.consistency == Consistency::Bounded && waiting.asked_at > sent_at;
            if late && age_ms > u64::from(waiting.max_staleness_ms) {
                outdated.push(waiter);
                continue;
            }
            let served = if nth > 0 || waiting.joined { Served::Joined } else { served };
            let stale = waiting.consistency != Consistency::Strong && age_ms > u64::from(waiting.max_staleness_ms);
            self.waiting.remove(&waiter);
            self.resolve(waiter, Answer { keymap: keymap.clone(), served, age_ms, at, stale });
        }
        if !outdated.is_empty() {
            self.ask_for(fetch, outdated);
        }
    }

    /// Reads the store for those who joined a read that turned out too old for them.
    fn ask_for(&mut self, fetch: Fetch, waiters: Vec<RequestId>) {
        self.counters.asked_again += 1;
        let (class, progress) = (Class::Demand, Progress::Queued);
        let (held, hedge, avoid) = (None, None, None);
        let again = Fetch { class, progress, issued: false, strong: true, held, hedge, attempts: 0, avoid, ..fetch };
        let id = self.enqueue(Fetch { waiters: waiters.clone(), ..again });
        for waiter in waiters {
            if let Some(waiting) = self.waiting.get_mut(&waiter) {
                waiting.fetch = Some(id);
            }
        }
    }

    /// `cache_store`, and the ledger's word on what was fetched ahead.
    fn store(
        &mut self,
        now: Millis,
        fence: Fence,
        fetch: &Fetch,
        keymap: Option<Arc<Keymap>>,
        served: Served,
        at: ReadPoint,
    ) {
        let source = if fetch.class == Class::Prefetch { Source::Prefetch } else { Source::Demand };
        if fetch.issued {
            self.engine.handle_arrival("", &fetch.key);
        }
        if let (Served::Revalidated, Some(held)) = (served, &fetch.held)
            && self.cache.refresh(fence, &fetch.key, held.version, at, source)
        {
            return;
        }
        let missing = keymap.is_none();
        if missing && source == Source::Prefetch {
            // A guess that does not exist is not worth room in the cache.
            if fetch.issued {
                self.engine.handle_outcome(now, &fetch.key, PrefetchOutcome::Missing);
            }
            return;
        }
        let inserted = self.cache.insert(now, fence, &fetch.key, keymap, at, source);
        // `Superseded`: somebody else's answer is there already, so this one will never be used.
        if fetch.issued && (!inserted.is_held() || inserted == Inserted::Superseded) {
            self.engine.handle_outcome(now, &fetch.key, PrefetchOutcome::Wasted);
        }
    }

    /// End-to-end age of an answer: since its sending, and what it came with unless it was read from the store after that.
    fn age_of(&self, now: Millis, landing: &Landing, age_ms: u32) -> u64 {
        if age_ms == u32::MAX || self.cache.is_unknown(landing.sent_at as i64) {
            return u32::MAX.into();
        }
        let since = now.saturating_sub(landing.sent_at);
        if landing.strong { since } else { since + u64::from(age_ms) }
    }

    pub(super) fn only_any(&self, fetch: &Fetch) -> bool {
        let consistencies = fetch.waiters.iter().filter_map(|w| self.waiting.get(w)).map(|w| w.consistency);
        !fetch.waiters.is_empty() && consistencies.into_iter().all(|c| c == Consistency::Any)
    }

    /// The answer was not good enough: the same question once more, through the store.
    fn ask_again(&mut self, now: Millis, flight: FlightId, id: FetchId, why: &str) {
        let Some(fetch) = self.fetches.get_mut(id) else { return };
        if fetch.lose(flight) {
            return; // the other one may do better
        }
        self.counters.asked_again += 1;
        // Nor for those who have given up while others of its batch waited on.
        if fetch.class == Class::Prefetch || fetch.waiters.is_empty() || fetch.attempts >= MAX_ATTEMPTS {
            let failure = Failure { code: ErrorCode::Unavailable, detail: why.to_owned(), retry_after: None };
            return self.fail_fetch(now, id, &failure);
        }
        fetch.strong = true;
        fetch.held = None;
        self.requeue(id);
    }

    fn flight_failed(
        &mut self,
        now: Millis,
        flight: FlightId,
        origin: &Arc<str>,
        fetches: Vec<FetchId>,
        failure: &Failure,
    ) {
        for id in fetches {
            self.fetch_failed(now, flight, id, Some(origin), failure);
        }
    }

    /// Sends a fetch again after a pause, while attempts, budget and the waiters' time allow.
    fn fetch_failed(
        &mut self,
        now: Millis,
        flight: FlightId,
        id: FetchId,
        origin: Option<&Arc<str>>,
        failure: &Failure,
    ) {
        if self.fetches.get_mut(id).is_some_and(|fetch| fetch.lose(flight)) {
            return; // it is under way elsewhere as well
        }
        let Some(fetch) = self.fetches.get(id) else { return };
        let latest = fetch.waiters.iter().filter_map(|w| self.waiting.get(w)).map(|w| w.deadline).max();
        let delay = self.jitter.delay(fetch.attempts, failure.retry_after);
        let in_time = latest.is_some_and(|deadline| now + delay < deadline);
        let worth_it = failure.code.retryable() && fetch.attempts < MAX_ATTEMPTS && in_time;
        if !worth_it || !self.may_retry() {
            return self.fail_fetch(now, id, failure);
        }
        self.counters.retries += 1;
        if let Some(fetch) = self.fetches.get_mut(id) {
            fetch.progress = Progress::Backoff;
            fetch.avoid = origin.cloned();
            self.scopes.set_timer(fetch.scope, now + delay, Timer::Retry(id));
        }
    }

    fn fail_fetch(&mut self, now: Millis, id: FetchId, failure: &Failure) {
        let Some(fetch) = self.fetches.remove(id) else { return };
        if fetch.issued {
            let outcome =
                if failure.code == ErrorCode::Overloaded { PrefetchOutcome::Refunded } else { PrefetchOutcome::Failed };
            self.engine.handle_outcome(now, &fetch.key, outcome);
        }
        for waiter in fetch.waiters {
            if let Some(waiting) = self.waiting.remove(&waiter) {
                self.give_up(now, waiter, *waiting, failure.code, &failure.detail);
            }
        }
    }

    /// Pushes an action; for the parts of the adapter that have no other.
    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }
}

/// The code of an error answer: the one its problem details name, or the one that fits the status.
pub(super) fn code_of(status: u16, body: &[u8]) -> ErrorCode {
    let text = std::str::from_utf8(&body[..body.len().min(4_096)]).unwrap_or("");
    if let Some(code) =
        named_code(text).and_then(|name| ErrorCode::ALL.iter().copied().find(|code| code.as_str() == name))
    {
        return code;
    }
    ErrorCode::of_status(status)
}

/// The text of the member `code`. Problem details are small and flat, and inside wasm there is no JSON parser.
fn named_code(json: &str) -> Option<&str> {
    let mut between_quotes = json.split('"');
    while between_quotes.any(|piece| piece == "code") {
        if between_quotes.next()?.trim() == ":" {
            return between_quotes.next();
        }
    }
    None
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
