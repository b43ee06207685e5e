//! From the queue to batches: one per origin and consistency, demand first.

use std::sync::Arc;

use super::action::{Action, CallId, FlightId, Scope};
use super::adapter::Adapter;
use super::fetches::{Fetch, FetchId, Progress};
use super::floors::Floors;
use super::retry::{ATTEMPT_MS, first_attempt_ms};
use super::scopes::Timer;
use crate::Millis;
use crate::cache::Fence;
use crate::order::ascending;
use crate::protocol::{BatchItem, BatchRequest, Class, Consistency, Cursor, MAX_BATCH_KEYS, MapKnowledge};

/// One HTTP exchange under way.
#[derive(Debug)]
pub(super) enum Flight {
    /// A batch.
    Batch {
        scope: Scope,
        origin: Arc<str>,
        sent_at: Millis,
        fetches: Vec<FetchId>,
        /// Whether it was read through the store.
        strong: bool,
        /// Taken when it was sent.
        fence: Fence,
        exchanges: bool,
        /// Sessions that were reset before it was sent.
        session: u64,
        /// Retries that were promised when it was given little time.
        reserved: u32,
    },
    /// An attempt of a raw call.
    Call { scope: Scope, origin: Arc<str>, sent_at: Millis, call: CallId },
}

impl Flight {
    pub(super) fn origin(&self) -> &Arc<str> {
        match self {
            Self::Batch { origin, .. } | Self::Call { origin, .. } => origin,
        }
    }

    pub(super) fn sent_at(&self) -> Millis {
        match *self {
            Self::Batch { sent_at, .. } | Self::Call { sent_at, .. } => sent_at,
        }
    }

    pub(super) fn scope(&self) -> Scope {
        match *self {
            Self::Batch { scope, .. } | Self::Call { scope, .. } => scope,
        }
    }

    pub(super) fn fetches(&self) -> &[FetchId] {
        match self {
            Self::Batch { fetches, .. } => fetches,
            Self::Call { .. } => &[],
        }
    }

    /// Taken when it was sent.
    pub(super) fn fence(&self) -> Option<Fence> {
        match *self {
            Self::Batch { fence, .. } => Some(fence),
            Self::Call { .. } => None,
        }
    }

    /// Whether it carries cursors.
    pub(super) fn exchanges(&self) -> bool {
        matches!(self, Self::Batch { exchanges: true, .. })
    }
}

/// A batch about to leave, beside what it asks.
struct Departure {
    flight: FlightId,
    origin: Arc<str>,
    fetches: Vec<FetchId>,
    strong: bool,
    timeout_ms: u32,
    /// Whether nobody waits for it.
    prefetch: bool,
    exchanges: bool,
    reserved: u32,
}

/// Knowledge of a gateway's memory is rarely younger, nor is its read of the store much faster: below, it is asked to read
/// the store at once.
const TIGHT_MS: u32 = 20;

/// Keys that go to one origin at one consistency.
struct Group {
    origin: Arc<str>,
    strong: bool,
    /// Whether what is fetched ahead may ride on it: not where somebody asked for strong reads.
    takes_guests: bool,
    fetches: Vec<FetchId>,
}

impl Adapter {
    /// Sends everything queued in `scope`.
    pub(super) fn flush(&mut self, now: Millis, scope: Scope) {
        // Keys with the same replicas go to one of them in one batch, and batches take turns.
        self.salt = self.salt.wrapping_add(1);
        let state = self.scopes.get(scope);
        let queue = std::mem::take(&mut state.queue);
        let exchange = std::mem::take(&mut state.exchange_wanted);
        let queue = self.rides(scope, queue);
        for group in self.group(now, scope, queue) {
            for chunk in group.fetches.chunks(MAX_BATCH_KEYS) {
                self.send_batch(now, scope, group.origin.clone(), group.strong, chunk.to_vec(), false);
            }
        }
        if exchange && self.exchange.is_due(now, &self.config) {
            self.send_exchange(now, scope);
        }
    }

