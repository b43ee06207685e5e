//! [`Values`]: what keys hold, and held.

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::node::StoreAnswer;
use foremap::partition::StorageLayout;
use foremap::protocol::Keymap;

use super::{ShardRead, StoreFuture, StoreFutures, Write, WriteId, WriteOutcome};

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRecord {
    /// The version.
    pub version: u64,
    /// Absent for a delete marker.
    pub keymap: Option<Keymap>,
    /// True if it made the keymap anew, as the answer to a retried write says again.
    pub created: bool,
    /// The write that made it.
    pub id: Option<WriteId>,
}

/// A stretch of the keys of a shard, in their order.
#[derive(Debug, Clone)]
pub struct ListRange {
    /// Prefix that all of them are below.
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
    /// True if the shard has more below the prefix.
    pub more: bool,
    /// Position of the shard's log: the items include everything up to it.
    pub position: u64,
}

/// Values of keys, with their versions.
///
/// Every read is a consistent view of its shard, and sees every write acknowledged before it was sent.
///
/// # Errors
/// [`StoreError::Unavailable`](super::StoreError::Unavailable) where nothing was done or told,
/// [`StoreError::Corrupt`](super::StoreError::Corrupt) for what cannot be read back; of a write also
/// [`StoreError::Unknown`](super::StoreError::Unknown), which is retried under the same write id, and
/// [`StoreError::UsedUp`](super::StoreError::UsedUp).
pub trait Values: Send + Sync + 'static {
    /// Slicing of the namespace into storage shards, fixed at creation.
    fn layout(&self) -> StorageLayout;

    /// Reads the current keymap of each key, in order; each fails alone.
    fn read(&self, keys: Vec<CompositeKey>) -> StoreFutures<'_, StoreAnswer>;

    /// Performs `write` durably. The version is `max(microseconds since 1970, last of the shard + 1)`, however far behind the
    /// clock is. By one that is ahead of the others by more than a minute nothing is written.
    fn write(&self, write: Write) -> StoreFuture<'_, ShardRead<WriteOutcome>>;

    /// Reads the kept versions of `key`, newest first, delete markers included.
    fn versions(&self, key: CompositeKey) -> StoreFuture<'_, ShardRead<Vec<VersionRecord>>>;

    /// Reads one kept version of `key`; `None` where there is none.
    fn version(&self, key: CompositeKey, version: u64) -> StoreFuture<'_, ShardRead<Option<VersionRecord>>>;

    /// Removes a version that is not the current one.
    fn remove_version(&self, key: CompositeKey, version: u64) -> StoreFuture<'_, ShardRead<WriteOutcome>>;

    /// Reads the keymaps of `shard` in `range`, in their order.
    fn list_shard(&self, shard: u16, range: ListRange) -> StoreFuture<'_, ListPart>;
}
