//! Clients, what is on its way between them and the gateways, and what a step does to them.

use foremap::adapter::{FailureKind, FlightId, Listing};
use foremap::cache::Fence;
use foremap::key::KeyPrefix;
use foremap::protocol::{BatchRequest, Class, Cursor, ListPage, Outcome};
use foremap::{Millis, adapter::Attention};

use super::client::{Client, Source};
use super::judge::{Brought, Invariant, Verdict, demand};
use super::mutant::Mutant;
use super::step::{Ask, Mishap, Step};
use super::tally::Tally;
use super::truth::{CLIENTS, Real, Truth, name, number};

/// Longest series of wakes at one moment.
const MOST_WAKES: usize = 100;
/// Keys that a walk goes round.
const ROUND: u8 = 5;

/// A request on its way to a gateway.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) client: usize,
    pub(crate) generation: u32,
    pub(crate) flight: FlightId,
    pub(crate) gateway: usize,
    pub(crate) sent: Real,
    /// When the client gives up, on its clock.
    pub(crate) expires: Millis,
    pub(crate) content: Content,
}

/// Content of a request.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Batch(BatchRequest),
    List { key: u8, fence: Fence, events: u64 },
}

/// An answer on its way back.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Batch(foremap::protocol::BatchResponse),
    List(ListPage),
}

/// Everything but the truth.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) mutant: Option<Mutant>,
    pub(crate) clients: Vec<Client>,
    pub(crate) sent: Vec<Message>,
    pub(crate) answered: Vec<(Message, Reply)>,
    pub(crate) feeds: u64,
    walked: u8,
    pub(crate) tally: Tally,
}

/// Takes `steps` from `truth` on. Returns what they exercised, or the first invariant that did not hold; and how many
/// were taken.
pub fn run(mut truth: Truth, steps: &[Step], mutant: Option<Mutant>) -> (Result<Tally, super::Violation>, usize) {
    let clients = (0..CLIENTS).map(|number| Client::new(&truth, number)).collect();
    let (sent, answered) = (Vec::new(), Vec::new());
    let mut world = World { mutant, clients, sent, answered, feeds: 0, walked: 0, tally: Tally::default() };
    for (taken, step) in steps.iter().enumerate() {
        truth.take(step);
        if let Err(violation) = world.take(&truth, step) {
            return (Err(violation), taken + 1);
        }
    }
    let outcome = world.quieten(truth);
    (outcome.map(|()| world.tally), steps.len())
}

impl World {
    fn take(&mut self, truth: &Truth, step: &Step) -> Verdict {
        match *step {
            Step::Wait(_)
            | Step::Write { .. }
            | Step::Commit(_)
            | Step::Poll(_)
            | Step::Truncate(_)
            | Step::Restart(_)
            | Step::RenewStore => {}
            Step::SetWall(_) => (0..CLIENTS).try_for_each(|client| self.tick(truth, client))?,
            Step::Breathe(_) => self.breathe(truth)?,
            Step::Walk(_) => self.walk(truth)?,
            Step::Freeze(_) => return self.freeze(truth),
            Step::Sleep { told, .. } => return self.sleep(truth, told),
            Step::Put { client, key, deletes, known } => self.put(truth, client.into(), (key, deletes, known))?,
            Step::Acknowledge(pick) => self.acknowledge(truth, pick.into())?,
            Step::Get { client, .. } => self.get(truth, client.into(), step)?,
            Step::List { client, key, gateway } => self.list(truth, client.into(), key, gateway.into())?,
            Step::Hint { client, key } => self.hint(truth, client.into(), key)?,
            Step::Cancel(pick) => self.cancel(truth, pick.into())?,
            Step::CloseScope(client) => self.close_scope(truth, client.into(), 1)?,
            Step::Invalidate(client, what) => self.invalidate(truth, client.into(), what)?,
            Step::Process(pick) => self.process(truth, pick.into()),
            Step::Deliver { pick, again } => self.deliver(truth, pick.into(), again)?,
            Step::Lose(pick, mishap) => self.lose(truth, pick.into(), mishap)?,
            Step::AcceptFeed(client) => self.accept_feed(truth, client.into())?,
            Step::Beat(client) => self.beat(truth, client.into())?,
            Step::Hear { client, pick, again, cut } => {
                self.hear(truth, client.into(), pick.into(), again, cut)?;
            }
            Step::LoseFrame(client, pick) => self.lose_frame(truth, client.into(), pick.into())?,
            Step::EndFeed(client, end) => self.end_feed(truth, client.into(), end)?,
            Step::Attend(client, looks) => self.attend(truth, client.into(), looks)?,
            Step::Bookmark(from) => self.bookmark(truth, from.into())?,
            Step::Export(client) => self.export(client.into()),
            Step::Import(client) => self.import(truth, client.into())?,
            Step::Rebuild(client, legacy) => self.rebuild(truth, client.into(), legacy)?,
        }
        (0..CLIENTS).try_for_each(|client| self.wake(truth, client))
    }

