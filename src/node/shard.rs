//! What a node knows of one storage shard's change log.

use std::collections::VecDeque;

use crate::Millis;
use crate::key::CompositeKey;
use crate::protocol::{Change, Cursor, ReadPoint, ShardPosition};

/// A page of one shard's change log, as a poll of the store returned it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPage {
    /// The storage shard.
    pub shard: u16,
    /// Cursor that the poll asked from: the page holds the entries in `(after, position]`.
    pub after: u64,
    /// Those entries, ascending.
    pub changes: Vec<Change>,
    /// Where the page ends.
    pub position: u64,
    /// Whether the log ended at `position` when the poll was answered.
    pub complete: bool,
    /// The log no longer reaches back to `after`: entries are missing, and none are on the page.
    pub reset: bool,
}

/// Changes since a caller's cursors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeSet {
    /// For every cursor: how far the changes reach. `age_ms` is `u32::MAX` where more are to come.
    pub positions: Vec<ShardPosition>,
    /// The changes, ascending within a shard.
    pub changes: Vec<Change>,
    /// Shards whose recent changes no longer reach back to the cursor.
    pub resets: Vec<u16>,
}

/// Log position, freshness and the recent changes of one shard.
#[derive(Default)]
pub(super) struct Shard {
    pub(super) position: u64,
    /// Sending time of the last poll that reached the end of the log.
    pub(super) sent_at: Option<Millis>,
    /// Raised when entries may have been missed: memory filled before is void.
    pub(super) generation: u32,
    /// Every change in `(base, position]`.
    ring: VecDeque<Change>,
    base: u64,
    started: bool,
}

impl Shard {
    /// Applies `page`, calling `changed` for every entry that is new. Says whether there was a gap.
    pub(super) fn apply(
        &mut self,
        sent_at: Millis,
        page: &LogPage,
        limit: usize,
        mut changed: impl FnMut(&Change),
    ) -> bool {
        let gap = page.reset || !self.started || page.after > self.position;
        if gap {
            self.generation += 1;
            self.ring.clear();
            self.base = if page.reset { page.position } else { page.after };
            self.position = self.base;
            self.sent_at = None;
            self.started = true;
        }
        for change in page.changes.iter().filter(|c| c.version > self.position) {
            changed(change);
            self.ring.push_back(change.clone());
        }
        self.position = self.position.max(page.position);
        while self.ring.len() > limit {
            self.base = self.ring.pop_front().map_or(self.base, |c| c.version);
        }
        // Polls may be answered out of order; the later sending time is the truth.
        if page.complete && page.position == self.position {
            self.sent_at = self.sent_at.max(Some(sent_at));
        }
        gap
    }

    /// Whether a value read at log position `read_at` may enter memory: it is then
    /// certain that no entry for `key` above `read_at` was applied in between.
    pub(super) fn may_fill(&self, key: &CompositeKey, read_at: u64) -> bool {
        if !self.started || read_at < self.base {
            return false;
        }
        self.after(read_at).all(|change| change.key != *key)
    }

    /// The changes above `position`, ascending.
    fn after(&self, position: u64) -> impl Iterator<Item = &Change> {
        let from = self.ring.partition_point(|change| change.version <= position);
        self.ring.range(from..)
    }

    /// Milliseconds since the sending of the last poll; `u32::MAX` before the first.
    pub(super) fn age(&self, now: Millis) -> u32 {
        self.sent_at.map_or(u32::MAX, |at| age_ms(now, at))
    }

    /// Adds what a caller with `cursor` has to learn, at most `room` changes.
    pub(super) fn changes(&self, now: Millis, cursor: Cursor, room: usize, out: &mut ChangeSet) {
        let mut point = ReadPoint { shard: cursor.shard, position: self.position, age_ms: self.age(now) };
        if cursor.position < self.base {
            out.resets.push(cursor.shard);
        } else {
            let mut reached = cursor.position;
            let mut new = self.after(cursor.position);
            for change in new.by_ref().take(room) {
                reached = change.version;
                out.changes.push(change.clone());
            }
            if new.next().is_some() {
                point = ReadPoint { shard: cursor.shard, position: reached, age_ms: u32::MAX };
            }
        }
        out.positions.push(point);
    }

    pub(super) fn ring_len(&self) -> usize {
        self.ring.len()
    }
}

/// Time from `since` to `now`, as the wire carries it.
pub(super) fn age_ms(now: Millis, since: Millis) -> u32 {
    u32::try_from(now.saturating_sub(since)).unwrap_or(u32::MAX)
}
