//! [`ModelKeeper`]: what the leader does with what it is told.

use super::builder::SnapshotOptions;
use super::merger::{MergeOutcome, MergerStats};
use super::outbox::ToldSummary;
use super::shared::{SharedModel, SharedModelConfig};
use super::summary::Summary;
use crate::Millis;
use crate::codec::DecodeError;
use crate::key::KeyPrefix;
use crate::protocol::ModelSnapshot;

/// Rules for what a keeper makes.
#[derive(Debug, Clone, PartialEq)]
pub struct KeeperConfig {
    /// When a snapshot is due.
    pub model: SharedModelConfig,
    /// Distinct clients that must have gone a way before a snapshot tells of it.
    pub min_clients: u32,
    /// Keys below these everybody may know, whoever asked for them.
    pub shared: Vec<KeyPrefix>,
    /// Sizes that snapshots are made in, ascending.
    pub sizes: Vec<usize>,
    /// Largest binary form of the merged counts.
    pub max_state_bytes: usize,
}

/// Results of a round that are to be stored.
#[derive(Debug, Default)]
pub struct RoundResults {
    /// A new snapshot in ascending sizes, if one was due.
    pub snapshots: Option<Vec<ModelSnapshot>>,
    /// The merged counts, if they are due.
    pub state: Option<Vec<u8>>,
}

/// Merges, and decides in each round what is due. Whoever drives it stores what it makes; of what is not stored
/// [`ModelKeeper::failed`] is told. A leader that ends loses what was merged in half the age at which a snapshot is due.
#[derive(Debug)]
pub struct ModelKeeper {
    config: KeeperConfig,
    model: SharedModel,
    saved: Option<Millis>,
    is_unsaved: bool,
    /// A snapshot is due whatever the time.
    is_forced: bool,
    malformed: u64,
    /// No snapshot is due before, unless one is forced.
    not_before: Millis,
}

/// A snapshot that took a second is followed by another after so many, at the earliest: where a million ways are known,
/// making them takes a fifth of one processor at most.
const REST: Millis = 4;

impl ModelKeeper {
    /// Knows nothing yet.
    pub fn new(config: KeeperConfig) -> Self {
        let model = SharedModel::new(config.model);
        Self { config, model, saved: None, is_unsaved: false, is_forced: false, malformed: 0, not_before: 0 }
    }

    /// Goes on from the stored counts, and judges the stored snapshot.
    ///
    /// # Errors
    /// [`DecodeError`] where the counts cannot be read.
    pub fn resume(config: KeeperConfig, state: &[u8], snapshot: Option<&ModelSnapshot>) -> Result<Self, DecodeError> {
        let mut model = SharedModel::import(config.model, state)?;
        if let Some(snapshot) = snapshot {
            model.resume(snapshot);
        }
        Ok(Self { model, ..Self::new(config) })
    }

    /// Writes what each client contributed in the present hour: for whoever keeps it beside the counts, so that nobody
    /// counts more than the hour allows where keepers come and go. O(pairs x log pairs).
    pub fn shares(&self) -> Vec<u8> {
        self.model.export_shares()
    }

    /// Goes on from [`ModelKeeper::shares`] of an earlier one.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not those of shares.
    pub fn resume_shares(&mut self, shares: &[u8]) -> Result<(), DecodeError> {
        self.model.import_shares(shares)
    }

    /// Merges what gateways were told; `now` is wall-clock time. O(steps).
    pub fn merge(&mut self, now: Millis, told: &[ToldSummary]) {
        for ToldSummary { client, summary } in told {
            match Summary::decode(summary) {
                Ok(summary) => {
                    let outcome = self.model.merge(now, *client, &summary);
                    self.is_unsaved |= matches!(outcome, MergeOutcome::Merged(_));
                }
                Err(_) => self.malformed += 1,
            }
        }
    }

    /// Forgets every way over a key below `prefix`; the next round makes a snapshot and stores everything.
    pub fn forget(&mut self, prefix: &KeyPrefix) {
        self.model.forget(|text| prefix.covers_text(text));
        self.failed();
    }

    /// Takes note that what was to be stored was not: the next round makes it anew.
    pub fn failed(&mut self) {
        (self.is_forced, self.is_unsaved, self.saved) = (true, true, None);
    }

    /// Makes what is due at `now`, by wall-clock time. `compressed` tells the size of bytes as they are sent. Takes up to
    /// some seconds where a million ways are known.
    pub fn round(&mut self, now: Millis, compressed: &dyn Fn(&[u8]) -> usize) -> RoundResults {
        let mut kept = RoundResults::default();
        if self.is_forced || (now >= self.not_before && self.model.is_due(now)) {
            self.is_forced = false;
            // Counts fade with it.
            self.is_unsaved = true;
            let shared = &self.config.shared;
            let options = SnapshotOptions {
                min_clients: self.config.min_clients,
                is_shared: &|text| shared.iter().any(|prefix| prefix.covers_text(text)),
                max_bytes: self.config.sizes.last().copied().unwrap_or(0),
                compressed,
            };
            kept.snapshots = Some(self.model.snapshots(now, &options, &self.config.sizes));
        }
        let pause = self.config.model.every_ms / 2;
        if self.is_unsaved && self.saved.is_none_or(|saved| now.abs_diff(saved) >= pause) {
            kept.state = Some(self.save(now));
        }
        kept
    }

    /// Tells whether a round makes a snapshot by `now` if nothing more is told.
    pub fn is_due(&self, now: Millis) -> bool {
        self.is_forced || self.model.is_due(now)
    }

    /// A round that made a snapshot took so long, until `now`.
    pub fn took(&mut self, now: Millis, took: Millis) {
        self.not_before = now + REST * took.min(self.config.model.every_ms / REST);
    }

    /// The merged counts, if they are not stored yet: what whoever gives the lease up does last.
    pub fn last(&mut self, now: Millis) -> Option<Vec<u8>> {
        self.is_unsaved.then(|| self.save(now))
    }

    fn save(&mut self, now: Millis) -> Vec<u8> {
        (self.is_unsaved, self.saved) = (false, Some(now));
        self.model.export(self.config.max_state_bytes)
    }

    /// Fill, bounds and counts of what was merged.
    pub fn stats(&self) -> MergerStats {
        self.model.stats()
    }

    /// Summaries that could not be read.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
