//! The core of foremap: pure, deterministic, without I/O.
//!
//! foremap resolves [composite keys](key::CompositeKey) to [keymaps](protocol::Keymap) held by a distributed hash
//! table, sends each request to the right gateway node by a shared [partition map](partition::PartitionMap), learns the
//! application's access pattern on the spot, and fetches the next keymaps before they are asked for.
//!
//! ```text
//! get(key) -> adapter -> cache -- hit ---------------------------------> caller
//!                |         '-- miss -> partition map -> batch -> gateway: node -> memory | store
//!                '-> analyzer -> confidence -> prefetch -> the same batches, lower class
//! changes on every answer -> adapter -> cache (invalidate), ledger (outcome) -> confidence
//! ```
//!
//! | Room | Holds |
//! |---|---|
//! | [`key`] | composite keys and prefixes in canonical text |
//! | [`partition`] | the virtual partition map: placement, delta, wire form |
//! | [`protocol`], [`codec`] | what travels over HTTP |
//! | [`breaker`] | keeps callers away from peers that do not answer |
//! | [`clock`] | one clock out of two that may stand still, and bounds of the clocks of gateways |
//! | [`analyzer`] | the Access Pattern Analyzer: streams and the Prediction Table |
//! | [`confidence`] | the Confidence Map: calibrated probabilities |
//! | [`prefetch`] | the Prefetch Engine: threshold, waste budget, ledger, failure log |
//! | [`model`] | one model out of many clients: summaries up, snapshots down |
//! | [`hub`] | that model at the edge: what isolates observe, and the hub between them |
//! | [`cache`] | the Local Cache: freshness by log position, probation, fences |
//! | [`adapter`] | the DHT Adaptation Layer of a client: every request enters here |
//! | [`node`] | the DHT node behind a gateway; native builds only |
//! | [`control`] | who coordinates, which map is in force, the life of a plan; native builds only |
//! | [`load`] | load reports, load model and forecast |
//! | [`shifter`] | the Partition Shifter: from one map epoch to the next |
//! | `bindings` | the only wasm-bindgen code, in wasm builds |
//!
//! Every entry point takes an event and `now` and returns actions, so the very same core runs in a browser, in an edge
//! isolate, in the native gateway and in a simulator, and any behaviour can be replayed from a seed.
#![deny(unsafe_code)]

pub mod adapter;
pub mod analyzer;
#[cfg(target_arch = "wasm32")]
pub mod bindings;
pub mod breaker;
pub mod cache;
pub mod clock;
pub mod codec;
pub mod confidence;
#[cfg(not(target_arch = "wasm32"))]
pub mod control;
pub mod hub;
pub mod key;
pub mod load;
pub mod model;
// A node serves many threads, and nothing in a browser or an isolate is one: what it is built on stays out of the wasm.
#[cfg(not(target_arch = "wasm32"))]
pub mod node;
mod order;
pub mod partition;
pub mod prefetch;
pub mod protocol;
pub mod shifter;

/// Time in milliseconds on the caller's monotonic clock. The core never reads a
/// clock: every entry point takes `now`.
pub type Millis = u64;
