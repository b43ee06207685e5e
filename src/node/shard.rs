//! Knowledge that a node has of one storage shard's change log.

use std::collections::VecDeque;

use crossbeam_utils::atomic::AtomicCell;
use parking_lot::{Mutex, MutexGuard};

use crate::Millis;
use crate::key::{CompositeKey, KeyPrefix};
use crate::protocol::{Change, Cursor, FeedStep, ReadPoint, ShardPosition};

/// A page of one shard's change log, as a poll of the store returned it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPage {
    /// The storage shard.
    pub shard: u16,
    /// Cursor that the poll asked from: the page holds the entries in `(after, position]`.
    pub after: u64,
    /// Those entries, ascending.
    pub changes: Vec<Change>,
    /// Position at which the page ends.
    pub position: u64,
    /// True if the log ended at `position` when the poll was answered.
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

/// Room that a frame of a feed still has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) changes: usize,
    pub(super) bytes: usize,
}

/// News of one shard for a feed.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    pub(super) step: FeedStep,
    /// Age of the knowledge that `step.to` is the end; `u32::MAX` where it is not, for want of room.
    pub(super) age_ms: u32,
    /// Changes added.
    pub(super) changes: usize,
    /// The recent changes no longer reach back to where the feed was.
    pub(super) is_gap: bool,
}

/// Claim about everything in memory of one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Point {
    /// All changes up to here are applied.
    pub(super) position: u64,
    /// Sending time of the last poll that reached the end of the log.
    pub(super) sent_at: Option<Millis>,
    /// Raised when entries may have been missed: memory filled before is void.
    pub(super) generation: u32,
}

impl Point {
    /// Milliseconds since the sending of the last poll; `u32::MAX` before the first.
    pub(super) fn age(&self, now: Millis) -> u32 {
        self.sent_at.map_or(u32::MAX, |at| age_ms(now, at))
    }
}

/// One shard's log, and what of it readers may rely on.
///
/// Three rules keep memory honest while threads read, fill and apply the log at once:
///
/// 1. A page first drops from memory what it outdates, and then publishes its [`Point`]. A reader takes the point
///    first, and then looks into memory: what it finds includes at least everything up to the point. The other way
///    round it could claim a newer position for an older entry.
/// 2. A fill is checked and enters memory under the lock that pages are applied under. So no change that the check did
///    not see can be applied before the entry is there to be dropped.
/// 3. Under that lock, too, an insertion looks whether memory has something newer, so of two store reads that overtake
///    each other the newer one stays. A key belongs to one shard, so nobody else inserts it meanwhile.
///
/// An eviction needs no rule: what is not in memory is read from the store, and checked as any fill.
pub(super) struct Shard {
    /// Read without a lock, and as a whole: position, time and generation of different pages together would claim
    /// what neither did.
    point: AtomicCell<Point>,
    log: Mutex<Log>,
}

impl Shard {
    /// Of the store of `incarnation`, of which nothing is known.
    pub(super) fn new(incarnation: u32) -> Self {
        let log = Log { incarnation, ..Log::default() };
        Self { point: AtomicCell::default(), log: Mutex::new(log) }
    }

    /// Forgets everything: the store is the one of `incarnation` now, and positions of the one before mean nothing in it.
    pub(super) fn begin_anew(&self, incarnation: u32) {
        let mut log = self.log();
        let generation = log.point.generation + 1;
        *log = Log { point: Point { generation, ..Point::default() }, incarnation, ..Log::default() };
        self.point.store(log.point);
    }

    /// Point up to which the log is applied.
    pub(super) fn point(&self) -> Point {
        self.point.load()
    }

    /// Looks into memory with `look`, and tells what may be claimed of what it finds.
    pub(super) fn recall<T>(&self, look: impl FnOnce() -> T) -> (Point, T) {
        // First the point: see above.
        let point = self.point();
        (point, look())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // A panic on the way leaves a page half applied at worst: the next poll brings the rest.
        self.log.lock()
    }

    /// Applies `page`, calling `drop_outdated` for every entry that is new, before any reader hears of it. Says whether
    /// there was a gap.
    pub(super) fn apply(
        &self,
        incarnation: u32,
        sent_at: Millis,
        page: &LogPage,
        limit: usize,
        drop_outdated: impl FnMut(&Change),
    ) -> bool {
        let mut log = self.log();
        if log.incarnation != incarnation {
            return false;
        }
        let gap = log.apply(sent_at, page, limit, drop_outdated);
        self.point.store(log.point);
        gap
    }

    /// Calls `keep` with the generation if a value of `key` read at log position `read_at` of the store of `incarnation` may
    /// enter memory, and holds up the log meanwhile.
    pub(super) fn fill(&self, key: &CompositeKey, read_at: u64, incarnation: u32, keep: impl FnOnce(u32)) -> bool {
        let log = self.log();
        let may_fill = log.incarnation == incarnation && log.may_fill(key, read_at);
        if may_fill {
            keep(log.point.generation);
        }
        may_fill
    }

