//! [`Adapter`]: the entry points of demand requests.

use std::collections::VecDeque;
use std::sync::Arc;

use fxhash::FxHashMap;

use super::action::{Action, Answer, CallId, FlightId, GetRequest, RequestId, Scope, Served};
use super::calls::Call;
use super::exchange::Exchange;
use super::feed::{FEED_SCOPE, Feed};
use super::fetches::{Fetch, FetchId, Fetches, Progress};
use super::floors::Floors;
use super::hedge::HedgeBudget;
use super::model::Shared;
use super::origins::Origins;
use super::persistence::History;
use super::prefetching::Ahead;
use super::retry::{Jitter, RetryBudget};
use super::scopes::{Scopes, Timer};
use super::sending::Flight;
use super::stats::Counters;
use super::{AdapterConfig, ConfigError};
use crate::Millis;
use crate::analyzer::Access;
use crate::cache::{Hit, LocalCache, Lookup};
use crate::key::CompositeKey;
use crate::order::ascending;
use crate::partition::{PartitionMap, Placement, xxh3};
use crate::prefetch::{PrefetchEngine, PrefetchOutcome};
use crate::protocol::{BatchRequest, Class, Consistency, ErrorCode};

/// How often a parked request looks whether another scope's fetch has landed: a few times per round trip.
const PARK_STEP_MS: Millis = 4;
/// Longest parking before the latency of the origin is known.
const PARK_UNKNOWN_MS: Millis = 100;

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) scope: Scope,
    pub(super) key: CompositeKey,
    pub(super) stream: Box<str>,
    pub(super) consistency: Consistency,
    pub(super) max_staleness_ms: u32,
    pub(super) asked_at: Millis,
    pub(super) deadline: Millis,
    /// What the cache holds beyond the bound.
    pub(super) stale: Option<Hit>,
    /// How much older than the bound that may be where nothing else answers.
    pub(super) stale_if_error_ms: u32,
    /// The answer has to be current as of a moment after this one.
    pub(super) needed_after: Millis,
    pub(super) hedge: bool,
    /// The fetch it waits for; `None` while parked.
    pub(super) fetch: Option<FetchId>,
    pub(super) park_until: Millis,
    /// Whether the fetch was under way before it.
    pub(super) joined: bool,
}

