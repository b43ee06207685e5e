//! The hosts of the adapters, and those who call: sessions of a client of their own, and users of edge workers.

use std::collections::BTreeMap;
use std::sync::Arc;

use foremap::Millis;
use foremap::adapter::{
    Action, Adapter, AdapterConfig, Attention, CallId, FailureKind, FeedConfig, FlightId, GetRequest, RequestId, Scope,
};
use foremap::cache::{CacheConfig, Invalidate};
use foremap::key::KeyPrefix;
use foremap::prefetch::{Caution, PrefetchConfig};
use foremap::protocol::{BatchRequest, Consistency, Cursor, ErrorCode, KeymapFields};

use super::check::{Read, Seen};
use super::cluster::{self, Expect};
use super::mutant::Mutant;
use super::net::Place;
use super::rng::Rng;
use super::world::{Event, LAST_READS, Outcome, Reply, World, WriteRequest, origin};

/// A timer of a host fires at most so late.
pub(crate) const TIMER_SLACK: Millis = 2;

/// A read that waits for its outcome.
pub(crate) struct Waiting {
    pub(crate) read: Read,
    pub(crate) session: usize,
    pub(crate) scope: Scope,
    pub(crate) deadline: Millis,
    /// Everything works: it must succeed.
    pub(crate) must_succeed: bool,
}

/// A write that waits for its outcome.
pub(crate) struct Writing {
    pub(crate) request: Arc<WriteRequest>,
    pub(crate) session: usize,
    pub(crate) scope: Scope,
    /// What the last attempt was told.
    pub(crate) told: Option<cluster::Outcome>,
    /// Times that it was sent.
    pub(crate) sent: usize,
    /// When it was first tried.
    pub(crate) began: Millis,
    /// Its place in the history.
    pub(crate) recorded: usize,
    /// Everything works: it must succeed, or one of so many more must.
    pub(crate) more: Option<u32>,
}

pub(crate) struct Client {
    pub(crate) adapter: Adapter,
    pub(crate) reads: BTreeMap<RequestId, Waiting>,
    pub(crate) writes: BTreeMap<CallId, Writing>,
    /// The change feed that it reads.
    pub(crate) feed: Option<FlightId>,
    is_worker: bool,
    offset: Millis,
    wakes: BTreeMap<Scope, Millis>,
    open: BTreeMap<FlightId, (Scope, Option<CallId>)>,
    /// Scopes of requests to the worker that are no longer read from by their caller, and so end when idle.
    scopes: Vec<Scope>,
    last_scope: Scope,
}

/// One after the other, these are what a user looks at.
#[derive(Default)]
pub(crate) struct Session {
    /// Its own client; `None` for a user of the workers.
    pub(crate) client: Option<usize>,
    pub(crate) seen: Seen,
    /// What a user of the workers sends along.
    pub(crate) floors: BTreeMap<u16, u64>,
    at: usize,
}

impl Session {
    pub(crate) fn new(client: Option<usize>) -> Self {
        Self { client, ..Self::default() }
    }
}

impl Client {
    pub(crate) fn new(is_worker: bool, rng: &mut Rng) -> Self {
        let mut origins: Vec<String> = (1..=3).map(origin).collect();
        origins.truncate(rng.range(1, 3) as usize);
        let by_entries = rng.chance(40);
        let cache = CacheConfig {
            max_bytes: if by_entries { 1 << 20 } else { rng.range(4, 20) as usize * 1_024 },
            max_entries: if by_entries { rng.range(3, 30) as usize } else { usize::MAX },
            negative_ttl_ms: rng.pick(&[300, 5_000]),
            ..CacheConfig::default()
        };
        let mut prefetch = PrefetchConfig { waste_budget: 1.0, failure_log: 32, ..PrefetchConfig::default() };
        prefetch.analyzer.memory_bytes = PrefetchConfig::MIN_MEMORY;
        let config = AdapterConfig {
            origins,
            max_origins: rng.range(1, 3) as usize,
            seed: rng.next(),
            cache,
            prefetch,
            feed: FeedConfig {
                enabled: !is_worker && rng.chance(70),
                idle_ms: rng.pick(&[2_000, 4_000]),
                ..FeedConfig::default()
            },
            max_staleness_ms: rng.pick(&[500, 2_000]),
            max_waiting: rng.pick(&[6, 1_000]),
            max_prefetching: rng.pick(&[2, 64]),
            ..AdapterConfig::default()
        };
        Self {
            adapter: Adapter::new(config).expect("valid options"),
            reads: BTreeMap::new(),
            writes: BTreeMap::new(),
            feed: None,
            is_worker,
            offset: rng.range(0, 1 << 40),
            wakes: BTreeMap::new(),
            open: BTreeMap::new(),
            scopes: Vec::new(),
            last_scope: 0,
        }
    }

