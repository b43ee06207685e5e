//! The only wasm-bindgen code: JavaScript calls become events, actions become
//! plain objects and `Request`s. TypeScript performs the `fetch`.
//!
//! Times are milliseconds on one monotonic clock of the host's choice. Nothing
//! here keeps a JavaScript value: the [`Core`] is the only handle.

mod actions;
mod batch;
mod config;
mod core;
mod errors;
mod fields;
#[cfg(feature = "hub")]
mod hub;
mod model;

pub use batch::{decode_batch, decode_list, encode_batch, extend_feed};
pub use core::{Core, canonical_key};
#[cfg(feature = "hub")]
pub use hub::{HubCore, ObserversCore, split_summary};
