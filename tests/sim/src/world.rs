//! Virtual time: the queue of what happens next, the network, and one history from begin to end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use foremap::Millis;
use foremap::adapter::{FailureKind, FeedEnd, FlightId, Scope};
use foremap::key::CompositeKey;
use foremap::node::{Fence, MAX_AHEAD_US, ReadTicket};
use foremap::partition::{MapNode, PartitionMap, StorageLayout};
use foremap::protocol::{BatchRequest, BatchResponse, KeymapFields};
use foremap_check::History;

use super::check::Violation;
use super::client::{Client, Session};
use super::cluster::{self, Cluster, Command, Expect, Message, Retention, Server};
use super::control::{Job, Maps};
use super::feeds::Feeds;
use super::gateway::{Gateway, Hop};
use super::mutant::Mutant;
use super::net::{Net, Place};
use super::pipes::{End, Pipe};
use super::profile::Profile;
use super::rng::Rng;
use super::tally::Tally;
use super::trouble::{FAR_US, JUMP_US};
use super::truth::Truth;

/// When callers stop, and faults with them.
pub(crate) const ACTIVE_UNTIL: Millis = 9_000;
/// When every key is read once more: all attempts of before are over.
pub(crate) const LAST_READS: Millis = ACTIVE_UNTIL + 12_000;
/// How often a last write is begun anew: a gateway may find only by one that its connection to a server is gone.
const LAST_WRITES: u32 = 10;
/// Versions kept of a key: more than a history writes, as a write id is known for as long as its version.
pub(crate) const VERSIONS: usize = 1_000;
const SHARDS: u16 = 6;
/// More than a history has.
const MAX_STEPS: u64 = 1_000_000;
/// True time when a history begins, in microseconds: clocks are set back by less.
const EPOCH_US: u64 = 100_000_000;
pub(crate) const NODES: u32 = 3;
const PLAIN_CLIENTS: usize = 2;
const ISOLATES: usize = 2;
const USERS: usize = 3;
const HOT_KEYS: usize = 3;
/// Lines of the log that a violation is shown with.
const TAIL: usize = 200;

/// Who gets the answer of a node.
pub(crate) enum Reply {
    Client { client: usize, flight: FlightId },
    Peer(Box<Hop>),
}

/// What a client gets back.
pub(crate) enum Outcome {
    Response {
        status: u16,
        retry_after: Option<Millis>,
        body: Vec<u8>,
    },
    /// What became of a write.
    Written(cluster::Outcome),
    Failure(FailureKind),
}

pub(crate) struct WriteRequest {
    pub(crate) id: u64,
    pub(crate) key: CompositeKey,
    pub(crate) fields: Option<KeymapFields>,
    pub(crate) expect: Expect,
}

pub(crate) enum Event {
    Activity { session: usize },
    LastReads { session: usize },
    LastWrite { session: usize, more: u32 },
    Wake { client: usize, scope: Scope, at: Millis },
    CloseScope { client: usize, scope: Scope },
    Deliver { client: usize, flight: FlightId, outcome: Outcome },
    Arrive { gateway: usize, reply: Reply, request: BatchRequest },
    PeerDone { back: Box<Hop>, response: Option<BatchResponse> },
    Write { client: usize, flight: FlightId, gateway: usize, write: Arc<WriteRequest> },
    PollSend { gateway: usize, group: usize },
    Reach { pipe: u64 },
    ReachFence { pipe: u64 },
    WaitOver { server: Server, pipe: u64 },
    PipeDone { pipe: u64, gateway: usize, end: End },
    ReadAgain { gateway: usize, group: usize, job: u64, tickets: Vec<ReadTicket>, attempt: u32 },
    Relink { gateway: usize, group: usize },
    Carry { message: Message },
    Wish,
    Control { gateway: usize, incarnation: u32 },
    ControlJob { gateway: usize, incarnation: u32, job: Job },
    Restart { gateway: usize },
    Up { gateway: usize },
    OpenFeed { gateway: usize, client: usize, feed: FlightId, request: BatchRequest },
    FeedTick { gateway: usize },
    FeedBytes { client: usize, feed: FlightId, bytes: Vec<u8> },
    FeedEnds { client: usize, feed: FlightId, end: FeedEnd },
    Truncate,
    Trouble,
    Cron,
    Heal,
    Promote { group: usize },
    Notice { server: Server },
    ServerUp { server: Server },
    ClockSet { server: Server },
}

