//! [`ConfidenceMap`]: cells, the bounded table of current predictions, and their settlement.

use serde::Serialize;

use super::Reliability;
use super::cells::Cells;
use super::mixer::{Chains, Learns, Mixer, Score};
use crate::analyzer::{Evidence, Expert, KeyId};

/// Window of requests within which a prediction has to come true, until the cache's own pace is known.
const FIRST_WINDOW: u64 = 128;
/// Narrowest and widest window: a small cache needs a narrow one, and beyond the widest, success is popularity
/// rather than prediction.
const WINDOWS: (u64, u64) = (8, 1_024);
/// Slots that a key can be in.
const WAYS: usize = 4;

/// What is currently thought of a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assessment {
    /// Probability that it is asked for within the window.
    pub confidence: f32,
    /// What predicted it.
    pub expert: Expert,
    /// Number of the request with which the assessment ends.
    pub until: u64,
}

/// How a prediction came about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// From what a stream really asked last.
    Direct(Score),
    /// By assuming that earlier predictions come true.
    Chained {
        /// Product of the probabilities of the path's steps.
        path: f32,
        /// Steps of the path, 2 or more.
        depth: u8,
    },
}

/// A prediction to be scored.
#[derive(Debug, Clone, Copy)]
pub struct Booking<'a> {
    /// The key.
    pub id: KeyId,
    /// The key after which it was predicted.
    pub after: KeyId,
    /// How it came about.
    pub step: &'a Step,
    /// What predicted it.
    pub expert: Expert,
    /// Stated probability.
    pub confidence: f32,
}

/// When a prediction is made or settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Requests of whoever holds the cache, the clock of windows.
    pub seq: u64,
    /// Requests of all: where a prediction is made, its own number; where one is settled, that of the latest request
    /// whose orders have arrived.
    pub of_all: u64,
}

/// A direct prediction that waits for its window to pass or its key to be asked.
#[derive(Debug, Clone, Copy)]
struct Direct {
    learns: Learns,
    after: KeyId,
    waits: Waits,
}

/// What any prediction waits with.
#[derive(Debug, Clone, Copy)]
struct Waits {
    confidence: f32,
    until: u64,
    made: u64,
}

/// A chained one.
#[derive(Debug, Clone, Copy)]
struct Chained {
    bin: u8,
    waits: Waits,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: KeyId,
    current: Assessment,
    direct: Option<Direct>,
    chained: Option<Chained>,
}

impl Waits {
    /// Whether what comes true now was fetched in time, and its entry has not gone yet.
    fn is_in_time(&self, moment: Moment) -> bool {
        self.made <= moment.of_all && moment.seq <= self.until
    }
}

/// What a request settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// The key after which the request had been predicted directly, if it was.
    pub after: Option<KeyId>,
    /// Whether it had been predicted at all.
    pub predicted: bool,
}

/// Fill and quality of a [`ConfidenceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfidenceStats {
    /// Keys with an assessment, ended ones included.
    pub entries: usize,
    /// Most of them.
    pub entries_max: usize,
    /// Requests within which a prediction has to come true.
    pub window: u64,
    /// Predictions scored, fetched or not.
    pub predictions: u64,
    /// Expected calibration error over them.
    pub calibration_error: f64,
    /// Bytes of all of it.
    pub memory_bytes: usize,
}

/// Calibrated confidence per kind of evidence and per key. Memory is fixed at construction.
#[derive(Debug, Clone)]
pub struct ConfidenceMap {
    cells: Cells,
    mixer: Mixer,
    chains: Chains,
    entries: Box<[Option<Entry>]>,
    filled: usize,
    window: u64,
    reliability: Reliability,
}

/// The table's bytes decide how much it holds, which has to be the same whatever the size of a pointer.
const _: () = assert!(size_of::<Option<Entry>>() == 128);

impl ConfidenceMap {
    /// Bytes beside the table.
    pub(crate) const FIXED_BYTES: usize = Cells::BYTES + size_of::<Self>();

    /// A map whose table takes at most `bytes`, at least one set.
    pub fn new(bytes: usize) -> Self {
        let sets = (bytes / (WAYS * size_of::<Option<Entry>>())).max(1);
        Self {
            cells: Cells::new(),
            mixer: Mixer::new(),
            chains: Chains::new(),
            entries: vec![None; sets * WAYS].into(),
            filled: 0,
            window: FIRST_WINDOW,
            reliability: Reliability::default(),
        }
    }

    /// The calibrated probability of what `evidence` speaks for. O(1).
    pub fn score(&self, evidence: &Evidence) -> Score {
        self.mixer.score(&self.cells, evidence)
    }

