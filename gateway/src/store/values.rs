//! What is read of the values of keys.

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
