//! Hints of the application: one more expert, whose word is held against what happens.

use std::num::NonZeroUsize;

use fxhash::FxBuildHasher;
use lru::LruCache;

use crate::Millis;
use crate::analyzer::KeyId;

/// Probability of a hint that names none.
const UNSTATED: f32 = 0.9;
/// Milliseconds within which the key of a hint that names no time has to be asked for.
const UNSTATED_WITHIN: Millis = 60_000;
/// Hints that wait for their outcome; the oldest of more counts as failed.
const OPEN: usize = 256;
/// Bytes of one of them: queue node and share of the hash table.
const OPEN_BYTES: usize = 80;
/// Groups of stated probabilities: an application that says 0.9 and 0.2 is judged on each.
const BINS: usize = 10;
/// Outcomes that what is stated counts for: it takes about ten wrong hints to be turned down, and as few right ones to be
/// believed.
const PRIOR: f32 = 4.0;
/// Of earlier outcomes, with each new one: half after 70, so that an application that was mended is heard again.
const KEEP: f32 = 0.99;

#[derive(Debug, Clone, Copy, Default)]
struct HintBin {
    told: f32,
    came_true: f32,
}

/// A hint without an outcome.
#[derive(Debug, Clone, Copy)]
struct OpenHint {
    bin: u8,
    until: Millis,
}

/// Hints and what became of them, whether they were fetched or not. O(1) per hint and per request; fixed bounds.
#[derive(Debug)]
pub(super) struct Hints {
    bins: [HintBin; BINS],
    open: LruCache<KeyId, OpenHint, FxBuildHasher>,
    told: u64,
    came_true: u64,
}

impl Default for Hints {
    fn default() -> Self {
        let mut open = LruCache::unbounded_with_hasher(FxBuildHasher::default());
        open.resize(NonZeroUsize::new(OPEN).unwrap_or(NonZeroUsize::MIN));
        Self { bins: [HintBin::default(); BINS], open, told: 0, came_true: 0 }
    }
}

impl Hints {
    /// Bytes of the table at most.
    pub(super) const BYTES: usize = OPEN * OPEN_BYTES;
    pub(super) const OPEN: usize = OPEN;

    /// Books a hint as failed until its key is asked for; returns the probability that experience gives it.
    pub(super) fn book(&mut self, now: Millis, id: KeyId, probability: Option<f32>, within: Option<Millis>) -> f32 {
        let stated = probability.filter(|p| !p.is_nan()).unwrap_or(UNSTATED).clamp(0.0, 1.0);
        let at = ((stated * BINS as f32) as usize).min(BINS - 1);
        let HintBin { told, came_true } = self.bins[at];
        let probability = (came_true + PRIOR * stated) / (told + PRIOR);
        let until = now.saturating_add(within.unwrap_or(UNSTATED_WITHIN));
        // Said again before its outcome is known, it is the same hint.
        let is_open = self.open.peek(&id).is_some_and(|open| open.until >= now);
        if !is_open {
            self.bins[at] = HintBin { told: told * KEEP + 1.0, came_true: came_true * KEEP };
            self.told += 1;
            self.open.put(id, OpenHint { bin: at as u8, until });
        }
        probability
    }

    /// A key was asked for.
    pub(super) fn asked(&mut self, now: Millis, id: KeyId) {
        if let Some(open) = self.open.pop(&id).filter(|open| now <= open.until) {
            self.bins[usize::from(open.bin)].came_true += 1.0;
            self.came_true += 1;
        }
    }

    /// Hints given, those of them that came true, and those without an outcome.
    pub(super) fn counts(&self) -> (u64, u64, usize) {
        (self.told, self.came_true, self.open.len())
    }
}
