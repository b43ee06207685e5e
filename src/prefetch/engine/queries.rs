//! Queries of [`PrefetchEngine`]: predictions, explanations and counts.

use super::{Hints, MISSING_BYTES, PrefetchEngine, Walk};
use crate::Millis;
use crate::analyzer::Context;
use crate::confidence::Reliability;
use crate::key::CompositeKey;
use crate::prefetch::failures::Failure;
use crate::prefetch::prediction::{Prediction, PredictionExplanation};
use crate::prefetch::stats::PrefetchStats;

impl PrefetchEngine {
    /// Keys expected next of a stream, most likely first.
    pub fn predictions_of_stream(&self, stream: &str) -> Vec<Prediction> {
        let Some(context) = self.analyzer.context(stream) else { return Vec::new() };
        let mut buffer = Vec::new();
        let last = context.last.and_then(|last| self.analyzer.text(last, &mut buffer)).unwrap_or_default();
        self.predictions(&context, last)
    }

    /// Keys expected after a key, whoever asks for it, most likely first.
    pub fn predictions_after(&self, key: &CompositeKey) -> Vec<Prediction> {
        self.predictions(&self.analyzer.context_of(key), key.as_str().as_bytes())
    }

    fn predictions(&self, context: &Context, last: &[u8]) -> Vec<Prediction> {
        let mut walk = Walk::default();
        walk.start(&self.analyzer, &self.confidence, context, last);
        std::iter::from_fn(|| walk.next().map(|node| (walk.key(&self.analyzer, &node).cloned(), node)))
            .filter_map(|(key, node)| Some(Prediction { key: key?, confidence: node.confidence, expert: node.expert }))
            .collect()
    }

    /// Explanation of a key, if it was predicted lately.
    pub fn explain(&self, now: Millis, key: &CompositeKey) -> Option<PredictionExplanation> {
        let id = self.analyzer.id(key);
        let assessment = self.confidence.assessment(self.budget.requests(), id)?;
        Some(PredictionExplanation {
            confidence: self.confidence.worth(assessment.confidence).probability,
            expert: assessment.expert,
            threshold: self.budget.threshold(),
            outstanding: self.ledger.contains(id),
            missing: self.is_missing(now, id),
            last_failure: self.failures.iter().rev().find(|failure| failure.key == *key).map(|failure| failure.reason),
        })
    }

    /// The failure log, oldest first: all prefetches that failed and a sample of the predictions not fetched.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.failures.iter()
    }

    /// Confidence that must be exceeded at present.
    pub fn threshold(&self) -> f32 {
        self.budget.threshold()
    }

    /// Stated probabilities against outcomes, of all predictions, fetched or not.
    pub fn reliability(&self) -> &Reliability {
        self.confidence.reliability()
    }

    /// The same of settled prefetches.
    pub fn reliability_issued(&self) -> &Reliability {
        self.ledger.reliability()
    }

    /// Counters, fill and bounds.
    pub fn stats(&self) -> PrefetchStats {
        let outcomes = self.ledger.outcomes();
        let (analyzer, confidence) = (self.analyzer.stats(), self.confidence.stats());
        let settled = outcomes.used + outcomes.late + outcomes.spent();
        let kept = self.ledger.bytes() + self.failures.bytes() + self.missing.len() * MISSING_BYTES + Hints::BYTES;
        let (hints, hints_came_true, hints_open) = self.hints.counts();
        PrefetchStats {
            requests: self.budget.requests(),
            issued: outcomes.issued,
            used: outcomes.used,
            late: outcomes.late,
            overtaken: outcomes.overtaken,
            outdated: outcomes.outdated,
            wasted: outcomes.wasted,
            harmful: outcomes.harmful,
            refunded: outcomes.refunded,
            missing: outcomes.missing,
            failed: outcomes.failed,
            outstanding: self.ledger.outstanding(),
            outstanding_max: self.ledger.capacity(),
            waste_budget: self.budget.rate(),
            budget_left: self.budget_left(),
            delay_requests: self.timing.delay(),
            threshold: self.budget.threshold(),
            precision: outcomes.used as f64 / settled.max(1) as f64,
            calibration_error_issued: self.ledger.reliability().error(),
            hints,
            hints_came_true,
            hints_open,
            hints_open_max: Hints::OPEN,
            not_fetched: self.not_fetched,
            failure_log: self.failures.len(),
            failure_log_max: self.failures.max(),
            suppressed: self.missing.len(),
            suppressed_max: self.missing.cap().get(),
            analyzer,
            confidence,
            memory_bytes: analyzer.memory_bytes + confidence.memory_bytes + kept + Walk::BYTES + size_of::<Self>(),
            memory_max: self.config.analyzer.memory_bytes,
        }
    }
}