    /// Everything that is under way arrives, and everybody does what is due.
    fn breathe(&mut self, truth: &Truth) -> Verdict {
        for client in 0..CLIENTS {
            self.accept_feed(truth, client)?;
        }
        while !self.sent.is_empty() {
            self.process(truth, 0);
        }
        while !self.answered.is_empty() {
            self.deliver(truth, 0, false)?;
        }
        for client in 0..CLIENTS {
            self.beat(truth, client)?;
        }
        for client in 0..CLIENTS {
            while self.clients[client].stream.as_ref().is_some_and(|stream| !stream.queue.is_empty()) {
                self.hear(truth, client, 0, false, 0)?;
            }
        }
        Ok(())
    }

    /// The first client reads the next key of its round.
    fn walk(&mut self, truth: &Truth) -> Verdict {
        self.walked = (self.walked + 1) % ROUND;
        let (key, ask) = (self.walked, Ask::Bounded(2_000));
        self.get(truth, 0, &Step::Get { client: 0, key, ask, scope: 0, stream: 0, patience_ms: 9_000 })?;
        self.wake(truth, 0)?;
        self.breathe(truth)
    }

    /// Clients stand still; what they are sent is kept for them.
    fn freeze(&mut self, truth: &Truth) -> Verdict {
        while !self.sent.is_empty() {
            self.process(truth, 0);
        }
        for client in 0..CLIENTS {
            if let Some(Source::Gateway(_)) = self.clients[client].stream.as_ref().map(|stream| &stream.source) {
                self.beat(truth, client)?;
            }
            self.tick(truth, client)?;
        }
        Ok(())
    }

    fn sleep(&mut self, truth: &Truth, told: bool) -> Verdict {
        self.freeze(truth)?;
        for client in (0..CLIENTS).filter(|_| told) {
            let now = self.clients[client].now;
            self.clients[client].adapter.handle_resume(now);
            self.drain(truth, client, None)?;
        }
        Ok(())
    }

    /// Reads a client's clocks.
    pub(crate) fn tick(&mut self, truth: &Truth, client: usize) -> Verdict {
        let (monotonic, wall) = truth.host_clocks(client);
        let this = &mut self.clients[client];
        let tick = this.clock.read(monotonic, wall);
        this.now = if self.mutant == Some(Mutant::ClockStandsStill) { monotonic as Millis } else { tick.now };
        if tick.broke && self.mutant != Some(Mutant::ClockStandsStill) {
            self.tally.note("clock broke");
            this.judge.brought.clear();
            this.broke_at = Some(this.now);
            this.excuse();
            this.adapter.handle_clock_break(this.now);
        }
        self.drain(truth, client, None)
    }

    /// A client does what is due.
    fn wake(&mut self, truth: &Truth, client: usize) -> Verdict {
        self.tick(truth, client)?;
        let now = self.clients[client].now;
        let ended = |message: &Message| message.client == client && message.expires <= now;
        let mut expired: Vec<Message> = self.sent.extract_if(.., |message| ended(message)).collect();
        expired.extend(self.answered.extract_if(.., |(message, _)| ended(message)).map(|(message, _)| message));
        for message in expired {
            self.fail(truth, &message, FailureKind::Timeout)?;
        }
        let mut left = MOST_WAKES;
        while let Some(&scope) = self.clients[client].wakes.iter().find(|(_, at)| **at <= now).map(|(scope, _)| scope) {
            self.clients[client].wakes.remove(&scope);
            if self.mutant != Some(Mutant::WakesIgnored) || scope == 0 {
                self.clients[client].adapter.handle_timeout(now, scope);
            }
            self.drain(truth, client, None)?;
            left -= 1;
            demand(left > 0, Invariant::OneOutcomeInTime, || format!("client {client} is woken for ever at {now}"))?;
        }
        self.check(client)
    }

