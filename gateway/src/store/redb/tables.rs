//! The tables of a store file.

use ::redb::TableDefinition;

/// Format, layout, map, the coordinator's lease and what it keeps, by name.
pub(super) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// `(shard, key)` -> the current keymap. Live keys only; it is the ordered index too.
pub(super) const CURRENT: TableDefinition<'static, (u16, &str), &[u8]> = TableDefinition::new("current");
/// `(shard, key, version)` -> version record, delete markers included.
pub(super) const VERSIONS: TableDefinition<'static, (u16, &str, u64), &[u8]> = TableDefinition::new("versions");
/// `(shard, position)` -> log entry: `(deleted, key)`.
pub(super) const LOG: TableDefinition<'static, (u16, u64), (bool, &str)> = TableDefinition::new("log");
/// `shard` -> `(last position, highest position trimmed from the log, entries in the log)`.
pub(super) const SHARDS: TableDefinition<'static, u16, (u64, u64, u64)> = TableDefinition::new("shards");

/// Keys of [`META`].
pub(super) const META_FORMAT: &str = "format";
pub(super) const META_MAP: &str = "map";
pub(super) const META_PROBE: &str = "probe";
// Its name of before: files that have it are still read.
pub(super) const META_LEASE: &str = "office";

/// `node` -> `(microseconds since 1970 when it expires, registration)`.
pub(super) const MEMBERS: TableDefinition<'static, u32, (u64, &[u8])> = TableDefinition::new("members");

/// State of one shard's log.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ShardLog {
    /// Position of the last write.
    pub(super) last: u64,
    /// Everything above this position is in the log.
    pub(super) base: u64,
    /// Entries in the log.
    pub(super) entries: u64,
}

impl From<(u64, u64, u64)> for ShardLog {
    fn from((last, base, entries): (u64, u64, u64)) -> Self {
        Self { last, base, entries }
    }
}

impl From<ShardLog> for (u64, u64, u64) {
    fn from(log: ShardLog) -> Self {
        (log.last, log.base, log.entries)
    }
}
