//! [`RedbStore`]: one redb file on one machine.
//!
//! One thread writes; it commits as many waiting writes as there are in one
//! transaction (group commit), with fsync, and acknowledges them afterwards. Reads
//! are snapshots and never wait for it.

mod apply;
mod change_log;
mod dump;
mod error;
mod handle;
mod lease;
mod members;
mod meta;
mod namespace;
mod open;
mod options;
mod pages;
mod records;
mod registry;
mod snapshot;
mod status;
mod tables;
mod values;
mod writer;

pub use open::RedbStore;
pub use options::{Disk, RedbOptions};
