//! The core of foremap: pure, deterministic, without I/O.
#![deny(unsafe_code)]

pub mod adapter;
pub mod analyzer;
#[cfg(target_arch = "wasm32")]
pub mod bindings;
pub mod cache;
pub mod codec;
pub mod confidence;
pub mod key;
pub mod node;
pub mod partition;
pub mod prefetch;
pub mod protocol;
pub mod shifter;

/// Time in milliseconds on the caller's monotonic clock. The core never reads a
/// clock: every entry point takes `now`.
pub type Millis = u64;
