//! What is seen is kept: pages of lists and the caller's own writes fill the cache.

use std::sync::Arc;

use super::action::Scope;
use super::adapter::Adapter;
use crate::Millis;
use crate::analyzer::Access;
use crate::cache::{Fence, Source};
use crate::key::{CompositeKey, KeyPrefix};
use crate::protocol::{Keymap, KeymapFields, ListPage, ReadPoint};

/// What an own write left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// A keymap with these fields.
    Put(KeymapFields),
    /// None.
    Deleted,
    /// Something else, or it is not known here.
    Unknown,
}

/// A write of this session that a gateway acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnWrite {
    /// The key.
    pub key: CompositeKey,
    /// The version it was given.
    pub version: u64,
    /// Its storage shard.
    pub shard: u16,
    /// Position of that shard's log.
    pub position: u64,
    /// What it left behind.
    pub own: Own,
    /// Taken when the first attempt of all under its write id was sent: whichever of them wrote, it was not earlier.
    pub fence: Fence,
}

/// A page of a list that arrived.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    /// What was listed.
    pub prefix: &'a KeyPrefix,
    /// Taken when it was asked for.
    pub fence: Fence,
    /// The page.
    pub page: &'a ListPage,
    /// Whether it is the first page.
    pub first: bool,
}

impl Adapter {
    /// To be taken when a request is sent that the host performs itself, and handed back with its answer.
    pub fn fence(&self, now: Millis) -> Fence {
        self.cache.fence(now)
    }

    /// An own write was acknowledged: no older version of its key is returned to this session any more, and what it
    /// wrote is cached, as old as the sending of the first attempt. It is not where the session has seen more of the shard
    /// meanwhile, which may be a newer version of the key.
    pub fn wrote(&mut self, now: Millis, write: OwnWrite) {
        let OwnWrite { key, version, shard, position, own, fence } = write;
        let seen = self.floors.get(shard);
        self.floors.raise(shard, position.max(version));
        self.cache.wrote(&key, version);
        let value = match own {
            _ if version < seen => return self.settle_evicted(now),
            Own::Unknown => return self.settle_evicted(now),
            Own::Deleted => None,
            Own::Put(fields) => Some(Arc::new(Keymap { key: key.clone(), version, fields })),
        };
        let at = ReadPoint { shard, position: version, age_ms: 0 };
        let fence = self.cache.fence(fence.sent_at());
        self.cache.insert(now, fence, &key, value, at, Source::Demand);
        self.settle_evicted(now);
    }

    /// A page of a list arrived: what is on it is cached, and the analyzer learns that its prefix was listed, if this is the
    /// first page. O(1) a keymap.
    pub fn listed(&mut self, now: Millis, scope: Scope, stream: &str, listing: &Listing<'_>) {
        let Listing { prefix, fence, page, first } = *listing;
        if !self.heed(now, page.epoch.incarnation) {
            return;
        }
        self.feed_answer(now, fence.sent_at(), page.clock);
        for (keymap, at) in &page.items {
            if !prefix.covers(&keymap.key) {
                continue;
            }
            if at.position < self.floor(scope, at.shard) {
                // Older than what the session has seen of the shard, yet perhaps newer than what is cached of this key.
                self.cache.saw(&keymap.key, keymap.version);
                continue;
            }
            self.floors.raise(at.shard, at.position);
            self.cache.insert(now, fence, &keymap.key, Some(Arc::new(keymap.clone())), *at, Source::Demand);
        }
        if let Some(key) = CompositeKey::parse(prefix.as_str()).ok().filter(|_| first) {
            self.prefetch_after(now, scope, stream, &key, Access::Hit);
            if page.items.first().is_none_or(|(keymap, _)| keymap.key != key) {
                // What is listed is often no keymap itself: predicting it would only fetch nothing.
                self.engine.handle_absence(now, &key);
            }
        }
        self.feed_due(now);
        self.settle_evicted(now);
        self.rearm(now, scope, false);
    }
}

#[cfg(test)]
#[path = "filling_tests.rs"]
mod tests;
