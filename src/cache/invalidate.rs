//! [`Invalidate`]: the entries that an invalidation drops.

use crate::key::{CompositeKey, KeyPrefix};

/// The entries that an invalidation drops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalidate {
    /// One key.
    Key(CompositeKey),
    /// A key and everything below it.
    Prefix(KeyPrefix),
    /// Every keymap with this tag.
    Tag(String),
    /// Everything.
    All,
}
