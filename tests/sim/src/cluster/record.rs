//! [`Record`]: a kept version.

use std::sync::Arc;

use foremap::protocol::KeymapFields;

/// Bounds of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Versions of a key, the current one included.
    pub versions: usize,
    /// Log entries of a shard.
    pub log_entries: usize,
}

/// A kept version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The version.
    pub version: u64,
    /// Absent for a delete marker.
    pub fields: Option<Arc<KeymapFields>>,
    /// Set where it made the keymap anew.
    pub created: bool,
    /// The write that made it.
    pub id: Option<Arc<str>>,
}
