//! [`FeedTable`]: the feeds of a node by number, by shard, and by when they are due.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fxhash::FxHashMap;
use parking_lot::{Mutex, MutexGuard};

use super::shares::Shares;
use super::subscriber_feed::SubscriberFeed;
use crate::Millis;
use crate::protocol::Cursor;

/// A feed of one node: [`FeedId::number`](crate::protocol::FeedId::number).
pub type FeedNumber = u64;
/// When a feed that was called is looked after again: before any is due once more.
const AGAIN_MS: Millis = 500;

/// Registry of feeds. Locks are taken in one order: the table, a feed, a shard's log.
pub(super) struct FeedTable {
    table: Mutex<Table>,
}

pub(super) struct Table {
    pub(super) shares: Shares,
    /// By place; places are used again.
    pub(super) places: Vec<Option<FeedPlace>>,
    pub(super) free: Vec<u32>,
    pub(super) by_number: FxHashMap<FeedNumber, u32>,
    /// For each shard, the places of the feeds that follow it, as bits.
    pub(super) followers: Vec<Vec<u64>>,
    /// For each shard, the position at which its followers were last called.
    pub(super) called: Vec<u64>,
    /// Places by when they are due without news.
    pub(super) timers: BTreeSet<(Millis, u32)>,
    /// Places that are due now.
    pub(super) urgent: Vec<u32>,
    /// Numbers drawn.
    pub(super) drawn: u64,
    /// Shards followed, over all feeds.
    pub(super) followed: usize,
}

#[derive(Clone)]
pub(super) struct FeedPlace {
    pub(super) entry: Arc<FeedEntry>,
    /// Its time in `timers`.
    pub(super) timer: Millis,
}

pub(super) struct FeedEntry {
    pub(super) number: FeedNumber,
    /// The host was told that it is due, and has not asked for a frame since.
    pub(super) is_called: AtomicBool,
    /// As the feed says.
    pub(super) due: AtomicU64,
    pub(super) feed: Mutex<SubscriberFeed>,
}

impl FeedEntry {
    pub(super) fn feed(&self) -> MutexGuard<'_, SubscriberFeed> {
        self.feed.lock()
    }
}

impl FeedTable {
    /// Most feeds of a node that is configured as ever: a process may have fewer files open than this on few systems.
    pub(super) const MAX: usize = 16_384;

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

    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }

    pub(super) fn find(&self, number: FeedNumber) -> Option<Arc<FeedEntry>> {
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
    pub(super) fn insert(&mut self, entry: Arc<FeedEntry>) -> u32 {
        let number = entry.number;
        let place = self.free.pop().unwrap_or(self.places.len() as u32);
        if place as usize == self.places.len() {
            self.places.push(None);
        }
        self.places[place as usize] = Some(FeedPlace { entry, timer: 0 });
        self.by_number.insert(number, place);
        self.timers.insert((0, place));
        self.urgent.push(place);
        place
    }

    pub(super) fn remove(&mut self, number: FeedNumber) -> bool {
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

    pub(super) fn follow(&mut self, place: u32, feed: &mut SubscriberFeed, cursors: &[Cursor]) -> usize {
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

    pub(super) fn set_timer(&mut self, at: u32, due: Millis) {
        if let Some(place) = &mut self.places[at as usize] {
            self.timers.remove(&(place.timer, at));
            place.timer = due;
            self.timers.insert((due, at));
        }
    }

    /// The places of the feeds that have something to say, as bits.
    pub(super) fn candidates(&mut self, now: Millis, positions: impl Iterator<Item = u64>) -> Vec<u64> {
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
