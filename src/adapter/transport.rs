//! [`Transport`]: which gateway to ask, exchanges under way, retries and hedges.
//!
//! A read is hedged: after the time within which an origin answers 95 of 100 reads, the keys of a batch that somebody waits
//! for go to another origin as well, and whichever answers first is taken (J. Dean and L. A. Barroso, "The Tail at
//! Scale", 2013). A budget keeps that below a fiftieth of the batches.

mod calls;
mod origins;
pub(super) mod retry;
mod token_bucket;

use std::sync::Arc;

use fxhash::FxHashMap;

use self::origins::Origins;
use self::retry::{ATTEMPT_MS, Jitter, first_attempt_ms, pause_until};
use self::token_bucket::TokenBucket;
use super::action::{Action, CallId, FlightId, Scope};
use super::agenda::{Agenda, FetchId};
use super::config::AdapterConfig;
use super::stats::{AdapterStats, Fill};
use crate::Millis;
use crate::cache::Fence;
use crate::key::CompositeKey;
use crate::order::ascending;
use crate::partition::{MapDelta, MapError, PartitionMap, Placement, xxh3};
use crate::protocol::{BatchRequest, MapKnowledge, MapUpdate};

/// One HTTP exchange under way.
#[derive(Debug)]
pub(super) enum Flight {
    /// A batch.
    Batch {
        scope: Scope,
        origin: Arc<str>,
        sent_at: Millis,
        fetches: Vec<FetchId>,
        /// True where it was read through the store.
        strong: bool,
        /// Taken when it was sent.
        fence: Fence,
        /// True where it carries cursors.
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
}

/// A raw call under way.
#[derive(Debug)]
struct Call {
    scope: Scope,
    key: Option<CompositeKey>,
    deadline: Millis,
    attempts: u8,
    avoid: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct TransportCounts {
    batches: u64,
    keys_sent: u64,
    exchanges: u64,
    calls: u64,
    retries: u64,
    hedges: u64,
    maps: u64,
    map_errors: u64,
    bytes_sent: u64,
    bytes_received: u64,
}

/// The way to the gateways.
#[derive(Debug)]
pub(super) struct Transport {
    placement: Option<Placement>,
    map_hash: u64,
    /// Chooses among replicas; rises by one with every flush.
    salt: u64,
    origins: Origins,
    flights: FxHashMap<FlightId, Box<Flight>>,
    calls: FxHashMap<CallId, Box<Call>>,
    max_calls: usize,
    jitter: Jitter,
    retries: TokenBucket,
    hedges: TokenBucket,
    counts: TransportCounts,
}

impl Transport {
    pub(super) fn new(config: &AdapterConfig) -> Self {
        Self {
            placement: None,
            map_hash: 0,
            salt: xxh3(config.seed, b"replica"),
            origins: Origins::new(&config.origins, config.max_origins),
            flights: FxHashMap::default(),
            calls: FxHashMap::default(),
            max_calls: config.max_waiting,
            jitter: Jitter::new(config.seed),
            retries: TokenBucket::of_retries(),
            hedges: TokenBucket::of_hedges(),
            counts: TransportCounts::default(),
        }
    }

    /// The newest map that the gateways have told of.
    pub(super) fn map(&self) -> Option<&Arc<PartitionMap>> {
        self.placement.as_ref().map(Placement::map)
    }

    pub(super) fn placement(&self) -> Option<&Placement> {
        self.placement.as_ref()
    }

    /// Takes over a newer map. A delta for another map than the one at hand is dropped: answers under way together
    /// bring it more than once, and the next batch asks on from the map at hand.
    pub(super) fn update_map(&mut self, update: &MapUpdate) {
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
                self.counts.maps += 1;
                self.map_hash = next.hash();
                self.placement = Some(Placement::new(Arc::new(next)));
            }
            Ok(_) => {}
            Err(_) => {
                // Without a map the next batch asks for the whole one.
                self.counts.map_errors += 1;
                self.placement = None;
            }
        }
    }

