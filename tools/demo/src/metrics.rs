//! Reading the counters of gateways and worker.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Prefetches of a worker or of tabs, as their engines' ledgers count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) struct Prefetch {
    /// Ordered.
    pub(super) issued: u64,
    /// Asked for after they had arrived.
    pub(super) used: u64,
    /// Asked for while they were under way, so that they saved a part of the wait.
    pub(super) late: u64,
    /// Cancelled before they were sent.
    refunded: u64,
}

impl Prefetch {
    /// Sent for nothing: not asked for by the end of the run, whatever became of them.
    pub(super) fn wasted(self) -> u64 {
        self.issued.saturating_sub(self.used + self.late + self.refunded)
    }
}

/// Counter of a gateway, by route and status.
const REQUESTS: &str = "foremap_http_requests";
/// Counter of a node.
const KEYS: &str = "foremap_keys_total";
/// A counter that every gateway declares from the start; that of requests appears with the first one.
const DECLARED: &str = "# TYPE foremap_keys ";
/// Routes that clients use; the others are for operators.
const CLIENT_ROUTES: &str = "route=\"/v1/";

/// The requests of clients in a gateway's `/metrics` (Prometheus text): everything below `/v1/`.
///
/// # Errors
/// If this is no gateway's text, or a sample is not a number.
pub(super) fn client_requests(metrics: &str) -> Result<u64> {
    ensure!(metrics.lines().any(|line| line.starts_with(DECLARED)), "these are not a gateway's metrics");
    sum(metrics.lines().filter(|line| line.starts_with(REQUESTS) && line.contains(CLIENT_ROUTES)))
}

/// The keys that a gateway's nodes were asked for, in its `/metrics`.
///
/// # Errors
/// As [`client_requests`].
pub(super) fn keys(metrics: &str) -> Result<u64> {
    ensure!(metrics.lines().any(|line| line.starts_with(DECLARED)), "these are not a gateway's metrics");
    sum(metrics.lines().filter(|line| line.starts_with(KEYS)))
}

fn sum<'a>(samples: impl Iterator<Item = &'a str>) -> Result<u64> {
    samples
        .map(|line| {
            let value = line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok());
            value.with_context(|| format!("not a sample of a counter: {line}"))
        })
        .sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = r#"# HELP foremap_http_requests HTTP requests answered.
# TYPE foremap_http_requests counter
foremap_http_requests_total{node="1",route="/v1/batch",status="200"} 40
foremap_http_requests_total{node="1",route="/v1/map",status="200"} 2
foremap_http_requests_total{node="1",route="/readyz",status="200"} 7
# TYPE foremap_keys counter
foremap_keys_total{node="1"} 99
# EOF
"#;

    #[test]
    fn requests_of_clients_are_summed_over_routes() -> Result<()> {
        assert_eq!((client_requests(METRICS)?, keys(METRICS)?), (42, 99));
        assert_eq!(client_requests("# TYPE foremap_keys counter\nforemap_keys_total 0\n")?, 0);
        Ok(())
    }

    #[test]
    fn what_was_neither_used_nor_cancelled_is_wasted() -> Result<()> {
        let stats = r#"{"prefetch":{"issued":20,"used":9,"late":3,"refunded":2,"wasted":4,"outstanding":2}}"#;
        assert_eq!(prefetch(stats)?.wasted(), 6);
        assert!(prefetch("{}").is_err());
        Ok(())
    }

    #[test]
    fn a_missing_or_damaged_counter_is_an_error() {
        assert!(client_requests("<html>").is_err());
        assert!(client_requests(&METRICS.replace("} 40", "} many")).is_err());
        assert!(keys("<html>").is_err() && keys(&METRICS.replace("} 99", "} many")).is_err());
    }
}