    pub(crate) fn local(&self, now: Millis) -> Millis {
        now + self.offset
    }

    /// Nothing of `scope` is under way or about to be.
    fn is_idle(&self, scope: Scope, now: Millis) -> bool {
        !self.reads.values().any(|w| w.scope == scope)
            && !self.writes.values().any(|w| w.scope == scope)
            && !self.open.values().any(|(of, _)| *of == scope)
            && self.wakes.get(&scope).is_none_or(|&at| at > now)
    }
}

impl World {
    pub(crate) fn activity(&mut self, session: usize) {
        if !self.is_active() {
            return;
        }
        let pause = if self.rng.chance(5) { self.rng.range(500, 2_500) } else { self.rng.range(5, 160) };
        self.schedule(self.now + pause, Event::Activity { session });
        let (client, scope) = self.enter(session);
        if self.rng.chance(self.profile.writes) {
            self.begin_write(client, scope, session);
        } else {
            self.act(client, scope, session);
        }
        self.leave(client, scope);
    }

    fn act(&mut self, client: usize, scope: Scope, session: usize) {
        match self.rng.below(100) {
            0..=84 => {
                for _ in 0..self.rng.pick(&[1, 1, 1, 2, 4]) {
                    self.read(client, scope, session);
                }
            }
            85..=88 => self.invalidate(client),
            89..=91 => {
                let keys: Vec<_> = (0..3).map(|_| self.keys[self.rng.below(self.keys.len())].clone()).collect();
                let now = self.clients[client].local(self.now);
                self.clients[client].adapter.prefetch(now, scope, keys, None, None);
            }
            92..=93 => self.cancel(client),
            94 => {
                let attention = self.rng.pick(&[Attention::Active, Attention::Active, Attention::Away]);
                let host = &mut self.clients[client];
                let now = host.local(self.now);
                if self.rng.chance(70) {
                    host.adapter.set_attention(now, attention);
                } else {
                    host.adapter.resume(now);
                }
            }
            95 => {
                let caution = self.rng.pick(&[Caution::Normal, Caution::Normal, Caution::Cautious, Caution::Off]);
                self.clients[client].adapter.set_caution(caution);
            }
            _ => self.peek(client, session),
        }
    }

    /// Every key once more, when all is well: nobody may be stuck.
    pub(crate) fn last_reads(&mut self, session: usize) {
        let (client, scope) = self.enter(session);
        for key in 0..self.keys.len().min(5) {
            self.sessions[session].at = key * 5 + session % 5;
            self.begin_read(client, scope, session, Consistency::Bounded, 2_000, 10_000, false);
            self.drain(client);
        }
        self.leave(client, scope);
    }

    /// The client of a session, or a worker with a new scope.
    fn enter(&mut self, session: usize) -> (usize, Scope) {
        if let Some(client) = self.sessions[session].client {
            return (client, 0);
        }
        let workers: Vec<usize> = (0..self.clients.len()).filter(|&at| self.clients[at].is_worker).collect();
        let at = self.rng.pick(&workers);
        let client = &mut self.clients[at];
        client.last_scope += 1;
        let scope = client.last_scope;
        if self.mutant != Some(Mutant::FloorsStripped) {
            let floors = self.sessions[session].floors.iter();
            let floors = floors.map(|(&shard, &position)| Cursor { shard, position });
            client.adapter.set_scope_floors(scope, floors);
        }
        if self.fault(10) {
            // The platform ends a request when its caller hangs up.
            let until = self.now + self.rng.range(0, 400);
            self.schedule(until, Event::CloseScope { client: at, scope });
        }
        (at, scope)
    }

