//! [`RedbStore`]: one redb file on one machine.
//!
//! One thread writes; it commits as many waiting writes as there are in one
//! transaction (group commit), with fsync, and acknowledges them afterwards. Reads
//! are snapshots and never wait for it.

mod apply;
mod dump;
mod handle;
mod meta;
mod open;
mod pages;
mod read;
mod tables;
mod writer;

pub use handle::Disk;
pub use open::{RedbOptions, RedbStore};