    pub(super) fn forget_map(&mut self) {
        self.placement = None;
        self.map_hash = 0;
    }

    /// A batch without keys, with what every batch says.
    pub(super) fn frame(&self, max_staleness_ms: u32) -> BatchRequest {
        let map = self.map().map(|map| MapKnowledge { epoch: map.epoch, hash: self.map_hash });
        BatchRequest { map, max_staleness_ms, ..BatchRequest::default() }
    }

    /// Begins a flush. Keys with the same replicas go to one of them in one batch, and batches take turns.
    pub(super) fn take_turn(&mut self) {
        self.salt = self.salt.wrapping_add(1);
    }

    /// The origin to ask for `key`: that of its owner, or of the replica that serves this batch, where it is warm; the
    /// warmest otherwise. `avoid` has just failed.
    pub(super) fn origin_for(&self, now: Millis, key: Option<&CompositeKey>, avoid: Option<&str>) -> Arc<str> {
        let owner = key.zip(self.placement.as_ref()).and_then(|(key, placement)| {
            let node = placement.server(key, self.salt);
            placement.map().node(node).map(|n| n.origin.as_str())
        });
        self.origins.choose(now, owner, avoid)
    }

    /// The origin of a node that is not warm yet, while there is room for another connection; the warmest otherwise.
    /// Traffic that nobody waits for goes there, so that demand can go to it afterwards.
    pub(super) fn cold_origin(&mut self, now: Millis) -> Arc<str> {
        let map = self.map().cloned();
        let nodes = map.iter().flat_map(|map| &map.nodes).filter(|node| node.weight > 0);
        let cold = self.origins.choose_to_warm(now, nodes.map(|node| node.origin.as_str()));
        cold.unwrap_or_else(|| self.origins.choose(now, None, None))
    }

    pub(super) fn succeeded(&mut self, now: Millis, origin: &str, took: Millis) {
        self.origins.succeeded(now, origin, took);
    }

    pub(super) fn failed(&mut self, now: Millis, origin: &str) {
        self.origins.failed(now, origin);
    }

    /// `origin` has turned somebody away: whatever can go elsewhere does, for as long as it asks. Returns until when.
    pub(super) fn pause(&mut self, now: Millis, origin: &str, retry_after: Option<Millis>) -> Millis {
        let until = pause_until(now, retry_after);
        self.origins.pause(origin, until);
        until
    }

    /// Smoothed answer time of `origin` in milliseconds; 0 before the first answer.
    pub(super) fn latency_ms(&self, origin: &str) -> f32 {
        self.origins.latency_ms(origin)
    }

    /// Longest usual time of an answer from `origin`, in milliseconds.
    pub(super) fn round_trip_ms(&self, origin: &str) -> u32 {
        self.origins.round_trip_ms(origin)
    }

