//! [`RedbOptions`].

use std::sync::Arc;

use ::redb::StorageBackend;
use ::redb::backends::FileBackend;
use foremap::partition::StorageLayout;

use crate::store::Clock;
use crate::store::clock::system_clock;

/// Options for opening a store file.
#[derive(Clone)]
pub struct RedbOptions {
    /// Layout of a new file. An existing file keeps its own.
    pub layout: StorageLayout,
    /// Versions kept of a key, the current one included.
    pub versions: usize,
    /// Change log entries kept of a shard.
    pub log_entries: u64,
    /// Page cache in bytes.
    pub cache_bytes: usize,
    /// Verify every page on opening: reads the whole file, and finds damage that would otherwise show later.
    pub check: bool,
    /// Microseconds since 1970.
    pub clock: Clock,
    /// Layer under the store.
    pub disk: Disk,
}

impl Default for RedbOptions {
    /// 100 versions a key; 100,000 log entries a shard, so that a gateway that was away reads the log instead of
    /// starting cold; 64 MiB of page cache; checked; the system's clock.
    fn default() -> Self {
        Self {
            layout: StorageLayout::default(),
            versions: 100,
            log_entries: 100_000,
            cache_bytes: 64 << 20,
            check: true,
            clock: system_clock(),
            disk: Arc::new(|file| Box::new(file)),
        }
    }
}

/// Layer under the store: the file itself, unless a test puts something in between.
pub type Disk = Arc<dyn Fn(FileBackend) -> Box<dyn StorageBackend> + Send + Sync>;

/// Retention, as `RedbOptions` sets it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    /// Versions kept of a key, the current one included.
    pub(super) versions: usize,
    /// Log entries kept of a shard.
    pub(super) log_entries: u64,
}
