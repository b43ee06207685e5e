//! Reports of the engine about itself.

use serde::Serialize;

use crate::analyzer::AnalyzerStats;
use crate::confidence::ConfidenceStats;

/// Predictions that failed, by reason, logged or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureCounts {
    /// Confidence not above the threshold.
    pub below_threshold: u64,
    /// Budget used up, or prefetching off.
    pub budget: u64,
}

/// Counters, fill and bounds of a [`PrefetchEngine`](super::PrefetchEngine).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrefetchStats {
    /// Demand requests seen.
    pub requests: u64,
    /// Prefetches issued.
    pub issued: u64,
    /// Asked for after they arrived.
    pub used: u64,
    /// Asked for before they arrived.
    pub late: u64,
    /// Asked for before they arrived, and fetched a second time.
    pub overtaken: u64,
    /// Asked for when they had grown too old.
    pub outdated: u64,
    /// Gone unused.
    pub wasted: u64,
    /// Gone unused, and displaced an entry that was asked for.
    pub harmful: u64,
    /// Cancelled before they were sent.
    pub refunded: u64,
    /// No such keymap.
    pub missing: u64,
    /// No answer.
    pub failed: u64,
    /// Issued and without an outcome so far.
    pub outstanding: usize,
    /// Most of those.
    pub outstanding_max: usize,
    /// Allowed waste per demand request.
    pub waste_budget: f64,
    /// Prefetches that may be issued now even if all outstanding ones go to waste.
    pub budget_left: f64,
    /// Requests that a prefetch takes to arrive: the longest of late, recovering slowly.
    pub delay_requests: f32,
    /// Confidence that must be exceeded at present.
    pub threshold: f32,
    /// Share of settled prefetches that were used; 0 before the first.
    pub precision: f64,
    /// Expected calibration error over all settled prefetches.
    pub calibration_error_issued: f64,
    /// Hints of the application.
    pub hints: u64,
    /// Those whose key was asked for in time, fetched or not.
    pub hints_came_true: u64,
    /// Hints without an outcome so far.
    pub hints_open: usize,
    /// Most of those.
    pub hints_open_max: usize,
    /// Predictions not fetched.
    pub not_fetched: FailureCounts,
    /// Failures in the log.
    pub failure_log: usize,
    /// Most of those.
    pub failure_log_max: usize,
    /// Keys known not to exist.
    pub suppressed: usize,
    /// Most of those.
    pub suppressed_max: usize,
    /// The analyzer's tables.
    pub analyzer: AnalyzerStats,
    /// The Confidence Map, with the calibration error over all predictions.
    pub confidence: ConfidenceStats,
    /// Bytes kept in all.
    pub memory_bytes: usize,
    /// Most bytes kept in all.
    pub memory_max: usize,
}
