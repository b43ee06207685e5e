//! Simulated time: visits, nodes, and what is under way between them.

use std::collections::{HashMap, HashSet};

use foremap::Millis;
use foremap::adapter::{Action, Answer, FlightId, RequestId};
use foremap::prefetch::PrefetchEngine;
use foremap::protocol::{BatchRequest, Class, Outcome, Rider};
use foremap_replay::Random;

use super::event::{Event, ONE_WAY_MS};
use super::feeds::{Feeds, ask_for_feed};
use super::fleet::{self, Fleet, NODES};
use super::judge::{Broken, Promise, Seen, judge};
use super::mode::Mode;
use super::pace::{IDLE, Paced, Request};
use super::queue::Queue;
use super::scene::Scene;
use super::setup::Setup;
use super::shared::{Shared, TOLD};
use super::store::Store;
use super::tally::{Figures, Run, Tally};
use super::ttl::TtlCache;
use super::visit::{Client, Progress, Visit};

struct World<'a> {
    trace: &'a Paced,
    setup: Setup,
    scene: Scene,
    feeds: Feeds,
    /// Of each client the visit at hand.
    open: Vec<Option<usize>>,
    /// The model that all tabs share.
    pool: Option<PrefetchEngine>,
    /// The model that they tell each other of.
    shared: Option<Shared>,
    seeds: Random,
    writes: Random,
}

/// Replays `trace`, called `name`. Everything follows from the setup.
pub fn replay(name: &str, trace: &Paced, setup: Setup) -> Figures {
    let mut world = World::new(Fleet::new(setup.seed), trace, setup);
    world.run();
    let Setup { mode, writes, .. } = setup;
    world.scene.tally.figures(Run { trace: name.to_owned(), mode: mode.name(), writes })
}

impl<'a> World<'a> {
    fn new(fleet: Fleet, trace: &'a Paced, setup: Setup) -> Self {
        Self {
            trace,
            setup,
            scene: Scene {
                now: 0,
                queue: Queue::default(),
                store: Store::new(fleet.layout(), &trace.keys),
                fleet,
                visits: Vec::new(),
                tally: Tally::default(),
            },
            feeds: Feeds::default(),
            open: vec![None; trace.clients],
            pool: setup.mode.pool(setup.seed),
            shared: (setup.mode == Mode::Shared).then(|| Shared::new(setup.share_clients, trace)),
            seeds: Random::apart(setup.seed),
            writes: Random::apart(setup.seed ^ 1),
        }
    }

    /// From the first request until every tab is closed.
    fn run(&mut self) {
        for request in &self.trace.requests {
            self.run_until(request.at);
            self.scene.now = request.at;
            self.request(*request);
        }
        self.run_until(Millis::MAX);
    }

    /// Lets everything happen that is due up to `until`.
    fn run_until(&mut self, until: Millis) {
        while self.scene.queue.next_at().is_some_and(|at| at <= until) {
            let Some((at, event)) = self.scene.queue.pop() else { return };
            self.scene.now = at;
            match event {
                Event::Arrive { visit, flight, node, request } => self.arrive(visit, flight, node, &request),
                Event::Deliver { visit, flight, body, ahead } => self.deliver(visit, flight, &body, &ahead),
                Event::Wake { visit, at } => self.wake(visit, at),
                Event::OpenFeed { visit, feed, node, request } => {
                    self.feeds.arrive(&mut self.scene, visit, feed, node, &request)
                }
                Event::FeedBytes { visit, feed, bytes } => self.deliver_feed(visit, feed, &bytes),
                Event::FeedEnds { visit, feed } => self.end_feed(visit, feed),
                Event::TickFeeds { node } => self.feeds.tick(&mut self.scene, node),
                Event::PushFeeds { node } => self.feeds.pushed(&mut self.scene, node),
                Event::Model { visit, bytes } => self.step(visit, |visit, now| visit.import_model(now, &bytes)),
                Event::End { visit } => self.end(visit),
            }
        }
    }

