//! Counts and explanations of the adapter.

use serde::Serialize;

use crate::cache::CacheStats;
use crate::key::CompositeKey;
use crate::partition::{Epoch, Portion};
use crate::prefetch::{PredictionExplanation, PrefetchStats};

/// A table's fill and its bound.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Fill {
    /// Entries now.
    pub used: usize,
    /// Most entries there can be.
    pub bound: usize,
}

/// Part of a client in the model that all share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelStats {
    /// Time that the model at hand was made, by its maker's clock; 0 where there is none.
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
    /// True while one is open and has spoken.
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
#[derive(Debug, Clone, Default, Serialize)]
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
    /// Answers that were older than the session token or beyond the bound, and asked for again.
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
    /// Positions of the session token, one per storage shard.
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

/// Explanation of how a key is answered.
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
    /// Address of the owner.
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
    /// True while it is being fetched.
    pub in_flight: bool,
    /// Position that an answer must not be older than.
    pub floor: u64,
    /// Opinion of the predictor.
    pub prediction: Option<PredictionExplanation>,
}
