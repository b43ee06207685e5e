//! [`Adapter`]: passes events and values between the machines of a client.

mod commands;
mod events;
mod queries;

use std::sync::Arc;

use super::action::{Action, Answer, GetRequest, RequestId, Scope};
use super::agenda::{Agenda, FetchId, Timer};
use super::config::{AdapterConfig, ConfigError};
use super::feed::Feed;
use super::look_ahead::LookAhead;
use super::requests::{RequestContext, Requests, Waiting};
use super::transport::retry::ATTEMPT_MS;
use super::transport::{Flight, Transport};
use crate::Millis;
use crate::analyzer::Access;
use crate::cache::{Hit, LocalCache, Lookup};
use crate::key::CompositeKey;
use crate::prefetch::{PrefetchOutcome, PrefetchRequest};
use crate::protocol::{BatchRequest, Consistency, MAX_BATCH_KEYS};

/// The DHT Adaptation Layer of one client or isolate. See the [module](super) for how it is driven and what it guarantees.
#[derive(Debug)]
pub struct Adapter {
    cache: LocalCache,
    requests: Requests,
    transport: Transport,
    ahead: LookAhead,
    feed: Feed,
    agenda: Agenda,
    /// Staleness bound that prefetched entries and change polls are kept to.
    max_staleness_ms: u32,
}

impl Adapter {
    /// An adapter without a map: the first answer brings it.
    ///
    /// # Errors
    /// [`ConfigError`] naming the option that cannot work.
    pub fn new(mut config: AdapterConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        config.cache.seed = config.seed;
        config.prefetch.analyzer.seed = config.seed;
        Ok(Self {
            requests: Requests::new(config.seed, config.max_waiting),
            transport: Transport::new(&config),
            ahead: LookAhead::new(&mut config),
            feed: Feed::new(config.feed, config.max_staleness_ms),
            agenda: Agenda::default(),
            max_staleness_ms: config.max_staleness_ms,
            cache: LocalCache::new(config.cache),
        })
    }

    /// The next thing that the host must do; `None` when there is nothing left. O(1).
    pub fn poll_action(&mut self) -> Option<Action> {
        self.agenda.next_action()
    }

    /// One demand request: the cache contains the key -> return it; else ask the DHT. Either way the analyzer learns
    /// from it, and what it makes likely is fetched ahead.
    ///
    /// Exactly one [`Action::Answer`] or [`Action::Fail`] follows, often at once and at the latest when `timeout_ms` is over.
    pub fn handle_request(&mut self, now: Millis, request: GetRequest<'_>) -> RequestId {
        let id = self.agenda.fresh_id();
        self.requests.count_request();
        self.transport.deposit_retry();
        self.ahead.begin(now);
        let (scope, stream, key, observe) = (request.scope, request.stream, request.key.clone(), request.observe);
        let access = match self.look_up(now, &request) {
            Ok((answer, access)) => {
                self.feed.want_exchange(now, scope, answer.age_ms, &self.cache, &mut self.agenda);
                self.requests.resolve(id, answer, &mut self.agenda);
                access
            }
            Err(stale) => match self.requests.serve_stale(&request, stale, &self.cache, &mut self.agenda) {
                Ok(answer) => {
                    self.requests.resolve(id, answer, &mut self.agenda);
                    Access::Hit
                }
                Err(stale) => {
                    let waiting = Waiting::new(now, request, stale);
                    self.with_requests(now, |requests, cx| requests.dht_request(cx, id, waiting))
                }
            },
        };
        if observe {
            self.ahead.remember(scope, stream, &key);
            self.prefetch_after(now, scope, stream, &key, access);
        }
        self.settle_evicted(now);
        self.feed.note_request(now);
        self.drive_feed(now);
        self.agenda.rearm(now, scope, false);
        id
    }

    /// The answer of the cache, or the stale entry that a gateway must confirm.
    fn look_up(&mut self, now: Millis, request: &GetRequest<'_>) -> Result<(Answer, Access), Option<Hit>> {
        if request.bypass_cache || request.consistency == Consistency::Strong {
            return Err(None);
        }
        match self.cache.get(now, &request.key, request.max_staleness_ms) {
            Lookup::Hit(hit) if self.requests.session().is_current(&self.agenda, request.scope, hit.at) => {
                if hit.kept_fresh {
                    self.feed.earn();
                }
                let access = if hit.first_use { Access::FirstUse } else { Access::Hit };
                if hit.first_use {
                    self.ahead.handle_outcome(now, &request.key, PrefetchOutcome::Used);
                    // Without it, this would have joined what is under way past the cache.
                    if !self.requests.is_fetching(&request.key) {
                        self.ahead.earn_credit(now);
                    }
                }
                Ok((Answer::cached(hit), access))
            }
            // Older than the caller allows, or than what its session has seen.
            Lookup::Hit(hit) | Lookup::Stale(hit) => {
                if hit.first_use {
                    // It arrived, but too early to be used without asking again.
                    self.ahead.handle_outcome(now, &request.key, PrefetchOutcome::Outdated);
                }
                Err(Some(hit))
            }
            Lookup::Miss => Err(None),
        }
    }

