//! Load counters that the Partition Shifter plans from.

use fxhash::FxHashMap;

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
    /// Requests of partitions that found no place in the table.
    pub other: u64,
}

/// Counts requests per partition, in O(1) a request.
#[derive(Debug, Default)]
pub(super) struct LoadCounters {
    since: Millis,
    requests: u64,
    partitions: FxHashMap<u32, u32>,
    other: u64,
}

impl LoadCounters {
    /// As many as a namespace has by default, so that usually none is left out: about 256 KiB.
    pub(super) const MAX_PARTITIONS: usize = crate::partition::DEFAULT_PARTITIONS as usize;

    pub(super) fn count(&mut self, partition: u32) {
        self.requests += 1;
        if self.partitions.len() >= Self::MAX_PARTITIONS && !self.partitions.contains_key(&partition) {
            self.other += 1;
            return;
        }
        let count = self.partitions.entry(partition).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    pub(super) fn take(&mut self, now: Millis) -> LoadReport {
        let taken = std::mem::replace(self, Self { since: now, ..Self::default() });
        let mut partitions: Vec<_> = taken.partitions.into_iter().collect();
        partitions.sort_unstable();
        LoadReport { since: taken.since, requests: taken.requests, partitions, other: taken.other }
    }
}
