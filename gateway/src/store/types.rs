//! What a store does.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use foremap::key::{CompositeKey, KeyPrefix};
use std::time::Duration;

use foremap::control::Member;
use foremap::node::{LogPage, StoreAnswer};
use foremap::partition::{Epoch, NodeId, PartitionMap, StorageLayout};
use foremap::protocol::{Cursor, ErrorCode, Keymap, KeymapFields, MAX_WRITE_ID_BYTES};
use tokio::sync::{mpsc, watch};

/// What every operation returns: boxed, so that a store is chosen at run time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a store operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// It did not happen and may be retried.
    Unavailable(String),
    /// A write may or may not have happened; retry it with the same write id.
    Unknown(String),
    /// Stored data cannot be read back.
    Corrupt(String),
    /// The shard has had the last version that there is.
    UsedUp,
    /// It asks for more than the store takes, however often it is retried.
    TooLarge(String),
}

impl StoreError {
    /// The code that callers see.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Unknown(_) => ErrorCode::Unknown,
            Self::Corrupt(_) | Self::UsedUp => ErrorCode::Internal,
            Self::TooLarge(_) => ErrorCode::BodyTooLarge,
        }
    }

    /// Refuses what is over [`Blob::MAX_BYTES`].
    pub(super) fn check_blob(content: Option<&[u8]>) -> Result<(), Self> {
        let bytes = content.map_or(0, <[u8]>::len);
        if bytes <= Blob::MAX_BYTES {
            return Ok(());
        }
        Err(Self::TooLarge(format!("{bytes} bytes, the limit is {}", Blob::MAX_BYTES)))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the store cannot answer: {why}"),
            Self::Unknown(why) => write!(f, "the outcome of the write is not known: {why}"),
            Self::Corrupt(why) => write!(f, "the store holds damaged data: {why}"),
            Self::UsedUp => {
                f.write_str("the shard has had the last version that there is, 2^53 - 1: it takes no more writes")
            }
            Self::TooLarge(why) => write!(f, "the store does not take this: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// Names a write, so that a retry returns the first outcome instead of writing twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteId(Box<str>);

impl WriteId {
    /// Longest write id in bytes: a UUID with room to spare.
    pub const MAX_BYTES: usize = MAX_WRITE_ID_BYTES;

    /// A write id of 1 to 64 visible ASCII characters.
    pub fn new(text: &str) -> Option<Self> {
        let ok = (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        ok.then(|| Self(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a write demands of the current version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expect {
    /// Nothing.
    #[default]
    Any,
    /// That there is a keymap.
    Present,
    /// Exactly this version; 0 is that there is none.
    Version(u64),
}

/// One write.
#[derive(Debug, Clone)]
pub struct Write {
    /// The key.
    pub key: CompositeKey,
    /// The new fields; `None` deletes and leaves a marker.
    pub fields: Option<KeymapFields>,
    /// Compare-and-set condition.
    pub expect: Expect,
    /// Makes retries idempotent. Known as long as the version it wrote is kept.
    pub id: Option<WriteId>,
}

/// A write that happened, now or at an earlier attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The version it was given.
    pub version: u64,
    /// Whether there was no keymap before.
    pub created: bool,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is durable.
    Written(Written),
    /// The condition does not hold; nothing was written.
    Conflict {
        /// The version there is, 0 for none.
        current: u64,
    },
    /// There was nothing to delete; nothing was written.
    Missing,
}

/// A read of something in one shard, with the shard's log position in the same consistent view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<T> {
    /// What was read.
    pub value: T,
    /// The storage shard.
    pub shard: u16,
    /// Position of its log.
    pub position: u64,
}

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

/// Something about the whole namespace that the coordinator keeps in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blob {
    /// The map that nodes are warming up for: the binary form of a [`PartitionMap`].
    Proposal,
    /// The model that clients share, as they read it.
    Model,
    /// Names the content of `Model`: what gateways look at to learn that there is a new one. Written after it.
    ModelHead,
    /// The merged counts that the model is made of.
    ModelState,
    /// Who coordinates, and whether shifts are frozen.
    Office,
}

impl Blob {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Proposal, Self::Model, Self::ModelHead, Self::ModelState, Self::Office];
    /// Largest content in bytes: a model's bound, and far over that of a map.
    pub const MAX_BYTES: usize = 4 << 20;

    /// Its name in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Model => "model",
            Self::ModelHead => "model-head",
            Self::ModelState => "model-state",
            Self::Office => "office-record",
        }
    }
}

/// Number of a coordinator's time in office, raised whenever the office changes hands. It fences: what a coordinator
/// of an earlier term still sends is refused.
pub type Term = u64;

/// The answers for several keys, in order: each fails alone.
pub type Answers<'a, T> = Pin<Box<dyn Future<Output = Vec<Result<T, StoreError>>> + Send + 'a>>;

/// How a master is doing, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterStatus {
    /// `host:port`.
    pub address: String,
    /// Whether requests to it are refused at once, because it did not answer or its replicas did not acknowledge.
    pub open: bool,
    /// Pipelines begun, so far.
    pub attempts: u64,
    /// Of these, those that failed: without an answer, or with one that does not count.
    pub failures: u64,
    /// Requests that wait in its lanes, and the most that may.
    pub waiting: (usize, usize),
    /// Replicas that must acknowledge: all that the cluster lists, and whoever else is attached and in step.
    pub replicas: u32,
    /// Of the attached replicas, those that are not of the cluster.
    pub outside: u32,
    /// Replicas that did not acknowledge, while what the master says does not count for that.
    pub lacking: Vec<String>,
    /// Why what it said last does not count; `None` where it does.
    pub trouble: Option<String>,
    /// Why its shards take no writes: a rule that it or one of its replicas breaks.
    pub unfit: Option<String>,
    /// Whether it and its replicas have a write on disk before they acknowledge.
    pub is_durable: bool,
}

