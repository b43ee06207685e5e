//! The DHT Adaptation Layer of a client: every request enters here and goes to
//! the Local Cache or to the right DHT node.
//!
//! [`Adapter`] is a state machine without I/O. The host (a browser, an edge
//! isolate, a simulator) calls an entry point with an event and `now`, then
//! drains [`Adapter::next_action`] and performs what it finds there.
//!
//! ```text
//! handle_request -> cache hit  -> Action::Answer
//!                -> miss       -> Fetch -> poll -> Action::Send -> on_response -> Action::Answer
//!                -> prefetch_keymap (confidence > threshold) -> Fetch, lower class, same batches
//! ```
//!
//! A **scope** separates contexts that must not wait for each other's I/O. A
//! browser tab has one; an edge worker opens one per request, because there a
//! promise of one request must not be awaited by another. Scopes share the
//! cache, the floors and the predictor, never a flight.
//!
//! Guarantees: single-flight per scope and key; no answer older than the
//! session's floor of its storage shard; no bounded answer older end to end
//! than its bound, unless it says so; a read after an invalidation is at least as new as the moment of it;
//! retries and hedges stay within a budget; every table is bounded and shows in [`AdapterStats`].

mod action;
mod adapter;
mod answers;
mod calls;
mod config;
mod exchange;
mod feed;
mod fetches;
mod filling;
mod floors;
mod hedge;
mod model;
mod origins;
mod persistence;
mod pooled;
mod prefetching;
mod retry;
mod scopes;
mod sending;
mod session;
mod sharing;
mod stats;
#[cfg(test)]
mod testing;

pub use action::{Action, Answer, CallEnd, CallId, FailureKind, FlightId, GetRequest, RequestId, Scope, Served};
pub use adapter::Adapter;
pub use config::{AdapterConfig, ConfigError, Share};
pub use feed::{Attention, FeedConfig, FeedEnd};
pub use filling::{Listing, Own, OwnWrite};
pub use persistence::BadState;
pub use session::BadBookmark;
pub use stats::{AdapterStats, FeedStats, KeyExplanation, ModelStats};