    /// Lets the engine learn from a request and starts what it asks for.
    fn prefetch_after(&mut self, now: Millis, scope: Scope, stream: &str, key: &CompositeKey, access: Access) {
        // Gives up what was predicted and did not find a ride before this request.
        for id in self.agenda.take_held(scope) {
            // What was claimed meanwhile does not ride any more, and stands in the queue.
            if self.requests.rides(id) == Some(true) {
                self.requests.drop_fetch(id);
            }
        }
        self.hand_over_notes(now);
        // First what left: a new prefetch of such a key would be taken for the one that it left unused.
        self.settle_evicted(now);
        let (cache, requests, bound) = (&self.cache, &self.requests, self.prefetch_bound(now));
        let mut skip = |key: &CompositeKey| is_at_hand(cache, requests, now, bound, key);
        let wanted = self.ahead.handle_access(now, stream, key, access, &mut skip);
        wanted.into_iter().for_each(|prefetch| self.prefetch_keymap(now, scope, prefetch));
    }

    /// Staleness bound of entries that need not be fetched ahead anew: none where a feed keeps them fresh.
    fn prefetch_bound(&self, now: Millis) -> u32 {
        if self.feed.serves(now) { u32::MAX } else { self.max_staleness_ms }
    }

    /// Fetches one keymap ahead. The engine has already held its confidence against the threshold (and logged the
    /// failure below it); what is left to refuse here is what this client cannot take on.
    fn prefetch_keymap(&mut self, now: Millis, scope: Scope, PrefetchRequest { key, .. }: PrefetchRequest) {
        if !self.can_prefetch(now) {
            return self.ahead.handle_outcome(now, &key, PrefetchOutcome::Refunded);
        }
        self.start_prefetch(now, scope, key, true, true);
    }

    fn can_prefetch(&self, now: Millis) -> bool {
        self.ahead.can_take(now, self.requests.prefetching()) && !self.cache.is_off()
    }

    fn start_prefetch(&mut self, now: Millis, scope: Scope, key: CompositeKey, issued: bool, rides: bool) {
        let bound = self.max_staleness_ms;
        self.with_requests(now, |requests, cx| requests.start_prefetch(cx, (scope, key), bound, issued, rides));
    }

    /// Does what is due in `scope` at `now` and sends what is queued there. Called sooner than [`Action::Wake`] said, it only
    /// sends.
    pub fn handle_timeout(&mut self, now: Millis, scope: Scope) {
        while let Some(timer) = self.agenda.take_due(now, scope) {
            match timer {
                Timer::Deadline(request) => self.with_requests(now, |requests, cx| requests.expire(cx, request)),
                Timer::Parked(request) => self.with_requests(now, |requests, cx| requests.unpark(cx, request)),
                Timer::Retry(fetch) => self.requests.requeue(fetch, &mut self.agenda),
                Timer::CallRetry(call) => self.transport.attempt_call(now, call, &mut self.agenda),
                Timer::Hedge(flight) => self.hedge(now, flight),
                Timer::Feed => self.drive_feed(now),
            }
        }
        self.flush(now, scope);
        self.agenda.rearm(now, scope, true);
    }

    /// Sends everything queued in `scope`.
    fn flush(&mut self, now: Millis, scope: Scope) {
        self.transport.take_turn();
        let (mut queue, exchange) = self.agenda.take_queue(scope);
        // All of it goes out where somebody waits for any, or where what was predicted may go by itself. Else that waits for
        // the next request, which asks for it, or predicts anew.
        let rides = |id: &FetchId| self.requests.rides(*id).unwrap_or(true);
        if !queue.is_empty() && queue.iter().all(rides) && !self.ahead.take_credit() {
            self.agenda.hold(scope, std::mem::take(&mut queue));
        }
        let paused = self.ahead.is_paused(now);
        for group in self.with_requests(now, |requests, cx| requests.group(cx, scope, queue, paused)) {
            let (origin, strong, fetches) = group.into_parts();
            for chunk in fetches.chunks(MAX_BATCH_KEYS) {
                self.send_batch(now, scope, origin.clone(), strong, chunk.to_vec(), false);
            }
        }
        if exchange && self.feed.is_exchange_due(now) {
            self.send_exchange(now, scope);
        }
    }