    /// Demand goes to the owner of each key. Prefetches ride on a demand batch where there is one, as a further
    /// request would cost more than the gateway's hop; otherwise all of them go out as one batch.
    fn group(&mut self, now: Millis, scope: Scope, queue: Vec<FetchId>) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut ahead = Vec::new();
        for id in queue {
            let Some(fetch) = self.fetches.get(id).filter(|f| f.progress == Progress::Queued) else { continue };
            if fetch.class == Class::Prefetch && self.is_prefetch_paused(now) {
                self.drop_fetch(now, id);
                continue;
            }
            let (class, key, avoid, asked_strong) = (fetch.class, fetch.key.clone(), fetch.avoid.clone(), fetch.strong);
            let origin = self.origin_for(now, Some(&key), avoid.as_deref());
            let strong = self.is_strong(now, id, &origin);
            if class == Class::Prefetch {
                ahead.push((id, origin));
                continue;
            }
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
        self.seat(now, scope, ahead, &mut groups);
        groups
    }

    /// Lets what is fetched ahead ride: with its owner's batch, or else with any.
    fn seat(&mut self, now: Millis, scope: Scope, ahead: Vec<(FetchId, Arc<str>)>, groups: &mut Vec<Group>) {
        let demanded = !groups.is_empty();
        for (id, origin) in ahead {
            let own = groups.iter().position(|g| g.takes_guests && g.origin == origin);
            let at = own.or_else(|| groups.iter().position(|g| g.takes_guests));
            let rides = self.fetches.get(id).is_some_and(|fetch| fetch.rides);
            match at {
                Some(at) => groups[at].fetches.push(id),
                None if rides && demanded => self.scopes.get(scope).held.push(id),
                None => {
                    let strong = self.is_strong(now, id, &origin);
                    groups.push(Group { origin, strong, takes_guests: true, fetches: vec![id] });
                }
            }
        }
    }

    /// The origin to ask for `key`: that of its owner, or of the replica that serves this batch, where it is warm; the warmest
    /// otherwise.
    pub(super) fn origin_for(
        &mut self,
        now: Millis,
        key: Option<&crate::key::CompositeKey>,
        avoid: Option<&str>,
    ) -> Arc<str> {
        let owner = key.zip(self.placement.as_ref()).and_then(|(key, placement)| {
            let node = placement.server(key, self.salt);
            placement.map().node(node).map(|n| n.origin.clone())
        });
        self.origins.choose(now, owner.as_deref(), avoid)
    }

    /// How old a gateway's knowledge may be for a fetch that leaves now, in milliseconds, so that its answer arrives
    /// within the bound and is no older than what was invalidated.
    fn may_be_old(&self, now: Millis, fetch: &Fetch, origin: &str) -> u32 {
        // Where any age will do, a later answer is better than none.
        let way_back = if self.only_any(fetch) { 0 } else { self.origins.round_trip_ms(origin) };
        let bound = fetch.max_staleness_ms.saturating_sub(way_back);
        let since = match fetch.needed_after {
            0 => u32::MAX,
            at => u32::try_from(now.saturating_sub(at + 1)).unwrap_or(u32::MAX),
        };
        bound.min(since)
    }

    /// Whether a fetch is to be read through the store: it was asked to, or nothing that a gateway remembers could still be
    /// young enough when it arrives. Asking memory first would only cost a second round trip.
    fn is_strong(&self, now: Millis, id: FetchId, origin: &str) -> bool {
        let tight = |fetch: &Fetch| self.may_be_old(now, fetch, origin) < TIGHT_MS && !self.only_any(fetch);
        self.fetches.get(id).is_some_and(|fetch| fetch.strong || tight(fetch))
    }

