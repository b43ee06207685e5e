//! [`Requests`]: what callers asked for, the keys that are fetched for them or ahead of them, and their session.

mod batching;
mod joining;
mod settling;

use std::sync::Arc;

use fxhash::FxHashMap;

use super::action::{Action, Answer, FlightId, GetRequest, RequestId, Scope, Served};
use super::agenda::{Agenda, FetchId};
use super::session::Session;
use super::stats::{AdapterStats, Fill};
use super::transport::Transport;
use crate::Millis;
use crate::cache::{Hit, LocalCache};
use crate::key::CompositeKey;
use crate::order::ascending;
use crate::partition::xxh3;
use crate::prefetch::PrefetchOutcome;
use crate::protocol::{BatchRequest, Class, Consistency, ErrorCode, Keymap};

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Waiting {
    scope: Scope,
    key: CompositeKey,
    stream: Box<str>,
    consistency: Consistency,
    max_staleness_ms: u32,
    asked_at: Millis,
    deadline: Millis,
    /// Entry that the cache holds beyond the bound.
    stale: Option<Hit>,
    /// Age beyond the bound that it may have where nothing else answers.
    stale_if_error_ms: u32,
    /// The answer has to be current as of a moment after this one.
    needed_after: Millis,
    hedge: bool,
    /// True where it joins only what is not sent yet.
    unsent_only: bool,
    /// The fetch it waits for; `None` while parked.
    fetch: Option<FetchId>,
    park_until: Millis,
    /// True where the fetch was under way before it.
    joined: bool,
}

impl Waiting {
    /// A request made at `now`, which found `stale` in the cache.
    pub(super) fn new(now: Millis, request: GetRequest<'_>, stale: Option<Hit>) -> Self {
        Self {
            scope: request.scope,
            key: request.key,
            stream: within(request.stream, BatchRequest::MAX_STREAM_BYTES).into(),
            consistency: request.consistency,
            max_staleness_ms: request.max_staleness_ms,
            asked_at: now,
            deadline: now + Millis::from(request.timeout_ms),
            stale,
            stale_if_error_ms: request.stale_if_error_ms,
            needed_after: 0,
            hedge: request.hedge,
            unsent_only: request.consistency == Consistency::Strong || request.bypass_cache,
            fetch: None,
            park_until: 0,
            joined: false,
        }
    }
}

/// The longest beginning of `text` of at most `limit` bytes.
fn within(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}

/// Progress of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Queued,
    InFlight(FlightId),
    Backoff,
}

/// One key on its way, for any number of waiters of one scope.
#[derive(Debug)]
struct Fetch {
    scope: Scope,
    key: CompositeKey,
    class: Class,
    /// True where the Prefetch Engine issued it and is owed its outcome.
    issued: bool,
    /// True where it has to ride on what goes out anyway, as it was only predicted.
    rides: bool,
    waiters: Vec<RequestId>,
    attempts: u8,
    /// True where the read must go through the store's fence.
    strong: bool,
    /// Smallest bound of the waiters; 0 makes the gateway read the store.
    max_staleness_ms: u32,
    /// The answer has to be current as of a moment after this one; 0 for any.
    needed_after: Millis,
    /// The cached keymap that may be confirmed instead of sent.
    held: Option<Arc<Keymap>>,
    progress: Progress,
    /// A second flight that carries it, while the first one takes unusually long.
    hedge: Option<FlightId>,
    /// The origin that has just failed.
    avoid: Option<Arc<str>>,
}

impl Fetch {
    /// A fetch of `key` that is not sent yet, and that nobody waits for so far.
    fn new(scope: Scope, key: CompositeKey, class: Class, max_staleness_ms: u32) -> Self {
        Self {
            scope,
            key,
            class,
            issued: false,
            rides: false,
            waiters: Vec::new(),
            attempts: 0,
            strong: false,
            max_staleness_ms,
            needed_after: 0,
            held: None,
            progress: Progress::Queued,
            hedge: None,
            avoid: None,
        }
    }

    /// The flight that carries it.
    fn flight(&self) -> Option<FlightId> {
        match self.progress {
            Progress::InFlight(flight) => Some(flight),
            Progress::Queued | Progress::Backoff => None,
        }
    }

    /// Takes `flight` off it, which brought nothing. Whether another one still carries it.
    fn lose(&mut self, flight: FlightId) -> bool {
        if self.hedge == Some(flight) {
            self.hedge = None;
            return self.flight().is_some();
        }
        match self.hedge.take() {
            Some(other) if self.progress == Progress::InFlight(flight) => {
                self.progress = Progress::InFlight(other);
                true
            }
            other => {
                self.hedge = other;
                false
            }
        }
    }
}

/// All fetches, found by id or by key.
#[derive(Debug)]
struct Fetches {
    by_id: FxHashMap<FetchId, Box<Fetch>>,
    by_key: FxHashMap<u64, Vec<FetchId>>,
    seed: u64,
    prefetching: usize,
}

impl Fetches {
    fn slot(&self, key: &CompositeKey) -> u64 {
        xxh3(self.seed, key.as_str().as_bytes())
    }

