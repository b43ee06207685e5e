//! The cache against a naive world that remembers every write.
//!
//! Two gateways follow the log by polls of their own; requests, answers, feed exchanges, resets,
//! invalidations, own writes and evictions interleave as proptest likes. A pushed feed follows one of the gateways; its frames
//! come late, doubled, in another order or not at all. Gateways are honest, nothing else is ordered.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use proptest::prelude::*;

use super::*;
use crate::key::KeyPrefix;
use crate::protocol::{Change, Cursor, FeedFrame, FeedStep, KeymapFields, LateShard};

const KEYS: u8 = 24;
const SHARDS: u16 = 3;
const GATEWAYS: usize = 2;
/// Changes in one answer of the feed.
const FEED_PAGE: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Wait(u16),
    Write { key: u8, deletes: bool, own: bool },
    Poll(u8),
    Truncate(u8),
    Send { gateway: u8, key: u8, prefetch: bool, revalidates: bool },
    SendFeed(u8),
    OpenFeed(u8),
    MakeFrame,
    DeliverFrame { pick: u8, again: bool },
    LoseFrame(u8),
    CloseFeed,
    Process(u8),
    Deliver(u8),
    Reset(u8),
    Invalidate(u8, u8),
    Get { key: u8, max_staleness_ms: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly three keys of one shard, so that things meet.
    let key = prop_oneof![4 => (0..3_u8).prop_map(|k| 3 * k), 1 => 0..KEYS];
    let gateway = 0..GATEWAYS as u8;
    prop_oneof![
        4 => prop_oneof![0_u16..3, 0_u16..1_500].prop_map(Step::Wait),
        5 => (key.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(key, deletes, own)| Step::Write { key, deletes, own }),
        4 => gateway.clone().prop_map(Step::Poll),
        1 => gateway.clone().prop_map(Step::Truncate),
        7 => (gateway.clone(), key.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(gateway, key, prefetch, revalidates)| Step::Send { gateway, key, prefetch, revalidates }),
        4 => gateway.clone().prop_map(Step::SendFeed),
        1 => gateway.prop_map(Step::OpenFeed),
        5 => Just(Step::MakeFrame),
        5 => (any::<u8>(), any::<bool>()).prop_map(|(pick, again)| Step::DeliverFrame { pick, again }),
        1 => any::<u8>().prop_map(Step::LoseFrame),
        1 => Just(Step::CloseFeed),
        10 => any::<u8>().prop_map(Step::Process),
        10 => any::<u8>().prop_map(Step::Deliver),
        1 => (0..SHARDS as u8).prop_map(Step::Reset),
        1 => (0_u8..4, key.clone()).prop_map(|(kind, key)| Step::Invalidate(kind, key)),
        6 => (key, prop_oneof![Just(0_u32), 0_u32..2_000])
            .prop_map(|(key, max_staleness_ms)| Step::Get { key, max_staleness_ms }),
    ]
}

