//! What is read of the values of keys.

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::protocol::Keymap;

use super::WriteId;

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRecord {
    /// The version.
    pub version: u64,
    /// Absent for a delete marker.
    pub keymap: Option<Keymap>,
    /// Whether it made the keymap anew, as the answer to a retried write says again.
    pub created: bool,
    /// The write that made it.
    pub id: Option<WriteId>,
}

/// A stretch of the keys of a shard, in their order.
#[derive(Debug, Clone)]
pub struct ListRange {
    /// What all of them are below.
    pub prefix: KeyPrefix,
    /// The key that they come after; `None` begins with the first.
    pub after: Option<CompositeKey>,
    /// Most keymaps.
    pub limit: usize,
}

/// Keymaps of one shard, as part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPart {
    /// In order of keys.
    pub items: Vec<Keymap>,
    /// Whether the shard has more below the prefix.
    pub more: bool,
    /// Position of the shard's log: the items include everything up to it.
    pub position: u64,
}
