//! Composite keys: one to sixteen components joined by `/`.
//!
//! Everything that crosses a boundary (HTTP, JavaScript, the store) is turned
//! into canonical text here, once, before any other part sees it.

mod composite;
mod escape;
mod prefix;

pub use composite::{CompositeKey, KeyBuilder, MAX_COMPONENTS, MAX_KEY_BYTES};
pub use escape::KeyError;
pub use prefix::KeyPrefix;