    /// Sends `ids` to `origin` in one batch; as a `hedge` beside the flight that carries them already.
    pub(super) fn send_batch(
        &mut self,
        now: Millis,
        scope: Scope,
        origin: Arc<str>,
        strong: bool,
        ids: Vec<FetchId>,
        hedge: bool,
    ) {
        let flight = self.fresh_id();
        let mut request = self.request_frame();
        let patience = if hedge { ATTEMPT_MS } else { self.patience(now, &origin, strong, &ids) };
        let reserved = if patience < ATTEMPT_MS { ids.len() as u32 } else { 0 };
        let (mut demand, mut timeout_ms, mut bound, mut asker) = (false, 0, u32::MAX, None);
        for &id in &ids {
            let deadline = self.latest_deadline(id);
            bound = bound.min(self.fetches.get(id).map_or(u32::MAX, |fetch| self.may_be_old(now, fetch, &origin)));
            let Some(fetch) = self.fetches.get_mut(id) else { continue };
            if hedge {
                fetch.hedge = Some(flight);
            } else {
                fetch.progress = Progress::InFlight(flight);
                fetch.attempts += 1;
            }
            demand |= fetch.class == Class::Demand;
            asker = asker.or(fetch.waiters.first().copied());
            timeout_ms = timeout_ms.max(deadline.map_or(ATTEMPT_MS, |at| at.saturating_sub(now) as u32));
            let if_version = fetch.held.as_ref().map(|keymap| keymap.version);
            request.items.push(BatchItem { key: fetch.key.clone(), if_version, class: fetch.class });
        }
        // The sequence that the next tier's analyzer should see this in: prefetches have no part in it.
        let stream = asker.and_then(|asker| self.waiting.get(&asker)).map(|waiting| waiting.stream.to_string());
        request.stream = stream.filter(|stream| !stream.is_empty());
        request.consistency = if strong { Consistency::Strong } else { Consistency::Bounded };
        request.max_staleness_ms = bound;
        request.floors = self.floors_for(scope, &request);
        let exchanges = !hedge && self.ride(now, &mut request);
        self.counters.batches += 1;
        self.counters.keys_sent += ids.len() as u64;
        if !hedge {
            self.tell_along(now, &origin, demand, &mut request);
            self.hedges.deposit();
            if let Some(at) = self.hedge_at(now, &origin, strong, &ids) {
                self.scopes.set_timer(scope, at, Timer::Hedge(flight));
            }
        }
        let timeout_ms = timeout_ms.min(patience);
        let fetches = ids;
        let departure =
            Departure { flight, origin, fetches, strong, timeout_ms, prefetch: !demand, exchanges, reserved };
        self.depart(now, scope, departure, request);
    }

    /// How long to wait for `origin`. Not for long where memory is asked for the first time, another origin could answer
    /// instead, and the budget allows to ask it: else giving up early would only turn a slow answer into none.
    fn patience(&self, now: Millis, origin: &str, strong: bool, ids: &[FetchId]) -> u32 {
        let fresh = |id: &FetchId| self.fetches.get(*id).is_none_or(|fetch| fetch.attempts == 0);
        let usual = self.origins.latency_ms(origin);
        let quick = !strong
            && usual > 0.0
            && ids.iter().all(fresh)
            && self.retries.available() as usize >= ids.len() + self.reserved() as usize
            && self.origins.has_other(now, origin);
        if quick { first_attempt_ms(usual) } else { ATTEMPT_MS }
    }

    /// Retries promised to flights that were given little time: nobody else may use them up.
    fn reserved(&self) -> u32 {
        let reserved = |flight: &Flight| match *flight {
            Flight::Batch { reserved, .. } => reserved,
            Flight::Call { .. } => 0,
        };
        self.flights.values().map(|flight| reserved(flight)).sum()
    }

    /// Whether the budget allows one more retry, beside those promised; takes its cost.
    pub(super) fn may_retry(&mut self) -> bool {
        self.retries.available() > self.reserved() && self.retries.withdraw()
    }

