//! [`Survived`]: what the load says when it is over, as one line of JSON.

use serde::{Deserialize, Serialize};

/// Result of the overload. Times are in milliseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Survived {
    pub(crate) unloaded_p95: f64,
    pub(crate) unloaded_p99: f64,
    pub(crate) unloaded_health_p99: f64,
    pub(crate) silent: Beside,
    pub(crate) slow: Beside,
    /// Most bytes that the unfinished took.
    pub(crate) unfinished_bytes: f64,
    /// Batches a second that a gateway answers at most, and how many were asked for a second.
    pub(crate) capacity: f64,
    pub(crate) offered: f64,
    /// Batches that there was no connection for.
    pub(crate) unsent: u64,
    pub(crate) admitted_per_second: f64,
    pub(crate) admitted_p95: f64,
    pub(crate) health_p99: f64,
    pub(crate) demand_shed: f64,
    /// Share of what was fetched ahead that was shed in those tenths of a second in which demand was.
    pub(crate) prefetch_shed: f64,
    /// Tenths of a second in which demand was shed.
    pub(crate) shedding: usize,
    pub(crate) recovered_after_s: f64,
    pub(crate) memory_before: f64,
    pub(crate) memory_after: f64,
    pub(crate) written: usize,
    pub(crate) lost: usize,
}

/// Experience of a client beside a crowd.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Beside {
    /// Connections that were open when the client began, and when it ended.
    pub(crate) open: usize,
    pub(crate) open_after: usize,
    pub(crate) p99: f64,
    pub(crate) health_p99: f64,
}
