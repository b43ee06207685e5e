//! The durable truth under the gateways: the [`Store`] trait and its implementations.
//!
//! A write assigns its version, which is also its position in the change log
//! of its storage shard; value, ordered index, version record and log entry
//! are committed together, durably, before the write is acknowledged.

mod list;
mod redb;
mod types;

pub use self::list::{Page, list};
pub use self::redb::{Clock, OpenError, RedbOptions, RedbStore, record};
pub use self::types::{
    Answer, Answers, Blob, Expect, ListPart, Read, Store, StoreError, Term, VersionRecord, Write, WriteId,
    WriteOutcome, Written,
};