/// The DHT Adaptation Layer of one client or isolate. See the [module](super) for its contract.
#[derive(Debug)]
pub struct Adapter {
    pub(super) config: AdapterConfig,
    pub(super) cache: LocalCache,
    pub(super) engine: PrefetchEngine,
    pub(super) placement: Option<Placement>,
    /// Chooses among replicas; rises by one with every batch.
    pub(super) salt: u64,
    pub(super) map_hash: u64,
    pub(super) origins: Origins,
    pub(super) floors: Floors,
    /// Those of them that came from another client, which has seen what the cache here may lack.
    pub(super) inherited: Floors,
    /// Of the store that the floors are of.
    pub(super) incarnation: Option<u32>,
    pub(super) waiting: FxHashMap<RequestId, Box<Waiting>>,
    pub(super) fetches: Fetches,
    pub(super) flights: FxHashMap<FlightId, Box<Flight>>,
    pub(super) calls: FxHashMap<CallId, Box<Call>>,
    pub(super) scopes: Scopes,
    pub(super) exchange: Exchange,
    pub(super) feed: Feed,
    pub(super) hedges: HedgeBudget,
    pub(super) ahead: Ahead,
    /// Until when nothing is fetched ahead, as a gateway has more to do than it can.
    pub(super) ahead_from: Millis,
    pub(super) history: History,
    pub(super) shared: Shared,
    pub(super) jitter: Jitter,
    pub(super) retries: RetryBudget,
    pub(super) counters: Counters,
    pub(super) actions: VecDeque<Action>,
    last_id: u32,
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
        let shared = Shared::new(&mut config);
        Ok(Self {
            cache: LocalCache::new(config.cache.clone()),
            engine: PrefetchEngine::new(config.prefetch),
            placement: None,
            salt: xxh3(config.seed, b"replica"),
            map_hash: 0,
            origins: Origins::new(&config.origins, config.max_origins),
            floors: Floors::default(),
            inherited: Floors::default(),
            incarnation: None,
            waiting: FxHashMap::default(),
            fetches: Fetches::new(config.seed),
            flights: FxHashMap::default(),
            calls: FxHashMap::default(),
            scopes: Scopes::default(),
            exchange: Exchange::default(),
            feed: Feed::default(),
            hedges: HedgeBudget::default(),
            ahead: Ahead::default(),
            ahead_from: 0,
            history: History::default(),
            shared,
            jitter: Jitter::new(config.seed),
            retries: RetryBudget::new(),
            counters: Counters::default(),
            actions: VecDeque::new(),
            last_id: 0,
            config,
        })
    }

    /// The next thing the host must do. Drain after every call.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// One demand request: the cache contains the key -> return it; else ask the DHT. Either way the analyzer learns
    /// from it, and what it makes likely is fetched ahead.
    ///
    /// The answer follows as [`Action::Answer`] or [`Action::Fail`], often at once.
    pub fn handle_request(&mut self, now: Millis, request: GetRequest<'_>) -> RequestId {
        let id = self.fresh_id();
        self.counters.requests += 1;
        self.retries.deposit();
        self.ahead.begin(now);
        let (scope, stream, key, observe) = (request.scope, request.stream, request.key.clone(), request.observe);
        let access = match self.look_up(now, &request) {
            Ok((answer, access)) => {
                self.want_exchange(now, scope, answer.age_ms);
                self.resolve(id, answer);
                access
            }
            Err(stale) => match self.serve_stale(&request, stale) {
                Ok(answer) => {
                    self.resolve(id, answer);
                    Access::Hit
                }
                Err(stale) => self.dht_request(now, id, request, stale),
            },
        };
        if observe {
            self.history.note(scope, stream, &key);
            self.prefetch_after(now, scope, stream, &key, access);
        }
        self.settle_evicted(now);
        self.feed_request(now);
        self.rearm(now, scope, false);
        id
    }

    /// An answer a little beyond the bound, where the caller takes it while it is asked for anew (RFC 5861, 3).
    fn serve_stale(&mut self, request: &GetRequest<'_>, stale: Option<Hit>) -> Result<Answer, Option<Hit>> {
        let most = request.max_staleness_ms.saturating_add(request.stale_while_revalidate_ms);
        let serves = |hit: &Hit| {
            request.stale_while_revalidate_ms > 0
                && hit.at.age_ms <= most
                && hit.at.age_ms != u32::MAX
                && self.is_current(request.scope, hit.at)
        };
        let Some(hit) = stale.as_ref().filter(|hit| serves(hit)).cloned() else { return Err(stale) };
        if self.fetches.of_key(&request.key).next().is_none() {
            let fetch = Fetch {
                held: hit.keymap.clone(),
                needed_after: self.cache.needed_after(&request.key),
                ..Fetch::new(request.scope, request.key.clone(), Class::Demand, request.max_staleness_ms)
            };
            self.enqueue(fetch);
        }
        Ok(stale_answer(hit, request.max_staleness_ms))
    }

    /// What the cache answers, or the stale entry that a gateway must confirm.
    fn look_up(&mut self, now: Millis, request: &GetRequest<'_>) -> Result<(Answer, Access), Option<Hit>> {
        if request.bypass_cache || request.consistency == Consistency::Strong {
            return Err(None);
        }
        match self.cache.get(now, &request.key, request.max_staleness_ms) {
            Lookup::Hit(hit) if self.is_current(request.scope, hit.at) => {
                if hit.kept_fresh {
                    self.feed_paid();
                }
                let access = if hit.first_use { Access::FirstUse } else { Access::Hit };
                if hit.first_use {
                    self.engine.handle_outcome(now, &request.key, PrefetchOutcome::Used);
                    // Without it, this would have joined what is under way past the cache.
                    if self.fetches.of_key(&request.key).next().is_none() {
                        self.ahead.used(now);
                    }
                }
                Ok((answer_from(hit), access))
            }
            // Older than the caller allows, or than what its session has seen.
            Lookup::Hit(hit) | Lookup::Stale(hit) => {
                if hit.first_use {
                    // It arrived, but too early to be used without asking again.
                    self.engine.handle_outcome(now, &request.key, PrefetchOutcome::Outdated);
                }
                Err(Some(hit))
            }
            Lookup::Miss => Err(None),
        }
    }

    /// Joins a fetch under way, or starts one.
    fn dht_request(&mut self, now: Millis, id: RequestId, request: GetRequest<'_>, stale: Option<Hit>) -> Access {
        if self.waiting.len() >= self.config.max_waiting {
            let detail = format!("{} requests are waiting already", self.config.max_waiting);
            self.reject(id, ErrorCode::TooManyRequests, detail);
            return Access::Miss;
        }
        let deadline = now + Millis::from(request.timeout_ms);
        self.scopes.set_timer(request.scope, deadline, Timer::Deadline(id));
        let mut waiting = Waiting {
            scope: request.scope,
            key: request.key,
            stream: within(request.stream, BatchRequest::MAX_STREAM_BYTES).into(),
            consistency: request.consistency,
            max_staleness_ms: request.max_staleness_ms,
            asked_at: now,
            deadline,
            stale,
            stale_if_error_ms: request.stale_if_error_ms,
            needed_after: 0,
            hedge: request.hedge,
            fetch: None,
            park_until: 0,
            joined: false,
        };
        waiting.needed_after = self.cache.needed_after(&waiting.key);
        let strong = waiting.consistency == Consistency::Strong;
        let (mine, elsewhere) = self.find_joinable(&waiting, strong || request.bypass_cache);
        let access = if let Some(fetch) = mine {
            waiting.joined = true;
            self.join(now, id, &mut waiting, fetch)
        } else if let Some(fetch) = elsewhere {
            waiting.joined = true;
            self.park(now, id, &mut waiting, fetch)
        } else {
            waiting.fetch = Some(self.start_fetch(&waiting, id));
            Access::Miss
        };
        self.waiting.insert(id, Box::new(waiting));
        access
    }

    /// A fetch of the same scope to join, and one of another scope to wait beside.
    ///
    /// A strong read joins only what is not sent yet: one that is may have read the store before this request began. No
    /// read joins what left before an invalidation or own write of its key.
    fn find_joinable(&self, waiting: &Waiting, unsent_only: bool) -> (Option<FetchId>, Option<FetchId>) {
        let mut found = (None, None);
        for (id, fetch) in self.fetches.of_key(&waiting.key) {
            let flight = fetch.flight().and_then(|flight| self.flights.get(&flight));
            let sent = fetch.flight().is_some();
            let overtaken = flight.and_then(|f| f.fence()).is_some_and(|f| self.cache.is_overtaken(f, &waiting.key));
            if (unsent_only && (sent || !fetch.strong)) || overtaken {
                continue;
            }
            if fetch.scope == waiting.scope {
                found.0 = Some(id);
            } else if sent {
                found.1 = Some(id);
            }
        }
        found
    }

    fn join(&mut self, now: Millis, id: RequestId, waiting: &mut Waiting, fetch_id: FetchId) -> Access {
        waiting.fetch = Some(fetch_id);
        let access = self.claim(now, fetch_id);
        if let Some(fetch) = self.fetches.get_mut(fetch_id) {
            fetch.waiters.push(id);
            fetch.max_staleness_ms = fetch.max_staleness_ms.min(waiting.max_staleness_ms);
            fetch.needed_after = fetch.needed_after.max(waiting.needed_after);
        }
        access
    }

    fn park(&mut self, now: Millis, id: RequestId, waiting: &mut Waiting, fetch_id: FetchId) -> Access {
        let flight = self.fetches.get(fetch_id).and_then(Fetch::flight).and_then(|flight| self.flights.get(&flight));
        let expected = flight.map_or(0.0, |flight| self.origins.latency_ms(flight.origin()));
        let patience = if expected > 0.0 { (2.0 * expected) as Millis } else { PARK_UNKNOWN_MS };
        let sent_at = flight.map_or(now, |flight| flight.sent_at());
        waiting.park_until = (sent_at + patience.max(PARK_STEP_MS)).max(now + PARK_STEP_MS);
        self.scopes.set_timer(waiting.scope, now + PARK_STEP_MS, Timer::Parked(id));
        self.claim(now, fetch_id)
    }

    /// Turns a fetch that nobody waited for into one that somebody does.
    fn claim(&mut self, now: Millis, fetch_id: FetchId) -> Access {
        self.fetches.promote(fetch_id);
        let Some(fetch) = self.fetches.get_mut(fetch_id) else { return Access::Miss };
        if std::mem::take(&mut fetch.rides) && fetch.progress == Progress::Queued {
            let state = self.scopes.get(fetch.scope);
            let held = state.held.iter().position(|&id| id == fetch_id);
            state.queue.extend(held.map(|at| state.held.swap_remove(at)));
            self.ahead.asked();
        }
        if !std::mem::take(&mut fetch.issued) {
            return Access::Miss;
        }
        let (key, unsent) = (fetch.key.clone(), fetch.progress == Progress::Queued);
        if unsent {
            // It goes out as demand now, as if it had never been issued.
            self.engine.handle_outcome(now, &key, PrefetchOutcome::Refunded);
            return Access::Miss;
        }
        self.engine.handle_outcome(now, &key, PrefetchOutcome::Late);
        Access::Late
    }

    /// Looks again for a parked request; gives up waiting and fetches itself when the time is over.
    pub(super) fn unpark(&mut self, now: Millis, id: RequestId) {
        let Some(waiting) = self.waiting.get(&id).filter(|w| w.fetch.is_none()) else { return };
        if let Lookup::Hit(hit) = self.cache.peek(now, &waiting.key, waiting.max_staleness_ms)
            && self.is_current(waiting.scope, hit.at)
        {
            self.waiting.remove(&id);
            self.resolve(id, Answer { served: Served::Joined, ..answer_from(hit) });
            return;
        }
        let scope = waiting.scope;
        let under_way = self.fetches.of_key(&waiting.key).any(|(_, f)| f.scope != scope);
        if under_way && now < waiting.park_until {
            self.scopes.set_timer(scope, now + PARK_STEP_MS, Timer::Parked(id));
            return;
        }
        if let Some(mut waiting) = self.waiting.remove(&id) {
            waiting.joined = false;
            waiting.fetch = Some(self.start_fetch(&waiting, id));
            self.waiting.insert(id, waiting);
        }
    }

    fn start_fetch(&mut self, waiting: &Waiting, id: RequestId) -> FetchId {
        self.ahead.asked();
        self.enqueue(Fetch {
            waiters: vec![id],
            strong: waiting.consistency == Consistency::Strong,
            needed_after: waiting.needed_after,
            held: waiting.stale.as_ref().and_then(|hit| hit.keymap.clone()),
            ..Fetch::new(waiting.scope, waiting.key.clone(), Class::Demand, waiting.max_staleness_ms)
        })
    }

    /// Registers `fetch` and queues it for the next flush of its scope.
    pub(super) fn enqueue(&mut self, fetch: Fetch) -> FetchId {
        let id = self.fresh_id();
        self.scopes.get(fetch.scope).queue.push(id);
        self.fetches.insert(id, fetch);
        id
    }

    /// The caller gave up on a request.
    pub fn cancel(&mut self, now: Millis, request: RequestId) {
        if let Some(waiting) = self.waiting.remove(&request) {
            self.reject(request, ErrorCode::Aborted, "the caller cancelled the request".into());
            self.leave(waiting.fetch, request);
            self.rearm(now, waiting.scope, false);
        }
    }

    /// Takes `request` off its fetch. When nobody is left, an unsent fetch is dropped, and a flight that nobody needs
    /// is aborted.
    pub(super) fn leave(&mut self, fetch: Option<FetchId>, request: RequestId) {
        let Some((id, fetch)) = fetch.and_then(|id| Some((id, self.fetches.get_mut(id)?))) else { return };
        fetch.waiters.retain(|&waiter| waiter != request);
        if !fetch.waiters.is_empty() || fetch.issued {
            return;
        }
        match fetch.progress {
            Progress::Queued | Progress::Backoff => {
                self.fetches.remove(id);
            }
            Progress::InFlight(flight) => {
                let hedge = fetch.hedge;
                self.abort_if_unneeded(flight);
                hedge.into_iter().for_each(|flight| self.abort_if_unneeded(flight));
            }
        }
    }

    /// Does what is due in `scope` and sends what is queued there.
    pub fn poll(&mut self, now: Millis, scope: Scope) {
        while let Some(timer) = self.scopes.take_due(now, scope) {
            match timer {
                Timer::Deadline(request) => self.expire(now, request),
                Timer::Parked(request) => self.unpark(now, request),
                Timer::Retry(fetch) => self.requeue(fetch),
                Timer::CallRetry(call) => self.attempt_call(now, call),
                Timer::Hedge(flight) => self.hedge(now, flight),
                Timer::Feed => self.feed_due(now),
            }
        }
        self.flush(now, scope);
        self.rearm(now, scope, true);
    }

    fn expire(&mut self, now: Millis, request: RequestId) {
        let Some(waiting) = self.waiting.remove(&request) else { return };
        self.leave(waiting.fetch, request);
        self.give_up(now, request, *waiting, ErrorCode::Timeout, "no gateway answered in time");
    }

    /// Ends a scope: what still waits in it is rejected, what is on its way is aborted.
    pub fn close_scope(&mut self, now: Millis, scope: Scope) {
        let requests = self.waiting.iter().filter(|(_, w)| w.scope == scope).map(|(&id, _)| id);
        for request in ascending(requests) {
            self.cancel(now, request);
        }
        for fetch in self.fetches.of_scope(scope) {
            self.drop_fetch(now, fetch);
        }
        self.abort_scope(scope);
        self.drop_calls(scope);
        if scope == FEED_SCOPE {
            self.drop_feed();
        }
        self.scopes.remove(scope);
    }

    /// Answers a request that found something stale: from what the cache holds by now where that is fresh, or where the caller
    /// accepts a stale entry and its session has seen nothing newer. Any other fails.
    pub(super) fn give_up(&mut self, now: Millis, request: RequestId, waiting: Waiting, code: ErrorCode, detail: &str) {
        let bound = waiting.max_staleness_ms;
        let most = bound.saturating_add(waiting.stale_if_error_ms);
        let accepts = |hit: &Hit| {
            let if_error = waiting.stale_if_error_ms > 0 && hit.at.age_ms <= most && hit.at.age_ms != u32::MAX;
            waiting.consistency == Consistency::Any || if_error
        };
        match waiting.stale.as_ref().and_then(|stale| self.aged(now, &waiting, stale)) {
            Some(Lookup::Hit(hit)) => self.resolve(request, answer_from(hit)),
            Some(Lookup::Stale(hit)) if accepts(&hit) => self.resolve(request, stale_answer(hit, bound)),
            _ => self.reject(request, code, detail.to_owned()),
        }
    }

    /// What a request found in the cache when it began, as far as it may still be served: what is cached now, or what left
    /// since if the session has seen nothing newer of its shard.
    fn aged(&self, now: Millis, waiting: &Waiting, stale: &Hit) -> Option<Lookup> {
        let found = self.cache.peek(now, &waiting.key, waiting.max_staleness_ms);
        if let Lookup::Hit(held) | Lookup::Stale(held) = &found {
            let current = self.is_current(waiting.scope, held.at);
            return current.then_some(found);
        }
        let mut hit = stale.clone();
        let waited = u32::try_from(now.saturating_sub(waiting.asked_at)).unwrap_or(u32::MAX);
        let unknown = self.cache.is_unknown(waiting.asked_at as i64);
        hit.at.age_ms = if unknown { u32::MAX } else { hit.at.age_ms.saturating_add(waited) };
        Some(Lookup::Stale(hit)).filter(|_| stale.at.position >= self.floor(waiting.scope, stale.at.shard))
    }

    pub(super) fn resolve(&mut self, request: RequestId, answer: Answer) {
        self.counters.count(answer.served);
        self.actions.push_back(Action::Answer { request, answer });
    }

    fn reject(&mut self, request: RequestId, code: ErrorCode, detail: String) {
        self.counters.failed += 1;
        self.actions.push_back(Action::Fail { request, code, detail });
    }

    pub(super) fn rearm(&mut self, now: Millis, scope: Scope, polled: bool) {
        if let Some(at) = self.scopes.rearm(now, scope, polled) {
            self.actions.push_back(Action::Wake { scope, at });
        }
    }

    pub(super) fn fresh_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    /// The newest map that the gateways have told of.
    pub fn map(&self) -> Option<&Arc<PartitionMap>> {
        self.placement.as_ref().map(Placement::map)
    }
}

/// The longest beginning of `text` of at most `limit` bytes.
fn within(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}

/// An answer from the cache that is fresh.
pub(super) fn answer_from(hit: Hit) -> Answer {
    let served = if hit.keymap.is_some() { Served::Cache } else { Served::Negative };
    Answer { keymap: hit.keymap, served, age_ms: hit.at.age_ms.into(), at: hit.at, stale: false }
}

/// One that a caller accepted who had asked for no older than `bound`, in milliseconds.
fn stale_answer(hit: Hit, bound: u32) -> Answer {
    Answer { served: Served::Stale, stale: hit.at.age_ms > bound, ..answer_from(hit) }
}

#[cfg(test)]
#[path = "adapter_tests.rs"]
mod tests;