    /// Adds what a caller with `cursor` has to learn, at most `room` changes.
    pub(super) fn changes(&self, now: Millis, cursor: Cursor, room: usize, out: &mut ChangeSet) {
        self.log().changes(now, cursor, room, out);
    }

    /// Adds to `out`, in binary form, what a feed at `cursor` has to learn of the changes below `prefixes`.
    pub(super) fn news(
        &self,
        now: Millis,
        cursor: Cursor,
        room: Room,
        prefixes: Option<&[KeyPrefix]>,
        out: &mut Vec<u8>,
    ) -> News {
        self.log().news(now, cursor, room, prefixes, out)
    }

    pub(super) fn ring_len(&self) -> usize {
        self.log().ring.len()
    }
}

/// The changes in `(from, to]` in binary form, as many feeds learn them at once.
struct Span {
    from: u64,
    to: u64,
    count: usize,
    bytes: Box<[u8]>,
}

impl Span {
    /// Longer ones are rare and made anew: they would be kept until the next change.
    const MAX_BYTES: usize = 16 << 10;
}

/// Log position, freshness and the recent changes of one shard.
#[derive(Default)]
struct Log {
    point: Point,
    /// Every change in `(base, position]`.
    ring: VecDeque<Change>,
    base: u64,
    started: bool,
    /// Of the store that it is the log of.
    incarnation: u32,
    /// Span that the last feed learned that sees everything.
    span: Option<Span>,
}

impl Log {
    fn apply(&mut self, sent_at: Millis, page: &LogPage, limit: usize, mut changed: impl FnMut(&Change)) -> bool {
        let point = &mut self.point;
        let gap = page.reset || !self.started || page.after > point.position;
        if gap {
            self.ring.clear();
            self.base = if page.reset { page.position } else { page.after };
            *point = Point { position: self.base, sent_at: None, generation: point.generation + 1 };
            self.started = true;
        }
        let known = point.position;
        for change in page.changes.iter().filter(|c| c.version > known) {
            changed(change);
            self.ring.push_back(change.clone());
            // Step by step, so that a panic in between leaves ring and position in accord.
            point.position = point.position.max(change.version);
        }
        point.position = point.position.max(page.position);
        while self.ring.len() > limit {
            self.base = self.ring.pop_front().map_or(self.base, |c| c.version);
        }
        // Polls may be answered out of order; the later sending time is the truth.
        if page.complete && page.position == point.position {
            point.sent_at = point.sent_at.max(Some(sent_at));
        }
        gap
    }

    /// Tells whether a value read at log position `read_at` may enter memory: it is then certain that no entry for `key`
    /// above `read_at` was applied in between.
    fn may_fill(&self, key: &CompositeKey, read_at: u64) -> bool {
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

    /// Adds what a caller with `cursor` has to learn, at most `room` changes.
    fn changes(&self, now: Millis, cursor: Cursor, room: usize, out: &mut ChangeSet) {
        let Point { position, .. } = self.point;
        let mut point = ReadPoint { shard: cursor.shard, position, age_ms: self.point.age(now) };
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

    fn news(
        &mut self,
        now: Millis,
        cursor: Cursor,
        room: Room,
        prefixes: Option<&[KeyPrefix]>,
        out: &mut Vec<u8>,
    ) -> News {
        let Cursor { shard, position: from } = cursor;
        let (head, age_ms) = (self.point.position, self.point.age(now));
        if from < self.base {
            let step = FeedStep { shard, from: head, to: head };
            return News { step, age_ms, changes: 0, is_gap: true };
        }
        // A reader ahead of this node stays ahead.
        let step = FeedStep { shard, from, to: from.max(head) };
        let whole = |changes| News { step, age_ms, changes, is_gap: false };
        let same = self.span.as_ref().filter(|span| prefixes.is_none() && (span.from, span.to) == (from, head));
        if let Some(span) = same.filter(|span| span.count <= room.changes && span.bytes.len() <= room.bytes) {
            // Room for the other shards as well, or it would grow for each.
            out.reserve(span.bytes.len().max(256));
            out.extend_from_slice(&span.bytes);
            return whole(span.count);
        }
        let (begin, mut count, mut reached) = (out.len(), 0, from);
        for change in self.after(from) {
            if prefixes.is_none_or(|prefixes| prefixes.iter().any(|prefix| prefix.covers(&change.key))) {
                let bytes = change.encode();
                if count == room.changes || out.len() - begin + bytes.len() > room.bytes {
                    let step = FeedStep { shard, from, to: reached };
                    return News { step, age_ms: u32::MAX, changes: count, is_gap: false };
                }
                out.extend_from_slice(&bytes);
                count += 1;
            }
            reached = change.version;
        }
        let bytes = &out[begin..];
        if prefixes.is_none() && count > 0 && bytes.len() <= Span::MAX_BYTES {
            self.span = Some(Span { from, to: head, count, bytes: bytes.into() });
        }
        whole(count)
    }
}

/// Time from `since` to `now`, as the wire carries it.
pub(super) fn age_ms(now: Millis, since: Millis) -> u32 {
    u32::try_from(now.saturating_sub(since)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
