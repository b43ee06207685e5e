//! A gateway of a few lines, and a host that performs actions in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Action, Adapter, AdapterConfig, Answer, FailureKind, FlightId, GetRequest, Own, OwnWrite, RequestId, Scope,
};
use crate::Millis;
use crate::key::{CompositeKey, KeyPrefix};
use crate::partition::{MapDelta, MapNode, PartitionMap, StorageLayout};
use crate::protocol::{
    BatchRequest, BatchResponse, Change, ClockReading, Consistency, Cursor, ErrorCode, FeedFrame, FeedId, FeedStep,
    Hello, ItemResult, Keymap, KeymapFields, ListPage, MapUpdate, Outcome, ReadPoint,
};

pub(super) const ORIGIN: &str = "http://a.example";
/// The gateway's clock, and its feed.
pub(super) const CLOCK: u64 = 9;
pub(super) const FEED: FeedId = FeedId { node: 1, number: 77 };
pub(super) const BEAT_MS: u32 = 1_000;

pub(super) fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("a valid key")
}

/// One store behind any number of origins, with one log.
pub(super) struct Gateway {
    pub(super) map: PartitionMap,
    old_maps: Vec<PartitionMap>,
    values: BTreeMap<CompositeKey, (u64, Option<String>)>,
    log: Vec<Change>,
    /// Position that bounded answers are held back to, as a gateway whose log lags would.
    pub(super) lag_at: Option<u64>,
    /// Lead of its clock over that of the host; `None` tells no clock.
    pub(super) clock: Option<i64>,
    pub(super) requests: Vec<BatchRequest>,
}

impl Gateway {
    pub(super) fn new() -> Self {
        let node = |id, origin: &str| MapNode { id, origin: origin.into(), weight: 1 };
        let nodes = vec![node(1, ORIGIN), node(2, "http://b.example")];
        Self {
            map: PartitionMap::new(1, 64, StorageLayout::default(), nodes),
            old_maps: Vec::new(),
            values: BTreeMap::new(),
            log: Vec::new(),
            lag_at: None,
            clock: None,
            requests: Vec::new(),
        }
    }

    pub(super) fn put(&mut self, text: &str, locator: &str) -> u64 {
        self.write(text, Some(locator.to_owned()))
    }

    pub(super) fn delete(&mut self, text: &str) -> u64 {
        self.write(text, None)
    }

    fn write(&mut self, text: &str, value: Option<String>) -> u64 {
        let (key, version) = (key(text), self.log.len() as u64 + 1);
        let shard = self.map.storage.shard(&key);
        self.log.push(Change { shard, version, key: key.clone(), deleted: value.is_none() });
        self.values.insert(key, (version, value));
        version
    }

    pub(super) fn publish(&mut self, change: impl FnOnce(&mut PartitionMap)) {
        self.old_maps.push(self.map.clone());
        change(&mut self.map);
        self.map.epoch.number += 1;
    }

    pub(super) fn position(&self) -> u64 {
        self.log.len() as u64
    }

    pub(super) fn shard(&self, text: &str) -> u16 {
        self.map.storage.shard(&key(text))
    }

    fn reading(&self, now: Millis) -> Option<ClockReading> {
        Some(ClockReading { id: CLOCK, ms: now.checked_add_signed(self.clock?)? })
    }

    /// Its list below `prefix`.
    pub(super) fn list(&self, prefix: &KeyPrefix) -> ListPage {
        let found = self.values.iter().filter(|(key, _)| prefix.covers(key)).filter_map(|(key, (version, value))| {
            let fields = KeymapFields { locator: value.clone()?, ..KeymapFields::default() };
            let at = ReadPoint { shard: self.map.storage.shard(key), position: self.position(), age_ms: 5 };
            Some((Keymap { key: key.clone(), version: *version, fields }, at))
        });
        ListPage { epoch: self.map.epoch, clock: None, items: found.collect(), next: None }
    }

    /// A frame of a feed that follows the shards of `cursors` from there on, sent at `now`.
    pub(super) fn frame(&self, now: Millis, number: u32, cursors: &[Cursor]) -> FeedFrame {
        let hello = Hello {
            feed: FEED,
            clock: CLOCK,
            heartbeat_ms: BEAT_MS,
            incarnation: self.map.epoch.incarnation,
            relayed: false,
        };
        let to = self.position();
        let steps = cursors.iter().map(|c| FeedStep { shard: c.shard, from: c.position, to: to.max(c.position) });
        let news = |change: &&Change| {
            cursors.iter().any(|cursor| cursor.shard == change.shard && change.version > cursor.position)
        };
        FeedFrame {
            hello: (number == 0).then_some(hello),
            number,
            clock_ms: self.reading(now).expect("a feed needs a clock").ms,
            age_ms: 5,
            steps: steps.collect(),
            late: Vec::new(),
            changes: self.log.iter().filter(news).cloned().collect(),
        }
    }

    pub(super) fn answer(&mut self, body: &[u8]) -> BatchResponse {
        self.answer_at(0, body)
    }

