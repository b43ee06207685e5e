//! [`SharedModel`]: what all clients learned, kept up to date.

use super::builder::SnapshotOptions;
use super::clients::ClientId;
use super::judge::Judge;
use super::merger::{MergeOutcome, Merger, MergerConfig, MergerStats};
use super::summary::Summary;
use crate::Millis;
use crate::codec::{DecodeError, MAX_SAFE_INTEGER, Reader, Writer};
use crate::protocol::ModelSnapshot;

/// When a new snapshot is due, and whose clients it is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharedModelConfig {
    /// Bounds of what is merged.
    pub merger: MergerConfig,
    /// Age of a snapshot at which a new one is due, if anything was merged meanwhile.
    pub every_ms: Millis,
    /// Waste budget of the clients, which decides what threshold they settle at.
    pub waste_budget: f64,
}

impl Default for SharedModelConfig {
    fn default() -> Self {
        Self { merger: MergerConfig::default(), every_ms: 60_000, waste_budget: 0.25 }
    }
}

/// New observations, as a share of all, with which a snapshot is due before its time: on a busy site one of an hour ago
/// is worth a fifth.
const NEWS: u64 = 100;
/// Fewest of them: less says nothing.
const LEAST_NEWS: u64 = 64;

const MAGIC: [u8; 4] = *b"FMMM";
const VERSION: u8 = 1;
/// The smallest size that is judged, where there is one: what clients read unless they ask for another.
const JUDGED: usize = 64 << 10;

/// The merged summaries and the latest snapshot of them.
#[derive(Debug)]
pub struct SharedModel {
    config: SharedModelConfig,
    merger: Merger,
    judge: Judge,
    /// When the latest snapshot was made, and of how many observations.
    made: Option<(Millis, u64)>,
    /// The number of the latest snapshot.
    number: Millis,
}

impl SharedModel {
    /// Knows nothing yet.
    pub fn new(config: SharedModelConfig) -> Self {
        let (merger, judge) = (Merger::new(config.merger), Judge::new(config.waste_budget));
        Self { config, merger, judge, made: None, number: 0 }
    }

    /// Adds what an instance tells, once, as from `client`; `now` is wall-clock time. O(steps).
    pub fn merge(&mut self, now: Millis, client: ClientId, summary: &Summary) -> MergeOutcome {
        let outcome = self.merger.merge(now, client, summary);
        if let MergeOutcome::Merged(_) = outcome {
            self.judge.follow(summary);
        }
        outcome
    }

    /// Tells whether a new snapshot is due: by time, or by what was merged since the latest one, whichever comes first.
    pub fn is_due(&self, now: Millis) -> bool {
        let all = self.merger.stats().observations;
        let (made, of) = self.made.unwrap_or((0, 0));
        let news = all - of;
        news >= (all / NEWS).max(LEAST_NEWS) || (news > 0 && now.saturating_sub(made) >= self.config.every_ms)
    }

    /// The model as of now; with a greater number than those before, also where the clock was set back.
    pub fn snapshot(&mut self, now: Millis, options: &SnapshotOptions<'_>) -> ModelSnapshot {
        self.snapshots(now, options, &[options.max_bytes]).pop().unwrap_or_default()
    }

    /// The model as of now in several sizes, each of at most so many bytes as the options measure them, ascending. One
    /// that has everything in it is the last.
    pub fn snapshots(&mut self, now: Millis, options: &SnapshotOptions<'_>, sizes: &[usize]) -> Vec<ModelSnapshot> {
        /// Bytes that a compressor may make of two parts beside what it makes of each.
        const SLACK: usize = 32;
        self.number = now.max(self.number + 1);
        self.made = Some((now, self.merger.stats().observations));
        let (calibration, threshold) = self.judge.calibration();
        let own = (options.compressed)(&calibration) + SLACK;
        let rests: Vec<usize> = sizes.iter().map(|&size| if own <= size / 2 { size - own } else { size }).collect();
        let mut snapshots = self.merger.snapshots(self.number, options, &rests);
        for (snapshot, (&size, &rest)) in snapshots.iter_mut().zip(sizes.iter().zip(&rests)) {
            if rest < size {
                (snapshot.calibration, snapshot.threshold) = (calibration.clone(), threshold);
            }
            if (options.compressed)(&snapshot.encode()) > size {
                snapshot.calibration.clear();
            }
        }
        let judged = sizes.partition_point(|&size| size < JUDGED).min(snapshots.len().saturating_sub(1));
        if let Some(snapshot) = snapshots.get(judged) {
            self.judge.judge(snapshot);
        }
        self.merger.end_epoch();
        snapshots
    }

    /// Judges a snapshot that was made before, from now on.
    pub fn resume(&mut self, snapshot: &ModelSnapshot) {
        self.judge.judge(snapshot);
    }

    /// Forgets every way over a key that `is_forgotten` names. O(ways).
    pub fn forget(&mut self, is_forgotten: impl Fn(&str) -> bool) {
        self.merger.forget(is_forgotten);
    }

    /// Writes what another one can go on from, in a binary form of at most about `max_bytes`: the merged counts, those of
    /// the heaviest ways where there is no room for all, and what the judge found out. What each client contributed in the
    /// present hour is left out, so that it may count as often again. O(ways x log ways).
    pub fn export(&self, max_bytes: usize) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.option(self.made, |w, (made, of)| {
            w.varint(made);
            w.varint(of);
        });
        let (calibration, threshold) = self.judge.calibration();
        w.u8(threshold);
        w.bytes(&calibration);
        w.bytes(&self.merger.export(max_bytes.saturating_sub(w.len() + 8)));
        w.finish()
    }

    /// Goes on from what [`SharedModel::export`] wrote. O(bytes).
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not those of a model.
    pub fn import(config: SharedModelConfig, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
        let number = |r: &mut Reader<'_>| r.at_most(MAX_SAFE_INTEGER, "made");
        let made = r.option(|r| Ok((number(r)?, number(r)?)))?;
        let threshold = r.u8()?;
        let calibration = r.bytes()?.to_vec();
        let merger = Merger::import(config.merger, r.bytes()?)?;
        r.finish()?;
        let mut judge = Judge::new(config.waste_budget);
        judge.resume(calibration, threshold)?;
        let made = made.map(|(made, of)| (made, of.min(merger.stats().observations)));
        let number = made.map_or(0, |(made, _)| made);
        Ok(Self { config, merger, judge, made, number })
    }

    /// See [`Merger::export_shares`].
    pub fn export_shares(&self) -> Vec<u8> {
        self.merger.export_shares()
    }

    /// See [`Merger::import_shares`].
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not those of shares.
    pub fn import_shares(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.merger.import_shares(bytes)
    }

    /// Fill, bounds and counts of what was merged.
    pub fn stats(&self) -> MergerStats {
        self.merger.stats()
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "shared_tests.rs"]
mod tests;