    /// Asks another origin too for what `flight` carries, which has taken unusually long, if the budget allows.
    fn hedge(&mut self, now: Millis, flight: u32) {
        let late = self.with_requests(now, |requests, cx| requests.unusually_late(cx, flight));
        if let Some((scope, origin, ids)) = late.filter(|(.., ids)| !ids.is_empty())
            && let Some(other) = self.transport.take_hedge(now, &origin)
        {
            self.send_batch(now, scope, other, false, ids, true);
        }
    }

    /// Sends `ids` to `origin` in one batch; as a `hedge` beside the flight that carries them already.
    fn send_batch(
        &mut self,
        now: Millis,
        scope: Scope,
        origin: Arc<str>,
        strong: bool,
        ids: Vec<FetchId>,
        hedge: bool,
    ) {
        let flight = self.agenda.fresh_id();
        let quick = !strong && self.requests.are_unsent(&ids);
        let patience = if hedge { ATTEMPT_MS } else { self.transport.patience(now, &origin, quick, ids.len()) };
        let reserved = if patience < ATTEMPT_MS { ids.len() as u32 } else { 0 };
        let mut request = self.transport.frame(self.max_staleness_ms);
        request.consistency = if strong { Consistency::Strong } else { Consistency::Bounded };
        let (demand, timeout_ms) =
            self.with_requests(now, |requests, cx| requests.load(cx, flight, hedge, &origin, &ids, &mut request));
        let map = self.transport.map().map(Arc::as_ref);
        request.floors = self.requests.session().tokens_for(&self.agenda, scope, map, &request.items);
        let exchanges = !hedge && self.feed.ride(now, &self.cache, map, &mut request);
        if !hedge {
            self.ahead.tell_along(now, &origin, demand, &mut request);
            self.transport.deposit_hedge();
            if !strong
                && self.requests.allow_hedge(&ids)
                && let Some(at) = self.transport.hedge_at(now, &origin)
            {
                self.agenda.set_timer(scope, at, Timer::Hedge(flight));
            }
        }
        let fence = self.fence(now);
        let fence = if strong { fence.linear() } else { fence };
        let session = self.requests.session().resets();
        let batch =
            Flight::Batch { scope, origin, sent_at: now, fetches: ids, strong, fence, exchanges, session, reserved };
        self.send(flight, batch, &request, timeout_ms.min(patience), !demand);
    }

    /// Sends an empty batch: only cursors go out, changes come back.
    fn send_exchange(&mut self, now: Millis, scope: Scope) {
        let mut request = self.transport.frame(self.max_staleness_ms);
        if !self.feed.ride(now, &self.cache, self.transport.map().map(Arc::as_ref), &mut request) {
            return;
        }
        let batch = Flight::Batch {
            scope,
            origin: self.transport.cold_origin(now),
            sent_at: now,
            fetches: Vec::new(),
            strong: false,
            fence: self.fence(now),
            exchanges: true,
            session: self.requests.session().resets(),
            reserved: 0,
        };
        let flight = self.agenda.fresh_id();
        self.send(flight, batch, &request, ATTEMPT_MS, true);
    }

    fn send(&mut self, flight: u32, batch: Flight, request: &BatchRequest, timeout_ms: u32, prefetch: bool) {
        let body = request.encode();
        if !prefetch {
            self.ahead.earn(body.len());
        }
        self.transport.send(flight, batch, body, timeout_ms, prefetch, &mut self.agenda);
    }

    /// Lets requests do something, and hands on what the look-ahead machine is to know of it.
    fn with_requests<T>(&mut self, now: Millis, run: impl FnOnce(&mut Requests, &mut RequestContext<'_>) -> T) -> T {
        let mut cx = RequestContext::new(now, &mut self.cache, &mut self.agenda, &mut self.transport);
        let done = run(&mut self.requests, &mut cx);
        self.hand_over_notes(now);
        done
    }

    fn hand_over_notes(&mut self, now: Millis) {
        for note in self.requests.take_notes() {
            self.ahead.handle_note(now, note);
        }
    }

    fn settle_evicted(&mut self, now: Millis) {
        self.ahead.settle_evicted(now, &mut self.cache);
    }

    fn drive_feed(&mut self, now: Millis) {
        self.feed.drive(now, (&mut self.cache, &mut self.agenda, &mut self.transport));
    }
}

/// Returns whether a key needs no prefetch: it is cached within `bound` milliseconds, or on its way.
fn is_at_hand(cache: &LocalCache, requests: &Requests, now: Millis, bound: u32, key: &CompositeKey) -> bool {
    cache.contains_fresh(now, key, bound) || requests.is_fetching(key)
}

#[cfg(test)]
mod tests {
    mod answers;
    mod filling;
    mod hedges;
    mod model;
    mod prefetching;
    mod requests;
    mod sending;
    mod session;
    mod sharing;
    mod state;
}
