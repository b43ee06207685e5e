//! The failure log: a sampled ring of predictions that were not fetched, or fetched for nothing.

use std::collections::VecDeque;

use serde::Serialize;

use crate::Millis;
use crate::analyzer::Expert;
use crate::key::CompositeKey;

/// Reason of a failed prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum FailureReason {
    /// Not fetched: confidence not above the threshold, which is 1 while prefetching is off.
    BelowThreshold,
    /// Not fetched: the waste budget is used up.
    Budget,
    /// Fetched, and gone without being asked for.
    Unused,
    /// Fetched, but asked for before it arrived.
    Late,
    /// Fetched, but too old when it was asked for.
    Outdated,
    /// Fetched unused, and displaced an entry that was asked for.
    Harmful,
    /// Fetched, but there is no such keymap.
    Missing,
    /// Fetched, but no answer came.
    Failed,
}

/// One failed prediction.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The key predicted.
    pub key: CompositeKey,
    /// Probability that it was thought to have.
    pub confidence: f32,
    /// The threshold when it failed.
    pub threshold: f32,
    /// The expert that predicted it.
    pub expert: Expert,
    /// Reason of the failure.
    pub reason: FailureReason,
    /// Time of the failure.
    pub at: Millis,
}

/// Of the many predictions that are not fetched, one in this many is kept; all others are kept.
const SAMPLE: u64 = 16;

#[derive(Debug)]
pub(super) struct FailureLog {
    ring: VecDeque<Failure>,
    max: usize,
    bytes: usize,
    max_bytes: usize,
    not_fetched: u64,
}

impl FailureLog {
    pub(super) fn new(max: usize, max_bytes: usize) -> Self {
        Self { ring: VecDeque::new(), max, bytes: 0, max_bytes, not_fetched: 0 }
    }

    fn cost(failure: &Failure) -> usize {
        // Twice the record: a ring that grew by doubling is at least half full.
        2 * size_of::<Failure>() + failure.key.as_str().len()
    }

    /// Returns whether the next failure for this reason is to be pushed.
    pub(super) fn wants(&mut self, reason: FailureReason) -> bool {
        if !matches!(reason, FailureReason::BelowThreshold | FailureReason::Budget) {
            return true;
        }
        self.not_fetched += 1;
        // The very first one is kept, so that a quiet engine explains itself.
        self.not_fetched % SAMPLE == 1
    }

    pub(super) fn push(&mut self, failure: Failure) {
        self.bytes += Self::cost(&failure);
        self.ring.push_back(failure);
        while self.ring.len() > self.max || self.bytes > self.max_bytes {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.bytes -= Self::cost(&oldest);
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Failure> {
        self.ring.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
