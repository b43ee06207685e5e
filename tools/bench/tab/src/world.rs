//! Simulated time: visits, nodes, and what is under way between them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foremap::Millis;
use foremap::adapter::{Action, Answer, FeedConfig, FlightId, RequestId};
use foremap::prefetch::PrefetchEngine;
use foremap::protocol::{BatchRequest, Class, Outcome, Rider};

use super::feeds::Feeds;
use super::fleet::{self, Fleet, NODES};
use super::judge::{Broken, Promise, Seen, judge};
use super::mode::Mode;
use super::pace::{IDLE, Paced, Request};
use super::queue::Queue;
use super::rng::Rng;
use super::shared::{Shared, TOLD};
use super::store::Store;
use super::tally::{Figures, Run, Tally};
use super::ttl::TtlCache;
use super::visit::{Client, Progress, Visit};

/// Time from a tab to a node, and back again.
pub const ONE_WAY_MS: Millis = 30;

/// What is run.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// What the tabs have.
    pub mode: Mode,
    /// Permille of requests that a foreign write to a random key precedes.
    pub writes: u32,
    /// The staleness bound, of adapters and of requests.
    pub bound_ms: u32,
    /// When a tab holds a change feed.
    pub feed: FeedConfig,
    /// How many of the nodes a tab may talk to; 1 where they are behind one address.
    pub origins: usize,
    /// Clients that must have gone a way before a shared model tells of it.
    pub share_clients: u32,
    /// Decides everything that the trace leaves open.
    pub seed: u64,
}

/// What happens. Visits are named by their number.
pub(crate) enum Event {
    /// A batch reaches its node.
    Arrive { visit: usize, flight: FlightId, node: usize, request: BatchRequest },
    /// Its answer reaches the tab, with these keys fetched ahead.
    Deliver { visit: usize, flight: FlightId, body: Vec<u8>, ahead: Vec<u32> },
    /// The adapter asked to be polled at this moment of its clock.
    Wake { visit: usize, at: Millis },
    /// A tab asks its node for a change feed.
    OpenFeed { visit: usize, feed: FlightId, node: usize, request: BatchRequest },
    /// Bytes of it reach the tab.
    FeedBytes { visit: usize, feed: FlightId, bytes: Vec<u8> },
    /// The node has ended it.
    FeedEnds { visit: usize, feed: FlightId },
    /// A node has heartbeats to send.
    TickFeeds { node: usize },
    /// A node has news to tell.
    PushFeeds { node: usize },
    /// A shared model reaches the tab, behind an answer.
    Model { visit: usize, bytes: Arc<[u8]> },
    /// The visit is over, unless there were requests since.
    End { visit: usize },
}

pub(crate) struct World<'a> {
    trace: &'a Paced,
    setup: Setup,
    pub(crate) now: Millis,
    pub(crate) queue: Queue<Event>,
    pub(crate) store: Store,
    pub(crate) fleet: Fleet,
    pub(crate) feeds: Feeds,
    /// By number; `None` where a visit is over.
    pub(crate) visits: Vec<Option<Box<Visit>>>,
    /// Of each client the visit at hand.
    open: Vec<Option<usize>>,
    /// The model that all tabs share.
    pool: Option<PrefetchEngine>,
    /// What they tell each other.
    shared: Option<Shared>,
    pub(crate) tally: Tally,
    seeds: Rng,
    writes: Rng,
}

/// Replays `trace`, called `name`. Everything follows from the setup.
pub fn replay(name: &str, trace: &Paced, setup: Setup) -> Figures {
    let mut world = World::new(Fleet::new(setup.seed), trace, setup);
    world.run();
    let Setup { mode, writes, .. } = setup;
    world.tally.figures(Run { trace: name.to_owned(), mode: mode.name(), writes })
}

impl<'a> World<'a> {
    fn new(fleet: Fleet, trace: &'a Paced, setup: Setup) -> Self {
        Self {
            trace,
            setup,
            now: 0,
            queue: Queue::default(),
            store: Store::new(fleet.layout(), &trace.keys),
            fleet,
            feeds: Feeds::default(),
            visits: Vec::new(),
            open: vec![None; trace.clients],
            pool: setup.mode.pool(setup.seed),
            shared: (setup.mode == Mode::Shared).then(|| Shared::new(setup.share_clients, trace)),
            tally: Tally::default(),
            seeds: Rng::new(setup.seed),
            writes: Rng::new(setup.seed ^ 1),
        }
    }

    /// From the first request until every tab is closed.
    fn run(&mut self) {
        for request in &self.trace.requests {
            self.run_until(request.at);
            self.now = request.at;
            self.request(*request);
        }
        self.run_until(Millis::MAX);
    }

