//! History of what clients did and were told.

use std::sync::Arc;

/// A moment on the one clock of a history, or a span of it: milliseconds or microseconds, whichever the caller uses.
///
/// Two operations of which one ends at the moment at which the other begins count as concurrent.
pub type Time = u64;

/// All that was done.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Error that ages and bounds may have: the granularity of the clocks that they were told in.
    pub slack: Time,
    /// Every put and delete, in any order. A write that was tried several times under one write id is one operation.
    pub writes: Vec<Write>,
    /// Every answered read, in any order. A read that failed tells nothing.
    pub reads: Vec<Read>,
    /// State of every key in the store, read after the last operation had ended.
    pub finals: Vec<Final>,
}

/// A put or delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: Arc<str>,
    /// Session that wrote.
    pub session: u64,
    /// Value that was put: of all writes of the key only this one puts it. `None` deletes.
    pub value: Option<Arc<str>>,
    /// When it was sent first.
    pub invoked: Time,
    /// When its outcome was told. Of no meaning where that is not known: it may still be about to happen.
    pub returned: Time,
    /// Outcome that the writer was told.
    pub outcome: Outcome,
}

/// Outcome of a write, as the writer was told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable under this version.
    Acknowledged {
        /// The version.
        version: u64,
    },
    /// Nothing was written, because of what is there: a compare-and-set that lost, or a delete of what is not there.
    Conflict {
        /// The version there was, 0 for none.
        current: u64,
    },
    /// It certainly was not and will not be executed.
    Failed,
    /// It may have been executed, may still be, or never.
    Unknown,
}

/// Consistency that a read asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The newest.
    Strong,
    /// Nothing older than the bound, or else read from the store after it was asked for.
    Bounded {
        /// The bound.
        max_staleness: Time,
    },
    /// Whatever there is; a session does not go back even so.
    Any,
}

/// An answered read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The key.
    pub key: Arc<str>,
    /// Session that read.
    pub session: u64,
    /// Level that was asked for.
    pub level: Level,
    /// When it was asked.
    pub invoked: Time,
    /// When it was answered.
    pub returned: Time,
    /// The answer; `None` where there is no keymap.
    pub found: Option<Found>,
    /// Age that the answer says it may have; `Time::MAX` where it says nothing.
    pub age: Time,
    /// Log position that the answer says it includes.
    pub position: Option<u64>,
}

/// A value with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The version.
    pub version: u64,
    /// The value.
    pub value: Arc<str>,
}

/// The end of a key's history: a strong read and the list of its versions, after everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Final {
    /// The key.
    pub key: Arc<str>,
    /// Value that is there, with its version.
    pub newest: Option<Found>,
    /// The versions kept, newest first, delete markers included.
    pub kept: Vec<Kept>,
    /// Most versions that the store keeps of a key.
    pub retention: usize,
}

/// A kept version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The version.
    pub version: u64,
    /// Its value; `None` for a delete marker.
    pub value: Option<Arc<str>>,
}