    fn insert(&mut self, id: FetchId, fetch: Fetch) {
        self.prefetching += usize::from(fetch.class == Class::Prefetch);
        self.by_key.entry(self.slot(&fetch.key)).or_default().push(id);
        self.by_id.insert(id, Box::new(fetch));
    }

    fn remove(&mut self, id: FetchId) -> Option<Fetch> {
        let fetch = self.by_id.remove(&id)?;
        self.prefetching -= usize::from(fetch.class == Class::Prefetch);
        let slot = self.slot(&fetch.key);
        if let Some(ids) = self.by_key.get_mut(&slot) {
            ids.retain(|&other| other != id);
            if ids.is_empty() {
                self.by_key.remove(&slot);
            }
        }
        Some(*fetch)
    }

    fn get(&self, id: FetchId) -> Option<&Fetch> {
        self.by_id.get(&id).map(Box::as_ref)
    }

    fn get_mut(&mut self, id: FetchId) -> Option<&mut Fetch> {
        self.by_id.get_mut(&id).map(Box::as_mut)
    }

    /// Somebody waits for it now: it goes ahead of what nobody waits for.
    fn promote(&mut self, id: FetchId) {
        if let Some(fetch) = self.by_id.get_mut(&id)
            && fetch.class == Class::Prefetch
        {
            fetch.class = Class::Demand;
            self.prefetching -= 1;
        }
    }

    /// The fetches of `key`, whatever their scope.
    fn of_key(&self, key: &CompositeKey) -> impl Iterator<Item = (FetchId, &Fetch)> {
        let ids = self.by_key.get(&self.slot(key)).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(move |&id| self.by_id.get(&id).filter(|f| f.key == *key).map(|f| (id, &**f)))
    }
}

/// Failure of a fetch, which decides whether asking again can help.
pub(super) struct FetchFailure {
    code: ErrorCode,
    detail: String,
    retry_after: Option<Millis>,
    /// The origin at fault, if one is.
    origin: Option<Arc<str>>,
}

impl FetchFailure {
    pub(super) fn new(code: ErrorCode, detail: String) -> Self {
        Self { code, detail, retry_after: None, origin: None }
    }

    /// The fault of `origin`, which may have said when to ask again.
    pub(super) fn of(origin: &Arc<str>, code: ErrorCode, detail: String, retry_after: Option<Millis>) -> Self {
        Self { code, detail, retry_after, origin: Some(origin.clone()) }
    }
}

/// News for the look-ahead machine.
#[derive(Debug)]
pub(super) enum Note {
    /// The present request asks a gateway.
    Asked,
    /// The answer of an issued prefetch arrived.
    Arrived(CompositeKey),
    /// An issued prefetch has its outcome.
    Ended(CompositeKey, PrefetchOutcome),
}

/// Everything beside themselves that requests need while one event is handled.
pub(super) struct RequestContext<'a> {
    now: Millis,
    cache: &'a mut LocalCache,
    agenda: &'a mut Agenda,
    transport: &'a mut Transport,
}

impl<'a> RequestContext<'a> {
    pub(super) fn new(
        now: Millis,
        cache: &'a mut LocalCache,
        agenda: &'a mut Agenda,
        transport: &'a mut Transport,
    ) -> Self {
        Self { now, cache, agenda, transport }
    }
}

/// Requests of one client. Single-flight: one fetch for each scope and key.
#[derive(Debug)]
pub(super) struct Requests {
    waiting: FxHashMap<RequestId, Box<Waiting>>,
    fetches: Fetches,
    session: Session,
    notes: Vec<Note>,
    max_waiting: usize,
    asked: u64,
    asked_again: u64,
    served: [u64; 6],
    failed: u64,
}

