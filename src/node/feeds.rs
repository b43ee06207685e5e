//! [`Feeds`]: the change feeds of a node, whom the log has news for, and when each is due.
//!
//! The host asks [`Feeds::due`] after log pages were applied, and when [`Feeds::next_due`] says so; for each feed that is
//! named it takes [`Feeds::next_frame`] until there is none. It may leave a feed alone for as long as its reader takes
//! nothing: whatever comes meanwhile is in the frame after that, or in a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::feed_table::{FeedEntry, FeedNumber, FeedTable};
use super::node::Node;
use super::shares::Subject;
use super::stats::NodeStats;
use super::subscriber::Subscriber;
use super::subscriber_feed::{Life, SubscriberFeed};
use crate::Millis;
use crate::partition::xxh3;
use crate::protocol::{BatchRequest, Cursor, ErrorCode, FeedId, Hello, ItemResult, Outcome, Problem};

/// Shortest and longest time between two frames without news.
const HEARTBEAT_MS: (u32, u32) = (1_000, 10_000);
/// Life of a feed since a batch last named it: at least, and a part of the second that differs from feed to feed, so
/// that readers who came together do not come back together. One who left, or takes nothing, is noticed by the heartbeats: this
/// bounds what they miss. So it may be longer than nearly all visits in which the cache answers everything.
const LIFE_MS: (Millis, Millis) = (13_800_000, 1_200_000);

/// Cursors that a batch with the answers `results` adds to its caller's feed: the shards of `cursors`, and those of the answers
/// that are not among them, from where they were answered. Ascending, each shard once.
pub fn additions(cursors: &[Cursor], results: &[ItemResult]) -> Vec<Cursor> {
    let lowest_first = |cursors: &mut Vec<Cursor>| {
        cursors.sort_unstable_by_key(|cursor| (cursor.shard, cursor.position));
        cursors.dedup_by_key(|cursor| cursor.shard);
    };
    let mut added = cursors.to_vec();
    lowest_first(&mut added);
    let known = added.len();
    for result in results.iter().filter(|result| !matches!(result.outcome, Outcome::Error { .. })) {
        if added[..known].binary_search_by_key(&result.at.shard, |cursor| cursor.shard).is_err() {
            added.push(Cursor { shard: result.at.shard, position: result.at.position });
        }
    }
    lowest_first(&mut added);
    added
}

/// The change feeds of a node. Any number of threads may use it at once.
#[derive(Clone, Copy)]
pub struct Feeds<'a> {
    node: &'a Node,
}

impl Node {
    /// Its change feeds.
    pub fn feeds(&self) -> Feeds<'_> {
        Feeds { node: self }
    }
}