    fn check(&self, client: usize) -> Verdict {
        let this = &self.clients[client];
        let late = this.judge.pending.iter().find(|(_, pending)| pending.deadline <= this.now);
        demand(late.is_none(), Invariant::OneOutcomeInTime, || format!("no outcome at {}: {late:?}", this.now))?;
        let (predicted, saved) = (this.judge.predicted, this.judge.saved);
        let pays = predicted <= saved;
        demand(pays, Invariant::PredictedPaysForItself, || format!("{predicted} batches for {saved} saved"))?;
        let stats = this.adapter.stats(this.now);
        let cache = &stats.cache;
        let fills = [stats.waiting, stats.calling, stats.prefetching, stats.floors, stats.origins, stats.history];
        let fits = fills.iter().all(|fill| fill.used <= fill.bound)
            && cache.entries <= cache.max_entries.unwrap_or(usize::MAX)
            && cache.bytes <= cache.max_bytes
            && cache.gone <= cache.max_gone
            && cache.fences <= cache.max_fences
            && cache.known_changes <= cache.max_known_changes
            && cache.shards <= cache.max_shards
            && cache.evicted_pending <= cache.max_evicted_pending
            && cache.indexed_keys == cache.entries
            && stats.feed.clocks <= stats.feed.max_clocks
            && stats.feed.buffered <= stats.feed.max_buffered
            && stats.scopes <= 2
            && stats.flights <= stats.fetching + 16
            && stats.waiting.used == this.judge.pending.len();
        demand(fits, Invariant::NothingLeaks, || format!("beyond a bound: {stats:?}"))
    }

    pub(crate) fn process(&mut self, truth: &Truth, pick: usize) {
        if self.sent.is_empty() {
            return;
        }
        let message = self.sent.remove(pick % self.sent.len());
        let reply = match &message.content {
            Content::Batch(request) => {
                let mut response = truth.answer(message.gateway, request, self.mutant);
                if let Some(feed) = request.feed {
                    let mut added: Vec<Cursor> = request.cursors.clone();
                    let answered = response.results.iter().map(|result| result.at);
                    let answered = answered.filter(|at| request.cursors.iter().all(|cursor| cursor.shard != at.shard));
                    added.extend(answered.map(|at| Cursor { shard: at.shard, position: at.position }));
                    self.extend_feed(feed, &added);
                }
                if let Some(mutant) = self.mutant {
                    mutant.spoil(&mut response);
                }
                Reply::Batch(response)
            }
            Content::List { key, .. } => Reply::List(truth.list(message.gateway, *key)),
        };
        self.answered.push((message, reply));
    }

    pub(crate) fn deliver(&mut self, truth: &Truth, pick: usize, again: bool) -> Verdict {
        if self.answered.is_empty() {
            return Ok(());
        }
        let (message, reply) = self.answered.remove(pick % self.answered.len());
        let current = message.generation == self.clients[message.client].generation;
        if !current && (self.mutant != Some(Mutant::OldAnswersEnter) || matches!(reply, Reply::List(_))) {
            return Ok(());
        }
        self.tick(truth, message.client)?;
        self.hand_in(truth, &message, &reply)?;
        if again {
            self.hand_in(truth, &message, &reply)?;
        }
        Ok(())
    }

    fn hand_in(&mut self, truth: &Truth, message: &Message, reply: &Reply) -> Verdict {
        match (&message.content, reply) {
            (Content::Batch(request), Reply::Batch(response)) => {
                let this = &mut self.clients[message.client];
                let store = truth.stores.len().min(response.epoch.incarnation as usize) - 1;
                if !this.judge.session.meet(store) {
                    this.excuse();
                }
                for (item, result) in request.items.iter().zip(&response.results) {
                    let key = number(&item.key);
                    if item.class == Class::Prefetch && !matches!(result.outcome, Outcome::Error { .. }) {
                        this.judge.ahead.insert(key);
                    }
                    let waits = this.judge.pending.values_mut().filter(|pending| pending.key == key);
                    waits.for_each(|pending| pending.answers += 1);
                }
                if self.mutant == Some(Mutant::WaitersEvicted)
                    && truth.shape.max_entries < usize::MAX
                    && let Some(&waiter) = this.judge.pending.keys().next()
                {
                    this.adapter.handle_cancel(this.now, waiter);
                }
                let (now, body) = (this.now, response.encode());
                this.adapter.handle_response(now, message.flight, 200, None, &body);
                self.drain(truth, message.client, Some(message.sent))
            }
            (Content::List { key, fence, events }, Reply::List(page)) => {
                self.listed(truth, message.client, *key, (*fence, *events), page)
            }
            _ => Ok(()),
        }
    }