impl Event {
    /// The gateway that it happens at, which must not stand still.
    fn gateway(&self) -> Option<usize> {
        match self {
            Self::Arrive { gateway, .. }
            | Self::Write { gateway, .. }
            | Self::PollSend { gateway, .. }
            | Self::PipeDone { gateway, .. }
            | Self::ReadAgain { gateway, .. }
            | Self::Relink { gateway, .. }
            | Self::OpenFeed { gateway, .. }
            | Self::FeedTick { gateway }
            | Self::Control { gateway, .. }
            | Self::ControlJob { gateway, .. } => Some(*gateway),
            Self::PeerDone { back, .. } => Some(back.gateway()),
            _ => None,
        }
    }
}

pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) step: u64,
    /// Steps since `now` began.
    pub(crate) tick: u64,
    pub(crate) rng: Rng,
    pub(crate) profile: Profile,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) cluster: Cluster,
    pub(crate) fence: Fence,
    pub(crate) truth: Truth,
    pub(crate) history: History,
    pub(crate) net: Net,
    /// In each group, the server that somebody replicates from who is not of the cluster.
    pub(crate) outside: Vec<Option<usize>>,
    pub(crate) pipes: BTreeMap<u64, Pipe>,
    pub(crate) keys: Vec<CompositeKey>,
    pub(crate) maps: Maps,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) clients: Vec<Client>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) feeds: Feeds,
    /// The server whose clock is far ahead.
    pub(crate) far_ahead: Option<Server>,
    /// No version is higher, but by counting on.
    found_us: u64,
    pub(crate) tally: Tally,
    pub(crate) violation: Option<Violation>,
    pub(crate) last_id: u64,
    queue: BinaryHeap<Reverse<(Millis, u64)>>,
    events: BTreeMap<u64, Event>,
    sequence: u64,
    judge: Judge,
    log: Option<Vec<String>>,
}

/// Who judges a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// Every check there is, as things happen and in the end.
    All,
    /// Only [`foremap_check`], in the end: all that a test on real processes has.
    HistoryAlone,
}

/// One history: everything follows from `seed`. Says what it exercised.
///
/// # Errors
/// The first promise that was broken, with the end of the history's log.
///
/// # Panics
/// If the same seed does not break the same promise again.
pub fn run(seed: u64, mutant: Option<Mutant>, judge: Judge) -> Result<Tally, String> {
    let mut world = World::new(seed, mutant, judge, false);
    let Err(violation) = world.run() else { return Ok(world.tally) };
    let mut again = World::new(seed, mutant, judge, true);
    let repeated = again.run().err().map(|violation| violation.to_string());
    let log = again.log.unwrap_or_default();
    assert_eq!(repeated, Some(violation.to_string()), "seed {seed} does not reproduce");
    let tail = log[log.len().saturating_sub(TAIL)..].join("\n");
    Err(format!("seed {seed}: {violation}\nthe end of its log:\n{tail}"))
}

impl World {
    fn new(seed: u64, mutant: Option<Mutant>, judge: Judge, logs: bool) -> Self {
        let mut rng = Rng::new(seed);
        let profile = Profile::new(&mut rng);
        let layout = StorageLayout { shards: SHARDS, depth: 1, fan: rng.range(1, 3) as u16 };
        let map = Arc::new(PartitionMap::new(7, 64, layout, nodes(&[1, 1, 1])));
        let names = ["profile", "avatar", "rights", "inbox", "theme"];
        let key = |n: usize| CompositeKey::parse(&format!("user/{}/{}", n / 5, names[n % 5])).expect("a valid key");
        let (masters, replicas) = (rng.range(2, 3) as usize, rng.range(1, 2) as usize);
        let retention = Retention { versions: VERSIONS, log_entries: rng.pick(&[8, 30, 1_000]) };
        let cluster = Cluster::new(layout, retention, masters, replicas);
        let gateways = (0..NODES).map(|n| Gateway::new(n + 1, &map, (masters, replicas as u32), &mut rng)).collect();
        let clients = (0..PLAIN_CLIENTS + ISOLATES).map(|n| Client::new(n >= PLAIN_CLIENTS, &mut rng)).collect();
        let session = |n| Session::new((n < PLAIN_CLIENTS).then_some(n));
        Self {
            now: 1_000,
            step: 0,
            tick: 0,
            rng,
            profile,
            mutant,
            fence: Fence::new(cluster.replicas()),
            cluster,
            truth: Truth::new(layout),
            history: History::default(),
            net: Net::default(),
            outside: vec![None; masters],
            pipes: BTreeMap::new(),
            keys: (0..25).map(key).collect(),
            maps: Maps::new(map),
            gateways,
            clients,
            sessions: (0..PLAIN_CLIENTS + USERS).map(session).collect(),
            feeds: Feeds::default(),
            far_ahead: None,
            found_us: 0,
            tally: Tally::default(),
            violation: None,
            last_id: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            judge,
            log: logs.then(Vec::new),
        }
    }

