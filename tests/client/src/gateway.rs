//! Honest gateways: what they answer from the part of the log that they have seen.

use std::collections::BTreeMap;

use foremap::protocol::{
    BatchRequest, BatchResponse, Change, ClockReading, Consistency, Cursor, FeedFrame, FeedId, FeedStep, Hello,
    ItemResult, Keymap, KeymapFields, LateShard, ListPage, MapUpdate, Outcome, ReadPoint,
};

use super::mutant::Mutant;
use super::truth::{self, KEYS, LAYOUT, PAGE, Real, SHARDS, Truth, name, number, shard, tag};

/// Longest silence of a feed.
const HEARTBEAT_MS: u32 = 700;

/// News of a gateway about one cursor.
struct News {
    /// The changes since.
    changes: Vec<Change>,
    /// Position up to which they reach.
    position: u64,
    age_ms: u32,
    /// The log was cut behind the cursor.
    is_gap: bool,
}

/// The fields that a write of `version` leaves behind.
pub(crate) fn fields(key: u8, version: u64) -> KeymapFields {
    KeymapFields { locator: version.to_string(), tags: vec![tag(key)], ..KeymapFields::default() }
}

fn keymap(key: u8, version: u64) -> Keymap {
    Keymap { key: name(key), version, fields: fields(key, version) }
}

impl Truth {
    fn clock(&self, gateway: usize) -> Option<ClockReading> {
        let memory = &self.gateways[gateway];
        Some(ClockReading { id: memory.clock, ms: memory.clock_ms(self.now) })
    }

    /// Answer of `gateway` to a batch.
    pub(crate) fn answer(&self, gateway: usize, request: &BatchRequest, mutant: Option<Mutant>) -> BatchResponse {
        let map = truth::map(self.store());
        let results = request.items.iter().map(|item| self.item(gateway, request, item, mutant)).collect();
        let (mut positions, mut changes, mut resets) = (Vec::new(), Vec::new(), Vec::new());
        for cursor in &request.cursors {
            let news = self.news(gateway, *cursor);
            if news.is_gap {
                resets.push(cursor.shard);
            }
            changes.extend(news.changes);
            positions.push(ReadPoint { shard: cursor.shard, position: news.position, age_ms: news.age_ms });
        }
        let same = request.map.is_some_and(|known| known.epoch == map.epoch);
        let update = (!same).then(|| MapUpdate::Full(map.encode()));
        let clock = self.clock(gateway);
        BatchResponse { epoch: map.epoch, clock, results, positions, changes, resets, map: update }
    }

    fn item(
        &self,
        gateway: usize,
        request: &BatchRequest,
        item: &foremap::protocol::BatchItem,
        mutant: Option<Mutant>,
    ) -> ItemResult {
        let key = number(&item.key);
        // A key that nobody writes may be predicted.
        let of = LAYOUT.shard(&item.key);
        let memory = &self.gateways[gateway];
        let floor = request.floors.iter().find(|floor| floor.shard == of).map_or(0, |floor| floor.position);
        let (mut position, mut age_ms) = (self.position(of, memory.applied), memory.age_ms(self.now));
        let strong = request.consistency == Consistency::Strong && mutant != Some(Mutant::WeakStrong);
        if strong || position < floor || age_ms > request.max_staleness_ms {
            (position, age_ms) = (self.position(of, self.log.len()), 0);
        }
        let found = self.at(self.store(), key, position).filter(|write| !write.deleted);
        let outcome = match found.map(|write| write.version) {
            Some(version) if item.if_version == Some(version) => Outcome::Unchanged { version },
            Some(version) => Outcome::Found { keymap: keymap(key, version) },
            None => Outcome::Missing,
        };
        if mutant == Some(Mutant::PositionsInflated) {
            position = self.position(of, self.log.len());
        }
        ItemResult { outcome, at: ReadPoint { shard: of, position, age_ms }, node: gateway as u32 + 1 }
    }

    /// Page that `gateway` lists below the prefix of `key`.
    pub(crate) fn list(&self, gateway: usize, key: u8) -> ListPage {
        let memory = &self.gateways[gateway];
        let found = (0..KEYS).filter(|other| other % 2 == key % 2).filter_map(|other| {
            let at = ReadPoint {
                shard: shard(other),
                position: self.position(shard(other), memory.applied),
                age_ms: memory.age_ms(self.now),
            };
            let write = self.at(self.store(), other, at.position).filter(|write| !write.deleted)?;
            Some((keymap(other, write.version), at))
        });
        let items = found.collect();
        ListPage { epoch: truth::map(self.store()).epoch, clock: self.clock(gateway), items, next: None }
    }