    fn listed(
        &mut self,
        truth: &Truth,
        client: usize,
        key: u8,
        (mut fence, events): (Fence, u64),
        page: &ListPage,
    ) -> Verdict {
        let mutant = self.mutant;
        let this = &mut self.clients[client];
        let now = this.now;
        if this.judge.session.meet(page.epoch.incarnation as usize - 1) {
            for (keymap, at) in &page.items {
                let as_of = fence.sent_at() as i64 - i64::from(at.age_ms);
                let key = number(&keymap.key);
                if at.position >= this.floor(at.shard) {
                    this.bring(truth, key, Brought { as_of, version: keymap.version }, fence.sent_at(), events);
                }
                this.judge.session.see(key, keymap.version);
            }
        }
        if mutant == Some(Mutant::FencesTakenLate) {
            fence = this.adapter.fence(now);
        }
        if mutant == Some(Mutant::ListsUntold) {
            return Ok(());
        }
        let prefix = KeyPrefix::parse(&format!("u/{}", key % 2)).unwrap_or_else(|error| panic!("a prefix: {error}"));
        this.adapter.handle_list(now, 0, "s0", &Listing { prefix: &prefix, fence, page, first: true });
        self.tally.note("list");
        self.drain(truth, client, None)
    }

    fn lose(&mut self, truth: &Truth, pick: usize, mishap: Mishap) -> Verdict {
        let count = self.sent.len() + self.answered.len();
        if count == 0 {
            return Ok(());
        }
        let at = pick % count;
        let message =
            if at < self.sent.len() { self.sent.remove(at) } else { self.answered.remove(at - self.sent.len()).0 };
        if message.generation != self.clients[message.client].generation
            || matches!(message.content, Content::List { .. })
        {
            return Ok(());
        }
        self.tick(truth, message.client)?;
        let this = &mut self.clients[message.client];
        let now = this.now;
        match mishap {
            Mishap::Network => return self.fail(truth, &message, FailureKind::Network),
            Mishap::Unavailable => this.adapter.handle_response(now, message.flight, 503, Some(20), b""),
            Mishap::Garbage => this.adapter.handle_response(now, message.flight, 200, None, b"<html>"),
        }
        this.excuse();
        self.drain(truth, message.client, None)
    }

    fn fail(&mut self, truth: &Truth, message: &Message, kind: FailureKind) -> Verdict {
        let this = &mut self.clients[message.client];
        if message.generation != this.generation || matches!(message.content, Content::List { .. }) {
            return Ok(());
        }
        this.excuse();
        if self.mutant != Some(Mutant::FailuresUntold) {
            let now = this.now;
            this.adapter.handle_failure(now, message.flight, kind);
        }
        self.drain(truth, message.client, None)
    }

    /// Nothing new happens, everything under way arrives, and nothing is left.
    fn quieten(&mut self, mut truth: Truth) -> Verdict {
        for client in 0..CLIENTS {
            self.tick(&truth, client)?;
            let this = &mut self.clients[client];
            this.adapter.handle_attention(this.now, Attention::Away);
            self.drain(&truth, client, None)?;
        }
        for ms in [1, 50, 100, 300, 600, 1_000, 1_000, 1_000, 2_000, 2_000, 5_000, 5_000] {
            truth.take(&Step::Breathe(ms));
            self.take(&truth, &Step::Breathe(ms))?;
        }
        for client in 0..CLIENTS {
            let left = self.clients[client].adapter.stats(self.clients[client].now);
            let idle = [left.waiting.used, left.calling.used, left.flights, left.fetching - left.prefetching.used];
            demand(idle == [0; 4], Invariant::NothingLeaks, || format!("under way when all is quiet: {left:?}"))?;
            self.close_scope(&truth, client, 0)?;
            self.close_scope(&truth, client, 1)?;
            let this = &mut self.clients[client];
            let (feed, stats) = (this.stream.is_some(), this.adapter.stats(this.now));
            this.adapter.clear(this.now);
            let left = this.adapter.stats(this.now);
            let empty = !feed
                && [stats.waiting.used, stats.calling.used, stats.flights, stats.fetching, stats.scopes] == [0; 5]
                && (left.cache.entries, left.cache.bytes, left.prefetch.outstanding) == (0, 0, 0);
            demand(empty, Invariant::NothingLeaks, || format!("left when all is quiet: feed {feed}, {left:?}"))?;
        }
        Ok(())
    }

    /// The names of keys, for actions that are about one.
    pub(crate) fn key(key: u8) -> foremap::key::CompositeKey {
        name(key)
    }
}
