//! Queries: they change nothing.

use std::sync::Arc;

use super::Adapter;
use crate::Millis;
use crate::adapter::action::Answer;
use crate::adapter::state::KeptState;
use crate::adapter::stats::{AdapterStats, KeyExplanation};
use crate::cache::{Fence, Lookup};
use crate::key::CompositeKey;
use crate::partition::PartitionMap;
use crate::prefetch::Prediction;
use crate::protocol::Cursor;

impl Adapter {
    /// A snapshot of all counts and fills.
    pub fn stats(&self, now: Millis) -> AdapterStats {
        let mut stats =
            AdapterStats { scopes: self.agenda.scopes(), cache: self.cache.stats(), ..AdapterStats::default() };
        self.requests.report(&mut stats);
        self.transport.report(now, &mut stats);
        self.ahead.report(&mut stats);
        self.feed.report(&mut stats);
        stats
    }

    /// Placement of `key`, what is cached of it and why it was or was not fetched ahead.
    pub fn explanation(&self, now: Millis, key: &CompositeKey) -> KeyExplanation {
        let location = self.transport.placement().map(|placement| placement.locate(key));
        let map = self.map().cloned();
        let node = location.zip(map.as_ref()).and_then(|(location, map)| map.node(location.node));
        let shard = map.as_ref().map(|map| map.storage.shard(key));
        let (cached, hit) = match self.cache.peek(now, key, self.max_staleness_ms) {
            Lookup::Hit(hit) if hit.keymap.is_none() => ("negative", Some(hit)),
            Lookup::Hit(hit) => ("fresh", Some(hit)),
            Lookup::Stale(hit) => ("stale", Some(hit)),
            Lookup::Miss => ("absent", None),
        };
        KeyExplanation {
            key: key.clone(),
            epoch: map.as_ref().map(|map| map.epoch),
            partition: location.map(|location| location.partition),
            node: location.map(|location| location.node),
            replicas: self.transport.placement().and_then(|p| p.replicas(key)).unwrap_or_default().to_vec(),
            origin: node.map(|node| node.origin.clone()),
            portion: location.map(|location| location.portion),
            shard,
            cached,
            age_ms: hit.as_ref().map(|hit| hit.at.age_ms.into()),
            version: hit.as_ref().and_then(|hit| hit.keymap.as_ref()).map(|keymap| keymap.version),
            in_flight: self.requests.is_fetching(key),
            floor: shard.map_or(0, |shard| self.requests.session().token().get(shard)),
            prediction: self.ahead.engine().explain(now, key),
        }
    }

    /// The answer that the cache would give now, without a request and without a trace in it.
    pub fn cached_answer(&self, now: Millis, key: &CompositeKey, max_staleness_ms: u32) -> Option<Answer> {
        match self.cache.peek(now, key, max_staleness_ms) {
            Lookup::Hit(hit) if self.requests.session().is_as_new_as_inherited(hit.at) => Some(Answer::cached(hit)),
            Lookup::Hit(_) | Lookup::Stale(_) | Lookup::Miss => None,
        }
    }

    /// Keys that the predictor expects next in `stream`, most confident first.
    pub fn predictions(&self, stream: &str) -> Vec<Prediction> {
        self.ahead.engine().predictions_of_stream(stream)
    }

    /// Keys that the predictor expects after `key`, whoever asked for it; most confident first.
    pub fn predictions_after(&self, key: &CompositeKey) -> Vec<Prediction> {
        self.ahead.engine().predictions_after(key)
    }

    /// The newest map that the gateways have told of.
    pub fn map(&self) -> Option<&Arc<PartitionMap>> {
        self.transport.map()
    }

    /// A fence, to be taken when a request is sent that the host performs itself, and handed back with its answer.
    pub fn fence(&self, now: Millis) -> Fence {
        self.cache.fence(now)
    }

    /// The session token, to outlive this adapter: positions ascending by shard.
    pub fn session_token(&self) -> impl Iterator<Item = Cursor> + '_ {
        self.requests.session().token().iter()
    }

    /// Everything this session has seen, to be handed to another client: what that reads is never older. At most
    /// 11 bytes a storage shard.
    pub fn bookmark(&self) -> Vec<u8> {
        self.requests.session().bookmark()
    }

    /// Entries, session and requests, in at most about `max_bytes`; the entries most worth keeping first. O(entries).
    pub fn state(&self, max_bytes: usize) -> Vec<u8> {
        KeptState::write(self.requests.session(), self.ahead.history(), self.cache.kept(), max_bytes)
    }

    /// Bytes of a feed that let another client of this host follow this one's from here on; `None` without one. Frames passed
    /// on as [`Action::Relay`](crate::adapter::Action::Relay) go on from there. The other one must have asked for a feed
    /// before this is called.
    pub fn feed_opening(&self, now: Millis) -> Option<Vec<u8>> {
        self.feed.opening(now, &self.cache)
    }
}