    fn request(&mut self, request: Request) {
        if self.writes.chance(self.setup.writes) {
            let key = self.writes.below(self.scene.store.len() as u64) as u32;
            self.scene.store.write(self.scene.now, key);
            self.feeds.push(&mut self.scene);
        }
        let visit = match self.open[request.client as usize] {
            Some(visit) => visit,
            None => self.begin(request.client),
        };
        self.scene.tally.requests += 1;
        let (trace, bound_ms) = (self.trace, self.setup.bound_ms);
        self.step(visit, |visit, now| {
            visit.last_request = now;
            visit.get(now, request.key, &trace.keys[request.key as usize], bound_ms);
        });
    }

    fn begin(&mut self, owner: u32) -> usize {
        let seed = self.seeds.bits() >> 12;
        // The page has been loading for a while.
        let epoch = self.scene.now - self.seeds.range(300, 1_500);
        let home = owner as usize % NODES;
        let client = match self.setup.mode {
            Mode::Ttl => Client::Ttl(TtlCache::new(&fleet::origin(home), self.scene.fleet.map_knowledge())),
            _ => {
                let origins = (0..self.setup.origins.min(NODES)).map(|nth| fleet::origin((home + nth) % NODES));
                Client::Adapter(Box::new(self.setup.adapter(origins.collect(), seed)))
            }
        };
        let visit = Visit {
            client,
            owner,
            stream: format!("{:011x}", seed & ((1 << 44) - 1)),
            epoch,
            last_request: self.scene.now,
            wake: None,
            feed: None,
            flights: HashSet::new(),
            waiting: HashMap::new(),
            seen: Seen::default(),
            ahead: HashMap::new(),
        };
        let number = self.scene.visits.len();
        self.scene.visits.push(Some(Box::new(visit)));
        self.open[owner as usize] = Some(number);
        self.scene.after(IDLE, Event::End { visit: number });
        self.scene.tally.visits += 1;
        number
    }

