//! The durable truth under the gateways: the [`Store`] trait and its implementations.
//!
//! A write assigns its version, which is also its position in the change log
//! of its storage shard; value, ordered index, version record and log entry
//! are committed together, durably, before the write is acknowledged.

pub(crate) mod backup;
mod clock;
mod list;
mod open_error;
pub mod record;
mod redb;
mod redis;
mod types;

pub use self::clock::Clock;
pub use self::list::{Listed, Page, list};
pub use self::open_error::OpenError;
pub use self::redb::{Disk, RedbOptions, RedbStore};
pub use self::redis::{RedisOptions, RedisStore};
pub use self::types::{
    Answer, Answers, Backup, Blob, Checked, ClockStatus, DiskStatus, Expect, ListPart, MasterStatus, NoBackup, Promise,
    Read, Store, StoreError, Term, Trouble, VersionRecord, Write, WriteId, WriteOutcome, Written,
};
