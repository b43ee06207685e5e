//! What the adapter counts, and what it can explain.

use serde::Serialize;

use super::Served;
use super::adapter::Adapter;
use super::origins::Origins;
use super::persistence::History;
use crate::Millis;
use crate::cache::{CacheStats, Invalidate, Lookup};
use crate::key::CompositeKey;
use crate::partition::{Epoch, Portion};
use crate::prefetch::{Caution, Prediction, PredictionExplanation, PrefetchStats};

/// Running counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) batches: u64,
    pub(super) keys_sent: u64,
    pub(super) exchanges: u64,
    pub(super) calls: u64,
    pub(super) retries: u64,
    pub(super) asked_again: u64,
    pub(super) changes: u64,
    pub(super) resets: u64,
    pub(super) maps: u64,
    pub(super) map_errors: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) hedges: u64,
    pub(super) clock_breaks: u64,
    pub(super) sessions_reset: u64,
    served: [u64; 6],
}

impl Counters {
    pub(super) fn count(&mut self, served: Served) {
        self.served[served as usize] += 1;
    }
}

/// A table's fill and its bound.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Fill {
    /// Entries now.
    pub used: usize,
    /// Most entries there can be.
    pub bound: usize,
}

/// What a client reads and tells of the model that all share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelStats {
    /// When the model at hand was made, by its maker's clock; 0 where there is none.
    pub made: u64,
    /// Its bytes, uncompressed.
    pub bytes: usize,
    /// Most of them.
    pub max_bytes: usize,
    /// Models taken over.
    pub imported: u64,
    /// Those of them that came as a difference from the one before.
    pub deltas: u64,
    /// Models that could not be read.
    pub refused: u64,
    /// Batches that asked for one.
    pub wishes: u64,
    /// Batches and summaries that told of requests.
    pub told: u64,
    /// Bytes of it.
    pub told_bytes: u64,
    /// Requests not told of.
    pub untold: usize,
    /// Most of them.
    pub max_untold: usize,
}

/// The change feed of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedStats {
    /// Whether one is open and has spoken.
    pub open: bool,
    /// Feeds asked for so far.
    pub opened: u64,
    /// Those that broke or were refused.
    pub lost: u64,
    /// Frames taken in.
    pub frames: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Bytes held of a frame that is not whole yet.
    pub buffered: usize,
    /// Their bound.
    pub max_buffered: usize,
    /// Gateways' clocks that are followed.
    pub clocks: usize,
    /// Their bound.
    pub max_clocks: usize,
}

