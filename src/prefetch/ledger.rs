//! The ledger: every prefetch from issue to outcome.

use fxhash::FxBuildHasher;
use lru::LruCache;

use super::outcome::PrefetchOutcome;
use crate::analyzer::{Expert, KeyId};
use crate::confidence::{LogicalTime, Reliability, Worth};

/// Bytes that one outstanding prefetch costs: queue node and share of the hash table.
pub(super) const OUTSTANDING_BYTES: usize = 120;

/// An issued prefetch without an outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outstanding {
    pub(super) worth: Worth,
    pub(super) expert: Expert,
    /// Moment of issue.
    pub(super) issued: LogicalTime,
    /// Request of the cache's holder after which it arrived.
    pub(super) landed: Option<u64>,
}

/// Outcomes so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcomes {
    pub(super) issued: u64,
    pub(super) used: u64,
    pub(super) late: u64,
    pub(super) overtaken: u64,
    pub(super) outdated: u64,
    pub(super) wasted: u64,
    pub(super) harmful: u64,
    pub(super) refunded: u64,
    pub(super) missing: u64,
    pub(super) failed: u64,
}

impl Outcomes {
    /// Requests that were made for nothing.
    pub(super) fn spent(&self) -> u64 {
        self.outdated + self.wasted + self.harmful + self.missing + self.failed + self.overtaken
    }
}

#[derive(Debug)]
pub(super) struct Ledger {
    /// Oldest first.
    outstanding: LruCache<KeyId, Outstanding, FxBuildHasher>,
    capacity: usize,
    /// Those among them that have not arrived.
    in_flight: usize,
    outcomes: Outcomes,
    reliability: Reliability,
    /// Mean stay of entries that left unused, in requests since they arrived.
    stay: Option<f64>,
}

impl Ledger {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            outstanding: LruCache::unbounded_with_hasher(FxBuildHasher::default()),
            capacity: capacity.max(1),
            in_flight: 0,
            outcomes: Outcomes::default(),
            reliability: Reliability::default(),
            stay: None,
        }
    }

    pub(super) fn contains(&self, id: KeyId) -> bool {
        self.outstanding.contains(&id)
    }

    /// Marks a prefetch as arrived; returns the request that it was made with, the first time.
    pub(super) fn land(&mut self, seq: u64, id: KeyId) -> Option<u64> {
        let prefetch = self.outstanding.peek_mut(&id)?;
        let first = prefetch.landed.replace(seq).is_none();
        self.in_flight -= usize::from(first);
        first.then_some(prefetch.issued.of_all)
    }

    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    pub(super) fn stay(&self) -> Option<f64> {
        self.stay
    }

    pub(super) fn reliability(&self) -> &Reliability {
        &self.reliability
    }

    /// Opens a prefetch. Where there is no place left the oldest one is written off as wasted: a cache that holds so
    /// many unused guesses would never make room for better ones if the ledger waited for them.
    pub(super) fn issue(&mut self, id: KeyId, prefetch: Outstanding) {
        self.outcomes.issued += 1;
        while self.outstanding.len() >= self.capacity
            && let Some((&oldest, _)) = self.outstanding.peek_lru()
        {
            // Without a stay: whoever holds its cache may count requests by another clock.
            self.close(0, oldest, PrefetchOutcome::Wasted);
        }
        self.in_flight += usize::from(prefetch.landed.is_none());
        self.outstanding.put(id, prefetch);
    }

    /// Closes a prefetch; `None` where none was open, which changes nothing.
    pub(super) fn close(&mut self, seq: u64, id: KeyId, outcome: PrefetchOutcome) -> Option<Outstanding> {
        let prefetch = self.outstanding.pop(&id)?;
        self.in_flight -= usize::from(prefetch.landed.is_none());
        let count = match outcome {
            PrefetchOutcome::Used => &mut self.outcomes.used,
            PrefetchOutcome::Late => &mut self.outcomes.late,
            PrefetchOutcome::Overtaken => &mut self.outcomes.overtaken,
            PrefetchOutcome::Outdated => &mut self.outcomes.outdated,
            PrefetchOutcome::Wasted => &mut self.outcomes.wasted,
            PrefetchOutcome::Harmful => &mut self.outcomes.harmful,
            PrefetchOutcome::Refunded => &mut self.outcomes.refunded,
            PrefetchOutcome::Missing => &mut self.outcomes.missing,
            PrefetchOutcome::Failed => &mut self.outcomes.failed,
        };
        *count += 1;
        match outcome {
            PrefetchOutcome::Used | PrefetchOutcome::Late => {
                self.reliability.predicted(prefetch.worth.probability);
                self.reliability.came_true(prefetch.worth.probability);
            }
            PrefetchOutcome::Overtaken | PrefetchOutcome::Outdated => {
                self.reliability.predicted(prefetch.worth.probability)
            }
            PrefetchOutcome::Wasted | PrefetchOutcome::Harmful => {
                self.reliability.predicted(prefetch.worth.probability);
                let stay = seq.saturating_sub(prefetch.landed.unwrap_or(seq)) as f64;
                // What was refused at once has not stayed at all.
                if stay > 0.0 {
                    self.stay = Some(self.stay.map_or(stay, |mean| mean + (stay - mean) / 16.0));
                }
            }
            // Says nothing about whether the key would have been asked for.
            PrefetchOutcome::Refunded | PrefetchOutcome::Missing | PrefetchOutcome::Failed => {}
        }
        Some(prefetch)
    }

    pub(super) fn bytes(&self) -> usize {
        self.outstanding.len() * OUTSTANDING_BYTES + size_of::<Self>()
    }
}
