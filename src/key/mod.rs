//! Composite keys: one to sixteen components joined by `/`.
//!
//! ```
//! use foremap::key::{CompositeKey, KeyPrefix};
//!
//! let key = CompositeKey::from_components(["user", "a/b", "profile"])?;
//! assert_eq!(key.as_str(), "user/a%2Fb/profile");
//! assert_eq!(CompositeKey::parse("%75ser/a%2fb/profile")?, key);
//! assert!(KeyPrefix::parse("user/a%2Fb")?.covers(&key) && !KeyPrefix::parse("user/a")?.covers(&key));
//! assert!(CompositeKey::parse("user//profile").is_err());
//! # Ok::<(), foremap::key::KeyError>(())
//! ```
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
