//! [`SharedModel`]: what all clients learned, kept up to date.

use super::builder::SnapshotOptions;
use super::clients::ClientId;
use super::judge::Judge;
use super::merger::{MergeOutcome, Merger, MergerConfig, MergerStats};
use super::summary::Summary;
use crate::Millis;
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

    /// Whether a new snapshot is due: by time, or by what was merged since the latest one, whichever comes first.
    pub fn is_due(&self, now: Millis) -> bool {
        let all = self.merger.stats().observations;
        let (made, of) = self.made.unwrap_or((0, 0));
        let news = all - of;
        news >= (all / NEWS).max(LEAST_NEWS) || (news > 0 && now.saturating_sub(made) >= self.config.every_ms)
    }

    /// The model as of now; with a greater number than those before, also where the clock was set back.
    pub fn snapshot(&mut self, now: Millis, options: &SnapshotOptions<'_>) -> ModelSnapshot {
        self.number = now.max(self.number + 1);
        self.made = Some((now, self.merger.stats().observations));
        let mut snapshot = self.merger.snapshot(self.number, options);
        self.judge.calibrate(&mut snapshot);
        self.merger.end_epoch();
        snapshot
    }

    /// Fill, bounds and counts of what was merged.
    pub fn stats(&self) -> MergerStats {
        self.merger.stats()
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "shared_tests.rs"]
mod tests;