    pub(crate) fn schedule(&mut self, at: Millis, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((at.max(self.now), self.sequence)));
        self.events.insert(self.sequence, event);
    }

    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whether callers still call and things still break.
    pub(crate) fn is_active(&self) -> bool {
        self.now < ACTIVE_UNTIL
    }

    /// True in `percent` of a hundred cases while things may break.
    pub(crate) fn fault(&mut self, percent: u64) -> bool {
        self.rng.chance(percent * self.profile.faults) && self.is_active()
    }

    /// What a message takes over the network.
    pub(crate) fn delay(&mut self) -> Millis {
        self.profile.delay(&mut self.rng)
    }

    /// Inside a data centre.
    pub(crate) fn short_delay(&mut self) -> Millis {
        // A store behind a network that is never well answers nobody.
        if self.is_active() { self.profile.short_delay(&mut self.rng) } else { self.rng.range(0, 12) }
    }

    /// A key to do something to.
    pub(crate) fn any_key(&mut self) -> usize {
        let hot = self.rng.chance(self.profile.hot);
        self.rng.below(if hot { HOT_KEYS } else { self.keys.len() })
    }

    pub(crate) fn violate(&mut self, rule: &'static str, detail: String) {
        if self.judge == Judge::All {
            self.violation.get_or_insert(Violation { rule, detail });
        }
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{:>6} {}", self.now, line()));
        }
    }

    /// True time, as servers with a good clock have it.
    pub(crate) fn now_us(&self) -> u64 {
        EPOCH_US + self.now * 1_000
    }

    /// The highest version that a write may be given: no clock is far ahead that writes, but one may have been.
    pub(crate) fn highest(&self) -> u64 {
        self.found_us.max(self.now_us() + MAX_AHEAD_US + 2 * JUMP_US) + MAX_STEPS
    }

    /// Sets all clocks.
    fn set_clocks(&mut self, ahead_us: i64) {
        for group in 0..self.cluster.groups() {
            (0..self.cluster.servers()).for_each(|at| self.cluster.set_clock((group, at), ahead_us));
        }
    }

    /// What is there before anybody asks. Sometimes clocks were far ahead when it was written, and somebody who is gone
    /// holds the lease.
    fn found(&mut self) {
        if self.rng.chance(20) {
            let ahead = self.rng.pick(&FAR_US);
            self.tally.add("begun by a clock far ahead", 1);
            self.set_clocks(ahead);
            self.found_us = self.now_us().saturating_add_signed(ahead);
        }
        for key in 0..self.keys.len() {
            if key % 5 == 4 {
                continue;
            }
            let (id, key) = (self.fresh_id(), self.keys[key].clone());
            let fields = Some(KeymapFields { locator: format!("v{id}"), ..KeymapFields::default() });
            let at = self.record_write(&key, u64::MAX, fields.as_ref());
            let group = self.cluster.group_of_key(&key);
            let write = cluster::Write { key, fields, expect: Expect::Any, id: None, latest_us: u64::MAX };
            let written = self.cluster.perform(group, self.now_us(), &Command::Write(write));
            if let Ok((cluster::Reply::Written(cluster::Outcome::Written { version, .. }, _), true)) = written {
                self.record_outcome(at, foremap_check::Outcome::Acknowledged { version });
            }
        }
        self.pump();
    }

    fn begin(&mut self) {
        self.found();
        self.found_map();
        self.set_clocks(0);
        for gateway in 0..self.gateways.len() {
            for group in 0..self.cluster.groups() {
                self.relink(gateway, group);
                self.schedule(self.now, Event::PollSend { gateway, group });
            }
        }
        for session in 0..self.sessions.len() {
            let at = self.now + self.rng.range(1, 100);
            self.schedule(at, Event::Activity { session });
            self.schedule(LAST_READS, Event::LastReads { session });
            self.schedule(LAST_READS, Event::LastWrite { session, more: LAST_WRITES });
        }
        let at = self.now + self.rng.range(500, 3_000);
        self.schedule(at, Event::Wish);
        self.schedule(at + 700, Event::Truncate);
        let at = self.now + self.rng.range(0, self.profile.trouble_ms);
        self.schedule(at, Event::Trouble);
        self.schedule(self.now, Event::Cron);
        self.schedule(ACTIVE_UNTIL, Event::Heal);
    }

    fn run(&mut self) -> Result<(), Violation> {
        self.begin();
        while let Some(Reverse((at, sequence))) = self.queue.pop() {
            self.tick = if self.now == at { self.tick + 1 } else { 0 };
            self.now = at;
            self.step += 1;
            if let Some(event) = self.events.remove(&sequence) {
                self.happen(event);
            }
            if self.step.is_multiple_of(64) {
                self.check_bounds();
            }
            if self.step > MAX_STEPS {
                self.violate("ends", format!("{MAX_STEPS} steps, and it is only {}", self.now));
            }
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
        }
        self.check_quiet();
        self.check_control();
        self.check_history();
        self.violation.take().map_or(Ok(()), Err)
    }

    fn happen(&mut self, event: Event) {
        if let Some(until) = event.gateway().and_then(|gateway| self.net.paused(self.now, Place::Gateway(gateway))) {
            return self.schedule(until, event);
        }
        match event {
            Event::Activity { session } => self.activity(session),
            Event::LastReads { session } => self.last_reads(session),
            Event::LastWrite { session, more } => self.last_write(session, more),
            Event::Wake { client, scope, at } => self.wake(client, scope, at),
            Event::CloseScope { client, scope } => self.close_scope(client, scope),
            Event::Deliver { client, flight, outcome } => self.deliver(client, flight, outcome),
            Event::Arrive { gateway, reply, request } => self.arrive(gateway, reply, request),
            Event::PeerDone { back, response } => self.peer_done(back, response),
            Event::Write { client, flight, gateway, write } => self.write(client, flight, gateway, &write),
            Event::PollSend { gateway, group } => self.poll_send(gateway, group),
            Event::Reach { pipe } => self.reach(pipe),
            Event::ReachFence { pipe } => self.reach_fence(pipe),
            Event::WaitOver { server, pipe } => self.wait_over(server, pipe),
            Event::PipeDone { pipe, end, .. } => self.pipe_done(pipe, end),
            Event::ReadAgain { gateway, group, job, tickets, attempt } => {
                self.read_store(gateway, group, job, tickets, attempt);
            }
            Event::Relink { gateway, group } => self.relink(gateway, group),
            Event::Carry { message } => self.carry(message),
            Event::Wish => self.wish(),
            Event::Control { gateway, incarnation } => self.control(gateway, incarnation),
            Event::ControlJob { gateway, incarnation, job } => self.control_job(gateway, incarnation, job),
            Event::Restart { gateway } => self.restart(gateway),
            Event::Up { gateway } => self.up(gateway),
            Event::OpenFeed { gateway, client, feed, request } => self.open_feed(gateway, client, feed, &request),
            Event::FeedTick { gateway } => self.tick_feeds(gateway),
            Event::FeedBytes { client, feed, bytes } => self.feed_bytes(client, feed, &bytes),
            Event::FeedEnds { client, feed, end } => self.feed_ends(client, feed, end),
            Event::Truncate => self.truncate(),
            Event::Trouble => self.trouble(),
            Event::Cron => self.cron(),
            Event::Heal => self.heal(),
            Event::Promote { group } if self.is_active() => self.promote(group),
            Event::Promote { .. } => {}
            Event::Notice { server } => self.notice(server),
            Event::ServerUp { server } => self.server_up(server),
            Event::ClockSet { server } => self.clock_set(server),
        }
    }

    fn truncate(&mut self) {
        let (shard, keep) = (self.rng.below(SHARDS.into()) as u16, self.rng.below(12));
        self.cluster.trim(shard, keep);
        self.pump();
        if self.is_active() {
            let at = self.now + self.rng.range(300, 2_000);
            self.schedule(at, Event::Truncate);
        }
    }

    /// Every table within its bound, at any time.
    fn check_bounds(&mut self) {
        let mut fills = Vec::new();
        for gateway in &self.gateways {
            let s = gateway.node.stats();
            fills.push(("memory entries", s.memory_entries, s.memory_entries_max));
            fills.push(("memory bytes", s.memory_bytes, s.memory_bytes_max));
            fills.push(("ring", s.ring_entries, s.ring_entries_max));
            fills.push(("maps", s.map_history, s.map_history_max));
            fills.push(("load", s.load_partitions, s.load_partitions_max));
            fills.push(("load, prefixes", s.load_prefixes, s.load_prefixes_max));
            fills.push(("load, cells", s.load_cells, s.load_cells_max));
            fills.push(("load, keys", s.load_keys, s.load_keys_max));
            fills.push(("load, pairs", s.load_pairs, s.load_pairs_max));
            fills.push(("hot keys", s.hot_keys, s.hot_keys_max));
        }
        for client in &self.clients {
            let s = client.adapter.stats(client.local(self.now));
            let mut fill = |what, used: usize, bound: usize| fills.push((what, used as u64, bound as u64));
            fill("waiting", s.waiting.used, s.waiting.bound);
            fill("prefetching", s.prefetching.used, s.prefetching.bound);
            fill("floors", s.floors.used, s.floors.bound.min(SHARDS.into()));
            fill("origins", s.origins.used, s.origins.bound.min(NODES as usize));
            fill("cache entries", s.cache.entries, s.cache.max_entries.unwrap_or(usize::MAX));
            fill("cache bytes", s.cache.bytes, s.cache.max_bytes);
            fill("gone", s.cache.gone, s.cache.max_gone);
            fill("known changes", s.cache.known_changes, s.cache.max_known_changes);
            fill("fences", s.cache.fences, s.cache.max_fences);
            fill("evicted", s.cache.evicted_pending, s.cache.max_evicted_pending);
            fill("outstanding", s.prefetch.outstanding, s.prefetch.outstanding_max);
            fill("failure log", s.prefetch.failure_log, s.prefetch.failure_log_max);
            fill("predictor memory", s.prefetch.memory_bytes, s.prefetch.memory_max);
            fill("requests waiting", client.reads.len(), s.waiting.used);
            fill("waste budget", usize::from(s.prefetch.budget_left < 0.0), 0);
            fill("map errors", s.map_errors as usize, 0);
        }
        if let Some((what, used, bound)) = fills.into_iter().find(|(_, used, bound)| used > bound) {
            self.violate("bounds", format!("{what}: {used} of {bound} at {}", self.now));
        }
    }

    /// Nobody calls, nothing is on its way: nothing may be left.
    fn check_quiet(&mut self) {
        self.check_bounds();
        for at in 0..self.clients.len() {
            let client = &mut self.clients[at];
            let now = client.local(self.now);
            let s = client.adapter.stats(now);
            let left = [s.waiting.used, s.fetching, s.flights, s.scopes, s.prefetching.used, client.reads.len()];
            let p = &s.prefetch;
            let fates = p.used + p.late + p.outdated + p.wasted + p.harmful + p.refunded + p.missing + p.failed;
            let balanced = p.issued == fates + p.outstanding as u64 && p.outstanding <= s.cache.entries;
            client.adapter.clear(now);
            let after = client.adapter.stats(now);
            let gone = after.prefetch.outstanding == 0 && after.cache.entries == 0 && after.cache.bytes == 0;
            let calls = client.writes.len();
            self.tally.count_client(&s);
            if left.iter().any(|&count| count > 0) || calls > 0 {
                self.violate("quiet", format!("client {at} has left {left:?}, {calls} writes"));
            } else if !balanced || !gone {
                let detail = format!("client {at}: issued {}, {fates} fates, {} outstanding", p.issued, p.outstanding);
                let left = after.prefetch.outstanding;
                self.violate("fates", format!("{detail}, {left} after the cache was cleared, {:?}", s.cache));
            }
        }
        for at in 0..self.gateways.len() {
            let stats = self.gateways[at].node.stats();
            self.tally.count_node(&stats);
            if !self.gateways[at].jobs.is_empty() {
                self.violate("quiet", format!("gateway {at} has left {} jobs", self.gateways[at].jobs.len()));
            }
        }
    }
}

pub(crate) fn origin(node: u32) -> String {
    format!("http://node-{node}")
}

fn nodes(weights: &[u32]) -> Vec<MapNode> {
    let node = |(at, &weight): (usize, &u32)| MapNode { id: at as u32 + 1, origin: origin(at as u32 + 1), weight };
    weights.iter().enumerate().map(node).collect()
}
