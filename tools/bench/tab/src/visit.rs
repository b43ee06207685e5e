//! A visit: one tab from its first request until it has been idle for long enough.

use std::collections::{HashMap, HashSet};

use foremap::Millis;
use foremap::adapter::{Action, Adapter, Answer, FeedEnd, FlightId, GetRequest, RequestId, Served};
use foremap::key::CompositeKey;
use foremap::prefetch::PrefetchEngine;

use super::judge::{Read, Seen};
use super::tally::Ahead;
use super::ttl::TtlCache;

/// Layer between the application and the network.
pub(crate) enum Client {
    Adapter(Box<Adapter>),
    Ttl(TtlCache),
}

/// Progress of a prefetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    UnderWay,
    There,
}

/// A request without an answer so far.
pub(crate) struct Waiting {
    pub(crate) read: Read,
    /// The prefetch of its key that nobody had asked for before.
    pub(crate) ahead: Option<Progress>,
}

pub(crate) struct Visit {
    pub(crate) client: Client,
    /// Its client in the trace.
    pub(crate) owner: u32,
    /// Name by which the engine and the nodes know its requests.
    pub(crate) stream: String,
    /// Simulated time at which its clock began: when the page was loaded.
    pub(crate) epoch: Millis,
    pub(crate) last_request: Millis,
    /// When the adapter wants to be polled, by its own clock.
    pub(crate) wake: Option<Millis>,
    /// The change feed that it reads.
    pub(crate) feed: Option<FlightId>,
    pub(crate) flights: HashSet<FlightId>,
    pub(crate) waiting: HashMap<RequestId, Waiting>,
    pub(crate) seen: Seen,
    /// Keys fetched ahead and not asked for since.
    pub(crate) ahead: HashMap<u32, Progress>,
}

impl Visit {
    /// Reading of its clock.
    pub(crate) fn local(&self, now: Millis) -> Millis {
        now - self.epoch
    }

    /// Puts the shared engine into its adapter, or takes it out again.
    pub(crate) fn swap_engine(&mut self, engine: Option<&mut PrefetchEngine>) {
        if let (Client::Adapter(adapter), Some(engine)) = (&mut self.client, engine) {
            adapter.swap_engine(engine);
        }
    }

    /// Asks for a key.
    pub(crate) fn get(&mut self, now: Millis, id: u32, key: &CompositeKey, bound_ms: u32) {
        let local = self.local(now);
        let request = match &mut self.client {
            Client::Ttl(cache) => cache.get(local, key),
            Client::Adapter(adapter) => adapter.handle_request(
                local,
                GetRequest { stream: &self.stream, max_staleness_ms: bound_ms, ..GetRequest::new(key.clone()) },
            ),
        };
        let read = Read { key: id, asked_at: now, seen: self.seen.of(id) };
        self.waiting.insert(request, Waiting { read, ahead: self.ahead.remove(&id) });
    }

    pub(crate) fn on_response(&mut self, now: Millis, flight: FlightId, body: &[u8]) {
        let local = self.local(now);
        match &mut self.client {
            Client::Adapter(adapter) => adapter.handle_response(local, flight, 200, None, body),
            Client::Ttl(cache) => cache.on_response(local, flight, body),
        }
    }

    pub(crate) fn on_feed_bytes(&mut self, now: Millis, feed: FlightId, bytes: &[u8]) {
        let local = self.local(now);
        if let Client::Adapter(adapter) = &mut self.client {
            adapter.handle_feed_bytes(local, feed, bytes);
        }
    }

    pub(crate) fn on_feed_end(&mut self, now: Millis, feed: FlightId) {
        let local = self.local(now);
        if let Client::Adapter(adapter) = &mut self.client {
            adapter.handle_feed_end(local, feed, FeedEnd::Ended);
        }
    }

    /// Does what is due, if it is due by now.
    pub(crate) fn poll_if_due(&mut self, now: Millis) -> bool {
        let local = self.local(now);
        let Client::Adapter(adapter) = &mut self.client else { return false };
        if self.wake.is_none_or(|at| at > local) {
            return false;
        }
        self.wake = None;
        adapter.handle_timeout(local, 0);
        true
    }

    pub(crate) fn next_action(&mut self) -> Option<Action> {
        match &mut self.client {
            Client::Adapter(adapter) => adapter.poll_action(),
            Client::Ttl(cache) => cache.next_action(),
        }
    }

    /// A model of what others learned has come; an empty one where there is none.
    pub(crate) fn import_model(&mut self, now: Millis, bytes: &[u8]) {
        if let (Client::Adapter(adapter), false) = (&mut self.client, bytes.is_empty()) {
            adapter.import_model(now, bytes).expect("a model");
        }
    }

    /// Takes what it has to tell of its requests, in at most `max_bytes`.
    pub(crate) fn tell(&mut self, max_bytes: usize) -> Option<Vec<u8>> {
        match &mut self.client {
            Client::Adapter(adapter) => adapter.poll_summary(max_bytes),
            Client::Ttl(_) => None,
        }
    }

    /// The tab is closed. What was fetched ahead in vain is told to the engine, which may live on.
    pub(crate) fn close(&mut self, now: Millis) {
        let local = self.local(now);
        if let Client::Adapter(adapter) = &mut self.client {
            adapter.handle_scope_end(local, 0);
            adapter.clear(local);
        }
    }
}

impl Waiting {
    /// Books what the prefetch of its key was good for.
    pub(crate) fn settle(&self, answer: &Answer, ahead: &mut Ahead) {
        let at_once = matches!(answer.served, Served::Cache | Served::Negative);
        match self.ahead {
            Some(Progress::There) if at_once => ahead.used += 1,
            Some(Progress::There) => ahead.outdated += 1,
            Some(Progress::UnderWay) if answer.served == Served::Joined => ahead.late += 1,
            Some(Progress::UnderWay) | None => {}
        }
    }
}
