//! Options of the adapter.

use std::fmt;

use serde::Deserialize;

use crate::cache::CacheConfig;
use crate::prefetch::PrefetchConfig;

/// Part of a client in the model that all clients share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// It neither reads nor tells.
    #[default]
    Off,
    /// It starts from what others learned.
    Read,
    /// It also tells which keys it asked for.
    Both,
}

/// Conditions for holding a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FeedConfig {
    /// True where the host can hold one at all: it can read an answer while it arrives, and its scope 0 lasts.
    pub enabled: bool,
    /// Closed after so many milliseconds without a request. People pause for minutes: with 5 minutes one in ten to five of
    /// the answers that a feed can keep fresh came after it had closed (traces of `cargo xtask bench tab`), with 20 one in
    /// a hundred to forty, with 30 none; a heartbeat costs some ten bytes, opening anew a request.
    pub idle_ms: u64,
    /// Not opened before so many requests. With 2 instead of 1 a shop's visitors, whose second request often repeats the
    /// first, lost a third of the answers that a feed keeps fresh.
    pub after_requests: u32,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self { enabled: false, idle_ms: 1_800_000, after_requests: 1 }
    }
}

/// Options of an [`Adapter`](super::Adapter).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdapterConfig {
    /// Gateways that may be talked to: `scheme://host[:port]`, or `scheme://*.domain` for one label. The map may name
    /// others; they are reached by forwarding only.
    pub origins: Vec<String>,
    /// Most origins with an open connection at once: 4 in browsers, 3 in workers.
    pub max_origins: usize,
    /// Seed of jitter and table hashes.
    pub seed: u64,
    /// The Local Cache.
    pub cache: CacheConfig,
    /// The Prefetch Engine.
    pub prefetch: PrefetchConfig,
    /// Conditions for holding a change feed.
    pub feed: FeedConfig,
    /// Part in the model that all clients share.
    pub share: Share,
    /// Most bytes, compressed, of a shared model that is to follow an answer; 0 where its host reads it by itself.
    pub model_bytes: u32,
    /// Staleness bound that prefetched entries and change polls are kept to, in milliseconds.
    pub max_staleness_ms: u32,
    /// Most requests that may wait at once, and most raw calls; one more is refused with `TOO_MANY_REQUESTS`.
    pub max_waiting: usize,
    /// Most keys fetched ahead that may be under way at once.
    pub max_prefetching: usize,
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            max_origins: 4,
            seed: 0,
            cache: CacheConfig::default(),
            prefetch: PrefetchConfig::default(),
            feed: FeedConfig::default(),
            share: Share::Off,
            model_bytes: 64 << 10,
            max_staleness_ms: 2_000,
            max_waiting: 10_000,
            max_prefetching: 64,
        }
    }
}

/// Refusal of options, naming the one that cannot work. The error code is `CONFIG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl AdapterConfig {
    /// Checks what would make a client that cannot work.
    ///
    /// # Errors
    /// [`ConfigError`] naming the option.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |ok: bool, reason: &str| if ok { Ok(()) } else { Err(ConfigError(reason.to_owned())) };
        check(!self.origins.is_empty(), "`origins` must name at least one gateway")?;
        check(
            self.origins.iter().any(|o| wildcard(o).is_none()),
            "`origins` must hold at least one origin without a wildcard",
        )?;
        for origin in &self.origins {
            let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            let ok = host.is_some_and(|h| !h.is_empty() && !h.contains(['/', '?', '#', '@', ' ']));
            check(ok, &format!("`{origin}` is not an origin: expected http(s)://host[:port]"))?;
        }
        check(self.max_origins > 0, "`maxOrigins` must be at least 1")?;
        check(self.max_waiting > 0, "`maxWaiting` must be at least 1")
    }
}

/// Scheme and domain of `scheme://*.domain`.
pub(super) fn wildcard(origin: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = origin.split_once(':')?;
    Some((scheme, rest.strip_prefix("//*.")?))
}
