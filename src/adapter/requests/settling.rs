//! From results to answers: each is checked, cached and handed to those who wait for it, or asked for again.

use std::sync::Arc;

use super::{Fetch, FetchFailure, Note, Progress, RequestContext, Requests, Waiting};
use crate::Millis;
use crate::adapter::action::{Answer, FlightId, RequestId, Served};
use crate::adapter::agenda::{FetchId, Timer};
use crate::adapter::transport::Flight;
use crate::adapter::transport::retry::MAX_ATTEMPTS;
use crate::cache::{Fence, Hit, Inserted, Lookup, Source};
use crate::prefetch::PrefetchOutcome;
use crate::protocol::{Class, Consistency, ErrorCode, ItemResult, Keymap, Outcome, ReadPoint};

impl Requests {
    /// One result of `batch`, which came back as `flight`: checks it, caches it, and hands it to the waiters.
    pub(in crate::adapter) fn settle(
        &mut self,
        cx: &mut RequestContext<'_>,
        flight: FlightId,
        batch: &Flight,
        id: FetchId,
        result: ItemResult,
    ) {
        let Flight::Batch { sent_at, strong, fence, .. } = *batch else { return };
        let Some(fetch) = self.fetches.get(id) else { return };
        let at = result.at;
        let (keymap, served) = match result.outcome {
            Outcome::Found { keymap } if keymap.key == fetch.key => (Some(Arc::new(keymap)), Served::Network),
            Outcome::Unchanged { version } => match fetch.held.clone().filter(|held| held.version == version) {
                Some(held) => (Some(held), Served::Revalidated),
                None => {
                    return self.ask_again(cx, flight, id, "the gateway confirmed a version that was not asked for");
                }
            },
            Outcome::Missing => (None, Served::Network),
            Outcome::Found { .. } => return self.ask_again(cx, flight, id, "the gateway answered another key"),
            Outcome::Error { code, detail } => return self.lose(cx, flight, id, &FetchFailure::new(code, detail)),
        };
        let age_ms = age_of(cx, sent_at, strong, at.age_ms);
        if at.position < self.session.least(cx.agenda, fetch.scope, at.shard) {
            return self.ask_again(cx, flight, id, "no gateway is as new as this session");
        }
        let as_of = sent_at as i64 - i64::from(at.age_ms);
        if !strong && fetch.needed_after > 0 && as_of <= fetch.needed_after as i64 {
            return self.ask_again(cx, flight, id, "no gateway is as new as the invalidation");
        }
        if !strong && age_ms > u64::from(fetch.max_staleness_ms) && !self.only_any(fetch) {
            return self.ask_again(cx, flight, id, "no gateway answers within the staleness bound");
        }
        let Some(mut fetch) = self.fetches.remove(id) else { return };
        let waiters = std::mem::take(&mut fetch.waiters);
        self.session.raise(at.shard, at.position);
        self.cache_store(cx, fence, &fetch, keymap.clone(), served, at);
        let other = if fetch.flight() == Some(flight) { fetch.hedge } else { fetch.flight() };
        other.into_iter().for_each(|other| self.abort_if_unneeded(cx, other));
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
            self.resolve(waiter, Answer { keymap: keymap.clone(), served, age_ms, at, stale }, cx.agenda);
        }
        if !outdated.is_empty() {
            self.ask_for(cx, fetch, outdated);
        }
    }

    /// Reads the store for those who joined a read that turned out too old for them.
    fn ask_for(&mut self, cx: &mut RequestContext<'_>, fetch: Fetch, waiters: Vec<RequestId>) {
        self.asked_again += 1;
        let (class, progress) = (Class::Demand, Progress::Queued);
        let (held, hedge, avoid) = (None, None, None);
        let again = Fetch { class, progress, issued: false, strong: true, held, hedge, attempts: 0, avoid, ..fetch };
        let id = self.enqueue(Fetch { waiters: waiters.clone(), ..again }, cx.agenda);
        for waiter in waiters {
            if let Some(waiting) = self.waiting.get_mut(&waiter) {
                waiting.fetch = Some(id);
            }
        }
    }

    /// Keeps an answer, and notes what became of a prefetch.
    fn cache_store(
        &mut self,
        cx: &mut RequestContext<'_>,
        fence: Fence,
        fetch: &Fetch,
        keymap: Option<Arc<Keymap>>,
        served: Served,
        at: ReadPoint,
    ) {
        let source = if fetch.class == Class::Prefetch { Source::Prefetch } else { Source::Demand };
        if fetch.issued {
            self.notes.push(Note::Arrived(fetch.key.clone()));
        }
        if let (Served::Revalidated, Some(held)) = (served, &fetch.held)
            && cx.cache.refresh(fence, &fetch.key, held.version, at, source)
        {
            return;
        }
        let outcome = if keymap.is_none() && source == Source::Prefetch {
            // A guess that does not exist is not worth room in the cache.
            PrefetchOutcome::Missing
        } else {
            let inserted = cx.cache.insert(cx.now, fence, &fetch.key, keymap, at, source);
            // `Superseded`: somebody else's answer is there already, so this one will never be used.
            if inserted.is_held() && inserted != Inserted::Superseded {
                return;
            }
            PrefetchOutcome::Wasted
        };
        if fetch.issued {
            self.notes.push(Note::Ended(fetch.key.clone(), outcome));
        }
    }

    /// The answer was not good enough: the same question once more, through the store.
    fn ask_again(&mut self, cx: &mut RequestContext<'_>, flight: FlightId, id: FetchId, why: &str) {
        let Some(fetch) = self.fetches.get_mut(id) else { return };
        if fetch.lose(flight) {
            return; // the other one may do better
        }
        self.asked_again += 1;
        // Nor for those who have given up while others of its batch waited on.
        if fetch.class == Class::Prefetch || fetch.waiters.is_empty() || fetch.attempts >= MAX_ATTEMPTS {
            return self.fail_fetch(cx, id, &FetchFailure::new(ErrorCode::Unavailable, why.to_owned()));
        }
        fetch.strong = true;
        fetch.held = None;
        self.requeue(id, cx.agenda);
    }

    /// Sends a fetch again after a pause that `flight` brought nothing for, while attempts, budget and the waiters' time
    /// allow.
    pub(in crate::adapter) fn lose(
        &mut self,
        cx: &mut RequestContext<'_>,
        flight: FlightId,
        id: FetchId,
        failure: &FetchFailure,
    ) {
        if self.fetches.get_mut(id).is_some_and(|fetch| fetch.lose(flight)) {
            return; // it is under way elsewhere as well
        }
        let Some(fetch) = self.fetches.get(id) else { return };
        let latest = self.latest_deadline(fetch);
        let delay = cx.transport.jitter().delay(fetch.attempts, failure.retry_after);
        let in_time = latest.is_some_and(|deadline| cx.now + delay < deadline);
        let worth_it = failure.code.retryable() && fetch.attempts < MAX_ATTEMPTS && in_time;
        if !worth_it || !cx.transport.take_retry() {
            return self.fail_fetch(cx, id, failure);
        }
        if let Some(fetch) = self.fetches.get_mut(id) {
            fetch.progress = Progress::Backoff;
            fetch.avoid = failure.origin.clone();
            cx.agenda.set_timer(fetch.scope, cx.now + delay, Timer::Retry(id));
        }
    }

    fn fail_fetch(&mut self, cx: &mut RequestContext<'_>, id: FetchId, failure: &FetchFailure) {
        let Some(fetch) = self.fetches.remove(id) else { return };
        if fetch.issued {
            let refunded = failure.code == ErrorCode::Overloaded;
            let outcome = if refunded { PrefetchOutcome::Refunded } else { PrefetchOutcome::Failed };
            self.notes.push(Note::Ended(fetch.key, outcome));
        }
        for waiter in fetch.waiters {
            if let Some(waiting) = self.waiting.remove(&waiter) {
                self.give_up(cx, waiter, *waiting, failure.code, &failure.detail);
            }
        }
    }

    /// Ends a request whose time-out has passed.
    pub(in crate::adapter) fn expire(&mut self, cx: &mut RequestContext<'_>, request: RequestId) {
        let Some(waiting) = self.waiting.remove(&request) else { return };
        self.leave(cx, waiting.fetch, request);
        self.give_up(cx, request, *waiting, ErrorCode::Timeout, "no gateway answered in time");
    }

    /// Answers a request that found something stale: from what the cache holds by now where that is fresh, or where the caller
    /// accepts a stale entry and its session has seen nothing newer. Any other fails.
    fn give_up(
        &mut self,
        cx: &mut RequestContext<'_>,
        request: RequestId,
        waiting: Waiting,
        code: ErrorCode,
        detail: &str,
    ) {
        let bound = waiting.max_staleness_ms;
        let most = bound.saturating_add(waiting.stale_if_error_ms);
        let accepts = |hit: &Hit| {
            let if_error = waiting.stale_if_error_ms > 0 && hit.at.age_ms <= most && hit.at.age_ms != u32::MAX;
            waiting.consistency == Consistency::Any || if_error
        };
        match waiting.stale.as_ref().and_then(|stale| self.aged(cx, &waiting, stale)) {
            Some(Lookup::Hit(hit)) => self.resolve(request, Answer::cached(hit), cx.agenda),
            Some(Lookup::Stale(hit)) if accepts(&hit) => self.resolve(request, Answer::stale(hit, bound), cx.agenda),
            _ => self.reject(request, code, detail.to_owned(), cx.agenda),
        }
    }

    /// The entry that a request found in the cache when it began, as far as it may still be served: what is cached now, or what
    /// left since if the session has seen nothing newer of its shard.
    fn aged(&self, cx: &RequestContext<'_>, waiting: &Waiting, stale: &Hit) -> Option<Lookup> {
        let found = cx.cache.peek(cx.now, &waiting.key, waiting.max_staleness_ms);
        if let Lookup::Hit(held) | Lookup::Stale(held) = &found {
            let current = self.session.is_current(cx.agenda, waiting.scope, held.at);
            return current.then_some(found);
        }
        let mut hit = stale.clone();
        let waited = u32::try_from(cx.now.saturating_sub(waiting.asked_at)).unwrap_or(u32::MAX);
        let unknown = cx.cache.is_unknown(waiting.asked_at as i64);
        hit.at.age_ms = if unknown { u32::MAX } else { hit.at.age_ms.saturating_add(waited) };
        let least = self.session.least(cx.agenda, waiting.scope, stale.at.shard);
        Some(Lookup::Stale(hit)).filter(|_| stale.at.position >= least)
    }
}

/// End-to-end age of an answer: since its sending, and what it came with unless it was read from the store after that.
fn age_of(cx: &RequestContext<'_>, sent_at: Millis, strong: bool, age_ms: u32) -> u64 {
    if age_ms == u32::MAX || cx.cache.is_unknown(sent_at as i64) {
        return u32::MAX.into();
    }
    let since = cx.now.saturating_sub(sent_at);
    if strong { since } else { since + u64::from(age_ms) }
}