    /// Time to wait for `origin` with a batch of `keys` keys. Not long where memory is asked for the first time (`quick`),
    /// another origin could answer instead, and the budget allows to ask it: else giving up early would only turn a slow
    /// answer into none.
    pub(super) fn patience(&self, now: Millis, origin: &str, quick: bool, keys: usize) -> u32 {
        let usual = self.origins.latency_ms(origin);
        let quick = quick
            && usual > 0.0
            && self.retries.available() as usize >= keys + self.reserved() as usize
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

    /// A fresh request pays its share of later retries.
    pub(super) fn deposit_retry(&mut self) {
        self.retries.deposit();
    }

    /// Takes the cost of one retry, if the budget allows one beside those promised.
    pub(super) fn take_retry(&mut self) -> bool {
        let allowed = self.retries.available() > self.reserved() && self.retries.withdraw();
        self.counts.retries += u64::from(allowed);
        allowed
    }

    /// Jitter of all back-off.
    pub(super) fn jitter(&mut self) -> &mut Jitter {
        &mut self.jitter
    }

    /// Moment at which a batch to `origin` that leaves now is to be hedged; `None` where nobody would be helped by it.
    pub(super) fn hedge_at(&mut self, now: Millis, origin: &str) -> Option<Millis> {
        if !self.origins.has_other(now, origin) {
            return None;
        }
        Some(now + self.origins.unusual_ms(origin)?)
    }

    /// A batch pays its share of later hedges.
    pub(super) fn deposit_hedge(&mut self) {
        self.hedges.deposit();
    }

    /// Another origin than `origin` for a hedge, if there is one and the budget allows it.
    pub(super) fn take_hedge(&mut self, now: Millis, origin: &str) -> Option<Arc<str>> {
        if !self.origins.has_other(now, origin) || !self.hedges.withdraw() {
            return None;
        }
        self.counts.hedges += 1;
        Some(self.origins.choose(now, None, Some(origin)))
    }

    /// Sends `batch` with the binary `body`: the one place where a batch takes off.
    pub(super) fn send(
        &mut self,
        flight: FlightId,
        batch: Flight,
        body: Vec<u8>,
        timeout_ms: u32,
        prefetch: bool,
        agenda: &mut Agenda,
    ) {
        match batch.fetches().len() as u64 {
            0 => self.counts.exchanges += 1,
            keys => {
                self.counts.batches += 1;
                self.counts.keys_sent += keys;
            }
        }
        self.counts.bytes_sent += body.len() as u64;
        let (scope, origin) = (batch.scope(), batch.origin().clone());
        self.flights.insert(flight, Box::new(batch));
        agenda.act(Action::Send { scope, flight, origin, body, timeout_ms, prefetch });
    }

    pub(super) fn flight(&self, flight: FlightId) -> Option<&Flight> {
        self.flights.get(&flight).map(Box::as_ref)
    }

    /// Takes a flight that is over.
    pub(super) fn take(&mut self, flight: FlightId) -> Option<Box<Flight>> {
        self.flights.remove(&flight)
    }

    pub(super) fn count_received(&mut self, bytes: usize) {
        self.counts.bytes_received += bytes as u64;
    }

    /// The fetches of a flight that carries nothing but keys.
    pub(super) fn fetches_only(&self, flight: FlightId) -> Option<&[FetchId]> {
        self.flight(flight)
            .filter(|flight| !matches!(flight, Flight::Batch { exchanges: true, .. }))
            .map(Flight::fetches)
    }

    /// Aborts a flight.
    pub(super) fn abort(&mut self, flight: FlightId, agenda: &mut Agenda) {
        self.flights.remove(&flight);
        agenda.act(Action::Abort { flight });
    }

    /// Aborts every flight of a scope that ends, and forgets its calls, those between two attempts included.
    pub(super) fn close_scope(&mut self, scope: Scope, agenda: &mut Agenda) {
        let flights = self.flights.iter().filter(|(_, f)| f.scope() == scope).map(|(&id, _)| id);
        for flight in ascending(flights) {
            self.abort(flight, agenda);
        }
        self.calls.retain(|_, call| call.scope != scope);
    }

    /// Adds counts and fills.
    pub(super) fn report(&self, now: Millis, stats: &mut AdapterStats) {
        let TransportCounts { batches, keys_sent, exchanges, calls, retries, hedges, maps, map_errors, .. } =
            self.counts;
        (stats.batches, stats.keys_sent, stats.exchanges, stats.calls) = (batches, keys_sent, exchanges, calls);
        (stats.retries, stats.hedges, stats.maps, stats.map_errors) = (retries, hedges, maps, map_errors);
        stats.bytes_sent += self.counts.bytes_sent;
        stats.bytes_received += self.counts.bytes_received;
        stats.epoch = self.map().map(|map| map.epoch);
        stats.calling = Fill { used: self.calls.len(), bound: self.max_calls };
        stats.flights = self.flights.len();
        stats.origins = Fill { used: self.origins.len(), bound: Origins::BOUND };
        stats.warm_origins = self.origins.warm(now);
        stats.open_breakers = self.origins.open(now);
        stats.retry_budget = self.retries.available();
    }
}
