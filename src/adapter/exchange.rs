//! Change exchange: cursors out, changes back.
//!
//! Where no change feed keeps the cache fresh, the cursors ride on a batch that goes out anyway. Where none does, and what
//! was just served is more than half as old as it may be, an empty batch carries them: at most once a second, and only
//! while requests are being served, so that a client that serves much stays fresh and an idle one sends nothing.

use super::AdapterConfig;
use super::action::Scope;
use super::adapter::Adapter;
use crate::Millis;
use crate::cache::LocalCache;
use crate::protocol::BatchRequest;

/// Longest pause between exchanges while serving.
const PAUSE_MS: Millis = 1_000;
/// Shortest pause, however small the staleness bound: a client must not poll a gateway faster.
const MIN_PAUSE_MS: Millis = 250;

/// When the last exchange went out.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    last: Option<Millis>,
}

impl Exchange {
    /// Half the bound, so that an answer arrives before what is cached grows stale.
    fn pause(config: &AdapterConfig) -> Millis {
        (Millis::from(config.max_staleness_ms) / 2).clamp(MIN_PAUSE_MS, PAUSE_MS)
    }

    pub(super) fn is_due(&self, now: Millis, config: &AdapterConfig) -> bool {
        self.last.is_none_or(|last| now.saturating_sub(last) >= Self::pause(config))
    }

    /// Adds the cursors to a batch that goes out, when half the pause has passed. Whether it did.
    pub(super) fn ride(
        &mut self,
        now: Millis,
        config: &AdapterConfig,
        cache: &LocalCache,
        request: &mut BatchRequest,
    ) -> bool {
        if self.last.is_some_and(|last| now.saturating_sub(last) < Self::pause(config) / 2) {
            return false;
        }
        request.cursors = cache.cursors();
        if request.cursors.is_empty() {
            return false;
        }
        self.last = Some(now);
        true
    }
}

impl Adapter {
    /// Asks for an exchange with the next flush of `scope`, where what was just served will soon be too old, and nothing
    /// else keeps it fresh.
    pub(super) fn want_exchange(&mut self, now: Millis, scope: Scope, age_ms: u64) {
        let soon = age_ms * 2 >= u64::from(self.config.max_staleness_ms);
        if soon && !self.feed_serves(now) && self.exchange.is_due(now, &self.config) && !self.cache.is_empty() {
            self.scopes.get(scope).exchange_wanted = true;
        }
    }

    /// Adds to `request` what keeps the cache fresh: the shards that the feed should follow, or else the cursors of an
    /// exchange, when one is due. Whether cursors are on it.
    pub(super) fn ride(&mut self, now: Millis, request: &mut BatchRequest) -> bool {
        if !self.feed_joins(now, request) {
            return self.exchange.ride(now, &self.config, &self.cache, request);
        }
        !request.cursors.is_empty()
    }
}
