//! [`Store`]: all that a store does.

use std::sync::Arc;
use std::time::Duration;

use foremap::control::Member;
use foremap::key::CompositeKey;
use foremap::node::{LogPage, StoreAnswer};
use foremap::partition::{Epoch, NodeId, PartitionMap, StorageLayout};
use foremap::protocol::Cursor;
use tokio::sync::watch;

use super::{
    Answer, Answers, Backup, Blob, ClockStatus, DiskStatus, ListPart, ListRange, MasterStatus, NoBackup, Promise, Read,
    Term, Trouble, VersionRecord, Write, WriteOutcome,
};

/// A durable store of one namespace.
///
/// Implementations pass the conformance suite in `tests/gateway/store_suite.rs`. Every read is a consistent view of
/// its shard, and sees every write acknowledged before it was sent.
pub trait Store: Send + Sync + 'static {
    /// The slicing of the namespace, fixed at creation.
    fn layout(&self) -> StorageLayout;

    /// Whether other processes may use the store at the same time.
    fn is_shared(&self) -> bool;

    /// All shards, in groups that fail and recover together: those of one machine. Each group is tailed by itself, so
    /// that one that is silent does not hold up the others. Changes when shards move.
    fn groups(&self) -> watch::Receiver<Arc<Vec<Vec<u16>>>>;

    /// The current keymap of each key, in order.
    fn read(&self, keys: Vec<CompositeKey>) -> Answers<'_, StoreAnswer>;

    /// Performs `write` durably. The version is `max(microseconds since 1970, last of the shard + 1)`, however far behind the
    /// clock is. By one that is ahead of the others by more than a minute nothing is written.
    fn write(&self, write: Write) -> Answer<'_, Read<WriteOutcome>>;

    /// The kept versions of `key`, newest first, delete markers included.
    fn versions(&self, key: CompositeKey) -> Answer<'_, Read<Vec<VersionRecord>>>;

    /// One kept version of `key`; `None` where there is none.
    fn version(&self, key: CompositeKey, version: u64) -> Answer<'_, Read<Option<VersionRecord>>>;

    /// Removes a version that is not the current one.
    fn remove_version(&self, key: CompositeKey, version: u64) -> Answer<'_, Read<WriteOutcome>>;

    /// Keymaps of `shard` in `range`.
    fn list_shard(&self, shard: u16, range: ListRange) -> Answer<'_, ListPart>;

    /// One page of the change log of each shard that `cursors` name, in their order; at most `limit` entries a page.
    fn poll(&self, cursors: Vec<Cursor>, limit: usize) -> Answer<'_, Vec<LogPage>>;

    /// Log positions of `shards`, in their order.
    fn positions(&self, shards: Vec<u16>) -> Answer<'_, Vec<u64>>;

    /// The stored partition map.
    fn map(&self) -> Answer<'_, Option<Arc<PartitionMap>>>;

    /// Stores `map` if the stored one has the epoch `expect` and no later term than `term` was given out; says whether
    /// it did. The first map, where `expect` is `None`, needs no term.
    fn put_map(&self, expect: Option<Epoch>, map: Arc<PartitionMap>, term: Term) -> Answer<'_, bool>;

    /// Registers `member` for `ttl`, a minute at most, in place of what was registered under its id. `false` where another process
    /// holds the id: its registration has another incarnation and another origin, and has not expired.
    fn announce(&self, member: Member, ttl: Duration) -> Answer<'_, bool>;

    /// Takes the registration of `id` back, if it is of `incarnation`.
    fn retract(&self, id: NodeId, incarnation: u64) -> Answer<'_, ()>;

    /// Registered members whose time has not expired, by ascending id.
    fn members(&self) -> Answer<'_, Vec<Member>>;

    /// Takes the coordinator's lease for `ttl`, a minute at most, or keeps it, and returns its term; `None` while another incarnation
    /// holds it. A `ttl` of zero resigns.
    fn take_lease(&self, incarnation: u64, ttl: Duration) -> Answer<'_, Option<Term>>;

    /// The content of `blob`.
    fn blob(&self, blob: Blob) -> Answer<'_, Option<Vec<u8>>>;

    /// Stores the content of `blob`, or removes it, if no later term than `term` was given out; says whether it did.
    fn put_blob(&self, blob: Blob, content: Option<Vec<u8>>, term: Term) -> Answer<'_, bool>;

    /// Writes down again how the namespace is sliced, where that is gone, as everything in the store is.
    fn prepare(&self) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Changes whenever writes of this process became visible: a hint to poll now.
    fn written(&self) -> watch::Receiver<u64>;

    /// Writes that wait to be performed, and the most that may.
    fn waiting(&self) -> (usize, usize);

    /// How each of its masters is doing; none where it is a file.
    fn masters(&self) -> Vec<MasterStatus> {
        Vec::new()
    }

    /// What keeps it from doing all that it should, now; empty where nothing does.
    fn troubles(&self) -> Vec<Trouble> {
        Vec::new()
    }

    /// The clocks that were compared, this machine's first; none where there is nothing to compare with.
    fn clocks(&self) -> Vec<ClockStatus> {
        Vec::new()
    }

    /// How its file is doing; `None` where it has none.
    fn disk(&self) -> Option<DiskStatus> {
        None
    }

    /// Microseconds since 1970, by the clocks that versions follow.
    fn now_us(&self) -> u64;

    /// Begins a backup of the store as it is at this moment, while it goes on. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`NoBackup`].
    fn backup(&self) -> Result<Backup, NoBackup> {
        Err(NoBackup::Elsewhere)
    }

    /// What holds for a write that was acknowledged. A file is written to disk first.
    fn promise(&self) -> Promise {
        Promise::Durable
    }

    /// Ends the store: writes under way are finished, later ones are refused.
    fn close(&self) -> Answer<'_, ()>;
}
