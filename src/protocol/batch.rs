//! `POST /v1/batch`: many keys at once, and everything that rides on the answer.

use serde::{Deserialize, Serialize};

use super::{
    BatchItem, Change, Class, ClockReading, Cursor, ErrorCode, FeedId, Keymap, MAX_BATCH_KEYS, MAX_SHARDS, MAX_VERSION,
    Problem, Rider,
};
use crate::partition::Epoch;

/// Freshness that an answer must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// Through the store and the fence: linearizable per key.
    Strong,
    /// From memory, never older than the request's `max_staleness_ms`.
    #[default]
    Bounded,
    /// May serve stale when nothing else answers.
    Any,
}

/// The map that the caller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), serde(deny_unknown_fields))]
pub struct MapKnowledge {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its content hash, on which a delta can be based.
    #[serde(with = "crate::codec::hex")]
    pub hash: u64,
}

/// Asks for the model that clients share, behind the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelWish {
    /// Most bytes of it, compressed.
    pub bytes: u32,
    /// [`ModelSnapshot::made`](super::ModelSnapshot::made) of the one that the caller has; 0 where it has none.
    pub known: u64,
}

/// Body of `POST /v1/batch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(not(target_arch = "wasm32"), serde(deny_unknown_fields))]
pub struct BatchRequest {
    /// The keys; empty to exchange cursors only.
    pub items: Vec<BatchItem>,
    /// Applies to every key.
    pub consistency: Consistency,
    /// Greatest age in milliseconds that a bounded answer may have on leaving the gateway;
    /// [`BatchRequest::DEFAULT_MAX_STALENESS_MS`] where it is not given.
    pub max_staleness_ms: u32,
    /// The map that the caller has; without it the answer carries the whole map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<MapKnowledge>,
    /// Positions that answers must not be older than, one per storage shard at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub floors: Vec<Cursor>,
    /// Positions from which the caller wants changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cursors: Vec<Cursor>,
    /// The stream that the gateway's own analyzer should see, at most [`BatchRequest::MAX_STREAM_BYTES`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The caller's change feed. The shards of `cursors`, and those of the items from where they are answered, are added
    /// to it, at whichever gateway it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedId>,
    /// Set on the one hop between gateways; such a request is never forwarded again.
    pub forwarded: bool,
    /// Account of the requests that led to this one. Binary form only.
    #[serde(skip)]
    pub rider: Option<Rider>,
    /// Wish for the model behind the answer. Binary form only.
    #[serde(skip)]
    pub model: Option<ModelWish>,
}

impl Default for BatchRequest {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            consistency: Consistency::default(),
            max_staleness_ms: Self::DEFAULT_MAX_STALENESS_MS,
            map: None,
            floors: Vec::new(),
            cursors: Vec::new(),
            stream: None,
            feed: None,
            forwarded: false,
            rider: None,
            model: None,
        }
    }
}

impl BatchRequest {
    /// Greatest age of a bounded answer where nothing else is asked for.
    pub const DEFAULT_MAX_STALENESS_MS: u32 = 2_000;
    /// Longest name of a stream in bytes.
    pub const MAX_STREAM_BYTES: usize = 128;

    /// The class of the batch as a whole: fetched ahead where all of its items are, and there are some.
    pub fn class(&self) -> Class {
        let is_ahead = !self.items.is_empty() && self.items.iter().all(|item| item.class == Class::Prefetch);
        if is_ahead { Class::Prefetch } else { Class::Demand }
    }

    /// Checks the limits that [`BatchRequest::decode`] enforces by itself, for requests read from JSON.
    ///
    /// # Errors
    /// A [`Problem`] that names the field and its limit: `TOO_MANY_KEYS`, else `BAD_REQUEST`.
    pub fn validate(&self) -> Result<(), Problem> {
        let check = |ok: bool, code: ErrorCode, field: &str, limit: u64| {
            let detail = || format!("`{field}` is over its limit of {limit}");
            if ok { Ok(()) } else { Err(Problem::new(code, detail()).with_limit(limit)) }
        };
        let bad = ErrorCode::BadRequest;
        check(self.items.len() <= MAX_BATCH_KEYS, ErrorCode::TooManyKeys, "items", MAX_BATCH_KEYS as u64)?;
        check(self.floors.len() <= MAX_SHARDS, bad, "floors", MAX_SHARDS as u64)?;
        check(self.cursors.len() <= MAX_SHARDS, bad, "cursors", MAX_SHARDS as u64)?;
        let stream = self.stream.as_deref().map_or(0, str::len);
        check(stream <= Self::MAX_STREAM_BYTES, bad, "stream", Self::MAX_STREAM_BYTES as u64)?;
        let epoch = self.map.map_or(0, |map| map.epoch.number);
        check(epoch <= MAX_VERSION, bad, "epoch", MAX_VERSION)?;
        let feed = self.feed.map_or(0, |feed| feed.number);
        check(feed <= MAX_VERSION, bad, "feed", MAX_VERSION)?;
        let positions = self.floors.iter().chain(&self.cursors).map(|cursor| cursor.position);
        let versions = self.items.iter().filter_map(|item| item.if_version);
        check(positions.chain(versions).all(|v| v <= MAX_VERSION), bad, "version", MAX_VERSION)
    }
}

/// Point in a shard's log that an answer is known to include.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadPoint {
    /// Storage shard of the key.
    pub shard: u16,
    /// Log position that the answer includes.
    pub position: u64,
    /// Milliseconds since the *sending* of the fenced log poll, or store read, that covers it.
    pub age_ms: u32,
}

/// Answer for one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// The keymap.
    Found {
        /// The newest version within the consistency asked for.
        keymap: Keymap,
    },
    /// The version that the caller holds is still the newest.
    Unchanged {
        /// That version.
        version: u64,
    },
    /// There is no such keymap.
    Missing,
    /// This key failed; others of the batch may not have.
    Error {
        /// Why.
        code: ErrorCode,
        /// In words.
        detail: String,
    },
}

/// Answer for one key, with what it is current as of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemResult {
    /// The answer.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The point that it includes. For an error only the shard means something.
    pub at: ReadPoint,
    /// The node that answered.
    pub node: u32,
}

/// State of one storage shard's log, as the answering gateway has applied it.
pub type ShardPosition = ReadPoint;

/// The caller's way to the newest map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapUpdate {
    /// The binary form of a [`PartitionMap`](crate::partition::PartitionMap).
    Full(Vec<u8>),
    /// The binary form of a [`MapDelta`](crate::partition::MapDelta).
    Delta(Vec<u8>),
}

/// Answer of `POST /v1/batch`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchResponse {
    /// The gateway's epoch.
    pub epoch: Epoch,
    /// Reading of its clock when it answered. A caller that follows its feed learns from it how the clocks differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockReading>,
    /// One result per key, in order.
    pub results: Vec<ItemResult>,
    /// For every cursor sent: how far the changes below reach.
    pub positions: Vec<ShardPosition>,
    /// Changes since the cursors, ascending within a shard.
    pub changes: Vec<Change>,
    /// Shards whose log no longer reaches back to the cursor: what is cached of them is not covered any more.
    pub resets: Vec<u16>,
    /// The newer map, where the caller's was older. Binary form only: `GET /v1/map` serves JSON readers.
    #[serde(skip)]
    pub map: Option<MapUpdate>,
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
