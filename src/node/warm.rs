//! Warm-up: which keys are hot here, and filling memory with keys that are to be owned soon.

use parking_lot::MutexGuard;

use super::batch::answered;
use super::hot::HotSet;
use super::node::Node;
use super::pending::{Pending, ReadTicket, StoreAnswer, StoreFailure};
use super::stats::NodeStats;
use crate::key::CompositeKey;

impl Node {
    /// Most keys that [`Node::hot_keys`] tells and [`Node::warm_reads`] takes.
    pub const MAX_HOT_KEYS: usize = HotSet::CAPACITY;

    /// At most `limit` of the keys that this node serves most, the hottest first; [`Node::MAX_HOT_KEYS`] at most.
    /// O(n log n) in them.
    pub fn hot_keys(&self, limit: usize) -> Vec<CompositeKey> {
        self.hot_set().hottest(limit)
    }

    /// The store reads that bring `keys` into memory, whoever owns them: of the first [`Node::MAX_HOT_KEYS`], those
    /// that are not there. The log of their shards must be followed already, or nothing can be kept.
    pub fn warm_reads(&self, keys: Vec<CompositeKey>) -> Vec<ReadTicket> {
        let map = self.map();
        let (layout, incarnation) = (map.storage, map.epoch.incarnation);
        let read = |(slot, key)| {
            let shard = layout.shard(&key);
            let point = self.shards[usize::from(shard)].point();
            (!self.memory.holds(&key, point.generation)).then_some(ReadTicket { slot, shard, key, incarnation })
        };
        keys.into_iter().take(Self::MAX_HOT_KEYS).enumerate().filter_map(read).collect()
    }

    /// Hands back `reads` of [`Node::warm_reads`]: one answer or failure each, in their order. They enter memory by the
    /// same rule as any read. What failed or was overtaken is left to the first request for it.
    pub fn finish_warm(&self, reads: Vec<ReadTicket>, answers: Vec<Result<StoreAnswer, StoreFailure>>) {
        let mut counted = NodeStats::default();
        for (read, answer) in answered(reads, answers) {
            counted.store_reads += 1;
            match answer {
                Ok(answer) => {
                    let filled = self.fill(read, answer, &mut counted);
                    counted.warmed += u64::from(filled);
                }
                Err(_) => counted.store_failures += 1,
            }
        }
        self.counters.add(&counted);
    }

    pub(super) fn hot_set(&self) -> MutexGuard<'_, HotSet> {
        self.hot.lock()
    }

    /// Counts the keys at `served`, which are answered here. Nobody waits for that: where another thread is counting, the
    /// batch is left out, which is as good as any other sample.
    pub(super) fn count_hot(&self, pending: &Pending, served: &[usize], counted: &mut NodeStats) {
        let Some(mut hot) = self.hot.try_lock() else {
            counted.hot_uncounted += served.len() as u64;
            return;
        };
        for &at in served {
            let slot = &pending.slots[at];
            hot.count(slot.id, &slot.key);
        }
    }
}

#[cfg(test)]
#[path = "warm_tests.rs"]
mod tests;