    /// Lets everything happen that is due up to `until`.
    fn run_until(&mut self, until: Millis) {
        while self.queue.next_at().is_some_and(|at| at <= until) {
            let Some((at, event)) = self.queue.pop() else { return };
            self.now = at;
            match event {
                Event::Arrive { visit, flight, node, request } => self.arrive(visit, flight, node, &request),
                Event::Deliver { visit, flight, body, ahead } => self.deliver(visit, flight, &body, &ahead),
                Event::Wake { visit, at } => self.wake(visit, at),
                Event::OpenFeed { visit, feed, node, request } => self.feed_arrives(visit, feed, node, &request),
                Event::FeedBytes { visit, feed, bytes } => self.deliver_feed(visit, feed, &bytes),
                Event::FeedEnds { visit, feed } => self.end_feed(visit, feed),
                Event::TickFeeds { node } => self.tick_feeds(node),
                Event::PushFeeds { node } => self.pushed(node),
                Event::Model { visit, bytes } => self.step(visit, |visit, now| visit.import_model(now, &bytes)),
                Event::End { visit } => self.end(visit),
            }
        }
    }

    fn request(&mut self, request: Request) {
        if self.writes.chance(self.setup.writes) {
            let key = self.writes.below(self.store.len() as u64) as u32;
            self.store.write(self.now, key);
            self.push_feeds();
        }
        let visit = match self.open[request.client as usize] {
            Some(visit) => visit,
            None => self.begin(request.client),
        };
        self.tally.requests += 1;
        let (trace, bound_ms) = (self.trace, self.setup.bound_ms);
        self.step(visit, |visit, now| {
            visit.last_request = now;
            visit.get(now, request.key, &trace.keys[request.key as usize], bound_ms);
        });
    }

    fn begin(&mut self, owner: u32) -> usize {
        let seed = self.seeds.bits() >> 12;
        // The page has been loading for a while.
        let epoch = self.now - self.seeds.range(300, 1_500);
        let home = owner as usize % NODES;
        let client = match self.setup.mode {
            Mode::Ttl => Client::Ttl(TtlCache::new(&fleet::origin(home), self.fleet.map_knowledge())),
            mode => {
                let origins = (0..self.setup.origins.min(NODES)).map(|nth| fleet::origin((home + nth) % NODES));
                Client::Adapter(Box::new(mode.adapter(origins.collect(), seed, &self.setup)))
            }
        };
        let visit = Visit {
            client,
            owner,
            stream: format!("{:011x}", seed & ((1 << 44) - 1)),
            epoch,
            last_request: self.now,
            wake: None,
            feed: None,
            flights: HashSet::new(),
            waiting: HashMap::new(),
            seen: Seen::default(),
            ahead: HashMap::new(),
        };
        let number = self.visits.len();
        self.visits.push(Some(Box::new(visit)));
        self.open[owner as usize] = Some(number);
        self.queue.push(self.now + IDLE, Event::End { visit: number });
        self.tally.visits += 1;
        number
    }

    /// Lets a visit do something, and performs what comes of it.
    pub(crate) fn step(&mut self, number: usize, step: impl FnOnce(&mut Visit, Millis)) {
        let Some(mut visit) = self.visits[number].take() else { return };
        self.swap_engine(&mut visit);
        step(&mut visit, self.now);
        loop {
            while let Some(action) = visit.next_action() {
                self.perform(number, &mut visit, action);
            }
            if !visit.poll_if_due(self.now) {
                break;
            }
        }
        self.swap_engine(&mut visit);
        self.visits[number] = Some(visit);
    }

    fn swap_engine(&mut self, visit: &mut Visit) {
        if let Some(engine) = &mut self.pool {
            engine.act_for(&visit.stream);
        }
        visit.swap_engine(self.pool.as_mut());
    }

    fn perform(&mut self, number: usize, visit: &mut Visit, action: Action) {
        match action {
            Action::Answer { request, answer } => self.answered(visit, request, &answer),
            Action::Fail { request, .. } => {
                visit.waiting.remove(&request);
                self.tally.failed += 1;
            }
            Action::Send { flight, origin, body, .. } => self.send(number, visit, flight, &origin, &body),
            Action::Abort { flight } => {
                visit.flights.remove(&flight);
            }
            Action::Wake { at, .. } => {
                visit.wake = Some(at);
                if at > visit.local(self.now) {
                    self.queue.push(visit.epoch + at, Event::Wake { visit: number, at });
                }
            }
            Action::OpenFeed { feed, origin, body, .. } => self.open_feed(number, visit, feed, &origin, &body),
            Action::CloseFeed { feed, .. } => self.close_feed(visit, feed),
            // There are no writes, lists or other calls in a trace, every tab has a feed of its own, and there is one store.
            Action::Attempt { .. } | Action::CallEnd { .. } | Action::Relay { .. } | Action::SessionReset { .. } => {}
        }
    }

