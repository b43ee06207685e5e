//! What a store is asked, and what it says.

use std::sync::Arc;

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::node::{LogPage, StoreAnswer};
use foremap::protocol::{Cursor, Keymap, KeymapFields};

use super::meta::{MetaChange, MetaRead, MetaReply};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Versions of a key, the current one included.
    pub versions: usize,
    /// Log entries of a shard.
    pub log_entries: usize,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: CompositeKey,
    /// The new fields; `None` deletes.
    pub fields: Option<KeymapFields>,
    /// Condition.
    pub expect: Expect,
    /// Makes retries idempotent.
    pub id: Option<Arc<str>>,
    /// The latest time that it can be, in microseconds.
    pub latest_us: u64,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It happened, now or at an earlier attempt.
    Written {
        /// Its version.
        version: u64,
        /// Whether there was no keymap before.
        created: bool,
    },
    /// Nothing was written: the condition does not hold.
    Conflict {
        /// The version there is, 0 for none.
        current: u64,
    },
    /// There was nothing to delete.
    Missing,
    /// The clock is ahead of the latest time that the writer says it can be.
    ClockAhead,
    /// The shard has had the last version.
    UsedUp,
}

/// A kept version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The version.
    pub version: u64,
    /// Absent for a delete marker.
    pub fields: Option<Arc<KeymapFields>>,
    /// Whether it made the keymap anew.
    pub created: bool,
    /// The write that made it.
    pub id: Option<Arc<str>>,
}

/// One command, which a server executes by itself and at once.
#[derive(Debug, Clone)]
pub enum Command {
    /// Reads a key.
    Read(CompositeKey),
    /// Reads a page of a log.
    Poll(Cursor, usize),
    /// Reads the position of a log.
    Position(u16),
    /// Reads the kept versions of a key.
    Versions(CompositeKey),
    /// Lists keymaps of a shard.
    List {
        /// The shard.
        shard: u16,
        /// What they are below.
        prefix: KeyPrefix,
        /// The key that they come after.
        after: Option<CompositeKey>,
        /// Most that are listed.
        limit: usize,
    },
    /// Writes.
    Write(Write),
    /// Removes a version that is not the current one.
    RemoveVersion(CompositeKey, u64),
    /// Reads what concerns the whole namespace.
    Meta(MetaRead),
    /// Changes it.
    ChangeMeta(MetaChange),
}

/// What a server says to a [`Command`].
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To a read.
    Read(StoreAnswer),
    /// To a poll.
    Page(LogPage),
    /// To a position.
    Position(u64),
    /// To versions, newest first, with the log position.
    Versions(Vec<Record>, u64),
    /// To a list, and whether there is more.
    Listed(Vec<Keymap>, bool),
    /// To a write or removal, with the log position.
    Written(Outcome, u64),
    /// To what concerns the namespace.
    Meta(MetaReply),
}
