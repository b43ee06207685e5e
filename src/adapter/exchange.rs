//! Change exchange: cursors out, changes back.
//!
//! While the change feed of a shard is covered, everything cached of that shard
//! is fresh, however long ago it was fetched. The cursors ride on a batch that
//! goes out anyway; where none does, an empty batch carries them, at most once
//! a second and only while requests are being served.

use super::AdapterConfig;
use super::action::Scope;
use super::demand::Adapter;
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
    /// Asks for an exchange with the next flush of `scope`, when one is due and anything is cached.
    pub(super) fn want_exchange(&mut self, now: Millis, scope: Scope) {
        if self.exchange.is_due(now, &self.config) && !self.cache.is_empty() {
            self.scopes.get(scope).exchange_wanted = true;
        }
    }
}
