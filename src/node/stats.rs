//! [`NodeStats`]: counters of a node, and the fill of every bounded table.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since start, and the fill of every bounded table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NodeStats {
    /// Keys asked for.
    pub keys: u64,
    /// Of these, as a prefetch.
    pub prefetch_keys: u64,
    /// Keys answered from memory.
    pub memory_hits: u64,
    /// Keys found in memory, but older than the caller allowed or behind its floor.
    pub memory_too_old: u64,
    /// Keys read from the store.
    pub store_reads: u64,
    /// Store reads that failed.
    pub store_failures: u64,
    /// Keys answered from memory beyond the bound, as the store failed and the caller allowed `any`.
    pub stale_answers: u64,
    /// Keys sent to their owner.
    pub forwarded: u64,
    /// Forwarded keys that had to be read from the store after all.
    pub forward_failures: u64,
    /// Keys received from another gateway.
    pub received_forwards: u64,
    /// Store reads that entered memory.
    pub fills: u64,
    /// Store reads that a log entry may have overtaken, so that they did not enter memory.
    pub fills_refused: u64,
    /// Of the fills, those that warmed the node up for keys to come.
    pub warmed: u64,
    /// Change log entries applied.
    pub log_entries: u64,
    /// Shards whose log had a gap, the first page of each included.
    pub log_gaps: u64,
    /// Entries dropped from memory by the log.
    pub invalidated: u64,
    /// Entries dropped from memory for want of room.
    pub evictions: u64,
    /// Keys that the hot set left out, as another thread was counting.
    pub hot_uncounted: u64,
    /// Cursors that the recent changes no longer reached back to.
    pub resets: u64,
    /// Maps handed out, whole.
    pub maps_full: u64,
    /// Maps handed out, as a delta.
    pub maps_delta: u64,
    /// Change feeds opened.
    pub feeds_opened: u64,
    /// Change feeds refused, as all places were taken, or those that the subject may have.
    pub feeds_refused: u64,
    /// Frames made for change feeds.
    pub feed_frames: u64,
    /// Steps of frames with a gap before them, as the recent changes no longer reached back.
    pub feed_gaps: u64,
    /// Shards that batches added to change feeds.
    pub feed_shards_added: u64,
    /// Entries in memory.
    pub memory_entries: u64,
    /// Bound of `memory_entries`.
    pub memory_entries_max: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Bound of `memory_bytes`.
    pub memory_bytes_max: u64,
    /// Recent changes held, all shards together.
    pub ring_entries: u64,
    /// Bound of `ring_entries`.
    pub ring_entries_max: u64,
    /// Maps held to base deltas on.
    pub map_history: u64,
    /// Bound of `map_history`.
    pub map_history_max: u64,
    /// Partitions counted for the load report.
    pub load_partitions: u64,
    /// Bound of `load_partitions`.
    pub load_partitions_max: u64,
    /// Prefixes counted for the load report.
    pub load_prefixes: u64,
    /// Bound of `load_prefixes`.
    pub load_prefixes_max: u64,
    /// Parts of prefixes counted for the load report.
    pub load_cells: u64,
    /// Bound of `load_cells`.
    pub load_cells_max: u64,
    /// Keys counted for the load report.
    pub load_keys: u64,
    /// Bound of `load_keys`.
    pub load_keys_max: u64,
    /// Pairs of prefixes counted for the load report.
    pub load_pairs: u64,
    /// Bound of `load_pairs`.
    pub load_pairs_max: u64,
    /// Keys in the hot set.
    pub hot_keys: u64,
    /// Bound of `hot_keys`.
    pub hot_keys_max: u64,
    /// Change feeds.
    pub feeds: u64,
    /// Bound of `feeds`.
    pub feeds_max: u64,
    /// Shards that change feeds follow, all feeds together.
    pub feed_shards: u64,
    /// Bound of `feed_shards`.
    pub feed_shards_max: u64,
}

/// The counters of [`NodeStats`], added to by many threads.
macro_rules! counters {
    ($($field:ident)*) => {
        #[derive(Default)]
        pub(super) struct Counters {
            $($field: AtomicU64,)*
        }

        impl Counters {
            /// Adds what `counted` counted. One addition for each counter that is not zero, so a batch counts by itself
            /// first and threads meet here once a batch.
            pub(super) fn add(&self, counted: &NodeStats) {
                $(if counted.$field > 0 {
                    self.$field.fetch_add(counted.$field, Ordering::Relaxed);
                })*
            }

            /// The sums, without the fills of tables.
            pub(super) fn sums(&self) -> NodeStats {
                NodeStats { $($field: self.$field.load(Ordering::Relaxed),)* ..NodeStats::default() }
            }
        }
    };
}

counters! {
    keys prefetch_keys memory_hits memory_too_old store_reads store_failures stale_answers forwarded forward_failures
    received_forwards fills fills_refused warmed log_entries log_gaps invalidated hot_uncounted resets maps_full
    maps_delta feeds_opened feeds_refused feed_frames feed_gaps feed_shards_added
}