impl Requests {
    pub(super) fn new(seed: u64, max_waiting: usize) -> Self {
        let (by_id, by_key) = Default::default();
        Self {
            waiting: FxHashMap::default(),
            fetches: Fetches { by_id, by_key, seed, prefetching: 0 },
            session: Session::default(),
            notes: Vec::new(),
            max_waiting,
            asked: 0,
            asked_again: 0,
            served: [0; 6],
            failed: 0,
        }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// News since the last call, oldest first.
    pub(super) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    pub(super) fn count_request(&mut self) {
        self.asked += 1;
    }

    pub(super) fn resolve(&mut self, request: RequestId, answer: Answer, agenda: &mut Agenda) {
        self.served[answer.served as usize] += 1;
        agenda.act(Action::Answer { request, answer });
    }

    fn reject(&mut self, request: RequestId, code: ErrorCode, detail: String, agenda: &mut Agenda) {
        self.failed += 1;
        agenda.act(Action::Fail { request, code, detail });
    }

    /// Returns whether `key` is being fetched.
    pub(super) fn is_fetching(&self, key: &CompositeKey) -> bool {
        self.fetches.of_key(key).next().is_some()
    }

    /// Fetches that nobody waits for.
    pub(super) fn prefetching(&self) -> usize {
        self.fetches.prefetching
    }

    /// Returns whether somebody waits for any of `fetches`.
    pub(super) fn is_demanded(&self, fetches: &[FetchId]) -> bool {
        fetches.iter().any(|id| self.fetches.get(*id).is_some_and(|fetch| fetch.class == Class::Demand))
    }

    /// Returns whether a fetch, if it is still there, waits for a ride.
    pub(super) fn rides(&self, fetch: FetchId) -> Option<bool> {
        self.fetches.get(fetch).map(|fetch| fetch.rides)
    }

    /// Registers `fetch` and queues it for the next flush of its scope.
    fn enqueue(&mut self, fetch: Fetch, agenda: &mut Agenda) -> FetchId {
        let id = agenda.fresh_id();
        agenda.queue(fetch.scope, id);
        self.fetches.insert(id, fetch);
        id
    }

    /// Queues a fetch once more.
    pub(super) fn requeue(&mut self, id: FetchId, agenda: &mut Agenda) {
        if let Some(fetch) = self.fetches.get_mut(id) {
            fetch.progress = Progress::Queued;
            agenda.queue(fetch.scope, id);
        }
    }

    /// Ends a fetch without an answer. Its waiters must be gone.
    pub(super) fn drop_fetch(&mut self, id: FetchId) {
        let Some(fetch) = self.fetches.remove(id) else { return };
        if fetch.issued {
            let unsent = fetch.attempts == 0;
            let outcome = if unsent { PrefetchOutcome::Refunded } else { PrefetchOutcome::Failed };
            self.notes.push(Note::Ended(fetch.key, outcome));
        }
    }

    /// Rejects a request whose caller gave up on it. Returns its scope.
    pub(super) fn cancel(&mut self, cx: &mut RequestContext<'_>, request: RequestId) -> Option<Scope> {
        let waiting = self.waiting.remove(&request)?;
        self.reject(request, ErrorCode::Aborted, "the caller cancelled the request".into(), cx.agenda);
        self.leave(cx, waiting.fetch, request);
        Some(waiting.scope)
    }

    /// Takes `request` off its fetch. When nobody is left, an unsent fetch is dropped, and a flight that nobody needs
    /// is aborted.
    fn leave(&mut self, cx: &mut RequestContext<'_>, fetch: Option<FetchId>, request: RequestId) {
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
                self.abort_if_unneeded(cx, flight);
                hedge.into_iter().for_each(|flight| self.abort_if_unneeded(cx, flight));
            }
        }
    }

    /// Aborts a flight that carries nothing anybody needs.
    fn abort_if_unneeded(&mut self, cx: &mut RequestContext<'_>, flight: FlightId) {
        let Some(fetches) = cx.transport.fetches_only(flight) else { return };
        let needed = |id: &FetchId| self.fetches.get(*id).is_some_and(|f| f.issued || !f.waiters.is_empty());
        if fetches.iter().any(needed) {
            return;
        }
        for id in fetches {
            self.fetches.remove(*id);
        }
        cx.transport.abort(flight, cx.agenda);
    }

    /// The requests of a scope, by ascending id.
    pub(super) fn of_scope(&self, scope: Scope) -> Vec<RequestId> {
        ascending(self.waiting.iter().filter(|(_, w)| w.scope == scope).map(|(&id, _)| id))
    }

    /// Drops the fetches of a scope that ends, whose requests are gone.
    pub(super) fn close_scope(&mut self, scope: Scope) {
        for id in ascending(self.fetches.by_id.iter().filter(|(_, f)| f.scope == scope).map(|(&id, _)| id)) {
            self.drop_fetch(id);
        }
    }

    /// Ages are not known any more: answers needed after an invalidation have to be of after `until`.
    pub(super) fn forget_ages(&mut self, until: Millis) {
        let needed = self.waiting.values_mut().map(|waiting| &mut waiting.needed_after);
        let needed = needed.chain(self.fetches.by_id.values_mut().map(|fetch| &mut fetch.needed_after));
        needed.filter(|at| **at > 0).for_each(|at| *at = until);
    }

    /// The store is new: cached values of the old one are neither to be confirmed by it nor to be served.
    pub(super) fn forget_stale(&mut self) {
        self.waiting.values_mut().for_each(|waiting| waiting.stale = None);
        self.fetches.by_id.values_mut().for_each(|fetch| fetch.held = None);
    }

    /// Adds counts and fills.
    pub(super) fn report(&self, stats: &mut AdapterStats) {
        let served = |served: Served| self.served[served as usize];
        stats.requests = self.asked;
        (stats.hits, stats.negative) = (served(Served::Cache), served(Served::Negative));
        (stats.joined, stats.revalidated) = (served(Served::Joined), served(Served::Revalidated));
        (stats.network, stats.stale) = (served(Served::Network), served(Served::Stale));
        (stats.failed, stats.asked_again) = (self.failed, self.asked_again);
        stats.sessions_reset = self.session.resets();
        stats.waiting = Fill { used: self.waiting.len(), bound: self.max_waiting };
        stats.prefetching.used = self.prefetching();
        stats.fetching = self.fetches.by_id.len();
        stats.floors = Fill { used: self.session.token().len(), bound: usize::from(u16::MAX) + 1 };
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_stream_is_never_cut_inside_a_character() {
        assert_eq!(super::within("stré", 4), "str");
    }
}