/// What holds for a write that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// It is on the disk of every server that may answer for it.
    Durable,
    /// Every server that may answer for it has it, and its disk has it within two seconds. It is lost where one of them
    /// crashes before that and answers again before another took its place.
    Replicated,
}

impl Promise {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Replicated => "replicated",
        }
    }
}

/// Something that keeps a store from doing all that it should, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Trouble {
    /// What has it: a server, this machine, the file.
    pub what: String,
    /// What is wrong, what that does, and what to do about it.
    pub why: String,
    /// Whether it keeps this process from writing at all. Otherwise it is about some shards, at every process alike.
    #[serde(skip)]
    pub is_whole: bool,
}

/// How a clock compares with the time that most agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockStatus {
    /// Whose it is: `host:port`, or [`ClockStatus::OWN`].
    pub whose: String,
    /// How far it is ahead, in milliseconds; below 0 where it is behind.
    pub ahead_ms: i64,
}

impl ClockStatus {
    /// This machine.
    pub const OWN: &'static str = "this machine";
}

/// How a store file is doing, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskStatus {
    /// Whether nothing can be written now.
    pub is_broken: bool,
    /// Writes that failed or were refused as the disk did, so far.
    pub failed_writes: u64,
    /// Times that the file was opened again after an error.
    pub reopened: u64,
}

/// What was found in a store file or a backup, where nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// Keys with a keymap; 0 where they were not counted.
    pub keys: u64,
    /// Versions.
    pub versions: u64,
    /// Entries of change logs.
    pub log_entries: u64,
}

/// The frames of a backup, in order. It is whole if it ends with its last frame, and not with an error or before.
pub type Backup = mpsc::Receiver<Result<Vec<u8>, StoreError>>;

/// Why there is no backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBackup {
    /// Another one is being made.
    Busy,
    /// The store is backed up by other means.
    Elsewhere,
}

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

    /// Keymaps of `shard` below `prefix`, after the key `after`, at most `limit`.
    fn list_shard(
        &self,
        shard: u16,
        prefix: KeyPrefix,
        after: Option<CompositeKey>,
        limit: usize,
    ) -> Answer<'_, ListPart>;

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

    /// Takes the coordinator's office for `ttl`, a minute at most, or keeps it, and returns its term; `None` while another incarnation
    /// holds it. A `ttl` of zero resigns.
    fn lead(&self, incarnation: u64, ttl: Duration) -> Answer<'_, Option<Term>>;

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
