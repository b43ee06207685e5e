//! Messages that travel over HTTP: keymaps, batches, changes and errors.
//!
//! ```
//! use foremap::protocol::{BatchItem, BatchRequest, Class, MAX_BATCH_KEYS};
//! use foremap::{codec::DecodeError, key::CompositeKey};
//!
//! let item = BatchItem { key: CompositeKey::parse("user/1/profile")?, if_version: Some(42), class: Class::Demand };
//! let request = BatchRequest { items: vec![item.clone()], ..BatchRequest::default() };
//! assert_eq!(BatchRequest::decode(&request.encode())?, request);
//! let json = r#"{ "items": [{ "key": "user/1/profile", "if_version": 42 }] }"#;
//! assert_eq!(serde_json::from_str::<BatchRequest>(json)?, request);
//!
//! let large = BatchRequest { items: vec![item; MAX_BATCH_KEYS + 1], ..request };
//! assert_eq!(BatchRequest::decode(&large.encode()), Err(DecodeError::TooMany("items")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Gateways and workers speak the same protocol. A batch has a binary form
//! ([`CONTENT_TYPE`], decoded inside wasm from one byte array) and a JSON form
//! of the same fields for people and for clients without wasm.
//!
//! Errors are problem details (RFC 9457) with a stable code. Differences between models follow the scheme of VCDIFF (RFC
//! 3284). Every list has a bound that its decoder checks.

mod batch;
mod batch_item;
mod bounds;
mod change;
mod clock_reading;
mod error;
mod feed;
mod feed_id;
mod json;
mod keymap;
mod limits;
mod list;
mod model_delta;
mod restricted;
mod rider;
mod route;
mod snapshot;
mod snapshot_wire;
mod wire;

pub use batch::{
    BatchRequest, BatchResponse, Consistency, ItemResult, MapKnowledge, MapUpdate, ModelWish, Outcome, ReadPoint,
    ShardPosition,
};
pub use batch_item::{BatchItem, Class};
pub use bounds::{
    DEFAULT_PAGE, MAX_BATCH_KEYS, MAX_BODY_BYTES, MAX_CHANGES, MAX_HEAD_BYTES, MAX_MAP_WAIT_S, MAX_MODEL_BYTES,
    MAX_PAGE, MAX_SHARDS, MAX_SUMMARY_BYTES, MAX_VERSION, MAX_WRITE_ID_BYTES, MIN_MODEL_BYTES,
};
pub use change::{Change, Cursor};
pub use clock_reading::ClockReading;
pub use error::{ErrorCode, Problem};
pub use feed::{FeedFrame, FeedReader, FeedStep, Hello, LateShard};
pub use feed_id::FeedId;
pub use keymap::{Keymap, KeymapFields, Meta};
pub use limits::LIMITS;
pub use list::ListPage;
pub use model_delta::{apply_model_delta, is_model_delta, model_delta};
pub use rider::{Fetched, Rider};
pub use route::Route;
pub use snapshot::{
    KeyRule, MAX_SNAPSHOT_BYTES, ModelSnapshot, PlaceClass, QuantizedShare, Successors, TemplateContext, TemplateRule,
};

/// Content type of every binary body.
pub const CONTENT_TYPE: &str = "application/vnd.foremap.v1";
/// Content type of error bodies (RFC 9457).
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";