/// Everything an operator wants to know of one client. Counts are since the core was built.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdapterStats {
    /// Demand requests.
    pub requests: u64,
    /// Answered from the cache within the bound.
    pub hits: u64,
    /// Answered from the cache: there is no such keymap.
    pub negative: u64,
    /// Answered by a fetch that was already on its way.
    pub joined: u64,
    /// Answered from the cache after a gateway confirmed the version.
    pub revalidated: u64,
    /// Answered by a gateway.
    pub network: u64,
    /// Answered from the cache beyond the bound, as `any` allows.
    pub stale: u64,
    /// Rejected.
    pub failed: u64,
    /// Batches sent with keys.
    pub batches: u64,
    /// Keys sent in them.
    pub keys_sent: u64,
    /// Batches sent without keys, for changes.
    pub exchanges: u64,
    /// Raw calls: writes, lists and others.
    pub calls: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Answers that were below a floor or beyond the bound, and asked for again.
    pub asked_again: u64,
    /// Entries dropped because a change was announced.
    pub changes: u64,
    /// Shards whose log had moved past the cursor.
    pub resets: u64,
    /// Maps taken over.
    pub maps: u64,
    /// Maps or deltas that could not be used.
    pub map_errors: u64,
    /// Bytes of batch bodies sent.
    pub bytes_sent: u64,
    /// Bytes of batch bodies and feeds received.
    pub bytes_received: u64,
    /// Batches sent to a second gateway because the first took unusually long.
    pub hedges: u64,
    /// Times that a clock was found to have stood still or been set.
    pub clock_breaks: u64,
    /// Times that the store turned out to be a new one.
    pub sessions_reset: u64,
    /// The change feed.
    pub feed: FeedStats,
    /// The model that clients share.
    pub model: ModelStats,
    /// Recent requests kept, so that what they taught outlives this adapter.
    pub history: Fill,
    /// Epoch of the map at hand.
    pub epoch: Option<Epoch>,
    /// Requests waiting.
    pub waiting: Fill,
    /// Raw calls under way.
    pub calling: Fill,
    /// Keys under way that nobody waits for.
    pub prefetching: Fill,
    /// Keys under way: one for each request that waits and each prefetch, and those that everybody has given up on
    /// while their batch goes on for others, which are at most 255 in each.
    pub fetching: usize,
    /// HTTP exchanges under way: at most one for each key and call under way, and 16 for changes, which is the time
    /// of an attempt over the shortest pause.
    pub flights: usize,
    /// Scopes with something to do: at most as many as the host has open.
    pub scopes: usize,
    /// Floors kept, one per storage shard.
    pub floors: Fill,
    /// Origins known.
    pub origins: Fill,
    /// Origins with a connection presumed open.
    pub warm_origins: usize,
    /// Origins that are left alone after failures.
    pub open_breakers: usize,
    /// Retries that the budget still allows at once.
    pub retry_budget: u32,
    /// The Local Cache.
    pub cache: CacheStats,
    /// The Prefetch Engine.
    pub prefetch: PrefetchStats,
}

/// Why a key is answered as it is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyExplanation {
    /// The key in canonical text.
    pub key: CompositeKey,
    /// Epoch of the map; nothing is known of placement before the first answer.
    pub epoch: Option<Epoch>,
    /// The virtual partition.
    pub partition: Option<u32>,
    /// The owner.
    pub node: Option<u32>,
    /// The nodes that serve it instead, in turns, where it is hot.
    pub replicas: Vec<u32>,
    /// Where the owner answers.
    pub origin: Option<String>,
    /// The portion that was hashed.
    pub portion: Option<Portion>,
    /// The storage shard.
    pub shard: Option<u16>,
    /// `fresh`, `stale`, `negative` or `absent`.
    pub cached: &'static str,
    /// Age of what is cached, in milliseconds.
    pub age_ms: Option<u64>,
    /// Version of what is cached.
    pub version: Option<u64>,
    /// Whether it is on its way.
    pub in_flight: bool,
    /// Position that an answer must not be older than.
    pub floor: u64,
    /// What the predictor thinks of it.
    pub prediction: Option<PredictionExplanation>,
}

impl Adapter {
    /// A snapshot of all counts and fills.
    pub fn stats(&self, now: Millis) -> AdapterStats {
        let c = &self.counters;
        let served = |served: Served| c.served[served as usize];
        AdapterStats {
            requests: c.requests,
            hits: served(Served::Cache),
            negative: served(Served::Negative),
            joined: served(Served::Joined),
            revalidated: served(Served::Revalidated),
            network: served(Served::Network),
            stale: served(Served::Stale),
            failed: c.failed,
            batches: c.batches,
            keys_sent: c.keys_sent,
            exchanges: c.exchanges,
            calls: c.calls,
            retries: c.retries,
            asked_again: c.asked_again,
            changes: c.changes,
            resets: c.resets,
            maps: c.maps,
            map_errors: c.map_errors,
            bytes_sent: c.bytes_sent,
            bytes_received: c.bytes_received,
            hedges: c.hedges,
            clock_breaks: c.clock_breaks,
            sessions_reset: c.sessions_reset,
            feed: self.feed.stats(),
            model: self.shared.stats(),
            history: Fill { used: self.history.len(), bound: History::BOUND },
            epoch: self.map().map(|map| map.epoch),
            waiting: Fill { used: self.waiting.len(), bound: self.config.max_waiting },
            calling: Fill { used: self.calls.len(), bound: self.config.max_waiting },
            prefetching: Fill { used: self.fetches.prefetching(), bound: self.config.max_prefetching },
            fetching: self.fetches.len(),
            flights: self.flights.len(),
            scopes: self.scopes.len(),
            floors: Fill { used: self.floors.len(), bound: usize::from(u16::MAX) + 1 },
            origins: Fill { used: self.origins.len(), bound: Origins::BOUND },
            warm_origins: self.origins.warm(now),
            open_breakers: self.origins.open(now),
            retry_budget: self.retries.available(),
            cache: self.cache.stats(),
            prefetch: self.engine.stats(),
        }
    }

