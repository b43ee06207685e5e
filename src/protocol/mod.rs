//! What travels over HTTP: keymaps, batches, changes and errors.
//!
//! Gateways and workers speak the same protocol. A batch has a binary form
//! ([`CONTENT_TYPE`], decoded inside wasm from one byte array) and a JSON form
//! of the same fields for people and for clients without wasm.

mod batch;
mod error;
mod feed;
mod json;
mod keymap;
mod list;
mod model_delta;
mod restricted;
mod rider;
mod snapshot;
mod snapshot_wire;
mod wire;

pub use batch::{
    BatchItem, BatchRequest, BatchResponse, Change, Class, Consistency, Cursor, ItemResult, MapKnowledge, MapUpdate,
    ModelWish, Outcome, ReadPoint, ShardPosition,
};
pub use error::{ErrorCode, Problem};
pub use feed::{ClockReading, FeedFrame, FeedId, FeedReader, FeedStep, Hello, LateShard};
pub use keymap::{Keymap, KeymapFields, Meta};
pub use list::ListPage;
pub use model_delta::{apply_model_delta, is_model_delta, model_delta};
pub use rider::{Fetched, Rider};
pub use snapshot::{
    KeyRule, MAX_SNAPSHOT_BYTES, ModelSnapshot, PlaceClass, Share, Successors, TemplateContext, TemplateRule,
};

/// Content type of every binary body.
pub const CONTENT_TYPE: &str = "application/vnd.foremap.v1";
/// Content type of error bodies (RFC 9457).
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// Most keys in one batch.
pub const MAX_BATCH_KEYS: usize = 256;
/// Largest request body in bytes.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// Largest page of a list.
pub const MAX_PAGE: usize = 1_000;
/// Most changes in one answer; the rest follows with the next cursor exchange.
pub const MAX_CHANGES: usize = 4_096;
/// Most storage shards of a namespace.
pub const MAX_SHARDS: usize = u16::MAX as usize;
/// Largest version or log position: the largest integer that JavaScript represents exactly.
pub const MAX_VERSION: u64 = crate::codec::MAX_SAFE_INTEGER;
