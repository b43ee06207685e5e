//! [`ConfidenceMap`]: cells, the bounded table of current predictions, and their settlement.

use serde::Serialize;

use super::Reliability;
use super::calibration;
use super::cells::Cells;
use super::knots::{KNOTS, KnotPosition, Knots};
use super::logit::stretch;
use super::mixer::{Chains, Learns, Mixer, Score};
use crate::analyzer::{Evidence, Expert, KeyId};
use crate::codec::{DecodeError, Reader, Writer};

/// Window of requests within which a prediction has to come true, until the cache's own pace is known.
const FIRST_WINDOW: u64 = 128;
/// Narrowest and widest window: a small cache needs a narrow one, and beyond the widest, success is popularity
/// rather than prediction.
const WINDOWS: (u64, u64) = (8, 1_024);
/// Issued prefetches after which what became of them is halved. Many, as a large cache holds hundreds that have no fate
/// yet, and those count as wasted meanwhile.
const WORTH_WINDOW: f32 = 4_096.0;
/// Slots that a key can be in.
const WAYS: usize = 4;

/// Current opinion on a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assessment {
    /// Probability that it is asked for within the window.
    pub confidence: f32,
    /// Expert that predicted it.
    pub expert: Expert,
}

/// Way in which a prediction came about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PredictionStep {
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
    /// Way in which it came about.
    pub step: &'a PredictionStep,
    /// Expert that predicted it.
    pub expert: Expert,
    /// Stated probability.
    pub confidence: f32,
}

/// Worth of a prefetch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worth {
    /// Probability that its entry is used.
    pub probability: f32,
    place: KnotPosition,
}

impl Worth {
    /// The same where somebody else states the probability.
    pub fn stated(self, probability: f32) -> Self {
        Self { probability, ..self }
    }
}

/// When a prediction is made or settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogicalTime {
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

/// State that any prediction waits with. Requests are counted modulo 2^32, see [`ahead`].
#[derive(Debug, Clone, Copy)]
struct Waits {
    confidence: f32,
    until: u32,
    made: u32,
}

/// A chained one.
#[derive(Debug, Clone, Copy)]
struct Chained {
    bin: u8,
    waits: Waits,
}

#[derive(Debug, Clone, Copy)]
struct ScoredKey {
    confidence: f32,
    until: u32,
    expert: Expert,
    direct: Option<Direct>,
    chained: Option<Chained>,
}

impl ScoredKey {
    const FREE: Self = Self { confidence: 0.0, until: 0, expert: Expert::Order1, direct: None, chained: None };
}

/// Requests that a request is ahead of the present one, whose full number is known: half of 2^32 at most.
fn ahead(request: u32, now: u64) -> i32 {
    request.wrapping_sub(now as u32) as i32
}

impl Waits {
    /// Tells whether what comes true now was fetched in time, and its entry has not gone yet.
    fn is_in_time(&self, moment: LogicalTime) -> bool {
        ahead(self.made, moment.of_all) <= 0 && !self.is_over(moment.seq)
    }

    fn is_over(&self, seq: u64) -> bool {
        ahead(self.until, seq) < 0
    }
}

/// Predictions that a request settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// The key after which the request had been predicted directly, if it was.
    pub after: Option<KeyId>,
    /// True if it had been predicted at all.
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
    worths: Knots<KNOTS>,
    /// Apart from the entries, as they are searched: a set of them is half a cache line.
    ids: Box<[Option<KeyId>]>,
    entries: Box<[ScoredKey]>,
    filled: usize,
    window: u64,
    reliability: Reliability,
}

/// The table's bytes decide how much it holds, which has to be the same whatever the size of a pointer.
const _: () = assert!(size_of::<ScoredKey>() == 80);

impl ConfidenceMap {
    /// Bytes beside the table.
    pub(crate) const FIXED_BYTES: usize = Cells::BYTES + size_of::<Self>();

    /// A map whose table takes at most `bytes`, at least one set.
    pub fn new(bytes: usize) -> Self {
        let sets = (bytes / (WAYS * (size_of::<Option<KeyId>>() + size_of::<ScoredKey>()))).max(1);
        Self {
            cells: Cells::new(),
            mixer: Mixer::new(),
            chains: Chains::new(),
            worths: Knots::new(WORTH_WINDOW),
            ids: vec![None; sets * WAYS].into(),
            entries: vec![ScoredKey::FREE; sets * WAYS].into(),
            filled: 0,
            window: FIRST_WINDOW,
            reliability: Reliability::default(),
        }
    }

    /// Writes what was learned of evidence and of prefetches, for a map that starts elsewhere. About a kilobyte.
    pub fn export(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(calibration::VERSION);
        self.cells.export(&mut w);
        self.mixer.export(&mut w);
        self.worths.export(&mut w);
        w.finish()
    }

    /// Starts from what another map learned: takes over what [`ConfidenceMap::export`] wrote, worth at most 64 trials
    /// each. What is remembered of single keys stays. O(bytes).
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not of that form; the map is then as it was.
    pub fn import(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut r = Reader::new(bytes);
        match r.u8()? {
            calibration::VERSION => {}
            version => return Err(DecodeError::BadVersion(version)),
        }
        let (mut cells, mut mixer, mut worths) = (Cells::new(), Mixer::new(), Knots::new(WORTH_WINDOW));
        cells.import(&mut r)?;
        mixer.import(&mut r)?;
        worths.import(&mut r)?;
        r.finish()?;
        (self.cells, self.mixer, self.worths) = (cells, mixer, worths);
        Ok(())
    }