    /// Nothing more is asked in `scope`: a worker's ends as soon as it is idle.
    fn leave(&mut self, client: usize, scope: Scope) {
        let host = &mut self.clients[client];
        if host.is_worker {
            host.scopes.push(scope);
        }
        self.drain(client);
    }

    /// Mostly the key after the one before, so that there is something to predict.
    fn read(&mut self, client: usize, scope: Scope, session: usize) {
        let jump = self.rng.chance(20);
        let count = self.keys.len();
        let at = if jump || self.rng.chance(self.profile.hot) {
            self.any_key()
        } else {
            (self.sessions[session].at + 1) % count
        };
        self.sessions[session].at = at;
        let consistency = match self.rng.below(10) {
            0 => Consistency::Strong,
            1 | 2 => Consistency::Any,
            _ => Consistency::Bounded,
        };
        let max_staleness_ms = self.rng.pick(self.profile.staleness_ms);
        let timeout_ms = self.rng.pick(self.profile.timeouts_ms);
        let bypass = self.rng.chance(self.profile.bypass);
        self.begin_read(client, scope, session, consistency, max_staleness_ms, timeout_ms, bypass);
        self.drain(client);
    }

    #[expect(clippy::too_many_arguments, reason = "a read has that many properties")]
    fn begin_read(
        &mut self,
        client: usize,
        scope: Scope,
        session: usize,
        consistency: Consistency,
        max_staleness_ms: u32,
        timeout_ms: u32,
        bypass_cache: bool,
    ) {
        let key = self.keys[self.sessions[session].at].clone();
        let seen = self.sessions[session].seen.of(&key);
        let (began, invoked) = (self.step, self.time());
        let read = Read { key: key.clone(), consistency, max_staleness_ms, began, invoked, seen };
        let stream = format!("s{session}");
        let (now, host) = (self.now, &mut self.clients[client]);
        let local = host.local(now);
        let request = GetRequest {
            scope,
            stream: &stream,
            consistency,
            max_staleness_ms,
            timeout_ms,
            bypass_cache,
            ..GetRequest::new(key)
        };
        let id = host.adapter.handle_request(local, request);
        let deadline = now + Millis::from(timeout_ms);
        let must_succeed = now >= LAST_READS;
        host.reads.insert(id, Waiting { read: read.clone(), session, scope, deadline, must_succeed });
        self.note(|| format!("client {client}.{scope} asks {id}: {read:?} bypass {bypass_cache}"));
    }

    fn peek(&mut self, client: usize, session: usize) {
        if self.clients[client].is_worker {
            return;
        }
        let key = self.any_key();
        let key = self.keys[key].clone();
        let (now, seen) = (self.now, self.sessions[session].seen.of(&key));
        let local = self.clients[client].local(now);
        let (consistency, max_staleness_ms) = (Consistency::Bounded, 1_000);
        let (began, invoked) = (self.step, self.time());
        let read = Read { key, consistency, max_staleness_ms, began, invoked, seen };
        if let Some(answer) = self.clients[client].adapter.peek(local, &read.key, max_staleness_ms) {
            self.judge(&read, session, &answer);
        }
    }

    /// One write more, when all is well: whatever clocks have shown, it is not refused.
    pub(crate) fn last_write(&mut self, session: usize, more: u32) {
        let (client, scope) = self.enter(session);
        self.tally.add("last writes", 1);
        self.put(client, scope, session, Some(more));
        self.leave(client, scope);
    }

    fn begin_write(&mut self, client: usize, scope: Scope, session: usize) {
        self.put(client, scope, session, None);
    }