    fn news(&self, gateway: usize, cursor: Cursor) -> News {
        let memory = &self.gateways[gateway];
        let head = self.position(cursor.shard, memory.applied);
        let age_ms = memory.age_ms(self.now);
        if cursor.position < memory.kept_from[usize::from(cursor.shard)] {
            return News { changes: Vec::new(), position: head, age_ms, is_gap: true };
        }
        let writes = self.writes_of(self.store()).iter();
        let mut new = writes.filter(|write| {
            shard(write.key) == cursor.shard && write.version > cursor.position && write.version <= head
        });
        let changes: Vec<Change> = new
            .by_ref()
            .take(PAGE)
            .map(|write| Change {
                shard: cursor.shard,
                version: write.version,
                key: name(write.key),
                deleted: write.deleted,
            })
            .collect();
        match (new.next(), changes.last()) {
            (Some(_), Some(last)) => News { position: last.version, changes, age_ms: u32::MAX, is_gap: false },
            _ => News { changes, position: head, age_ms, is_gap: false },
        }
    }
}

/// One feed of a gateway, as that sees it.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    gateway: usize,
    name: FeedId,
    clock: u64,
    followed: BTreeMap<u16, Followed>,
    frames: u32,
}

#[derive(Debug, Clone, Copy)]
struct Followed {
    position: u64,
    /// The reader has not heard yet that it follows it.
    is_new: bool,
}

impl Feed {
    pub(crate) fn new(truth: &Truth, gateway: usize, number: u64, request: &BatchRequest) -> Self {
        let name = FeedId { node: gateway as u32 + 1, number };
        let clock = truth.gateways[gateway].clock;
        let mut feed = Self { gateway, name, clock, followed: BTreeMap::new(), frames: 0 };
        feed.extend(&request.cursors);
        feed
    }

    pub(crate) fn name(&self) -> FeedId {
        self.name
    }

    /// Tells whether the process that serves it is still there.
    pub(crate) fn lives(&self, truth: &Truth) -> bool {
        truth.gateways[self.gateway].clock == self.clock
    }

    pub(crate) fn extend(&mut self, cursors: &[Cursor]) {
        for &Cursor { shard, position } in cursors.iter().filter(|cursor| cursor.shard < SHARDS) {
            let followed = self.followed.entry(shard).or_insert(Followed { position, is_new: true });
            if followed.is_new {
                followed.position = followed.position.min(position);
            }
        }
    }

    /// The next frame.
    pub(crate) fn frame(&mut self, truth: &Truth, mutant: Option<Mutant>) -> FeedFrame {
        let memory = &truth.gateways[self.gateway];
        let incarnation = match mutant {
            Some(Mutant::IncarnationHidden) => 1,
            Some(Mutant::StoreOfFeedHidden) => 0,
            _ => truth::map(truth.store()).epoch.incarnation,
        };
        let (feed, clock, heartbeat_ms) = (self.name, self.clock, HEARTBEAT_MS);
        let hello = Hello { feed, clock, heartbeat_ms, incarnation, relayed: false };
        let mut frame = FeedFrame {
            hello: (self.frames == 0).then_some(hello),
            number: self.frames,
            clock_ms: memory.clock_ms(truth.now),
            age_ms: memory.age_ms(truth.now),
            ..FeedFrame::default()
        };
        self.frames += 1;
        for (&of, followed) in &mut self.followed {
            let from = followed.position;
            let news = truth.news(self.gateway, Cursor { shard: of, position: from });
            let to = news.position.max(from);
            let begin = if news.is_gap && mutant != Some(Mutant::GapsHidden) { to } else { from };
            if followed.is_new || to > from {
                frame.steps.push(FeedStep { shard: of, from: begin.min(to), to });
            }
            if news.age_ms != frame.age_ms {
                frame.late.push(LateShard { shard: of, age_ms: news.age_ms });
            }
            if mutant != Some(Mutant::ChangesDropped) {
                frame.changes.extend(news.changes);
            }
            *followed = Followed { position: to, is_new: false };
        }
        frame
    }
}

/// Reading of the clock of the gateway of `feed`, for whoever dates a frame by its arrival.
pub(crate) fn shown(truth: &Truth, feed: &Feed, at: Real) -> u64 {
    truth.gateways[feed.gateway].clock_ms(at)
}
