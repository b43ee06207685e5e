//! [`Cursor`] and [`Change`]: positions in the change log, and what it tells.

use serde::{Deserialize, Serialize};

use crate::key::CompositeKey;

/// A position in the change log of one storage shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(not(target_arch = "wasm32"), serde(deny_unknown_fields))]
pub struct Cursor {
    /// The storage shard.
    pub shard: u16,
    /// All changes up to and including this position are known.
    pub position: u64,
}

/// A write, as the change log tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The storage shard.
    pub shard: u16,
    /// Log position, which is the version written.
    pub version: u64,
    /// The key.
    pub key: CompositeKey,
    /// Set where the write removed it.
    pub deleted: bool,
}
