//! [`ConfidenceMap`]: cells, the bounded table of current predictions, and their settlement.

use serde::Serialize;

use super::Reliability;
use super::cells::{CellId, Cells, Step};
use crate::analyzer::{Expert, KeyId};

/// Window of requests within which a prediction has to come true, until the cache's own pace is known.
const FIRST_WINDOW: u64 = 128;
/// Narrowest and widest window: a small cache needs a narrow one, and beyond the widest, success is popularity
/// rather than prediction.
const WINDOWS: (u64, u64) = (8, 512);
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

/// One prediction that waits for its window to pass or its key to be asked.
#[derive(Debug, Clone, Copy)]
struct Booking {
    cell: CellId,
    confidence: f32,
    until: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    id: KeyId,
    current: Assessment,
    direct: Option<Booking>,
    chained: Option<Booking>,
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
    entries: Box<[Option<Entry>]>,
    filled: usize,
    window: u64,
    reliability: Reliability,
}

impl ConfidenceMap {
    /// A map whose table takes at most `bytes`, at least one set.
    pub fn new(bytes: usize) -> Self {
        let sets = (bytes / (WAYS * size_of::<Option<Entry>>())).max(1);
        Self {
            cells: Cells::new(),
            entries: vec![None; sets * WAYS].into(),
            filled: 0,
            window: FIRST_WINDOW,
            reliability: Reliability::default(),
        }
    }

    /// The calibrated probability of a step. O(1).
    pub fn probability(&self, step: &Step) -> f32 {
        self.cells.probability(step).0
    }

    /// Sets the window to half of how long unused prefetched entries stay, in requests: a prediction that comes
    /// true later than that would often find its entry gone.
    pub fn set_stay(&mut self, requests: f64) {
        self.window = ((requests / 2.0) as u64).clamp(WINDOWS.0, WINDOWS.1);
    }

    fn set(&self, id: KeyId) -> std::ops::Range<usize> {
        let sets = (self.entries.len() / WAYS) as u64;
        let at = (id.bits() % sets) as usize * WAYS;
        at..at + WAYS
    }

    fn find(&self, id: KeyId) -> Option<usize> {
        self.set(id).find(|&at| self.entries[at].as_ref().is_some_and(|entry| entry.id == id))
    }

    /// Books a prediction of stated `confidence` made at request `seq`, as a failure until
    /// [`ConfidenceMap::settle`], and makes it the key's current assessment. A prediction that still waits for its
    /// outcome is not booked a second time.
    pub fn book(&mut self, seq: u64, id: KeyId, step: &Step, confidence: f32, expert: Expert) {
        let (_, cell) = self.cells.probability(step);
        let until = seq + self.window;
        let current = Assessment { confidence, expert, until };
        let at = self.find(id).unwrap_or_else(|| self.make_room(id));
        let entry = self.entries[at].get_or_insert(Entry { id, current, direct: None, chained: None });
        if entry.id != id {
            // What the entry replaced here was waiting for stays booked as failed.
            *entry = Entry { id, current, direct: None, chained: None };
        }
        entry.current = current;
        let booking = match step {
            Step::Direct(_) => &mut entry.direct,
            Step::Chained { .. } => &mut entry.chained,
        };
        if booking.is_none_or(|booking| booking.until < seq) {
            *booking = Some(Booking { cell, confidence, until });
            self.cells.book(cell);
            self.reliability.predicted(confidence);
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

    /// The key was asked for with request `seq`: pays back what was predicted in time. Returns whether anything
    /// was. O(1).
    pub fn settle(&mut self, seq: u64, id: KeyId) -> bool {
        let Some(entry) = self.find(id).and_then(|at| self.entries[at].as_mut()) else { return false };
        let mut predicted = false;
        for booking in [entry.direct.take(), entry.chained.take()].into_iter().flatten() {
            if seq <= booking.until {
                self.cells.pay_back(booking.cell);
                self.reliability.came_true(booking.confidence);
                predicted = true;
            }
        }
        predicted
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
            memory_bytes: self.cells.bytes() + size_of_val(&*self.entries) + size_of::<Self>(),
        }
    }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