    fn answer_at(&mut self, now: Millis, body: &[u8]) -> BatchResponse {
        let request = BatchRequest::decode(body).expect("a batch");
        let results = request.items.iter().map(|item| {
            let shard = self.map.storage.shard(&item.key);
            let strong = request.consistency == Consistency::Strong;
            let position = if strong { self.position() } else { self.lag_at.unwrap_or(self.position()) };
            let seen = self.log.iter().rfind(|c| c.key == item.key && c.version <= position);
            let outcome = match seen.map(|c| (c.version, self.values[&item.key].1.clone())) {
                Some((version, _)) if item.if_version == Some(version) => Outcome::Unchanged { version },
                Some((version, Some(locator))) => {
                    let fields = KeymapFields { locator, ..KeymapFields::default() };
                    Outcome::Found { keymap: Keymap { key: item.key.clone(), version, fields } }
                }
                _ => Outcome::Missing,
            };
            ItemResult { outcome, at: ReadPoint { shard, position, age_ms: 5 }, node: 1 }
        });
        let results = results.collect();
        let since = |shard| request.cursors.iter().find(|c| c.shard == shard).map(|c| c.position);
        let changes = self.log.iter().filter(|c| since(c.shard).is_some_and(|at| c.version > at)).cloned().collect();
        let position = self.position();
        let positions = request.cursors.iter().map(|c| ReadPoint { shard: c.shard, position, age_ms: 5 }).collect();
        let map = match request.map {
            Some(known) if known.hash == self.map.hash() => None,
            Some(known) => Some(match self.old_maps.iter().find(|old| old.hash() == known.hash) {
                Some(old) => MapUpdate::Delta(MapDelta::between(old, &self.map).expect("one namespace").encode()),
                None => MapUpdate::Full(self.map.encode()),
            }),
            None => Some(MapUpdate::Full(self.map.encode())),
        };
        self.requests.push(request);
        BatchResponse {
            epoch: self.map.epoch,
            clock: self.reading(now),
            results,
            positions,
            changes,
            resets: Vec::new(),
            map,
        }
    }
}

/// A flight that the test has not answered yet.
pub(super) struct Sent {
    pub(super) flight: FlightId,
    pub(super) scope: Scope,
    pub(super) origin: Arc<str>,
    pub(super) body: Vec<u8>,
    pub(super) timeout_ms: u32,
}

/// A feed as its gateway sees it.
pub(super) struct Stream {
    pub(super) feed: FlightId,
    pub(super) origin: Arc<str>,
    pub(super) cursors: Vec<Cursor>,
    pub(super) frames: u32,
}

/// An adapter with its host: collects outcomes, leaves flights to the test.
pub(super) struct Host {
    pub(super) adapter: Adapter,
    pub(super) now: Millis,
    pub(super) gateway: Gateway,
    pub(super) sent: Vec<Sent>,
    pub(super) answers: BTreeMap<RequestId, Result<Answer, ErrorCode>>,
    pub(super) other: Vec<Action>,
    /// The feed that is open, with what it follows and how many frames it has had.
    pub(super) stream: Option<Stream>,
    wakes: BTreeMap<Scope, Millis>,
}

impl Host {
    pub(super) fn new() -> Self {
        Self::with(AdapterConfig {
            origins: vec![ORIGIN.into(), "http://b.example".into()],
            ..AdapterConfig::default()
        })
    }

    pub(super) fn with(config: AdapterConfig) -> Self {
        Self {
            adapter: Adapter::new(config).expect("valid options"),
            now: 1_000,
            gateway: Gateway::new(),
            sent: Vec::new(),
            answers: BTreeMap::new(),
            other: Vec::new(),
            stream: None,
            wakes: BTreeMap::new(),
        }
    }

    pub(super) fn drain(&mut self) {
        while let Some(action) = self.adapter.poll_action() {
            if matches!(action, Action::OpenFeed { .. } | Action::CloseFeed { .. }) {
                // Also for tests that host feeds by themselves.
                self.other.push(action.clone());
            }
            match action {
                Action::Answer { request, answer } => assert!(self.answers.insert(request, Ok(answer)).is_none()),
                Action::Fail { request, code, .. } => assert!(self.answers.insert(request, Err(code)).is_none()),
                Action::Send { scope, flight, origin, body, timeout_ms, .. } => {
                    self.sent.push(Sent { flight, scope, origin, body, timeout_ms });
                }
                Action::Wake { scope, at } => {
                    self.wakes.insert(scope, at);
                }
                Action::OpenFeed { feed, origin, body, .. } => {
                    let cursors = BatchRequest::decode(&body).expect("a batch").cursors;
                    self.stream = Some(Stream { feed, origin, cursors, frames: 0 });
                }
                Action::CloseFeed { feed, .. } => {
                    self.stream = self.stream.take().filter(|stream| stream.feed != feed);
                }
                other => self.other.push(other),
            }
        }
    }

    pub(super) fn get_in(&mut self, scope: Scope, text: &str, consistency: Consistency) -> RequestId {
        let request = GetRequest { scope, stream: "s", consistency, ..GetRequest::new(key(text)) };
        let id = self.adapter.handle_request(self.now, request);
        self.drain();
        id
    }