    /// An empty batch: only cursors go out, changes come back.
    fn send_exchange(&mut self, now: Millis, scope: Scope) {
        let mut request = self.request_frame();
        if !self.ride(now, &mut request) {
            return;
        }
        let origin = self.cold_origin(now).unwrap_or_else(|| self.origins.choose(now, None, None));
        self.counters.exchanges += 1;
        let departure = Departure {
            flight: self.fresh_id(),
            origin,
            fetches: Vec::new(),
            strong: false,
            timeout_ms: ATTEMPT_MS,
            prefetch: true,
            exchanges: true,
            reserved: 0,
        };
        self.depart(now, scope, departure, request);
    }

    /// The one place where a batch takes off.
    fn depart(&mut self, now: Millis, scope: Scope, departure: Departure, request: BatchRequest) {
        let Departure { flight, origin, fetches, strong, timeout_ms, prefetch, exchanges, reserved } = departure;
        let body = request.encode();
        self.counters.bytes_sent += body.len() as u64;
        if !prefetch && !fetches.is_empty() {
            self.earn(body.len());
        }
        let fence = self.cache.fence(now);
        let fence = if strong { fence.linear() } else { fence };
        let (of, session) = (origin.clone(), self.counters.sessions_reset);
        let batch =
            Flight::Batch { scope, origin: of, sent_at: now, fetches, strong, fence, exchanges, session, reserved };
        self.flights.insert(flight, Box::new(batch));
        self.actions.push_back(Action::Send { scope, flight, origin, body, timeout_ms, prefetch });
    }

    /// The origin of a node that is not warm yet, while there is room for another connection. Traffic that nobody
    /// waits for goes there, so that demand can go to it afterwards.
    fn cold_origin(&mut self, now: Millis) -> Option<Arc<str>> {
        let map = self.map()?.clone();
        let owners = map.nodes.iter().filter(|node| node.weight > 0).map(|node| node.origin.as_str());
        self.origins.choose_to_warm(now, owners)
    }

    /// What every batch says, whatever its keys.
    fn request_frame(&self) -> BatchRequest {
        let map = self.map().map(|map| MapKnowledge { epoch: map.epoch, hash: self.map_hash });
        BatchRequest { map, max_staleness_ms: self.config.max_staleness_ms, ..BatchRequest::default() }
    }

    /// The floors of the shards that the keys lie in; all floors while the layout is not known.
    fn floors_for(&self, scope: Scope, request: &BatchRequest) -> Vec<Cursor> {
        let Some(map) = self.map() else {
            let mut all = self.floors.clone();
            self.scopes.floors(scope).for_each(|floor| all.raise(floor.shard, floor.position));
            return all.iter().collect();
        };
        let mut floors = Floors::default();
        for shard in request.items.iter().map(|item| map.storage.shard(&item.key)) {
            floors.raise(shard, self.floor(scope, shard));
        }
        floors.iter().filter(|floor| floor.position > 0).collect()
    }

    /// Position in `shard` that an answer in `scope` must not be older than.
    pub(super) fn floor(&self, scope: Scope, shard: u16) -> u64 {
        self.floors.get(shard).max(self.scopes.floor(scope, shard))
    }

    fn latest_deadline(&self, id: FetchId) -> Option<Millis> {
        let waiters = &self.fetches.get(id)?.waiters;
        waiters.iter().filter_map(|w| self.waiting.get(w)).map(|w| w.deadline).max()
    }

    /// Puts a fetch whose back-off is over into the queue again.
    pub(super) fn requeue(&mut self, id: FetchId) {
        if let Some(fetch) = self.fetches.get_mut(id) {
            fetch.progress = Progress::Queued;
            self.scopes.get(fetch.scope).queue.push(id);
        }
    }

    /// Aborts every flight of a scope that ends.
    pub(super) fn abort_scope(&mut self, scope: Scope) {
        let flights = self.flights.iter().filter(|(_, f)| f.scope() == scope).map(|(&id, _)| id);
        for flight in ascending(flights) {
            self.flights.remove(&flight);
            self.actions.push_back(Action::Abort { flight });
        }
    }
}

#[cfg(test)]
#[path = "sending_tests.rs"]
mod tests;
