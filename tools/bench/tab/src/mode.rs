//! What a tab has between its application and the network.

use foremap::adapter::{Adapter, AdapterConfig, Share};
use foremap::prefetch::{PrefetchConfig, PrefetchEngine};

use super::world::Setup;

/// One way to answer requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every request goes to a gateway.
    NoCache,
    /// Answers are kept for a fixed time: what one would write oneself.
    Ttl,
    /// The cache that follows the change logs.
    CacheOnly,
    /// What a user gets.
    Default,
    /// As [`Mode::Default`], and each tab starts from what those before it told, as a gateway merges and serves it.
    Shared,
    /// As [`Mode::Default`], with one model for all tabs, which is known to each at once: the most that sharing one
    /// could bring.
    Pooled,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::NoCache, Self::Ttl, Self::CacheOnly, Self::Default, Self::Shared, Self::Pooled];

    /// The name in options and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoCache => "no-cache",
            Self::Ttl => "ttl",
            Self::CacheOnly => "cache-only",
            Self::Default => "default",
            Self::Shared => "shared",
            Self::Pooled => "pooled",
        }
    }

    /// The mode of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// The adapter of a tab that may talk to `origins`.
    ///
    /// # Panics
    /// If `origins` is empty.
    pub(crate) fn adapter(self, origins: Vec<String>, seed: u64, setup: &Setup) -> Adapter {
        let Setup { bound_ms: max_staleness_ms, feed, .. } = *setup;
        let mut config = AdapterConfig { origins, seed, max_staleness_ms, feed, ..AdapterConfig::default() };
        if matches!(self, Self::NoCache | Self::CacheOnly) {
            config.prefetch.enabled = false;
        }
        if self == Self::NoCache {
            (config.cache.max_bytes, config.cache.max_entries) = (0, 0);
            config.feed.enabled = false;
        }
        if self == Self::Shared {
            config.share = Share::Both;
        }
        if self == Self::Pooled {
            // Its own engine is never used.
            config.prefetch.analyzer.memory_bytes = PrefetchConfig::MIN_MEMORY;
        }
        Adapter::new(config).expect("valid options")
    }

    /// The engine that all tabs share.
    pub(crate) fn pool(self, seed: u64) -> Option<PrefetchEngine> {
        let mut config = PrefetchConfig {
            private_caches: true,
            credit: PrefetchConfig::CREDIT_OF_MANY,
            ..PrefetchConfig::default()
        };
        config.analyzer.seed = seed;
        (self == Self::Pooled).then(|| PrefetchEngine::new(config))
    }
}
