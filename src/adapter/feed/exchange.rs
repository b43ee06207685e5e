//! Change exchange: cursors out, changes back.
//!
//! Where no change feed keeps the cache fresh, the cursors ride on a batch that goes out anyway. Where none does, and what
//! was just served is more than half as old as it may be, an empty batch carries them: at most once a second, and only
//! while requests are being served, so that a client that serves much stays fresh and an idle one sends nothing.

use super::{Feed, NAMED_MS};
use crate::Millis;
use crate::adapter::action::Scope;
use crate::adapter::agenda::Agenda;
use crate::cache::LocalCache;
use crate::partition::PartitionMap;
use crate::protocol::{BatchRequest, BatchResponse};

/// Longest pause between exchanges while serving.
const PAUSE_MS: Millis = 1_000;
/// Shortest pause, however small the staleness bound: a client must not poll a gateway faster.
const MIN_PAUSE_MS: Millis = 250;

impl Feed {
    /// Half the bound, so that an answer arrives before what is cached grows stale.
    fn pause(&self) -> Millis {
        (Millis::from(self.max_staleness_ms) / 2).clamp(MIN_PAUSE_MS, PAUSE_MS)
    }

    pub(in crate::adapter) fn is_exchange_due(&self, now: Millis) -> bool {
        self.exchanged_at.is_none_or(|last| now.saturating_sub(last) >= self.pause())
    }

    /// Asks for an exchange with the next flush of `scope`, where what was just served will soon be too old, and nothing
    /// else keeps it fresh.
    pub(in crate::adapter) fn want_exchange(
        &self,
        now: Millis,
        scope: Scope,
        age_ms: u64,
        cache: &LocalCache,
        agenda: &mut Agenda,
    ) {
        let soon = age_ms * 2 >= u64::from(self.max_staleness_ms);
        if soon && !self.serves(now) && self.is_exchange_due(now) && !cache.is_empty() {
            agenda.want_exchange(scope);
        }
    }

    /// Adds to `request` what keeps the cache fresh: the shards that the feed should follow, or else the cursors of an
    /// exchange, when half the pause has passed. Whether cursors are on it.
    pub(in crate::adapter) fn ride(
        &mut self,
        now: Millis,
        cache: &LocalCache,
        map: Option<&PartitionMap>,
        request: &mut BatchRequest,
    ) -> bool {
        if self.join(now, cache, map, request) {
            return !request.cursors.is_empty();
        }
        if self.exchanged_at.is_some_and(|last| now.saturating_sub(last) < self.pause() / 2) {
            return false;
        }
        request.cursors = cache.cursors();
        if request.cursors.is_empty() {
            return false;
        }
        self.exchanged_at = Some(now);
        true
    }

    /// Lets `request` add what the feed does not follow yet: the shards of its keys, and those of entries that have none
    /// so far. Now and then it names the feed without that, so that the gateway does not end it. Returns `false` where there
    /// is no feed.
    fn join(
        &mut self,
        now: Millis,
        cache: &LocalCache,
        map: Option<&PartitionMap>,
        request: &mut BatchRequest,
    ) -> bool {
        let Some(open) = &mut self.open else { return false };
        let Some(hello) = open.hello else { return false };
        let cursors = cache.cursors();
        let news = map.is_none_or(|map| request.items.iter().any(|item| !cache.is_fed(map.storage.shard(&item.key))));
        if news || !cursors.is_empty() || now >= open.named_at + NAMED_MS {
            open.named_at = now;
            request.feed = Some(hello.feed);
            request.cursors = cursors;
        }
        true
    }

    /// Takes in the changes that an answer to what was sent at `sent_at` tells of.
    pub(in crate::adapter) fn take_changes(
        &mut self,
        sent_at: Millis,
        response: &BatchResponse,
        cache: &mut LocalCache,
    ) {
        for &shard in &response.resets {
            self.resets += 1;
            cache.reset_shard(shard);
        }
        for change in &response.changes {
            self.changes += u64::from(cache.apply_change(change));
        }
        for position in &response.positions {
            cache.cover(position, sent_at);
        }
    }
}
