//! The DHT Adaptation Layer of a client: every request enters here and goes to the Local Cache or to the right DHT node.
//!
//! [`Adapter`] is a state machine without I/O, clock or randomness of its own: the host (a browser, an edge isolate, a
//! simulator) performs what it asks for. The same calls with the same times give the same actions.
//!
//! ```text
//! handle_request -> cache hit  -> Action::Answer
//!                -> miss       -> fetch -> handle_timeout -> Action::Send -> handle_response -> Action::Answer
//!                -> prefetch_keymap (confidence > threshold) -> fetch, lower class, same batches
//! ```
//!
//! ```
//! use foremap::adapter::{Action, Adapter, AdapterConfig, GetRequest, Served};
//! use foremap::key::CompositeKey;
//! # use foremap::protocol::{BatchRequest, BatchResponse, ItemResult, Keymap, KeymapFields, Outcome, ReadPoint};
//! # let gateway = |body: &[u8]| {
//! #     let results = BatchRequest::decode(body).expect("a batch").items.into_iter().map(|item| {
//! #         let fields = KeymapFields { locator: "disk-7/1234".into(), ..KeymapFields::default() };
//! #         let outcome = Outcome::Found { keymap: Keymap { key: item.key, version: 42, fields } };
//! #         ItemResult { outcome, at: ReadPoint { shard: 7, position: 42, age_ms: 5 }, node: 1 }
//! #     });
//! #     BatchResponse { results: results.collect(), ..BatchResponse::default() }
//! # };
//!
//! let origins = vec!["http://node-1".to_owned()];
//! let mut adapter = Adapter::new(AdapterConfig { origins, ..AdapterConfig::default() })?;
//! let mut answers = Vec::new();
//! for now in [1_000, 1_500] {
//!     adapter.handle_request(now, GetRequest::new(CompositeKey::parse("user/1/profile")?));
//!     while let Some(action) = adapter.poll_action() {
//!         match action {
//!             Action::Wake { scope, at } if at <= now => adapter.handle_timeout(now, scope),
//!             // The body is a `BatchRequest`; the gateway answers with a `BatchResponse`.
//!             Action::Send { flight, body, .. } => {
//!                 adapter.handle_response(now, flight, 200, None, &gateway(&body).encode());
//!             }
//!             Action::Answer { answer, .. } => answers.push((answer.served, answer.keymap.expect("one").version)),
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(answers, [(Served::Network, 42), (Served::Cache, 42)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Driving an adapter
//!
//! Its methods are of four kinds:
//!
//! - *Events*, `handle_*`: a caller asks for something ([`Adapter::handle_request`]) or gives up on it, what was performed has
//!   an outcome ([`Adapter::handle_response`], [`Adapter::handle_failure`], [`Adapter::handle_call_response`],
//!   [`Adapter::handle_feed_bytes`], [`Adapter::handle_feed_end`]), time has passed ([`Adapter::handle_timeout`]), or
//!   something happened to the host.
//! - *Commands*, verbs such as [`Adapter::call`], [`Adapter::prefetch`] or [`Adapter::invalidate`], on behalf of the
//!   application.
//! - *Polls*, `poll_*`: what the host is to do ([`Adapter::poll_action`]) and to tell ([`Adapter::poll_summary`]).
//! - *Queries*, nouns such as [`Adapter::stats`]: they take `&self` and change nothing that follows.
//!
//! The host does this, for ever:
//!
//! 1. It calls one event or command with `now`: milliseconds of a clock that never steps back, with any origin.
//! 2. It calls [`Adapter::poll_action`] until that returns `None`, and performs the actions in that order. It may do so after
//!    several calls of step 1; but until it does, nothing is sent or answered.
//! 3. For each [`Action::Send`] and [`Action::Attempt`] it reports one outcome under the id of the flight, unless
//!    [`Action::Abort`] came first; for each [`Action::OpenFeed`] the bytes and then one end, unless
//!    [`Action::CloseFeed`] came first. An outcome that nobody waits for any more is passed over, so a late one does no harm.
//! 4. It calls [`Adapter::handle_timeout`] for a scope at the moment that the latest [`Action::Wake`] of that scope names. A
//!    wake holds until it is called or replaced by a sooner one; there is nothing else to ask for again. What was asked for
//!    in one moment goes out together, in the call that its wake leads to: a wake that names the present is not put off.
//!
//! When a scope ends the host says so with [`Adapter::handle_scope_end`]; the scope may be used again later.
//!
//! A **scope** separates contexts that must not wait for each other's I/O. A browser tab has one, number 0; an edge worker
//! opens one per request, because there a promise of one request must not be awaited by another. Scopes share the
//! cache, the session token and the predictor, never a flight. The change feed belongs to scope 0.
//!
//! # Guarantees
//!
//! Each request ends exactly once. Single-flight per scope and key; no answer older than the session token of its storage
//! shard; no bounded answer older end to end than its bound, unless it says so; a read after an invalidation is at least as
//! new as the moment of it; retries and hedges stay within a budget; every table is bounded and shows in [`AdapterStats`].
//!
//! # Machines
//!
//! Four machines with private state exchange values, which [`Adapter`] passes between them: requests (who waits for which
//! key, and the session), transport (gateways, exchanges under way, retries), look-ahead (predictions, credit for batches,
//! the shared model) and feed (freshness: the change feed and exchanges). Under them lie the Local Cache and the agenda, which
//! holds actions, queues and timers.

mod action;
mod adapter;
mod agenda;
mod config;
mod feed;
mod look_ahead;
mod requests;
mod session;
mod session_token;
mod state;
mod stats;
#[cfg(test)]
mod testing;
mod transport;

pub use action::{
    Action, Answer, Attention, CallEnd, CallId, FailureKind, FeedEnd, FlightId, GetRequest, Listing, Own, OwnWrite,
    RequestId, Scope, Served,
};
pub use adapter::Adapter;
pub use config::{AdapterConfig, ConfigError, FeedConfig, Share};
pub use session::BadBookmark;
pub use state::BadState;
pub use stats::{AdapterStats, FeedStats, KeyExplanation, ModelStats};
