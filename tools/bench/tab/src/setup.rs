//! [`Setup`]: settings of a run.

use foremap::adapter::{Adapter, AdapterConfig, FeedConfig, Share};
use foremap::prefetch::PrefetchConfig;

use super::mode::Mode;

/// Settings of a run.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Way in which tabs answer requests.
    pub mode: Mode,
    /// Permille of requests that a foreign write to a random key precedes.
    pub writes: u32,
    /// The staleness bound, of adapters and of requests.
    pub bound_ms: u32,
    /// Settings by which a tab holds a change feed.
    pub feed: FeedConfig,
    /// Number of nodes that a tab may talk to; 1 where they are behind one address.
    pub origins: usize,
    /// Clients that must have gone a way before a shared model tells of it.
    pub share_clients: u32,
    /// Decides everything that the trace leaves open.
    pub seed: u64,
}

impl Setup {
    /// The adapter of a tab that may talk to `origins`.
    ///
    /// # Panics
    /// If `origins` is empty.
    pub(crate) fn adapter(&self, origins: Vec<String>, seed: u64) -> Adapter {
        let Self { mode, bound_ms: max_staleness_ms, feed, .. } = *self;
        let mut config = AdapterConfig { origins, seed, max_staleness_ms, feed, ..AdapterConfig::default() };
        if matches!(mode, Mode::NoCache | Mode::CacheOnly) {
            config.prefetch.enabled = false;
        }
        if mode == Mode::NoCache {
            (config.cache.max_bytes, config.cache.max_entries) = (0, 0);
            config.feed.enabled = false;
        }
        if mode == Mode::Shared {
            config.share = Share::Both;
        }
        if mode == Mode::Pooled {
            // Its own engine is never used.
            config.prefetch.analyzer.memory_bytes = PrefetchConfig::MIN_MEMORY;
        }
        Adapter::new(config).expect("valid options")
    }
}