    fn put(&mut self, client: usize, scope: Scope, session: usize, more: Option<u32>) {
        let key = self.any_key();
        let key = self.keys[key].clone();
        let id = self.fresh_id();
        let padding = if self.rng.chance(6) { 1_500 } else { self.rng.below(40) };
        let locator = format!("v{id}{}", "-".repeat(padding));
        let tags = vec![format!("tag{}", self.rng.below(3))];
        let fields =
            (!self.rng.chance(20) || more.is_some()).then(|| KeymapFields { locator, tags, ..KeymapFields::default() });
        let expect = match self.rng.below(8) {
            _ if more.is_some() => Expect::Any,
            0 => Expect::Version(self.sessions[session].seen.of(&key)),
            1 => Expect::Present,
            _ => Expect::Any,
        };
        let recorded = self.record_write(&key, session as u64, fields.as_ref());
        let host = &mut self.clients[client];
        let now = host.local(self.now);
        let call = host.adapter.call(now, scope, 5_000, Some(key.clone()));
        let request = Arc::new(WriteRequest { id, key, fields, expect });
        let began = self.now;
        host.writes.insert(call, Writing { request, session, scope, told: None, sent: 0, began, recorded, more });
    }

    fn invalidate(&mut self, client: usize) {
        let key = self.any_key();
        let key = self.keys[key].clone();
        let user = KeyPrefix::parse(key.portion(2).trim_end_matches('/')).expect("a valid prefix");
        let what = match self.rng.below(6) {
            0 => Invalidate::All,
            1 => Invalidate::Prefix(user),
            2 => Invalidate::Tag(format!("tag{}", self.rng.below(3))),
            _ => Invalidate::Key(key),
        };
        let host = &mut self.clients[client];
        let now = host.local(self.now);
        host.adapter.invalidate(now, &what);
        self.note(|| format!("client {client} invalidates {what:?}"));
    }

    fn cancel(&mut self, client: usize) {
        let host = &mut self.clients[client];
        let waiting: Vec<RequestId> = host.reads.keys().copied().collect();
        if !waiting.is_empty() {
            let (id, now) = (self.rng.pick(&waiting), host.local(self.now));
            host.adapter.cancel(now, id);
        }
    }

    pub(crate) fn wake(&mut self, client: usize, scope: Scope, at: Millis) {
        let host = &mut self.clients[client];
        if host.wakes.get(&scope) != Some(&at) {
            return;
        }
        host.wakes.remove(&scope);
        let now = host.local(self.now);
        host.adapter.poll(now, scope);
        self.drain(client);
    }

    pub(crate) fn close_scope(&mut self, client: usize, scope: Scope) {
        let host = &mut self.clients[client];
        if !host.scopes.contains(&scope) {
            return;
        }
        host.scopes.retain(|&open| open != scope);
        let now = host.local(self.now);
        host.adapter.close_scope(now, scope);
        host.wakes.remove(&scope);
        host.writes.retain(|_, writing| writing.scope != scope);
        self.drain(client);
    }

    pub(crate) fn deliver(&mut self, client: usize, flight: FlightId, outcome: Outcome) {
        let host = &mut self.clients[client];
        let Some((_, call)) = host.open.remove(&flight) else { return };
        let now = host.local(self.now);
        match (outcome, call) {
            (Outcome::Failure(kind), _) => host.adapter.on_failure(now, flight, kind),
            (Outcome::Response { status, retry_after, body }, None) => {
                host.adapter.on_response(now, flight, status, retry_after, &body);
            }
            (Outcome::Response { status, retry_after, .. }, Some(call)) => {
                if let Some(writing) = host.writes.get_mut(&call) {
                    writing.told = None;
                }
                host.adapter.on_call_done(now, flight, status, retry_after);
            }
            (Outcome::Written(outcome), call) => {
                if let Some(writing) = call.and_then(|call| host.writes.get_mut(&call)) {
                    writing.told = Some(outcome);
                }
                host.adapter.on_call_done(now, flight, 200, None);
            }
        }
        self.drain(client);
    }

