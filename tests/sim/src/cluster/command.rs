//! [`Command`]: a question to a server, and its [`Reply`].

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::node::{LogPage, StoreAnswer};
use foremap::protocol::{Cursor, Keymap};

use super::meta::{MetaChange, MetaRead, MetaReply};
use super::record::Record;
use super::write::{Outcome, Write};

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
        /// The prefix that they are below.
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

/// Answer of a server to a [`Command`].
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
