//! [`Mode`]: all that a tab has between its application and the network.

use foremap::prefetch::{PrefetchConfig, PrefetchEngine};

/// One way to answer requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every request goes to a gateway.
    NoCache,
    /// Answers are kept for a fixed time: what one would write oneself.
    Ttl,
    /// The cache that follows the change logs.
    CacheOnly,
    /// The client as a user gets it.
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
