//! [`Feeds`]: the change feeds of a node, whom the log has news for, and when each is due.
//!
//! The host asks [`Feeds::due`] after log pages were applied, and when [`Feeds::next_due`] says so; for each feed that is
//! named it takes [`Feeds::next_frame`] until there is none. It may leave a feed alone for as long as its reader takes
//! nothing: whatever comes meanwhile is in the frame after that, or in a gap.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fxhash::FxHashMap;

use super::Node;
use super::feed::{Feed, Life};
use super::shares::{Shares, Subject};
use super::stats::NodeStats;
use crate::Millis;
use crate::key::KeyPrefix;
use crate::partition::xxh3;
use crate::protocol::{BatchRequest, Cursor, ErrorCode, FeedId, Hello, ItemResult, Outcome, Problem};

/// A feed of one node: [`FeedId::number`].
pub type FeedNumber = u64;

/// Shortest and longest time between two frames without news.
const HEARTBEAT_MS: (u32, u32) = (1_000, 10_000);
/// When a feed that was called is looked after again: before any is due once more.
const AGAIN_MS: Millis = 500;
/// How long a feed lives since a batch last named it: at least, and a part of the second that differs from feed to feed, so
/// that readers who came together do not come back together. One who left, or takes nothing, is noticed by the heartbeats: this
/// bounds what they miss. So it may be longer than nearly all visits in which the cache answers everything.
const LIFE_MS: (Millis, Millis) = (13_800_000, 1_200_000);

/// Whoever reads a feed. The default one is everybody, may hear of everything, and stays as long as any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscriber {
    /// Who may extend the feed.
    pub subject: Subject,
    /// In whose share of the places it is.
    pub share: Subject,
    /// The keys whose changes it is told; `None` is all.
    pub prefixes: Option<Arc<[KeyPrefix]>>,
    /// When its right to read ends.
    pub until: Option<Millis>,
}

/// What a batch with the answers `results` adds to its caller's feed: the shards of `cursors`, and those of the answers
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

/// The registry. Locks are taken in one order: the table, a feed, a shard's log.
pub(super) struct FeedTable {
    table: Mutex<Table>,
}

struct Table {
    shares: Shares,
    /// By place; places are used again.
    places: Vec<Option<Place>>,
    free: Vec<u32>,
    by_number: FxHashMap<FeedNumber, u32>,
    /// For each shard, the places of the feeds that follow it, as bits.
    followers: Vec<Vec<u64>>,
    /// For each shard, the position at which its followers were last called.
    called: Vec<u64>,
    /// Places by when they are due without news.
    timers: BTreeSet<(Millis, u32)>,
    /// Places that are due now.
    urgent: Vec<u32>,
    /// Numbers drawn.
    drawn: u64,
    /// Shards followed, over all feeds.
    followed: usize,
}

#[derive(Clone)]
struct Place {
    entry: Arc<Entry>,
    /// Its time in `timers`.
    timer: Millis,
}

struct Entry {
    number: FeedNumber,
    /// The host was told that it is due, and has not asked for a frame since.
    is_called: AtomicBool,
    /// As the feed says.
    due: AtomicU64,
    feed: Mutex<Feed>,
}

impl Entry {
    fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FeedTable {
    pub(super) fn new(shards: usize, most: usize) -> Self {
        let table = Table {
            shares: Shares::new(most),
            places: Vec::new(),
            free: Vec::new(),
            by_number: FxHashMap::default(),
            followers: vec![Vec::new(); shards],
            called: vec![0; shards],
            timers: BTreeSet::new(),
            urgent: Vec::new(),
            drawn: 0,
            followed: 0,
        };
        Self { table: Mutex::new(table) }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, number: FeedNumber) -> Option<Arc<Entry>> {
        let table = self.lock();
        let place = *table.by_number.get(&number)?;
        table.places[place as usize].as_ref().map(|place| place.entry.clone())
    }

    /// Feeds, their bound, the shards that they follow together, and the bound of those.
    pub(super) fn fill(&self) -> [u64; 4] {
        let table = self.lock();
        let most = table.shares.most();
        [table.shares.taken(), most, table.followed, most * table.called.len()].map(|count| count as u64)
    }
}

impl Table {
    fn insert(&mut self, entry: Arc<Entry>) -> u32 {
        let number = entry.number;
        let place = self.free.pop().unwrap_or(self.places.len() as u32);
        if place as usize == self.places.len() {
            self.places.push(None);
        }
        self.places[place as usize] = Some(Place { entry, timer: 0 });
        self.by_number.insert(number, place);
        self.timers.insert((0, place));
        self.urgent.push(place);
        place
    }

    fn remove(&mut self, number: FeedNumber) -> bool {
        let Some(at) = self.by_number.remove(&number) else { return false };
        let Some(place) = self.places[at as usize].take() else { return false };
        self.timers.remove(&(place.timer, at));
        self.urgent.retain(|&urgent| urgent != at);
        self.free.push(at);
        let feed = place.entry.feed();
        for shard in feed.shards() {
            self.followers[usize::from(shard)][at as usize / 64] &= !(1 << (at % 64));
            self.followed -= 1;
        }
        self.shares.leave(feed.share);
        true
    }

    fn follow(&mut self, place: u32, feed: &mut Feed, cursors: &[Cursor]) -> usize {
        let added = feed.follow(cursors);
        for &shard in &added {
            let bits = &mut self.followers[usize::from(shard)];
            let word = place as usize / 64;
            if bits.len() <= word {
                bits.resize(word + 1, 0);
            }
            bits[word] |= 1 << (place % 64);
        }
        self.followed += added.len();
        added.len()
    }

    fn set_timer(&mut self, at: u32, due: Millis) {
        if let Some(place) = &mut self.places[at as usize] {
            self.timers.remove(&(place.timer, at));
            place.timer = due;
            self.timers.insert((due, at));
        }
    }

    /// The places of the feeds that have something to say, as bits.
    fn candidates(&mut self, now: Millis, positions: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut bits = vec![0_u64; self.places.len().div_ceil(64)];
        for ((called, followers), position) in self.called.iter_mut().zip(&self.followers).zip(positions) {
            if *called != position {
                *called = position;
                bits.iter_mut().zip(followers).for_each(|(bits, followers)| *bits |= followers);
            }
        }
        let due = std::iter::from_fn(|| {
            self.timers.first().filter(|(due, _)| *due <= now).copied().inspect(|first| {
                self.timers.remove(first);
            })
        });
        for (_, at) in due.collect::<Vec<_>>() {
            let Some(place) = &mut self.places[at as usize] else { continue };
            let due = place.entry.due.load(Ordering::Relaxed);
            if due <= now {
                bits[at as usize / 64] |= 1 << (at % 64);
            }
            // Whoever is called takes a frame soon, and is then due later; who does not is not called again.
            place.timer = if due > now { due } else { now + AGAIN_MS };
            self.timers.insert((place.timer, at));
        }
        for at in self.urgent.drain(..) {
            bits[at as usize / 64] |= 1 << (at % 64);
        }
        bits
    }
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
    pub const MAX: usize = 16_384;

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
        let feed = Feed::new(now, subscriber, hello, life);
        let entry = Entry { number, is_called: AtomicBool::new(false), due: AtomicU64::new(0), feed: Mutex::new(feed) };
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

    /// Whether a feed has ended, or never was. It is for the host to end it well, and to close it.
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
