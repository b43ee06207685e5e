//! Composite keys: one to sixteen components joined by `/`.
//!
//! Everything that crosses a boundary (HTTP, JavaScript, the store) is turned
//! into canonical text here, once, before any other part sees it.
//!
//! **Guarantee**: two keys are the same exactly when their canonical texts are the same bytes, and they are ordered by those
//! bytes. Text that cannot be brought into canonical form is refused; nothing is guessed or trimmed. A key has at most 1,024
//! bytes ([`MAX_KEY_BYTES`]).

mod composite;
mod escape;
mod prefix;

pub use composite::{CompositeKey, KeyBuilder, MAX_COMPONENTS, MAX_KEY_BYTES};
pub use escape::KeyError;
pub use prefix::KeyPrefix;