    /// Lets a visit do something, and performs what comes of it.
    fn step(&mut self, number: usize, step: impl FnOnce(&mut Visit, Millis)) {
        let Some(mut visit) = self.scene.visits[number].take() else { return };
        self.swap_engine(&mut visit);
        step(&mut visit, self.scene.now);
        loop {
            while let Some(action) = visit.next_action() {
                self.perform(number, &mut visit, action);
            }
            if !visit.poll_if_due(self.scene.now) {
                break;
            }
        }
        self.swap_engine(&mut visit);
        self.scene.visits[number] = Some(visit);
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
                self.scene.tally.failed += 1;
            }
            Action::Send { flight, origin, body, .. } => self.send(number, visit, flight, &origin, &body),
            Action::Abort { flight } => {
                visit.flights.remove(&flight);
            }
            Action::Wake { at, .. } => {
                visit.wake = Some(at);
                if at > visit.local(self.scene.now) {
                    self.scene.queue.push(visit.epoch + at, Event::Wake { visit: number, at });
                }
            }
            Action::OpenFeed { feed, origin, body, .. } => {
                ask_for_feed(&mut self.scene, number, visit, feed, &origin, &body)
            }
            Action::CloseFeed { feed, .. } => visit.feed = visit.feed.filter(|open| *open != feed),
            // There are no writes, lists or other calls in a trace, every tab has a feed of its own, and there is one store.
            Action::Attempt { .. } | Action::CallEnd { .. } | Action::Relay { .. } | Action::SessionReset { .. } => {}
        }
    }

    fn send(&mut self, number: usize, visit: &mut Visit, flight: FlightId, origin: &str, body: &[u8]) {
        let request = BatchRequest::decode(body).expect("an adapter sends what can be read");
        let node = fleet::node_at(origin).expect("an adapter knows the origins that it was given");
        let http = &mut self.scene.tally.http;
        if request.items.is_empty() {
            http.exchange += 1;
        } else if request.items.iter().all(|item| item.class == Class::Prefetch) {
            http.ahead += 1;
        } else {
            http.demand += 1;
        }
        // What it tells is counted by itself.
        let told = request.rider.as_ref().map_or(0, Rider::len);
        self.scene.tally.bytes += (body.len() - told) as u64;
        for item in request.items.iter().filter(|item| item.class == Class::Prefetch) {
            self.scene.tally.ahead.issued += 1;
            if let Some(key) = self.scene.store.id(&item.key) {
                visit.ahead.insert(key, Progress::UnderWay);
            }
        }
        visit.flights.insert(flight);
        self.scene.after(ONE_WAY_MS, Event::Arrive { visit: number, flight, node, request });
    }

    fn arrive(&mut self, visit: usize, flight: FlightId, node: usize, request: &BatchRequest) {
        let response = self.scene.fleet.answer(&self.scene.store, self.scene.now, node, request);
        self.feeds.extend(&mut self.scene, request, &response);
        let items = request.items.iter().zip(&response.results);
        let there = |outcome: &Outcome| matches!(outcome, Outcome::Found { .. } | Outcome::Unchanged { .. });
        let ahead = items
            .filter(|(item, result)| item.class == Class::Prefetch && there(&result.outcome))
            .filter_map(|(item, _)| self.scene.store.id(&item.key))
            .collect();
        let body = response.encode();
        self.scene.after(ONE_WAY_MS, Event::Deliver { visit, flight, body, ahead });
        self.share(visit, request);
    }

    /// A gateway follows what its clients do, and sends its model behind an answer.
    fn share(&mut self, visit: usize, request: &BatchRequest) {
        let Some(shared) = &mut self.shared else { return };
        let models = &mut self.scene.tally.models;
        if let Some(tab) = &self.scene.visits[visit] {
            shared.observe(self.scene.now, tab.owner, request, models);
        }
        if let Some(bytes) = request.model.and_then(|wish| shared.read(self.scene.now, wish, models)) {
            self.scene.after(ONE_WAY_MS, Event::Model { visit, bytes });
        }
    }

    fn deliver(&mut self, number: usize, flight: FlightId, body: &[u8], ahead: &[u32]) {
        self.scene.tally.bytes += body.len() as u64;
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

    fn deliver_feed(&mut self, visit: usize, feed: FlightId, bytes: &[u8]) {
        if self.scene.reads(visit, feed) {
            self.scene.tally.feeds.bytes += bytes.len() as u64;
            self.step(visit, |visit, now| visit.on_feed_bytes(now, feed, bytes));
        }
    }

    fn end_feed(&mut self, visit: usize, feed: FlightId) {
        if self.scene.reads(visit, feed) {
            self.step(visit, |visit, now| visit.on_feed_end(now, feed));
        }
    }

    fn wake(&mut self, number: usize, at: Millis) {
        // A later wake has taken its place, or it was polled meanwhile.
        if self.scene.visits[number].as_ref().is_some_and(|visit| visit.wake == Some(at)) {
            self.step(number, |_, _| {});
        }
    }

    fn end(&mut self, number: usize) {
        let Some(visit) = &self.scene.visits[number] else { return };
        let ends_at = visit.last_request + IDLE;
        if ends_at > self.scene.now {
            return self.scene.queue.push(ends_at, Event::End { visit: number });
        }
        let mut told = None;
        self.step(number, |visit, now| {
            visit.feed = None;
            told = visit.tell(TOLD);
            visit.close(now);
        });
        if let (Some(shared), Some(body)) = (&mut self.shared, told) {
            let owner = self.scene.visits[number].as_ref().map_or(0, |visit| visit.owner);
            shared.tell(self.scene.now, owner, &body, &mut self.scene.tally.models);
        }
        if let Some(visit) = self.scene.visits[number].take() {
            self.open[visit.owner as usize] = None;
            self.scene.tally.failed += visit.waiting.len() as u64;
        }
    }

    fn answered(&mut self, visit: &mut Visit, request: RequestId, answer: &Answer) {
        let Some(waiting) = visit.waiting.remove(&request) else { return };
        self.scene.tally.answered(answer, self.scene.now - waiting.read.asked_at);
        waiting.settle(answer, &mut self.scene.tally.ahead);
        let promise = Promise { bound_ms: self.setup.bound_ms, stated: self.setup.mode != Mode::Ttl };
        let key = &self.trace.keys[waiting.read.key as usize];
        match judge(&self.scene.store, key, promise, self.scene.now, &waiting.read, answer) {
            Ok(version) => visit.seen.raise(waiting.read.key, version),
            Err(Broken::Bound) => self.scene.tally.beyond += 1,
            Err(Broken::Backwards) => self.scene.tally.backwards += 1,
            Err(Broken::Invented) => self.scene.tally.invented += 1,
        }
    }
}

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
