//! Load counters that the Partition Shifter plans from.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::Millis;

/// What a node served since the report before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadReport {
    /// When counting began.
    pub since: Millis,
    /// Requests for keys.
    pub requests: u64,
    /// Requests per virtual partition, by ascending partition.
    pub partitions: Vec<(u32, u32)>,
    /// Requests of partitions whose counter was full.
    pub other: u64,
}

/// Counts requests per partition, in O(1) a request and four bytes a partition, from many threads.
///
/// A request that is counted while a report is taken is in this report or in the next one, and in one of them only.
pub(super) struct LoadCounters {
    since: AtomicU64,
    partitions: Box<[AtomicU32]>,
    /// How many of them are not zero.
    used: AtomicU64,
    other: AtomicU64,
}

impl LoadCounters {
    /// Where a counter stops: far enough below its end for every thread to add one at once.
    const FULL: u32 = u32::MAX - (1 << 20);

    pub(super) fn new(partitions: u32) -> Self {
        Self {
            since: AtomicU64::new(0),
            partitions: (0..partitions).map(|_| AtomicU32::new(0)).collect(),
            used: AtomicU64::new(0),
            other: AtomicU64::new(0),
        }
    }

    pub(super) fn count(&self, partition: u32) {
        let counter = &self.partitions[partition as usize];
        if counter.load(Ordering::Relaxed) >= Self::FULL {
            self.other.fetch_add(1, Ordering::Relaxed);
        } else if counter.fetch_add(1, Ordering::Relaxed) == 0 {
            self.used.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Partitions with a count. While others count or take a report it may be off by what they are at.
    pub(super) fn len(&self) -> u64 {
        self.used.load(Ordering::Relaxed).min(self.max())
    }

    pub(super) fn max(&self) -> u64 {
        self.partitions.len() as u64
    }

    pub(super) fn take(&self, now: Millis) -> LoadReport {
        let since = self.since.swap(now, Ordering::Relaxed);
        let taken = self.partitions.iter().map(|counter| match counter.load(Ordering::Relaxed) {
            0 => 0,
            _ => counter.swap(0, Ordering::Relaxed),
        });
        let partitions: Vec<_> = (0..).zip(taken).filter(|(_, count)| *count > 0).collect();
        self.used.fetch_sub(partitions.len() as u64, Ordering::Relaxed);
        let other = self.other.swap(0, Ordering::Relaxed);
        let requests = partitions.iter().map(|(_, count)| u64::from(*count)).sum::<u64>() + other;
        LoadReport { since, requests, partitions, other }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
