//! Entries that outlive the cache.

use std::sync::Arc;

use super::LocalCache;
use super::moment::Moment;
use super::queues::QueueEntry;
use crate::Millis;
use crate::protocol::Keymap;

/// A proven entry, as it can be taken up by a later cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its storage shard.
    pub shard: u16,
    /// Log position up to which it misses no change.
    pub position: u64,
    /// True where that is how far its shard was followed: an exchange from there tells all that it misses.
    pub covered: bool,
    /// The keymap.
    pub keymap: Arc<Keymap>,
}

impl LocalCache {
    /// The proven entries, those most worth keeping first.
    pub fn kept(&self) -> impl Iterator<Item = Kept> + '_ {
        self.queues.proven().filter_map(|entry| {
            let keymap = entry.value.clone()?;
            let (position, _) = self.reach(entry);
            let covered = self.coverage.covers(entry.shard, entry.covered);
            Some(Kept { shard: entry.shard, position, covered, keymap })
        })
    }

    /// Takes up an entry of an earlier cache, of unknown age: it can be confirmed, and is fresh once an exchange from its
    /// position has told of no change. `false` where there is one of its key already or no room, and where this cache knows
    /// of a change, an own write or an invalidation that concerns it.
    pub fn recall(&mut self, kept: &Kept) -> bool {
        let key = kept.keymap.key.clone();
        let id = self.ids.key(&key);
        let cost = QueueEntry::cost(&key, Some(&kept.keymap));
        if self.queues.is_off() || self.queues.is_too_large(cost) || self.queues.find(id).is_some() {
            return false;
        }
        let position = kept.position.max(kept.keymap.version);
        if self.fences.has_raised(id, self.ids.scopes(&key, &kept.keymap.fields.tags))
            || self.coverage.is_outdated(id, position)
        {
            return false;
        }
        let covered = if kept.covered { self.coverage.resume(kept.shard, kept.position) } else { None };
        let entry = QueueEntry {
            key,
            value: Some(kept.keymap.clone()),
            shard: kept.shard,
            position,
            as_of: Moment::MIN,
            covered,
            expires_at: Millis::MAX,
            unused_prefetch: false,
            uses: 0,
            cost,
        };
        self.put_proven(id, entry);
        true
    }
}
