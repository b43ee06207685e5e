//! [`Evicted`]: an entry that left.

use serde::Serialize;

use crate::key::CompositeKey;

/// The cause for which an entry left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DropReason {
    /// The room was needed.
    Capacity,
    /// [`LocalCache::invalidate`](super::LocalCache::invalidate) or `clear`.
    Invalidated,
    /// The change feed or an own write made it outdated.
    Changed,
    /// A newer answer took its place; reported only for a prefetch that nobody had used.
    Replaced,
    /// A negative entry reached the end of its life.
    Expired,
}

/// An entry that left, for the ledger of prefetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evicted {
    /// Its key.
    pub key: CompositeKey,
    /// `true` where it was prefetched and never asked for.
    pub unused_prefetch: bool,
    /// The cause.
    pub reason: DropReason,
}

/// Entries that left and wait to be reported.
#[derive(Debug, Default)]
pub(super) struct Departures {
    waiting: Vec<Evicted>,
    /// Entries that found no room.
    pub(super) unreported: u64,
}

impl Departures {
    /// Most that wait; used ones fill at most half, as the ledger needs the others.
    pub(super) const MAX: usize = 1_024;

    pub(super) fn note(&mut self, evicted: Evicted) {
        let room = if evicted.unused_prefetch { Self::MAX } else { Self::MAX / 2 };
        if self.waiting.len() < room {
            self.waiting.push(evicted);
        } else {
            self.unreported += 1;
        }
    }

    pub(super) fn take(&mut self) -> Vec<Evicted> {
        std::mem::take(&mut self.waiting)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
