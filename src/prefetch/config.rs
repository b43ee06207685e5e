//! Settings of prefetching.

use serde::{Deserialize, Serialize};

use crate::analyzer::AnalyzerConfig;

/// Settings of a [`PrefetchEngine`](super::PrefetchEngine). Values out of range are brought into it, never refused.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PrefetchConfig {
    /// Off: nothing is learnt, predicted or kept.
    pub enabled: bool,
    /// Wasted prefetches per demand request, 0 to 16.
    pub waste_budget: f64,
    /// Lowest confidence that is ever fetched, 0 to 1; the budget can only ask for more, and does: the default of
    /// 0.1 keeps uniform noise out, where any key is asked for again within a prefetch's stay with the probability that
    /// the cache is a share of the keys; on the development traces 0.05 and 0.15 replay level.
    pub threshold: f32,
    /// Longest chain of assumed requests, 1 to 64; followed only while prefetches take longer than until the next request.
    /// What comes after the delay is learnt as well, so on the development traces 2, 4 and 16 replay level.
    pub max_depth: u8,
    /// Most prefetches from one access, at least 1. They go out as one batch.
    pub max_orders: usize,
    /// True where each stream has a cache of its own, so that what is fetched for one is of no use to another: prefetches and
    /// their outcomes are then kept for each stream, while the counts behind predictions stay pooled. For replays; a
    /// client has one cache.
    #[serde(skip)]
    pub private_caches: bool,
    /// Prefetches that may be wasted before any request has earned them, so that an engine can start. One, as most
    /// visits are short: with [`PrefetchConfig::CREDIT_OF_MANY`] each of them could waste more than its requests.
    pub credit: u32,
    /// Most failures kept in the log.
    pub failure_log: usize,
    /// Bounds of the analyzer; its `memory_bytes` is the cap of the whole engine, at least
    /// [`PrefetchConfig::MIN_MEMORY`].
    pub analyzer: AnalyzerConfig,
}

impl PrefetchConfig {
    /// Credit of an engine that serves many clients: one of them alone would leave nothing to the others for a while.
    pub const CREDIT_OF_MANY: u32 = 20;
    /// Smallest memory cap: 512 KiB.
    pub const MIN_MEMORY: usize = 512 << 10;

    pub(super) fn checked(mut self) -> Self {
        // What is no number permits nothing.
        self.waste_budget = if self.waste_budget.is_nan() { 0.0 } else { self.waste_budget.clamp(0.0, 16.0) };
        self.threshold = if self.threshold.is_nan() { 1.0 } else { self.threshold.clamp(0.0, 1.0) };
        self.max_depth = self.max_depth.clamp(1, 64);
        self.max_orders = self.max_orders.max(1);
        self.analyzer.memory_bytes = self.analyzer.memory_bytes.max(Self::MIN_MEMORY);
        self
    }
}

impl Default for PrefetchConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            waste_budget: 0.25,
            threshold: 0.1,
            max_depth: 2,
            max_orders: 16,
            private_caches: false,
            credit: 1,
            failure_log: 256,
            analyzer: AnalyzerConfig::default(),
        }
    }
}

/// Limit of prefetching at the moment. Learning goes on in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Caution {
    /// As configured.
    #[default]
    Normal,
    /// Only what is nearly certain: slow link, hidden page.
    Cautious,
    /// Nothing: `Save-Data`, or switched off for now.
    Off,
}
