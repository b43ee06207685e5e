//! [`AnalyzerConfig`]: bounds of an analyzer.

use serde::Deserialize;

/// Bounds of an [`Analyzer`](super::Analyzer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalyzerConfig {
    /// Hard cap on all that is kept, in bytes; at least [`AnalyzerConfig::MIN_MEMORY`].
    pub memory_bytes: usize,
    /// Most streams told apart; fewer where a sixteenth of the memory does not hold them.
    pub max_streams: usize,
    /// Bytes of them that are set aside for a shared model, at most half; 0: none is taken over.
    pub prior_bytes: usize,
    /// True where nothing is learnt but where streams are, so that it can be judged what a shared model says to somebody
    /// new.
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
