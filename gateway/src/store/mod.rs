//! The durable truth under the gateways: the traits that make up a [`Store`], and their
//! implementations.
//!
//! A write assigns its version, which is also its position in the change log
//! of its storage shard; value, ordered index, version record and log entry
//! are committed together, durably, before the write is acknowledged.

pub(crate) mod backup;
mod change_log;
mod clock;
mod error;
mod handle;
mod lifecycle;
mod list;
mod namespace;
mod open_error;
pub mod record;
mod redb;
mod redis;
mod registry;
mod status;
mod store_future;
mod values;
mod write;

pub use foremap::control::Term;

pub use self::change_log::ChangeLog;
pub use self::clock::Clock;
pub use self::error::StoreError;
pub use self::handle::Store;
pub use self::lifecycle::{Backup, Checked, Lifecycle, NoBackup, Promise};
pub use self::list::{Listed, Page, list};
pub use self::namespace::{Blob, Namespace};
pub use self::open_error::OpenError;
pub use self::redb::{Disk, RedbOptions, RedbStore};
pub use self::redis::{RedisOptions, RedisStore};
pub use self::registry::Registry;
pub(crate) use self::status::troubles;
pub use self::status::{ClockStatus, DiskStatus, MasterStatus, StoreStatus, Trouble};
pub use self::store_future::{ShardRead, StoreFuture, StoreFutures};
pub use self::values::{ListPart, ListRange, Values, VersionRecord};
pub use self::write::{Expect, Write, WriteId, WriteOutcome, Written};
