//! Shares of the room, and the entries that left by which they are learnt.

use fxhash::FxBuildHasher;
use lru::LruCache;

/// Share of the proven entries' room for those that were asked for once. Twice S3-FIFO's tenth, as used guesses begin
/// there too: a tenth lost yoochoose 0.9 points at 5 % of the keys and won wikispeedia 0.2; learning it lost both
/// nasa and wikispeedia up to a point.
const RECENT: f64 = 0.2;
/// Entries that the recent queue may hold in any case, as long as they are no more than a third of the proven: with
/// fewer an entry that comes back within a session has left. At 29 entries yoochoose gains 1.3 points by it.
const RECENT_LEAST: f64 = 8.0;
const RECENT_MOST: f64 = 1.0 / 3.0;
/// Probation's share is never learnt away altogether, nor that of proven entries, as what has no room cannot show what it
/// would do with some. A lower limit of 0.05 and an upper one of 0.8 replay the same.
const LIMITS: (f64, f64) = (0.1, 0.9);
/// Places that probation keeps in any case, up to half of all: with fewer the guesses of one request displace each
/// other, are never used, and the share stays where it is. In a cache of 2 entries cbuild-opens lost 24 points
/// without it; 2, 3 and 4 replay level from 4 entries on.
const LEAST_PLACES: f64 = 2.0;
/// Places that a missed entry wins its side. 0.1 to 1 replay level.
const STEP: f64 = 0.5;

/// The share of probation, which follows from where a little more room would have saved a miss: guesses and
/// proven entries are remembered for the same number of exits after they left, and the side of one that is asked
/// for then grows (hill climbing over shadow queues: Cidon et al., Cliffhanger, 2016). O(1).
#[derive(Debug, Clone, Copy)]
pub(super) struct ProbationShare {
    probation: f64,
}

impl ProbationShare {
    /// `probation` outside 0 to 1 is taken as the nearest of the two, and what is no number as 0.
    pub(super) fn new(probation: f32) -> Self {
        let probation = if probation.is_nan() { 0.0 } else { probation.clamp(0.0, 1.0) };
        Self { probation: probation.into() }
    }

    /// An entry that had just left, a guess or a proven one, was asked for in a cache of `entries`.
    pub(super) fn missed(&mut self, guess: bool, entries: usize) {
        let step = STEP / entries.max(1) as f64;
        let grown = self.probation + if guess { step } else { 0.0 };
        let least = (LEAST_PLACES / entries.max(1) as f64).min(0.5).max(LIMITS.0);
        self.probation = (grown / (1.0 + step)).max(least).min(LIMITS.1);
    }

    /// Part of `whole` that proven entries may hold.
    pub(super) fn proven(&self, whole: usize) -> usize {
        whole.min((whole as f64 * (1.0 - self.probation)).round() as usize)
    }
}

/// Tells whether the recent queue holds more than its part of the proven entries; each pair is (in it, in all).
pub(super) fn is_recent_above(entries: (usize, usize), bytes: (usize, usize)) -> bool {
    let share = (RECENT_LEAST / entries.1 as f64).clamp(RECENT, RECENT_MOST);
    entries.0 as f64 > entries.1 as f64 * share || bytes.0 as f64 > bytes.1 as f64 * share
}

/// Entries that left a queue for room, by id. The one that left first is forgotten first.
#[derive(Debug)]
pub(super) struct Gone {
    ids: LruCache<u64, u64, FxBuildHasher>,
    count: u64,
}

impl Gone {
    pub(super) fn new() -> Self {
        Self { ids: LruCache::unbounded_with_hasher(FxBuildHasher::default()), count: 0 }
    }

    /// Notes that an entry left; `most` are remembered, at least one.
    pub(super) fn add(&mut self, id: u64, most: usize) {
        self.count += 1;
        self.ids.put(id, self.count);
        while self.ids.len() > most.max(1) {
            self.ids.pop_lru();
        }
    }

    /// Forgets an entry. Returns how many left after it, if it was remembered.
    pub(super) fn take(&mut self, id: u64) -> Option<u64> {
        self.ids.pop(&id).map(|at| self.count - at)
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
#[path = "probation_share_tests.rs"]
mod tests;