#[derive(Debug, Clone)]
struct Write {
    key: u8,
    version: u64,
    committed: Millis,
    deleted: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Gateway {
    /// Log length and time of the newest poll; the log's first entry still known, by shard.
    applied: usize,
    polled: Millis,
    kept_from: [u64; SHARDS as usize],
}

/// A feed from a gateway, and how far it has come in each shard that it follows.
struct Feed {
    gateway: usize,
    followed: BTreeMap<u16, u64>,
    /// Shards that have not had a step yet.
    added: Vec<u16>,
    /// Frames made and heard.
    made: u32,
    heard: u32,
}

#[derive(Debug, Clone)]
enum Request {
    Key { key: u8, source: Source, fence: Fence, sent: usize, if_version: Option<u64>, floor: u64 },
    Feed { cursors: Vec<Cursor>, sent_at: Millis },
}

#[derive(Debug, Clone)]
enum Answer {
    Value { version: Option<u64>, at: ReadPoint },
    Feed { resets: Vec<u16>, changes: Vec<Change>, positions: Vec<ReadPoint> },
}

struct World {
    now: Millis,
    log: Vec<Write>,
    gateways: [Gateway; GATEWAYS],
    sent: Vec<(usize, Request)>,
    answered: Vec<(Request, Answer)>,
    /// Per key: sends before this number were in flight at an invalidation; newest own write.
    invalid_before: BTreeMap<u8, usize>,
    /// Per key, and whether by tag: when it was invalidated last.
    invalid_at: BTreeMap<(u8, bool), Millis>,
    feed: Option<Feed>,
    frames: Vec<FeedFrame>,
    wrote: BTreeMap<u8, u64>,
    sends: usize,
    /// Largest cursor seen, by shard.
    cursors: [u64; SHARDS as usize],
    cache: LocalCache,
}

fn shard(key: u8) -> u16 {
    u16::from(key) % SHARDS
}

fn name(key: u8) -> CompositeKey {
    CompositeKey::from_components(["k", &(key % 2).to_string(), &key.to_string()]).unwrap()
}

fn tag(key: u8) -> String {
    (key % 3).to_string()
}

impl World {
    fn new(config: CacheConfig) -> Self {
        // Little memory, so that forgetting happens.
        let cache = LocalCache::with_memory(config, 2, 6);
        Self {
            now: 1_000,
            log: Vec::new(),
            gateways: Default::default(),
            sent: Vec::new(),
            answered: Vec::new(),
            invalid_before: BTreeMap::new(),
            invalid_at: BTreeMap::new(),
            feed: None,
            frames: Vec::new(),
            wrote: BTreeMap::new(),
            sends: 0,
            cursors: Default::default(),
            cache,
        }
    }

    /// Newest position in the shard's log among its first `applied` entries.
    fn position(&self, of: u16, applied: usize) -> u64 {
        self.log[..applied].iter().rev().find(|w| shard(w.key) == of).map_or(0, |w| w.version)
    }

    fn value(&self, key: u8, position: u64) -> Option<u64> {
        let newest = self.log.iter().rev().find(|w| w.key == key && w.version <= position)?;
        (!newest.deleted).then_some(newest.version)
    }

    fn process(&self, gateway: usize, request: &Request) -> Answer {
        let gateway = self.gateways[gateway];
        let age_ms = (self.now - gateway.polled) as u32;
        match request {
            Request::Key { key, floor, .. } => {
                let mut position = self.position(shard(*key), gateway.applied);
                let mut age_ms = age_ms;
                if position < *floor {
                    // A gateway behind the floor reads the store.
                    (position, age_ms) = (self.position(shard(*key), self.log.len()), 0);
                }
                let at = ReadPoint { shard: shard(*key), position, age_ms };
                Answer::Value { version: self.value(*key, position), at }
            }
            Request::Feed { cursors, .. } => self.feed(gateway, cursors),
        }
    }

