//! A gateway of a few lines, and a host that performs actions in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Action, Adapter, AdapterConfig, Answer, FailureKind, FlightId, GetRequest, Own, OwnWrite, RequestId, Scope,
};
use crate::Millis;
use crate::key::CompositeKey;
use crate::partition::{MapDelta, MapNode, PartitionMap, StorageLayout};
use crate::protocol::{
    BatchRequest, BatchResponse, Change, Consistency, ErrorCode, ItemResult, Keymap, KeymapFields, MapUpdate, Outcome,
    ReadPoint,
};

pub(super) const ORIGIN: &str = "http://a.example";

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

    fn position(&self) -> u64 {
        self.log.len() as u64
    }

    pub(super) fn answer(&mut self, body: &[u8]) -> BatchResponse {
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
        BatchResponse { epoch: self.map.epoch, clock: None, results, positions, changes, resets: Vec::new(), map }
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

/// An adapter with its host: collects outcomes, leaves flights to the test.
pub(super) struct Host {
    pub(super) adapter: Adapter,
    pub(super) now: Millis,
    pub(super) gateway: Gateway,
    pub(super) sent: Vec<Sent>,
    pub(super) answers: BTreeMap<RequestId, Result<Answer, ErrorCode>>,
    pub(super) other: Vec<Action>,
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
            wakes: BTreeMap::new(),
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.adapter.next_action() {
            match action {
                Action::Answer { request, answer } => assert!(self.answers.insert(request, Ok(answer)).is_none()),
                Action::Fail { request, code, .. } => assert!(self.answers.insert(request, Err(code)).is_none()),
                Action::Send { scope, flight, origin, body, timeout_ms, .. } => {
                    self.sent.push(Sent { flight, scope, origin, body, timeout_ms });
                }
                Action::Wake { scope, at } => {
                    self.wakes.insert(scope, at);
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
        self.adapter.wrote(self.now, write);
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
            self.adapter.poll(self.now, scope);
            self.drain();
        }
        self.now = end;
    }

    /// Answers everything that was sent, as the gateway would.
    pub(super) fn deliver(&mut self) {
        self.drain();
        for sent in std::mem::take(&mut self.sent) {
            let response = self.gateway.answer(&sent.body);
            self.respond(sent.flight, 200, &response.encode());
        }
    }

    pub(super) fn respond(&mut self, flight: FlightId, status: u16, body: &[u8]) {
        self.adapter.on_response(self.now, flight, status, None, body);
        self.drain();
    }

    pub(super) fn fail(&mut self, flight: FlightId) {
        self.adapter.on_failure(self.now, flight, FailureKind::Network);
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
