//! Counting what a node serves, for the Partition Shifter.

use parking_lot::MutexGuard;

use super::node::Node;
use super::pending::Pending;
use super::places::Places;
use crate::Millis;
use crate::load::{LoadCollector, LoadReport, ServedRequest};

impl Node {
    /// Load that this node served since the report before; counting starts anew. `round` is the number of the round that ends:
    /// milliseconds since 1970 divided by [`ROUND_MS`](crate::load::ROUND_MS), as the node itself knows no time of day.
    /// A request that is counted meanwhile is in this report or in the next one, and in one of them only.
    pub fn take_load(&self, now: Millis, incarnation: u64, round: u64) -> LoadReport {
        self.collector().take(now, self.id(), incarnation, round)
    }

    /// Counts the keys at `served`, which this node answers, and, where the batch came from a client, that its keys were
    /// asked for together.
    ///
    /// One lock a batch: at rates where threads would meet at it, most requests are only counted by partition, in a few
    /// nanoseconds each (see [`LoadCollector`]).
    pub(super) fn count_load(&self, now: Millis, pending: &Pending, places: &Places, served: &[usize], whole: bool) {
        let mut collector = self.collector();
        for &at in served {
            let (partition, depth, replicated) = places.0[at];
            collector.observe(now, ServedRequest { key: &pending.slots[at].key, partition, depth, replicated });
        }
        if whole && pending.slots.len() > 1 {
            let keys = pending.slots.iter().zip(&places.0);
            collector.together(now, keys.map(|(slot, &(_, depth, _))| (&slot.key, depth)));
        }
    }

    pub(super) fn collector(&self) -> MutexGuard<'_, LoadCollector> {
        self.load.lock()
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