    /// This session wrote `version` of a key, whatever it was.
    pub(super) fn wrote(&mut self, text: &str, version: u64) {
        let key = key(text);
        let shard = self.gateway.map.storage.shard(&key);
        let fence = self.adapter.fence(self.now);
        let write = OwnWrite { key, version, shard, position: version, own: Own::Unknown, fence };
        self.adapter.handle_write(self.now, write);
    }

    /// A host whose client holds feeds from a gateway whose clock is an hour ahead.
    pub(super) fn fed() -> Self {
        Self::fed_with(0)
    }

    /// The same with another seed.
    pub(super) fn fed_with(seed: u64) -> Self {
        let feed = super::FeedConfig { enabled: true, ..super::FeedConfig::default() };
        let mut host = Self::with(AdapterConfig {
            origins: vec![ORIGIN.into(), "http://b.example".into()],
            feed,
            seed,
            ..AdapterConfig::default()
        });
        host.gateway.clock = Some(3_600_000);
        host
    }

    /// The next frame of the open feed, as it is sent now.
    pub(super) fn frame(&mut self) -> Vec<u8> {
        let stream = self.stream.as_mut().expect("an open feed");
        let frame = self.gateway.frame(self.now, stream.frames, &stream.cursors);
        stream.frames += 1;
        for (cursor, step) in stream.cursors.iter_mut().zip(&frame.steps) {
            cursor.position = step.to;
        }
        let preamble = if frame.number == 0 { &FeedFrame::PREAMBLE[..] } else { &[] };
        [preamble, &frame.encode()].concat()
    }

    /// Bytes of the open feed arrive.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        if let Some(feed) = self.stream.as_ref().map(|stream| stream.feed) {
            self.adapter.handle_feed_bytes(self.now, feed, bytes);
            self.drain();
        }
    }

    /// The open feed speaks.
    pub(super) fn beat(&mut self) {
        let frame = self.frame();
        self.hear(&frame);
    }

    /// Lets the feed speak every 500 ms.
    pub(super) fn listen(&mut self, ms: Millis) {
        for _ in 0..ms / 500 {
            self.pass(500);
            self.beat();
        }
    }

    /// Reads `text`, and waits until the feed that this leads to is open and has spoken.
    pub(super) fn follow(&mut self, text: &str) {
        self.read(text).expect("answered");
        self.pass(1_600);
        self.beat();
    }

    /// Another, empty store stands behind the gateway.
    pub(super) fn renew_store(&mut self, incarnation: u32) {
        let requests = std::mem::take(&mut self.gateway.requests);
        self.gateway = Gateway { requests, clock: self.gateway.clock, ..Gateway::new() };
        self.gateway.map.epoch.incarnation = incarnation;
    }

    /// A strong read from start to end.
    pub(super) fn get_strong(&mut self, text: &str) -> Result<Answer, ErrorCode> {
        let id = self.get_in(0, text, Consistency::Strong);
        self.pass(1);
        self.deliver();
        self.answers.remove(&id).expect("an outcome")
    }

    /// Starts a bounded read in scope 0.
    pub(super) fn get(&mut self, text: &str) -> RequestId {
        self.get_in(0, text, Consistency::Bounded)
    }

    /// Lets `ms` pass, waking the adapter when it asked for it.
    pub(super) fn pass(&mut self, ms: Millis) {
        let end = self.now + ms;
        self.drain();
        loop {
            let due = self.wakes.iter().filter(|&(_, &at)| at <= end).min_by_key(|&(_, &at)| at);
            let Some((&scope, &at)) = due else { break };
            self.now = self.now.max(at);
            self.wakes.remove(&scope);
            self.adapter.handle_timeout(self.now, scope);
            self.drain();
        }
        self.now = end;
    }

    /// Answers everything that was sent, as the gateway would.
    pub(super) fn deliver(&mut self) {
        self.drain();
        for sent in std::mem::take(&mut self.sent) {
            let response = self.gateway.answer_at(self.now, &sent.body);
            self.respond(sent.flight, 200, &response.encode());
        }
    }

    pub(super) fn respond(&mut self, flight: FlightId, status: u16, body: &[u8]) {
        self.adapter.handle_response(self.now, flight, status, None, body);
        self.drain();
    }

    pub(super) fn fail(&mut self, flight: FlightId) {
        self.adapter.handle_failure(self.now, flight, FailureKind::Network);
        self.drain();
    }

    /// A read from start to end over a fast network.
    pub(super) fn read(&mut self, text: &str) -> Result<Answer, ErrorCode> {
        let id = self.get(text);
        for _ in 0..20 {
            if let Some(outcome) = self.answers.remove(&id) {
                return outcome;
            }
            self.pass(10);
            self.deliver();
        }
        panic!("no outcome for {text}");
    }
}

/// The locator of an answer.
pub(super) fn locator(answer: &Answer) -> Option<&str> {
    answer.keymap.as_ref().map(|keymap| keymap.fields.locator.as_str())
}
