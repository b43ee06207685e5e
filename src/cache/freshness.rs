//! Freshness: the cache learns that what it holds is still current by changes, exchanges, the feed, and the clock.

use super::LocalCache;
use super::moment::{Moment, before};
use crate::Millis;
use crate::protocol::{Change, Cursor, FeedStep, ShardPosition};

impl LocalCache {
    /// The feed told of a change: drops the entry if it does not include it, and returns whether it did.
    pub fn apply_change(&mut self, change: &Change) -> bool {
        let id = self.ids.key(&change.key);
        self.coverage.apply(id, change.shard, change.version);
        self.drop_older(id, &change.key, change.version)
    }

    /// The feed reaches up to `position`, in an answer to a request sent at `sent_at`. Every change up to there
    /// since the cursor sent must have been applied, and every change committed more than `age_ms` before must be among them.
    pub fn cover(&mut self, position: &ShardPosition, sent_at: Millis) {
        self.coverage.cover(position.shard, position.position, before(sent_at, position.age_ms));
    }

    /// The shard's log no longer reaches back to the cursor: its entries are not covered any more and age alone.
    pub fn reset_shard(&mut self, shard: u16) {
        self.coverage.reset(shard);
    }

    /// The change feed passed on every change in a step, and they were applied. A step that begins beyond what is
    /// known of its shard leaves a gap: until an exchange from [`LocalCache::cursors`] closes it, entries age.
    pub fn step(&mut self, step: FeedStep) {
        self.coverage.step(step);
    }

    /// At `told_at`, which may be before the clock began, the feed had passed on whatever was committed more than `age` milliseconds before, in each shard that
    /// it follows; `u32::MAX` is not known. O(shards).
    pub fn heard(&mut self, told_at: i64, age: impl Fn(u16) -> u32) {
        self.coverage.heard(told_at, age);
    }

    /// Position that the feed has come to, for each shard that it follows.
    pub fn fed(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.coverage.fed()
    }

    /// The feed is over: from here on entries age.
    pub fn feed_ended(&mut self) {
        self.coverage.feed_ended();
    }

    /// Tells whether the feed keeps what is cached of `shard` fresh.
    pub fn is_fed(&self, shard: u16) -> bool {
        self.coverage.is_fed(shard)
    }

    /// Forgets how long ago anything up to `now` was, as where the clock broke. Entries stay, to be confirmed.
    pub fn forget_ages(&mut self, now: Millis) {
        self.unknown_until = Some(now as Moment);
    }

    /// Less may have passed since what was invalidated than the clock has counted: it counts as invalidated now. Returns
    /// what [`LocalCache::needed_after`] is of it.
    pub fn invalidated_until(&mut self, now: Millis) -> Millis {
        self.fences.clock_broke(now)
    }

    /// Tells whether the moment `as_of` lies before the clock broke.
    pub fn is_unknown(&self, as_of: i64) -> bool {
        self.unknown_until.is_some_and(|until| as_of <= until)
    }

    /// Cursors at which an exchange has to begin, for the shards that have entries and that no feed keeps fresh, ascending.
    pub fn cursors(&self) -> Vec<Cursor> {
        self.coverage.cursors()
    }
}