    /// Where `key` belongs, what is cached of it and why it was or was not fetched ahead.
    pub fn explain(&mut self, now: Millis, key: &CompositeKey) -> KeyExplanation {
        let location = self.placement.as_ref().map(|placement| placement.locate(key));
        let map = self.map().cloned();
        let node = location.zip(map.as_ref()).and_then(|(location, map)| map.node(location.node));
        let shard = map.as_ref().map(|map| map.storage.shard(key));
        let (cached, hit) = match self.cache.peek(now, key, self.config.max_staleness_ms) {
            Lookup::Hit(hit) if hit.keymap.is_none() => ("negative", Some(hit)),
            Lookup::Hit(hit) => ("fresh", Some(hit)),
            Lookup::Stale(hit) => ("stale", Some(hit)),
            Lookup::Miss => ("absent", None),
        };
        KeyExplanation {
            key: key.clone(),
            epoch: map.as_ref().map(|map| map.epoch),
            partition: location.map(|location| location.partition),
            node: location.map(|location| location.node),
            replicas: self.placement.as_ref().and_then(|p| p.replicas(key)).unwrap_or_default().to_vec(),
            origin: node.map(|node| node.origin.clone()),
            portion: location.map(|location| location.portion),
            shard,
            cached,
            age_ms: hit.as_ref().map(|hit| hit.at.age_ms.into()),
            version: hit.as_ref().and_then(|hit| hit.keymap.as_ref()).map(|keymap| keymap.version),
            in_flight: self.fetches.of_key(key).next().is_some(),
            floor: shard.map_or(0, |shard| self.floors.get(shard)),
            prediction: self.engine.explain(now, key),
        }
    }

    /// What the cache would answer now, without a request and without a trace in it.
    pub fn peek(&self, now: Millis, key: &CompositeKey, max_staleness_ms: u32) -> Option<super::Answer> {
        match self.cache.peek(now, key, max_staleness_ms) {
            Lookup::Hit(hit) if hit.at.position >= self.inherited.get(hit.at.shard) => {
                Some(super::adapter::answer_from(hit))
            }
            Lookup::Hit(_) | Lookup::Stale(_) | Lookup::Miss => None,
        }
    }

    /// What the predictor expects next in `stream`, most confident first.
    pub fn predictions(&self, stream: &str) -> Vec<Prediction> {
        self.engine.predictions_of_stream(stream)
    }

    /// What the predictor expects after `key`, whoever asked for it; most confident first.
    pub fn predictions_after(&self, key: &CompositeKey) -> Vec<Prediction> {
        self.engine.predictions_after(key)
    }

    /// Drops what `what` covers from the cache and returns how many entries that were. A read from now on is at least as new
    /// as this moment, whichever node answers it; answers on their way reach those who asked before, and nobody else.
    pub fn invalidate(&mut self, now: Millis, what: &Invalidate) -> usize {
        let count = self.cache.invalidate(now, what);
        self.settle_evicted(now);
        count
    }

    /// Empties the cache. Floors and what was learnt stay, but what was asked for does not outlive the page any more.
    pub fn clear(&mut self, now: Millis) {
        self.cache.clear(now);
        self.history = History::default();
        self.settle_evicted(now);
    }

    /// How eager to fetch ahead: `Save-Data`, a hidden page or a slow link ask for caution.
    pub fn set_caution(&mut self, caution: Caution) {
        self.engine.set_caution(caution);
    }
}
