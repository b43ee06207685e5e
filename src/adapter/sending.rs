//! From the queue to batches: one per origin and consistency, demand first.

use std::sync::Arc;

use super::action::{Action, CallId, FlightId, Scope};
use super::demand::Adapter;
use super::fetches::{FetchId, Progress};
use super::floors::Floors;
use super::retry::{ATTEMPT_MS, first_attempt_ms};
use crate::Millis;
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
        exchanges: bool,
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

    /// Whether it carries cursors.
    pub(super) fn exchanges(&self) -> bool {
        matches!(self, Self::Batch { exchanges: true, .. })
    }
}

/// Keys that go to one origin at one consistency.
struct Group {
    origin: Arc<str>,
    strong: bool,
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
        for group in self.group(now, queue) {
            for chunk in group.fetches.chunks(MAX_BATCH_KEYS) {
                self.send_batch(now, scope, group.origin.clone(), group.strong, chunk.to_vec());
            }
        }
        if exchange && self.exchange.is_due(now, &self.config) {
            self.send_exchange(now, scope);
        }
    }

    /// Demand goes to the owner of each key. Prefetches ride on a demand batch where there is one, as a further
    /// request would cost more than the gateway's hop; otherwise all of them go out as one batch.
    fn group(&mut self, now: Millis, queue: Vec<FetchId>) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut ahead = Vec::new();
        for id in queue {
            let Some(fetch) = self.fetches.get(id).filter(|f| f.progress == Progress::Queued) else { continue };
            let (class, strong, key, avoid) = (fetch.class, fetch.strong, fetch.key.clone(), fetch.avoid.clone());
            let origin = self.origin_for(now, Some(&key), avoid.as_deref());
            if class == Class::Prefetch {
                ahead.push((id, origin));
                continue;
            }
            match groups.iter_mut().find(|g| g.origin == origin && g.strong == strong) {
                Some(group) => group.fetches.push(id),
                None => groups.push(Group { origin, strong, fetches: vec![id] }),
            }
        }
        for (id, origin) in ahead {
            let own = groups.iter().position(|g| !g.strong && g.origin == origin);
            match own.or_else(|| groups.iter().position(|g| !g.strong)) {
                Some(at) => groups[at].fetches.push(id),
                None => groups.push(Group { origin, strong: false, fetches: vec![id] }),
            }
        }
        groups
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

    fn send_batch(&mut self, now: Millis, scope: Scope, origin: Arc<str>, strong: bool, ids: Vec<FetchId>) {
        let flight = self.fresh_id();
        let margin = self.origins.latency_ms(&origin) as u32;
        let mut request = self.request_frame();
        let patience = self.patience(now, &origin, strong, &ids);
        let reserved = if patience < ATTEMPT_MS { ids.len() as u32 } else { 0 };
        let (mut demand, mut timeout_ms, mut bound, mut asker) = (false, 0, u32::MAX, None);
        for &id in &ids {
            let deadline = self.latest_deadline(id);
            let Some(fetch) = self.fetches.get_mut(id) else { continue };
            fetch.progress = Progress::InFlight(flight);
            fetch.attempts += 1;
            fetch.fence = self.cache.fence(now);
            demand |= fetch.class == Class::Demand;
            asker = asker.or(fetch.waiters.first().copied());
            bound = bound.min(fetch.max_staleness_ms);
            timeout_ms = timeout_ms.max(deadline.map_or(ATTEMPT_MS, |at| at.saturating_sub(now) as u32));
            let if_version = fetch.held.as_ref().map(|keymap| keymap.version);
            request.items.push(BatchItem { key: fetch.key.clone(), if_version, class: fetch.class });
        }
        // The sequence that the next tier's analyzer should see this in: prefetches have no part in it.
        let stream = asker.and_then(|asker| self.waiting.get(&asker)).map(|waiting| waiting.stream.to_string());
        request.stream = stream.filter(|stream| !stream.is_empty());
        request.consistency = if strong { Consistency::Strong } else { Consistency::Bounded };
        // What the way back takes counts towards the bound, too.
        request.max_staleness_ms = bound.saturating_sub(margin);
        request.floors = self.floors_for(scope, &request);
        // While an owner's origin is still cold, the next exchange goes out alone and warms it.
        let exchanges =
            self.cold_origin(now).is_none() && self.exchange.ride(now, &self.config, &self.cache, &mut request);
        self.counters.batches += 1;
        self.counters.keys_sent += ids.len() as u64;
        self.depart(now, scope, flight, origin, request, ids, timeout_ms.min(patience), !demand, exchanges, reserved);
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
        if !self.exchange.ride(now, &self.config, &self.cache, &mut request) {
            return;
        }
        let origin = self.cold_origin(now).unwrap_or_else(|| self.origins.choose(now, None, None));
        let flight = self.fresh_id();
        self.counters.exchanges += 1;
        self.depart(now, scope, flight, origin, request, Vec::new(), ATTEMPT_MS, true, true, 0);
    }

    #[expect(clippy::too_many_arguments, reason = "the one place where a flight takes off")]
    fn depart(
        &mut self,
        now: Millis,
        scope: Scope,
        flight: FlightId,
        origin: Arc<str>,
        request: BatchRequest,
        fetches: Vec<FetchId>,
        timeout_ms: u32,
        prefetch: bool,
        exchanges: bool,
        reserved: u32,
    ) {
        let body = request.encode();
        self.counters.bytes_sent += body.len() as u64;
        self.flights.insert(
            flight,
            Box::new(Flight::Batch { scope, origin: origin.clone(), sent_at: now, fetches, exchanges, reserved }),
        );
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