    fn feed(&self, gateway: Gateway, cursors: &[Cursor]) -> Answer {
        let (mut resets, mut changes, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        for cursor in cursors {
            if cursor.position < gateway.kept_from[usize::from(cursor.shard)] {
                resets.push(cursor.shard);
                continue;
            }
            let applied = &self.log[..gateway.applied];
            let mut news = applied.iter().filter(|w| shard(w.key) == cursor.shard && w.version > cursor.position);
            changes.extend(news.by_ref().take(FEED_PAGE).map(|w| Change {
                shard: cursor.shard,
                version: w.version,
                key: name(w.key),
                deleted: w.deleted,
            }));
            let (position, as_of) = match news.next() {
                None => (self.position(cursor.shard, gateway.applied), gateway.polled),
                // The page was full: it is current only up to the first change left out.
                Some(left_out) => (changes.last().map_or(0, |c| c.version), left_out.committed.min(gateway.polled)),
            };
            positions.push(ReadPoint { shard: cursor.shard, position, age_ms: (self.now - as_of) as u32 });
        }
        Answer::Feed { resets, changes, positions }
    }

    fn open_feed(&mut self, gateway: usize) {
        self.close_feed();
        let followed: BTreeMap<u16, u64> = self.cache.cursors().iter().map(|c| (c.shard, c.position)).collect();
        let added = followed.keys().copied().collect();
        self.feed = Some(Feed { gateway, followed, added, made: 0, heard: 0 });
    }

    fn close_feed(&mut self) {
        if self.feed.take().is_some() {
            self.frames.clear();
            self.cache.feed_ended();
        }
    }

    /// The next frame of the feed, after it was told to follow what it does not yet.
    fn make_frame(&mut self) {
        let Some(mut feed) = self.feed.take() else { return };
        for cursor in self.cache.cursors() {
            if let Entry::Vacant(place) = feed.followed.entry(cursor.shard) {
                place.insert(cursor.position);
                feed.added.push(cursor.shard);
            }
        }
        let gateway = self.gateways[feed.gateway];
        feed.made += 1;
        let mut frame = FeedFrame {
            number: feed.made,
            clock_ms: self.now,
            age_ms: (self.now - gateway.polled) as u32,
            ..FeedFrame::default()
        };
        for (&of, at) in &mut feed.followed {
            let from = *at;
            let end = self.position(of, gateway.applied);
            if from < gateway.kept_from[usize::from(of)] {
                *at = end;
                frame.steps.push(FeedStep { shard: of, from: end, to: end });
                continue;
            }
            let answer = self.feed(gateway, &[Cursor { shard: of, position: from }]);
            let Answer::Feed { changes, positions, .. } = answer else { unreachable!("a feed answers as one") };
            let to = positions[0].position.max(from);
            if to > from || feed.added.contains(&of) {
                frame.steps.push(FeedStep { shard: of, from, to });
            }
            if positions[0].age_ms > frame.age_ms {
                frame.late.push(LateShard { shard: of, age_ms: u32::MAX });
            }
            frame.changes.extend(changes);
            *at = to;
        }
        feed.added.clear();
        self.feed = Some(feed);
        self.frames.push(frame);
    }

    /// Hears a frame as the adapter does: one that comes twice is passed over, and where one is missing the feed is over.
    fn hear(&mut self, frame: &FeedFrame) {
        let Some(feed) = self.feed.as_mut().filter(|feed| frame.number > feed.heard) else { return };
        if frame.number != feed.heard + 1 {
            return self.close_feed();
        }
        feed.heard = frame.number;
        frame.changes.iter().for_each(|change| _ = self.cache.apply_change(change));
        frame.steps.iter().for_each(|&step| self.cache.step(step));
        let age = |shard| frame.late.iter().find(|late| late.shard == shard).map_or(frame.age_ms, |late| late.age_ms);
        self.cache.heard(frame.clock_ms as i64, age);
    }

    fn deliver(&mut self, request: Request, answer: Answer) -> String {
        match (request, answer) {
            (Request::Key { key, source, fence, sent, if_version, .. }, Answer::Value { version, at }) => {
                if let Some(version) = if_version.filter(|known| version == Some(*known)) {
                    return format!("{}", self.cache.refresh(fence, &name(key), version, at, source));
                }
                let value = version.map(|version| {
                    let fields = KeymapFields { locator: sent.to_string(), tags: vec![tag(key)], ..Default::default() };
                    Arc::new(Keymap { key: name(key), version, fields })
                });
                format!("{:?}", self.cache.insert(self.now, fence, &name(key), value, at, source))
            }
            (Request::Feed { sent_at, .. }, Answer::Feed { resets, changes, positions }) => {
                resets.iter().for_each(|&shard| self.cache.reset_shard(shard));
                let dropped = changes.iter().filter(|change| self.cache.apply_change(change)).count();
                positions.iter().for_each(|position| self.cache.cover(position, sent_at));
                dropped.to_string()
            }
            _ => unreachable!("answers follow their requests"),
        }
    }

    fn take(&mut self, step: &Step) -> String {
        match *step {
            Step::Wait(ms) => self.now += Millis::from(ms),
            Step::Write { key, deletes, own } => {
                let version = 10 * self.now + self.log.len() as u64;
                self.log.push(Write { key, version, committed: self.now, deleted: deletes });
                if own {
                    self.cache.wrote(&name(key), version);
                    self.wrote.insert(key, version);
                }
            }
            Step::Poll(gateway) => {
                let gateway = &mut self.gateways[usize::from(gateway)];
                (gateway.applied, gateway.polled) = (self.log.len(), self.now);
            }
            Step::Truncate(gateway) => {
                let applied = self.gateways[usize::from(gateway)].applied;
                let kept_from = [0, 1, 2].map(|shard| self.position(shard, applied));
                self.gateways[usize::from(gateway)].kept_from = kept_from;
            }
            Step::Send { gateway, key, prefetch, revalidates } => {
                self.sends += 1;
                let source = if prefetch { Source::Prefetch } else { Source::Demand };
                let known = match self.cache.peek(self.now, &name(key), u32::MAX) {
                    Lookup::Hit(hit) if revalidates => hit.keymap.map(|keymap| keymap.version),
                    _ => None,
                };
                let fence = self.cache.fence(self.now);
                let own = self.wrote.iter().filter(|(written, _)| shard(**written) == shard(key));
                let floor = own.map(|(_, &version)| version).max().unwrap_or(0);
                let request = Request::Key { key, source, fence, sent: self.sends, if_version: known, floor };
                self.sent.push((usize::from(gateway), request));
            }
            Step::SendFeed(gateway) => {
                let request = Request::Feed { cursors: self.cache.cursors(), sent_at: self.now };
                self.sent.push((usize::from(gateway), request));
            }
            Step::Process(pick) if !self.sent.is_empty() => {
                let (gateway, request) = self.sent.swap_remove(usize::from(pick) % self.sent.len());
                let answer = self.process(gateway, &request);
                self.answered.push((request, answer));
            }
            Step::Deliver(pick) if !self.answered.is_empty() => {
                let (request, answer) = self.answered.swap_remove(usize::from(pick) % self.answered.len());
                return self.deliver(request, answer);
            }
            Step::OpenFeed(gateway) => self.open_feed(usize::from(gateway)),
            Step::MakeFrame => self.make_frame(),
            Step::DeliverFrame { pick, again } if !self.frames.is_empty() => {
                let at = usize::from(pick) % self.frames.len();
                let frame = if again { self.frames[at].clone() } else { self.frames.remove(at) };
                self.hear(&frame);
            }
            Step::LoseFrame(pick) if !self.frames.is_empty() => {
                self.frames.remove(usize::from(pick) % self.frames.len());
            }
            Step::CloseFeed => self.close_feed(),
            Step::DeliverFrame { .. } | Step::LoseFrame(_) | Step::Process(_) | Step::Deliver(_) => {}
            Step::Reset(shard) => self.cache.reset_shard(shard.into()),
            Step::Invalidate(kind, key) => return self.invalidate(kind, key),
            Step::Get { key, max_staleness_ms } => {
                return format!("{:?}", self.cache.get(self.now, &name(key), max_staleness_ms));
            }
        }
        String::new()
    }

    fn invalidate(&mut self, kind: u8, key: u8) -> String {
        let all: Vec<u8> = (0..KEYS).collect();
        let (what, keys) = match kind {
            0 => (Invalidate::Key(name(key)), vec![key]),
            1 => {
                let prefix = KeyPrefix::parse(&format!("k/{}", key % 2)).unwrap();
                let keys = all.into_iter().filter(|k| prefix.covers(&name(*k))).collect();
                (Invalidate::Prefix(prefix), keys)
            }
            2 => (Invalidate::Tag(tag(key)), all.into_iter().filter(|k| tag(*k) == tag(key)).collect()),
            _ => (Invalidate::All, all),
        };
        for key in keys {
            self.invalid_before.insert(key, self.sends);
            self.invalid_at.insert((key, kind == 2), self.now);
        }
        self.cache.invalidate(self.now, &what).to_string()
    }

    /// Everything that the cache claims, for every key, is true.
    fn check(&mut self) -> Result<(), TestCaseError> {
        for key in 0..KEYS {
            let (Lookup::Hit(hit) | Lookup::Stale(hit)) = self.cache.peek(self.now, &name(key), 0) else { continue };
            let served = hit.keymap.as_ref().map(|keymap| keymap.version);
            // Not older than any write that was committed before the time claimed ...
            let as_of = self.now.saturating_sub(hit.at.age_ms.into());
            let due = self.log.iter().filter(|w| w.key == key && w.committed < as_of).map(|w| w.version).max();
            prop_assert!(due.is_none_or(|due| due <= hit.at.position), "{key}: {hit:?} lacks {due:?}");
            // ... and exactly the newest one at the position claimed.
            prop_assert_eq!(served, self.value(key, hit.at.position), "{}: {:?}", key, &hit);
            prop_assert!(hit.at.position >= self.wrote.get(&key).copied().unwrap_or(0), "{key}: own write undone");
            // A negative entry has no tags: one that is there stays.
            let by_name = self.invalid_at.get(&(key, false)).copied().unwrap_or(0);
            let by_tag = self.invalid_at.get(&(key, true)).copied().filter(|_| hit.keymap.is_some()).unwrap_or(0);
            let invalid_at = by_name.max(by_tag);
            prop_assert!(as_of > invalid_at || invalid_at == 0, "{key}: {hit:?} is older than {invalid_at}");
            if let Some(keymap) = &hit.keymap {
                let sent: usize = keymap.fields.locator.parse().unwrap();
                prop_assert!(sent > self.invalid_before.get(&key).copied().unwrap_or(0), "{key}: fence jumped");
            }
        }
        for cursor in self.cache.cursors() {
            let before = &mut self.cursors[usize::from(cursor.shard)];
            prop_assert!(cursor.position >= *before, "a cursor went back from {before}: {cursor:?}");
            *before = cursor.position;
        }
        let stats = self.cache.stats();
        prop_assert!(stats.entries <= stats.max_entries.unwrap_or(usize::MAX) && stats.bytes <= stats.max_bytes);
        prop_assert!(stats.gone <= stats.max_gone);
        prop_assert!(stats.known_changes <= stats.max_known_changes && stats.fences <= stats.max_fences);
        prop_assert!(stats.shards <= usize::from(SHARDS) && stats.evicted_pending <= stats.max_evicted_pending);
        prop_assert_eq!(stats.indexed_keys, stats.entries);
        prop_assert!(stats.probation_entries <= stats.entries && stats.probation_bytes <= stats.bytes);
        Ok(())
    }
}

fn config() -> impl Strategy<Value = CacheConfig> {
    let bounds = prop_oneof![
        Just((usize::MAX, 1 << 20)), // all keys fit
        Just((usize::MAX, 6_000)),   // a dozen do
        Just((64, 1 << 20)),
        Just((9, 1 << 20)),
        Just((1, 1 << 20)),
    ];
    (bounds, prop_oneof![Just(5_000_u64), Just(800)]).prop_map(|((max_entries, max_bytes), negative_ttl_ms)| {
        CacheConfig { max_entries, max_bytes, negative_ttl_ms, ..CacheConfig::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_served_beyond_its_staleness(config in config(), steps in prop::collection::vec(step(), 1..250)) {
        let mut world = World::new(config);
        for step in &steps {
            world.take(step);
            world.check()?;
        }
    }

    #[test]
    fn same_calls_same_results_whatever_the_seed(
        config in config(),
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut one = World::new(config.clone());
        let mut other = World::new(CacheConfig { seed, ..config });
        for step in &steps {
            prop_assert_eq!(one.take(step), other.take(step));
            prop_assert_eq!(one.cache.stats(), other.cache.stats());
            prop_assert_eq!(one.cache.take_evicted(), other.cache.take_evicted());
            prop_assert_eq!(one.cache.cursors(), other.cache.cursors());
        }
    }
}