    /// The calibrated probability of what `evidence` speaks for. O(1).
    pub fn score(&self, evidence: &Evidence) -> Score {
        self.mixer.score(&self.cells, evidence)
    }

    /// The calibrated probability of a chain, from the product of its steps' probabilities. O(1).
    pub fn chain(&self, path: f32, depth: u8) -> f32 {
        self.chains.score(path, depth).0
    }

    /// The probability that a prefetch of such a confidence is used. A prediction has a window to come true, its entry
    /// in the cache has more or less time than that; what became of earlier prefetches tells. O(1).
    pub fn worth(&self, confidence: f32) -> Worth {
        let (probability, place) = self.worths.score(0, stretch(confidence, 1.0 - confidence));
        Worth { probability, place }
    }

    /// A prefetch was issued: it counts as wasted until [`ConfidenceMap::used`].
    pub fn issued(&mut self, worth: &Worth) {
        self.worths.book(worth.place);
    }

    /// An issued prefetch was not sent, or brought no answer, which says nothing of the prediction.
    pub fn unissued(&mut self, worth: &Worth) {
        self.worths.undo(worth.place);
    }

    /// A prediction was thought worth less than its confidence, and not issued for that. What is never issued shows nothing
    /// better, so a little of what it was thought worth is forgotten: after some hundred of them it is tried again.
    pub fn passed_over(&mut self, worth: &Worth) {
        self.worths.forget(worth.place);
    }

    /// An issued prefetch was used.
    pub fn used(&mut self, worth: &Worth) {
        self.worths.pay_back(worth.place);
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
        let set = self.set(id);
        self.ids[set.clone()].iter().position(|known| *known == Some(id)).map(|way| set.start + way)
    }

    /// Books a prediction made at a moment, as a failure until
    /// [`ConfidenceMap::settle`], and makes it the key's current assessment. A prediction that still waits for its
    /// outcome is not booked a second time. Returns whether a direct one was booked.
    pub fn book(&mut self, moment: LogicalTime, booking: &Booking<'_>) -> bool {
        let Booking { id, after, confidence, expert, .. } = *booking;
        let (seq, until) = (moment.seq, (moment.seq + self.window) as u32);
        let waits = Waits { confidence, until, made: moment.of_all as u32 };
        let at = self.find(id).unwrap_or_else(|| self.make_room(seq, id));
        let entry = &mut self.entries[at];
        (entry.confidence, entry.until, entry.expert) = (confidence, until, expert);
        match booking.step {
            PredictionStep::Direct(score) if entry.direct.is_none_or(|known| known.waits.is_over(seq)) => {
                entry.direct = Some(Direct { learns: score.learns, after, waits });
                self.cells.book(&score.learns.evidence);
                self.mixer.book(score);
                self.reliability.predicted(confidence);
                true
            }
            PredictionStep::Chained { path, depth } if entry.chained.is_none_or(|known| known.waits.is_over(seq)) => {
                let (_, bin) = self.chains.score(*path, *depth);
                entry.chained = Some(Chained { bin, waits });
                self.chains.book(bin);
                self.reliability.predicted(confidence);
                false
            }
            _ => false,
        }
    }

    /// A place for a new key. What the key that leaves was waiting for stays booked as failed.
    fn make_room(&mut self, seq: u64, id: KeyId) -> usize {
        let set = self.set(id);
        let first = set.start;
        let left = |&at: &usize| self.ids[at].map_or(i32::MIN, |_| ahead(self.entries[at].until, seq));
        let at = set.min_by_key(left).unwrap_or(first);
        self.filled += usize::from(self.ids[at].is_none());
        (self.ids[at], self.entries[at]) = (Some(id), ScoredKey::FREE);
        at
    }

    /// The key was asked for: pays back what was predicted in time. O(1).
    pub fn settle(&mut self, moment: LogicalTime, id: KeyId) -> Settled {
        let mut settled = Settled::default();
        let Some(at) = self.find(id) else { return settled };
        let entry = &mut self.entries[at];
        if let Some(direct) = entry.direct.take().filter(|direct| direct.waits.is_in_time(moment)) {
            self.cells.pay_back(&direct.learns.evidence);
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

    /// The key was asked for, but to have fetched it was of no use: what was predicted of it stays booked as failed. O(1).
    pub fn forfeit(&mut self, id: KeyId) {
        if let Some(at) = self.find(id) {
            (self.entries[at].direct, self.entries[at].chained) = (None, None);
        }
    }

    /// Opinion on a key at request `seq`, if it was predicted lately.
    pub fn assessment(&self, seq: u64, id: KeyId) -> Option<Assessment> {
        let ScoredKey { confidence, expert, until, .. } = self.entries[self.find(id)?];
        (ahead(until, seq) >= 0).then_some(Assessment { confidence, expert })
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
            memory_bytes: Self::FIXED_BYTES + size_of_val(&*self.ids) + size_of_val(&*self.entries),
        }
    }
}

#[cfg(test)]
#[path = "confidence_map_tests.rs"]
mod tests;