    fn send(&mut self, number: usize, visit: &mut Visit, flight: FlightId, origin: &str, body: &[u8]) {
        let request = BatchRequest::decode(body).expect("an adapter sends what can be read");
        let node = fleet::node_at(origin).expect("an adapter knows the origins that it was given");
        let http = &mut self.tally.http;
        if request.items.is_empty() {
            http.exchange += 1;
        } else if request.items.iter().all(|item| item.class == Class::Prefetch) {
            http.ahead += 1;
        } else {
            http.demand += 1;
        }
        // What it tells is counted by itself.
        let told = request.rider.as_ref().map_or(0, Rider::len);
        self.tally.bytes += (body.len() - told) as u64;
        for item in request.items.iter().filter(|item| item.class == Class::Prefetch) {
            self.tally.ahead.issued += 1;
            if let Some(key) = self.store.id(&item.key) {
                visit.ahead.insert(key, Progress::UnderWay);
            }
        }
        visit.flights.insert(flight);
        self.queue.push(self.now + ONE_WAY_MS, Event::Arrive { visit: number, flight, node, request });
    }

    fn arrive(&mut self, visit: usize, flight: FlightId, node: usize, request: &BatchRequest) {
        let response = self.fleet.answer(&self.store, self.now, node, request);
        self.extend_feed(request, &response);
        let items = request.items.iter().zip(&response.results);
        let there = |outcome: &Outcome| matches!(outcome, Outcome::Found { .. } | Outcome::Unchanged { .. });
        let ahead = items
            .filter(|(item, result)| item.class == Class::Prefetch && there(&result.outcome))
            .filter_map(|(item, _)| self.store.id(&item.key))
            .collect();
        let body = response.encode();
        self.queue.push(self.now + ONE_WAY_MS, Event::Deliver { visit, flight, body, ahead });
        self.share(visit, request);
    }

    /// A gateway follows what its clients do, and sends its model behind an answer.
    fn share(&mut self, visit: usize, request: &BatchRequest) {
        let Some(shared) = &mut self.shared else { return };
        let models = &mut self.tally.models;
        if let Some(tab) = &self.visits[visit] {
            shared.observe(self.now, tab.owner, request, models);
        }
        if let Some(bytes) = request.model.and_then(|wish| shared.read(self.now, wish, models)) {
            self.queue.push(self.now + ONE_WAY_MS, Event::Model { visit, bytes });
        }
    }

    fn deliver(&mut self, number: usize, flight: FlightId, body: &[u8], ahead: &[u32]) {
        self.tally.bytes += body.len() as u64;
        self.step(number, |visit, now| {
            if !visit.flights.remove(&flight) {
                return;
            }
            for key in ahead {
                if let Some(progress) = visit.ahead.get_mut(key) {
                    *progress = Progress::There;
                }
            }
            visit.on_response(now, flight, body);
        });
    }

    fn wake(&mut self, number: usize, at: Millis) {
        // A later wake has taken its place, or it was polled meanwhile.
        if self.visits[number].as_ref().is_some_and(|visit| visit.wake == Some(at)) {
            self.step(number, |_, _| {});
        }
    }

    fn end(&mut self, number: usize) {
        let Some(visit) = &self.visits[number] else { return };
        let ends_at = visit.last_request + IDLE;
        if ends_at > self.now {
            return self.queue.push(ends_at, Event::End { visit: number });
        }
        let mut told = None;
        self.step(number, |visit, now| {
            visit.feed = None;
            told = visit.tell(TOLD);
            visit.close(now);
        });
        if let (Some(shared), Some(body)) = (&mut self.shared, told) {
            let owner = self.visits[number].as_ref().map_or(0, |visit| visit.owner);
            shared.tell(self.now, owner, &body, &mut self.tally.models);
        }
        if let Some(visit) = self.visits[number].take() {
            self.open[visit.owner as usize] = None;
            self.tally.failed += visit.waiting.len() as u64;
        }
    }

    fn answered(&mut self, visit: &mut Visit, request: RequestId, answer: &Answer) {
        let Some(waiting) = visit.waiting.remove(&request) else { return };
        self.tally.answered(answer, self.now - waiting.read.asked_at);
        waiting.settle(answer, &mut self.tally.ahead);
        let promise = Promise { bound_ms: self.setup.bound_ms, stated: self.setup.mode != Mode::Ttl };
        let key = &self.trace.keys[waiting.read.key as usize];
        match judge(&self.store, key, promise, self.now, &waiting.read, answer) {
            Ok(version) => visit.seen.raise(waiting.read.key, version),
            Err(Broken::Bound) => self.tally.beyond += 1,
            Err(Broken::Backwards) => self.tally.backwards += 1,
            Err(Broken::Invented) => self.tally.invented += 1,
        }
    }
}

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
