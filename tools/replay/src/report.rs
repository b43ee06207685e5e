//! Figures of a replay.

use serde::Serialize;

use super::clients::Clients;
use super::tally::Tally;

/// Result of one method on one trace. Shares are of the demand requests unless stated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name of the trace.
    pub trace: String,
    /// Name of the method; `foremap` is the engine of the core.
    pub method: String,
    /// Clients that learn together: `pooled` is all of them, `held` the same within a budget of each, `alone` each by
    /// itself, `shared` each by itself from what others told; only there for the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<&'static str>,
    /// Demand requests.
    pub requests: u64,
    /// Different keys among them.
    pub unique_keys: usize,
    /// Entries of the cache, or of each client's cache.
    pub cache_entries: usize,
    /// Share that was served from the cache.
    pub hit_ratio: f64,
    /// The same of the first ten requests of each client; only there with private caches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ten_hit_ratio: Option<f64>,
    /// Prefetches for each demand request.
    pub prefetches_per_request: f64,
    /// Prefetches for each demand request that were not used.
    pub wasted_per_request: f64,
    /// Share of the prefetches that were used; `null` without any.
    pub precision: Option<f64>,
    /// Share of the requests for a key that nobody had asked for before which were served from the cache.
    pub novel_coverage: f64,
    /// Expected calibration error of all predictions; `null` for methods that state no probability.
    pub calibration_error: Option<f64>,
    /// The same of those that were prefetched.
    pub calibration_error_issued: Option<f64>,
    /// The same of prefetches from the first 20 requests of each client, where those unused at the end count as well;
    /// only there for the engine, with private caches, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration_error_first: Option<f64>,
    /// Largest excess of waste known over budget x requests, after any request, in prefetches.
    pub max_budget_excess: f64,
    /// The same of one client's own waste and requests: the largest after any request of any client, and when it is gone
    /// and all that it has not used is waste; only there with private caches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_client_excess: Option<f64>,
    /// Mean time of the predictor for each request: learning, predicting (asking the cache included), and taking
    /// outcomes; without the cache's own work, and without that of looking at the clock. `null` for methods without a
    /// predictor.
    pub ns_per_access: Option<f64>,
    /// 99th percentile of that time.
    pub p99_ns: Option<u64>,
    /// Most bytes that the predictor kept, or the largest of several; `null` for methods without one.
    pub peak_bytes: Option<usize>,
    /// Compressed bytes of the last snapshot; only there where clients share a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_bytes: Option<usize>,
    /// Bytes of all that clients told; only there where they share a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary_bytes: Option<u64>,
    /// Hits among each N requests, in their order; only there if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Vec<u32>>,
}

/// Figures of the predictor about itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Quality {
    pub(super) models: Option<&'static str>,
    pub(super) calibration_error: Option<f64>,
    pub(super) calibration_error_issued: Option<f64>,
    pub(super) calibration_error_first: Option<f64>,
    pub(super) peak_bytes: Option<usize>,
    pub(super) shared: Option<(usize, u64)>,
}

impl Row {
    pub(super) fn new(trace: &str, method: String, keys: usize, entries: usize, tally: &Tally, own: Quality) -> Self {
        let share = |count: u64, of: u64| count as f64 / of.max(1) as f64;
        let nanos = tally.nanos();
        Self {
            trace: trace.to_owned(),
            method,
            models: own.models,
            requests: tally.requests,
            unique_keys: keys,
            cache_entries: entries,
            hit_ratio: tally.hit_ratio(),
            first_ten_hit_ratio: tally.clients.as_ref().map(Clients::first_hit_ratio),
            prefetches_per_request: share(tally.issued, tally.requests),
            wasted_per_request: tally.wasted_per_request(),
            precision: (tally.issued > 0).then(|| share(tally.used, tally.issued)),
            novel_coverage: share(tally.novel_hits, tally.novel),
            calibration_error: own.calibration_error,
            calibration_error_issued: own.calibration_error_issued,
            calibration_error_first: own.calibration_error_first,
            max_budget_excess: tally.max_budget_excess,
            max_client_excess: tally.clients.as_ref().map(Clients::max_excess),
            ns_per_access: nanos.map(|(mean, _)| mean),
            p99_ns: nanos.map(|(_, p99)| p99),
            peak_bytes: own.peak_bytes,
            snapshot_bytes: own.shared.map(|(snapshot, _)| snapshot),
            summary_bytes: own.shared.map(|(_, summaries)| summaries),
            series: tally.series().map(<[u32]>::to_vec),
        }
    }
}