    /// Performs what the adapter wants done, then ends the scopes that have nothing to do.
    pub(crate) fn drain(&mut self, client: usize) {
        loop {
            while let Some(action) = self.clients[client].adapter.next_action() {
                self.perform(client, action);
            }
            let host = &self.clients[client];
            let local = host.local(self.now);
            let Some(&idle) = host.scopes.iter().find(|&&scope| host.is_idle(scope, local)) else { return };
            self.close_scope(client, idle);
        }
    }

    fn perform(&mut self, client: usize, action: Action) {
        match action {
            Action::Answer { request, answer } => self.answered(client, request, &answer),
            Action::Fail { request, code, detail } => self.failed(client, request, code, &detail),
            Action::Send { scope, flight, origin, body, timeout_ms, .. } => {
                self.clients[client].open.insert(flight, (scope, None));
                let gateway = gateway_of(&origin);
                match BatchRequest::decode(&body) {
                    Ok(request) => {
                        self.note(|| format!("client {client}.{scope} sends {flight} to {origin}: {request:?}"));
                        let reply = Reply::Client { client, flight };
                        self.transmit(client, gateway, flight, timeout_ms, Event::Arrive { gateway, reply, request });
                    }
                    Err(error) => self.violate("request", format!("client {client} sent nonsense: {error}")),
                }
            }
            Action::Attempt { scope, call, flight, origin, timeout_ms } => {
                self.clients[client].open.insert(flight, (scope, Some(call)));
                let gateway = gateway_of(&origin);
                let twice = self.fault(3);
                let Some(writing) = self.clients[client].writes.get_mut(&call) else { return };
                writing.sent += 1 + usize::from(twice);
                let write = writing.request.clone();
                if twice {
                    // Something on the way repeats it, at leisure.
                    let (at, write) = (self.now + 3 * self.delay(), write.clone());
                    self.schedule(at, Event::Write { client, flight, gateway, write });
                }
                self.transmit(client, gateway, flight, timeout_ms, Event::Write { client, flight, gateway, write });
            }
            Action::CallEnd { call, end } => self.call_ended(client, call, end),
            Action::Abort { flight } => {
                self.clients[client].open.remove(&flight);
            }
            Action::OpenFeed { feed, origin, body, .. } => {
                self.ask_for_feed(client, feed, gateway_of(&origin), &body);
            }
            Action::CloseFeed { feed, .. } => {
                let host = &mut self.clients[client];
                host.feed = host.feed.filter(|&open| open != feed);
            }
            // There is one store, and each client has a feed of its own.
            Action::Relay { .. } | Action::SessionReset { .. } => {}
            Action::Wake { scope, at } => {
                let host = &mut self.clients[client];
                host.wakes.insert(scope, at);
                let late = self.rng.range(0, TIMER_SLACK);
                let at_true =
                    at.saturating_sub(host.offset).max(self.now) + if at > host.local(self.now) { late } else { 0 };
                self.schedule(at_true, Event::Wake { client, scope, at });
            }
        }
    }

    /// The way to a gateway. Whatever happens to the request, its time-out ends it.
    fn transmit(&mut self, client: usize, gateway: usize, flight: FlightId, timeout_ms: u32, event: Event) {
        let timeout = Outcome::Failure(FailureKind::Timeout);
        let at = self.now + Millis::from(timeout_ms);
        self.schedule(at, Event::Deliver { client, flight, outcome: timeout });
        let delay = self.delay();
        let cut = self.net.cut(self.now, Place::Client(client), Place::Gateway(gateway));
        if cut.is_some() || self.fault(3) {
            return;
        }
        if self.fault(3) {
            let outcome = Outcome::Failure(FailureKind::Network);
            return self.schedule(self.now + delay, Event::Deliver { client, flight, outcome });
        }
        if self.fault(2) {
            let code = self.rng.pick(&[ErrorCode::Unavailable, ErrorCode::TooManyRequests]);
            return self.refuse(gateway, client, flight, code);
        }
        self.schedule(self.now + delay, event);
    }
}

fn gateway_of(origin: &str) -> usize {
    let id: usize = origin.rsplit('-').next().and_then(|id| id.parse().ok()).expect("an origin of the simulation");
    id - 1
}