    /// The calibrated probability of a chain, from the product of its steps' probabilities. O(1).
    pub fn chain(&self, path: f32, depth: u8) -> f32 {
        self.chains.score(path, depth).0
    }

    /// Sets the window to how long unused prefetched entries stay on average, in requests, after the `delay` until they
    /// arrive: a prediction that comes true later than that would find its entry gone. Half of it replays level in hits, but what is fetched would
    /// then be used more often than stated.
    pub fn set_stay(&mut self, requests: f64, delay: f32) {
        self.window = (requests as u64).clamp(WINDOWS.0, WINDOWS.1) + delay as u64;
    }

    fn set(&self, id: KeyId) -> std::ops::Range<usize> {
        let sets = (self.entries.len() / WAYS) as u64;
        // Multiplication instead of remainder; a division is among the slowest instructions.
        let at = (((id.bits() & 0xffff_ffff) * sets) >> 32) as usize * WAYS;
        at..at + WAYS
    }

    fn find(&self, id: KeyId) -> Option<usize> {
        self.set(id).find(|&at| self.entries[at].as_ref().is_some_and(|entry| entry.id == id))
    }

    /// Books a prediction made at a moment, as a failure until
    /// [`ConfidenceMap::settle`], and makes it the key's current assessment. A prediction that still waits for its
    /// outcome is not booked a second time. Returns whether a direct one was booked.
    pub fn book(&mut self, moment: Moment, booking: &Booking<'_>) -> bool {
        let Booking { id, after, confidence, expert, .. } = *booking;
        let (seq, until) = (moment.seq, moment.seq + self.window);
        let waits = Waits { confidence, until, made: moment.of_all };
        let current = Assessment { confidence, expert, until };
        let at = self.find(id).unwrap_or_else(|| self.make_room(id));
        let entry = self.entries[at].get_or_insert(Entry { id, current, direct: None, chained: None });
        if entry.id != id {
            // What the entry replaced here was waiting for stays booked as failed.
            *entry = Entry { id, current, direct: None, chained: None };
        }
        entry.current = current;
        match booking.step {
            Step::Direct(score) if entry.direct.is_none_or(|known| known.waits.until < seq) => {
                entry.direct = Some(Direct { learns: score.learns, after, waits });
                self.cells.book(&score.learns.cells);
                self.mixer.book(score);
                self.reliability.predicted(confidence);
                true
            }
            Step::Chained { path, depth } if entry.chained.is_none_or(|known| known.waits.until < seq) => {
                let (_, bin) = self.chains.score(*path, *depth);
                entry.chained = Some(Chained { bin, waits });
                self.chains.book(bin);
                self.reliability.predicted(confidence);
                false
            }
            _ => false,
        }
    }

    fn make_room(&mut self, id: KeyId) -> usize {
        let set = self.set(id);
        let first = set.start;
        let at = set.min_by_key(|&at| self.entries[at].as_ref().map_or(0, |entry| entry.current.until + 1));
        let at = at.unwrap_or(first);
        self.filled += usize::from(self.entries[at].is_none());
        at
    }

    /// The key was asked for: pays back what was predicted in time. O(1).
    pub fn settle(&mut self, moment: Moment, id: KeyId) -> Settled {
        let mut settled = Settled::default();
        let Some(entry) = self.find(id).and_then(|at| self.entries[at].as_mut()) else { return settled };
        if let Some(direct) = entry.direct.take().filter(|direct| direct.waits.is_in_time(moment)) {
            self.cells.pay_back(&direct.learns.cells);
            self.mixer.pay_back(&direct.learns);
            self.reliability.came_true(direct.waits.confidence);
            settled = Settled { after: Some(direct.after), predicted: true };
        }
        if let Some(chained) = entry.chained.take().filter(|chained| chained.waits.is_in_time(moment)) {
            self.chains.pay_back(chained.bin);
            self.reliability.came_true(chained.waits.confidence);
            settled.predicted = true;
        }
        settled
    }

    /// What is thought of a key at request `seq`, if it was predicted lately.
    pub fn assessment(&self, seq: u64, id: KeyId) -> Option<Assessment> {
        let entry = self.entries[self.find(id)?].as_ref()?;
        (seq <= entry.current.until).then_some(entry.current)
    }

    /// Stated probabilities against outcomes. Predictions whose window is still open count as failed.
    pub fn reliability(&self) -> &Reliability {
        &self.reliability
    }

    /// Fill and quality. Predictions whose window is still open count as failed.
    pub fn stats(&self) -> ConfidenceStats {
        ConfidenceStats {
            entries: self.filled,
            entries_max: self.entries.len(),
            window: self.window,
            predictions: self.reliability.predictions(),
            calibration_error: self.reliability.error(),
            memory_bytes: Self::FIXED_BYTES + size_of_val(&*self.entries),
        }
    }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
