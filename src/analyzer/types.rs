//! Bounds of an analyzer, and what it reports about itself.

use serde::Serialize;

/// Bounds of an [`Analyzer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalyzerConfig {
    /// Hard cap on all that is kept, in bytes; at least [`AnalyzerConfig::MIN_MEMORY`].
    pub memory_bytes: usize,
    /// Most streams told apart; fewer where a sixteenth of the memory does not hold them.
    pub max_streams: usize,
    /// Bytes of them that are set aside for a shared model, at most half; 0: none is taken over.
    pub prior_bytes: usize,
    /// Whether nothing is learnt but where streams are, so that it can be judged what a shared model says to somebody new.
    #[serde(skip)]
    pub frozen: bool,
    /// Seed of the in-process key ids.
    pub seed: u64,
}

impl AnalyzerConfig {
    /// Default memory cap: 4 MiB.
    pub const DEFAULT_MEMORY: usize = 4 << 20;
    /// Smallest memory cap, below which the tables hold too little to predict from: 256 KiB.
    pub const MIN_MEMORY: usize = 256 << 10;
}

impl Default for AnalyzerConfig {
    fn default() -> Self {
        Self { memory_bytes: Self::DEFAULT_MEMORY, max_streams: 4_096, prior_bytes: 0, frozen: false, seed: 0 }
    }
}

/// How a demand request was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// From the cache, and not for the first time.
    Hit,
    /// First demand hit of a prefetched entry.
    FirstUse,
    /// Asked while its prefetch was in flight.
    Late,
    /// Neither cached nor on its way.
    Miss,
}

/// Demand requests by how they were met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessCounts {
    /// [`Access::Hit`].
    pub hits: u64,
    /// [`Access::FirstUse`].
    pub first_uses: u64,
    /// [`Access::Late`].
    pub late: u64,
    /// [`Access::Miss`].
    pub misses: u64,
}

impl AccessCounts {
    pub(super) fn of(&mut self, access: Access) -> &mut u64 {
        match access {
            Access::Hit => &mut self.hits,
            Access::FirstUse => &mut self.first_uses,
            Access::Late => &mut self.late,
            Access::Miss => &mut self.misses,
        }
    }
}

/// Fill and bounds of an analyzer's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalyzerStats {
    /// Requests observed.
    pub accesses: AccessCounts,
    /// Contexts held.
    pub lines: usize,
    /// Most contexts.
    pub lines_max: usize,
    /// Contexts replaced so far.
    pub lines_replaced: u64,
    /// Keys in the dictionary.
    pub keys: usize,
    /// Bytes of the dictionary that are in use.
    pub key_bytes: usize,
    /// Most bytes of the dictionary.
    pub key_bytes_max: usize,
    /// Keys that left the dictionary so far.
    pub keys_evicted: u64,
    /// Templates known.
    pub templates: usize,
    /// Bytes of templates that are in use.
    pub template_bytes: usize,
    /// Most bytes of templates.
    pub template_bytes_max: usize,
    /// Streams told apart.
    pub streams: usize,
    /// Most streams told apart.
    pub streams_max: usize,
    /// Streams forgotten so far.
    pub streams_evicted: u64,
    /// Contexts of the shared model.
    pub prior_lines: usize,
    /// Bytes of the shared model.
    pub prior_bytes: usize,
    /// Most bytes of it.
    pub prior_bytes_max: usize,
    /// Bytes of all of it, fixed tables at their full size.
    pub memory_bytes: usize,
}