impl Feeds<'_> {
    /// Most feeds of a node that is configured as ever: a process may have fewer files open than this on few systems.
    pub const MAX: usize = FeedTable::MAX;

    /// Opens a feed of the shards of `request.cursors`, from there on. Its first frame is there at once.
    ///
    /// # Errors
    /// `BAD_REQUEST` where the request has items, or cursors of shards that do not exist; `TOO_MANY_REQUESTS` where all
    /// places are taken, or those that the subject may have.
    pub fn open(&self, now: Millis, request: &BatchRequest, subscriber: Subscriber) -> Result<FeedNumber, Problem> {
        if !request.items.is_empty() {
            return Err(Problem::new(ErrorCode::BadRequest, "a feed is opened without `items`"));
        }
        self.node.check(request)?;
        let (id, clock) = (self.node.id(), self.node.clock(now).id);
        let mut guard = self.node.feeds.lock();
        let table = &mut *guard;
        table.shares.enter(subscriber.share).map_err(|limit| {
            self.node.counters.add(&NodeStats { feeds_refused: 1, ..NodeStats::default() });
            let detail = "no more change feeds are served, or none for this subject";
            Problem::new(ErrorCode::TooManyRequests, detail).with_limit(limit as u64)
        })?;
        let number = loop {
            table.drawn += 1;
            let number = xxh3(self.node.config.seed ^ u64::from(id).rotate_left(32), &table.drawn.to_le_bytes()) >> 11;
            if !table.by_number.contains_key(&number) {
                break number;
            }
        };
        let life = Life { ms: LIFE_MS.0 + number % LIFE_MS.1, until: subscriber.until.unwrap_or(Millis::MAX) };
        let heartbeat_ms = (request.max_staleness_ms / 3).clamp(HEARTBEAT_MS.0, HEARTBEAT_MS.1);
        let feed = FeedId { node: id, number };
        // Under the lock: a store that is replaced from here on ends this feed too.
        let incarnation = self.node.map_knowledge().epoch.incarnation;
        let hello = Hello { feed, clock, heartbeat_ms, incarnation, relayed: false };
        let feed = SubscriberFeed::new(now, subscriber, hello, life);
        let entry =
            FeedEntry { number, is_called: AtomicBool::new(false), due: AtomicU64::new(0), feed: Mutex::new(feed) };
        let entry = Arc::new(entry);
        let place = table.insert(entry.clone());
        table.follow(place, &mut entry.feed(), &request.cursors);
        self.node.counters.add(&NodeStats { feeds_opened: 1, ..NodeStats::default() });
        Ok(number)
    }

    /// Adds the shards of `cursors` to a feed that `subject` opened, each from there on; what it follows already stays as
    /// it is. Its next frame tells of them, and its life begins anew, within what its subject may. Says whether there is such a
    /// feed.
    pub fn extend(&self, now: Millis, number: FeedNumber, subject: Subject, cursors: &[Cursor]) -> bool {
        let known = |cursor: &&Cursor| usize::from(cursor.shard) < self.node.shards.len();
        let cursors: Vec<Cursor> = cursors.iter().filter(known).copied().collect();
        let mut guard = self.node.feeds.lock();
        let table = &mut *guard;
        let Some(&place) = table.by_number.get(&number) else { return false };
        let Some(entry) = table.places[place as usize].as_ref().map(|place| place.entry.clone()) else { return false };
        let mut feed = entry.feed();
        if feed.subject != subject {
            return false;
        }
        feed.live_on(now);
        let added = table.follow(place, &mut feed, &cursors);
        if added > 0 {
            table.urgent.push(place);
            table.set_timer(place, 0);
        }
        self.node.counters.add(&NodeStats { feed_shards_added: added as u64, ..NodeStats::default() });
        true
    }

    /// The feeds that may have a frame now: their shards have news, or they were extended, or are due without news, or
    /// over. Each is named once until it is asked for a frame. O(feeds / 64) for each shard with news, plus O(log) for
    /// each feed that is due.
    pub fn due(&self, now: Millis) -> Vec<FeedNumber> {
        let mut guard = self.node.feeds.lock();
        let table = &mut *guard;
        if table.by_number.is_empty() {
            return Vec::new();
        }
        let positions = self.node.shards.iter().map(|shard| shard.point().position);
        let candidates = table.candidates(now, positions);
        let mut due = Vec::new();
        for (word, mut bits) in candidates.into_iter().enumerate() {
            while bits != 0 {
                let at = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let Some(place) = &table.places[at] else { continue };
                if !place.entry.is_called.swap(true, Ordering::AcqRel) {
                    due.push(place.entry.number);
                }
            }
        }
        due
    }

    /// When [`Feeds::due`] is to be asked again even if no log page is applied; `None` where there is no feed.
    pub fn next_due(&self) -> Option<Millis> {
        self.node.feeds.lock().timers.first().map(|(due, _)| *due)
    }

    /// The next frame of a feed, behind its length, where there is one to send. It is for
    /// [`FeedFrame::PREAMBLE`](crate::protocol::FeedFrame::PREAMBLE) to be sent before the first one.
    pub fn next_frame(&self, now: Millis, number: FeedNumber) -> Option<Vec<u8>> {
        let entry = self.node.feeds.find(number)?;
        // Before the logs are looked at: whatever comes after that calls it again.
        entry.is_called.store(false, Ordering::Release);
        let mut feed = entry.feed();
        let made = feed.next(now, &self.node.shards)?;
        entry.due.store(feed.due(), Ordering::Relaxed);
        drop(feed);
        let counted = NodeStats { feed_frames: 1, feed_gaps: made.gaps, ..NodeStats::default() };
        self.node.counters.add(&counted);
        Some(made.bytes)
    }

    /// Tells whether a feed has ended, or never was. It is for the host to end it well, and to close it.
    pub fn is_over(&self, now: Millis, number: FeedNumber) -> bool {
        self.node.feeds.find(number).is_none_or(|entry| entry.feed().is_over(now))
    }

    /// Ends the feeds that follow the log of another store than that of `incarnation`: it is gone.
    pub(super) fn end_others(&self, incarnation: u32) {
        let mut guard = self.node.feeds.lock();
        let table = &mut *guard;
        for at in table.by_number.values() {
            let Some(place) = &table.places[*at as usize] else { continue };
            let mut feed = place.entry.feed();
            if feed.incarnation != incarnation {
                feed.end();
                table.urgent.push(*at);
            }
        }
    }

    /// Forgets a feed; says whether there was one.
    pub fn close(&self, number: FeedNumber) -> bool {
        self.node.feeds.lock().remove(number)
    }
}

#[cfg(test)]
#[path = "feeds_tests.rs"]
mod tests;
