//! The host of a node: store reads, log polls and hops, all of which take their time and may fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foremap::Millis;
use foremap::adapter::{FailureKind, FlightId};
use foremap::node::{
    Forward, LogPage, MAX_AHEAD_US, Node, NodeConfig, Pending, ReadTicket, StoreAnswer, StoreFailure, agreed_time,
};
use foremap::partition::PartitionMap;
use foremap::protocol::{
    BatchRequest, BatchResponse, Consistency, Cursor, ErrorCode, FeedId, ItemResult, Outcome as NodeOutcome, Problem,
};

use super::cluster::{self, Command};
use super::control::Seat;
use super::mutant::Mutant;
use super::net::Place;
use super::pipes::{End, Errand, Link};
use super::rng::Rng;
use super::world::{Event, Outcome, Reply, World, WriteRequest};

/// How long a node waits for another.
const PEER_MS: Millis = 400;
/// How often a node repeats a read of the store, and after what time.
const RETRIES: u32 = 2;
const RETRY_MS: Millis = 50;

pub(crate) struct Job {
    pending: Pending,
    /// Reads and hops under way.
    outstanding: usize,
    /// What its answers must reach.
    floors: Vec<Cursor>,
    /// The caller's feed, and what it wants to follow beside the shards of its keys.
    follows: Option<(FeedId, Vec<Cursor>)>,
    reply: Reply,
}

pub(crate) struct Gateway {
    pub(crate) node: Node,
    pub(crate) up: bool,
    pub(crate) incarnation: u32,
    pub(crate) jobs: BTreeMap<u64, Job>,
    /// To the masters of the groups.
    pub(crate) links: Vec<Option<Link>>,
    /// How many replicas a fence waits for, in each group: all that the newest one told of.
    pub(crate) wait_for: Vec<u32>,
    config: NodeConfig,
    /// Its clock is ahead of true time by so much.
    offset: Millis,
    /// An earlier position of the logs of every group, for polls that overlap; `None` before they were asked for.
    cursors: Vec<Option<Vec<Cursor>>>,
    /// What most clocks showed when they were last compared, and when that was.
    agreed: Option<(Millis, u64)>,
    /// Hops to other nodes that it waits for.
    hops: BTreeSet<u64>,
    pub(crate) seat: Seat,
}

/// A question to another node, and where its answer belongs.
#[derive(Clone)]
pub(crate) struct Hop {
    gateway: usize,
    incarnation: u32,
    job: u64,
    hop: u64,
    forward: Forward,
    sent_at: Millis,
}

impl Hop {
    /// Who asks.
    pub(crate) fn gateway(&self) -> usize {
        self.gateway
    }
}

impl Gateway {
    pub(crate) fn new(id: u32, map: &Arc<PartitionMap>, (groups, replicas): (usize, u32), rng: &mut Rng) -> Self {
        let config = NodeConfig {
            memory_entries: rng.range(4, 20) as usize,
            memory_bytes: rng.range(3, 16) as usize * 1_024,
            ring_entries: rng.range(3, 40) as usize,
            map_history: rng.range(1, 4) as usize,
            ..NodeConfig::new(id, rng.next())
        };
        Self {
            node: Node::new(config, map.clone()).expect("a valid map"),
            up: true,
            incarnation: 0,
            jobs: BTreeMap::new(),
            links: vec![None; groups],
            wait_for: vec![replicas; groups],
            config,
            offset: rng.range(0, 1 << 40),
            cursors: vec![None; groups],
            agreed: None,
            hops: BTreeSet::new(),
            seat: Seat::new(id, 0, map, rng),
        }
    }

    pub(crate) fn local(&self, now: Millis) -> Millis {
        now + self.offset
    }
}

impl World {
    /// A request reaches a node.
    pub(crate) fn arrive(&mut self, gateway: usize, reply: Reply, mut request: BatchRequest) {
        if self.mutant == Some(Mutant::WeakStrong) {
            request.consistency = Consistency::Bounded;
        }
        let floors = request.floors.clone();
        if self.mutant == Some(Mutant::FloorsIgnored) {
            request.floors.clear();
        }
        let now = self.gateways[gateway].local(self.now);
        if !self.gateways[gateway].up {
            return self.hang_up(reply);
        }
        match self.gateways[gateway].node.begin(now, &request) {
            Ok(pending) => {
                let job = self.fresh_id();
                let follows = request.feed.map(|feed| (feed, request.cursors));
                self.gateways[gateway].jobs.insert(job, Job { pending, outstanding: 0, floors, follows, reply });
                self.go_on(gateway, job);
            }
            Err(problem) => self.violate("request", format!("a node refused {request:?}: {problem:?}")),
        }
    }

    /// Starts what a job waits for; answers when nothing is left.
    fn go_on(&mut self, gateway: usize, id: u64) {
        let Some(job) = self.gateways[gateway].jobs.get_mut(&id) else { return };
        let (reads, forwards) = (job.pending.take_reads(), job.pending.take_forwards());
        let mut by_group: BTreeMap<usize, Vec<ReadTicket>> = BTreeMap::new();
        for read in reads {
            by_group.entry(self.cluster.group_of(read.shard)).or_default().push(read);
        }
        job.outstanding += forwards.len() + by_group.len();
        if job.outstanding == 0 {
            return self.finish(gateway, id);
        }
        forwards.into_iter().for_each(|forward| self.hop(gateway, id, forward));
        for (group, tickets) in by_group {
            self.read_store(gateway, group, id, tickets, 0);
        }
    }

    pub(crate) fn read_store(
        &mut self,
        gateway: usize,
        group: usize,
        job: u64,
        tickets: Vec<ReadTicket>,
        attempt: u32,
    ) {
        // The gateway may have ended since.
        if self.gateways[gateway].jobs.contains_key(&job) {
            let commands = tickets.iter().map(|read| Command::Read(read.key.clone())).collect();
            self.send_pipe(gateway, group, commands, Errand::Read { job, tickets, attempt });
        }
    }

    /// Asks another node.
    fn hop(&mut self, gateway: usize, job: u64, forward: Forward) {
        let hop = self.fresh_id();
        let host = &mut self.gateways[gateway];
        host.hops.insert(hop);
        let (sent_at, incarnation) = (host.local(self.now), host.incarnation);
        let (peer, request) = (forward.node as usize - 1, forward.request.clone());
        let back = Box::new(Hop { gateway, incarnation, job, hop, forward, sent_at });
        self.schedule(self.now + PEER_MS, Event::PeerDone { back: back.clone(), response: None });
        let at = self.now + self.short_delay();
        let (from, to) = (Place::Gateway(gateway), Place::Gateway(peer));
        if self.net.cut(self.now, from, to).is_none() && !self.fault(5) {
            self.schedule(at, Event::Arrive { gateway: peer, reply: Reply::Peer(back), request });
        }
    }

    fn finish(&mut self, gateway: usize, id: u64) {
        let Gateway { node, jobs, offset, .. } = &mut self.gateways[gateway];
        let Some(job) = jobs.remove(&id) else { return };
        let mut response = node.finish(self.now + *offset, job.pending);
        // Adapters check it themselves, but other callers rely on the node.
        let below = |result: &&ItemResult| {
            let floor = job.floors.iter().filter(|floor| floor.shard == result.at.shard).map(|floor| floor.position);
            !matches!(result.outcome, NodeOutcome::Error { .. }) && floor.max() > Some(result.at.position)
        };
        if let Some(result) = response.results.iter().find(below) {
            let (result, floors) = (result.clone(), job.floors);
            return self.violate("floor", format!("node {} answers {floors:?} with {result:?}", gateway + 1));
        }
        if let Some((feed, cursors)) = &job.follows {
            self.extend_feed(*feed, cursors, &response);
        }
        match job.reply {
            Reply::Client { client, flight } => {
                if let Some(mutant) = self.mutant {
                    mutant.spoil(&mut response);
                }
                self.note(|| format!("node {} answers {client}/{flight}: {response:?}", gateway + 1));
                let mut body = response.encode();
                if self.fault(1) {
                    body.truncate(body.len() / 2);
                }
                self.reply(gateway, client, flight, Outcome::Response { status: 200, retry_after: None, body });
            }
            Reply::Peer(back) => {
                let response = BatchResponse::decode(&response.encode()).ok();
                let at = self.now + self.short_delay();
                if self.net.cut(self.now, Place::Gateway(gateway), Place::Gateway(back.gateway)).is_none() {
                    self.schedule(at, Event::PeerDone { back, response });
                }
            }
        }
    }

    /// Sends an outcome on its way back, on which it may get lost.
    fn reply(&mut self, gateway: usize, client: usize, flight: FlightId, outcome: Outcome) {
        let cut = self.net.cut(self.now, Place::Gateway(gateway), Place::Client(client));
        if cut.is_some() || self.fault(4) {
            return;
        }
        let at = self.now + self.delay();
        self.schedule(at, Event::Deliver { client, flight, outcome });
    }

    fn hang_up(&mut self, reply: Reply) {
        match reply {
            Reply::Client { client, flight } => {
                let outcome = Outcome::Failure(FailureKind::Network);
                self.schedule(self.now + 2, Event::Deliver { client, flight, outcome });
            }
            Reply::Peer(back) => self.schedule(self.now + 2, Event::PeerDone { back, response: None }),
        }
    }

    pub(crate) fn peer_done(&mut self, back: Box<Hop>, response: Option<BatchResponse>) {
        let Hop { gateway, incarnation, job: id, hop, forward, sent_at } = *back;
        let Gateway { node, jobs, offset, incarnation: current, hops, .. } = &mut self.gateways[gateway];
        if *current != incarnation || !hops.remove(&hop) {
            return;
        }
        let Some(job) = jobs.get_mut(&id) else { return };
        job.outstanding -= 1;
        node.finish_forward(self.now + *offset, &mut job.pending, forward, sent_at, response);
        self.go_on(gateway, id);
    }

    /// What a gateway makes of the end of a pipeline.
    #[expect(clippy::too_many_arguments, reason = "a pipeline has that many properties")]
    pub(crate) fn pipe_ended(
        &mut self,
        gateway: usize,
        incarnation: u32,
        group: usize,
        replies: Vec<cluster::Reply>,
        sent_at: Millis,
        errand: Errand,
        end: End,
    ) {
        let counts = end == End::Executed(true);
        match errand {
            // What is not behind the fence must be read again, over a connection to whoever leads now.
            Errand::Read { job, tickets, attempt } if !counts && attempt < RETRIES => {
                let at = self.now + RETRY_MS;
                self.schedule(at, Event::ReadAgain { gateway, group, job, tickets, attempt: attempt + 1 });
            }
            Errand::Read { job, tickets, .. } => {
                let replies = counts.then_some(replies);
                self.reads_done((gateway, job), tickets, sent_at, replies);
            }
            Errand::Poll if counts => {
                let page = |reply| match reply {
                    cluster::Reply::Page(page) => Some(page),
                    _ => None,
                };
                let pages: Vec<LogPage> = replies.into_iter().filter_map(page).collect();
                self.poll_done(gateway, &pages, sent_at);
            }
            Errand::Positions if counts => self.positions_done(gateway, group, &replies, sent_at),
            Errand::Write { client, flight, write } => {
                let outcome = match replies.first() {
                    Some(cluster::Reply::Written(outcome, _)) if counts => Some(*outcome),
                    _ => None,
                };
                self.note(|| format!("node {} wrote {}: {outcome:?}, {end:?}", gateway + 1, write.key));
                match outcome {
                    Some(cluster::Outcome::ClockAhead | cluster::Outcome::UsedUp) => {
                        self.tally.add("refused by a clock far ahead", 1);
                        self.refuse(gateway, client, flight, ErrorCode::Unavailable);
                    }
                    Some(outcome) => self.reply(gateway, client, flight, Outcome::Written(outcome)),
                    None if end == End::Refused => self.refuse(gateway, client, flight, ErrorCode::Unavailable),
                    None => self.refuse(gateway, client, flight, ErrorCode::Unknown),
                }
            }
            Errand::Control(pending) => self.control_done(gateway, pending, counts.then_some(replies)),
            Errand::Poll | Errand::Positions | Errand::Leave => {}
        }
        debug_assert_eq!(self.gateways[gateway].incarnation, incarnation);
    }

    fn reads_done(
        &mut self,
        (gateway, id): (usize, u64),
        tickets: Vec<ReadTicket>,
        sent_at: Millis,
        replies: Option<Vec<cluster::Reply>>,
    ) {
        let failure = || StoreFailure { code: ErrorCode::Unavailable, detail: "not behind the fence".into() };
        let answer = |reply| match reply {
            cluster::Reply::Read(answer) => Ok(answer),
            _ => Err(failure()),
        };
        let mut answers: Vec<Result<StoreAnswer, StoreFailure>> = match replies {
            Some(replies) => replies.into_iter().map(answer).collect(),
            None => tickets.iter().map(|_| Err(failure())).collect(),
        };
        if self.mutant == Some(Mutant::FillRace) {
            for (read, answer) in tickets.iter().zip(&mut answers) {
                let group = self.cluster.group_of(read.shard);
                let leader = (group, self.cluster.leader(group));
                let now = self.cluster.execute(leader, 0, 0, &Command::Position(read.shard));
                if let (Ok(answer), Ok(cluster::Reply::Position(position))) = (answer, now) {
                    answer.position = position;
                }
            }
        }
        let Gateway { node, jobs, offset, .. } = &mut self.gateways[gateway];
        let Some(job) = jobs.get_mut(&id) else { return };
        job.outstanding -= 1;
        node.finish_store(self.now + *offset, &mut job.pending, tickets, sent_at, answers);
        self.go_on(gateway, id);
    }

    /// A write reaches a gateway, which performs it itself.
    pub(crate) fn write(&mut self, client: usize, flight: FlightId, gateway: usize, write: &Arc<WriteRequest>) {
        if !self.gateways[gateway].up {
            return self.hang_up(Reply::Client { client, flight });
        }
        if self.fault(3) {
            return self.refuse(gateway, client, flight, ErrorCode::Unavailable);
        }
        let group = self.cluster.group_of_key(&write.key);
        let id = match self.mutant {
            Some(Mutant::RetriedAnew) => self.fresh_id(),
            _ => write.id,
        };
        let fields = write.fields.clone();
        let (key, expect, id) = (write.key.clone(), write.expect, Some(format!("w{id}").into()));
        let mut latest_us = self.agreed_us(gateway) + MAX_AHEAD_US;
        if self.mutant == Some(Mutant::ClockWaitedFor) {
            let known = self.gateways[gateway].node.positions(0);
            if known[usize::from(self.truth.shard(&key))].position > latest_us {
                return self.refuse(gateway, client, flight, ErrorCode::Unavailable);
            }
        }
        if self.mutant == Some(Mutant::ClockTrusted) {
            latest_us = u64::MAX;
        }
        let command = Command::Write(cluster::Write { key, fields, expect, id, latest_us });
        if self.mutant == Some(Mutant::ForwardedWrite) {
            // The owner is trusted to do it, in its own time.
            let version = self.now_us();
            let written = cluster::Outcome::Written { version, created: false };
            self.reply(gateway, client, flight, Outcome::Written(written));
            let owner = self.gateways[gateway].node.locate(&write.key).node as usize - 1;
            return self.send_pipe(owner, group, vec![command], Errand::Leave);
        }
        self.send_pipe(gateway, group, vec![command], Errand::Write { client, flight, write: write.clone() });
    }

    /// What most clocks show, as the gateway goes on counting from when it last compared them.
    fn agreed_us(&mut self, gateway: usize) -> u64 {
        if self.gateways[gateway].agreed.is_none() {
            self.compare_clocks(gateway);
        }
        let (at, agreed_us) = self.gateways[gateway].agreed.unwrap_or((self.now, self.now_us()));
        agreed_us + (self.now - at) * 1_000
    }

    fn compare_clocks(&mut self, gateway: usize) {
        let now_us = self.now_us();
        let servers =
            (0..self.cluster.groups()).flat_map(|group| (0..self.cluster.servers()).map(move |at| (group, at)));
        let shown = servers.filter_map(|server| self.cluster.clock(server, now_us));
        let mut clocks: Vec<u64> = shown.chain([now_us]).collect();
        self.gateways[gateway].agreed = agreed_time(&mut clocks).map(|agreed_us| (self.now, agreed_us));
    }

    /// An error answer.
    pub(crate) fn refuse(&mut self, gateway: usize, client: usize, flight: FlightId, code: ErrorCode) {
        let body = serde_json::to_vec(&Problem::new(code, "injected")).unwrap_or_default();
        let retry_after = self.rng.chance(30).then_some(100);
        self.reply(gateway, client, flight, Outcome::Response { status: code.status(), retry_after, body });
    }

    /// Polls overlap and overtake each other, and are sometimes long in coming.
    pub(crate) fn poll_send(&mut self, gateway: usize, group: usize) {
        if !self.is_active() {
            return;
        }
        let usual = self.profile.poll_ms;
        let pause = if self.rng.chance(2) { self.rng.range(500, 4_000) } else { self.rng.range(10, usual) };
        self.schedule(self.now + pause, Event::PollSend { gateway, group });
        let repeats = self.rng.chance(15);
        let page = self.rng.pick(&[1, 3, 100, 100]);
        self.compare_clocks(gateway);
        let Gateway { node, cursors, up, offset, .. } = &mut self.gateways[gateway];
        if !*up {
            return;
        }
        let Some(known) = cursors[group].take() else {
            let shards = self.cluster.shards_of(group);
            let commands = shards.into_iter().map(Command::Position).collect();
            return self.send_pipe(gateway, group, commands, Errand::Positions);
        };
        let applied = node.positions(self.now + *offset);
        let fresh = |cursor: &Cursor| {
            let position = applied[usize::from(cursor.shard)].position.max(cursor.position);
            Cursor { position, ..*cursor }
        };
        let fresh: Vec<Cursor> = known.iter().map(fresh).collect();
        cursors[group] = Some(fresh.clone());
        let asked = if repeats { known } else { fresh };
        let commands = asked.into_iter().map(|cursor| Command::Poll(cursor, page)).collect();
        self.send_pipe(gateway, group, commands, Errand::Poll);
    }

    /// Where the logs of a group end: what comes after is followed.
    fn positions_done(&mut self, gateway: usize, group: usize, replies: &[cluster::Reply], sent_at: Millis) {
        let cursor = |(shard, reply): (u16, &cluster::Reply)| match reply {
            cluster::Reply::Position(position) => Some(Cursor { shard, position: *position }),
            _ => None,
        };
        let cursors: Vec<Cursor> = self.cluster.shards_of(group).into_iter().zip(replies).filter_map(cursor).collect();
        if self.mutant == Some(Mutant::CursorLate) {
            let page =
                |cursor: &Cursor| LogPage { shard: cursor.shard, position: cursor.position, ..LogPage::default() };
            let pages: Vec<LogPage> = cursors.iter().map(page).collect();
            self.poll_done(gateway, &pages, sent_at);
        }
        self.gateways[gateway].cursors[group].get_or_insert(cursors);
    }

    fn poll_done(&mut self, gateway: usize, pages: &[LogPage], mut sent_at: Millis) {
        let host = &mut self.gateways[gateway];
        if self.mutant == Some(Mutant::LatePoll) {
            sent_at = self.now + host.offset;
        }
        pages.iter().for_each(|page| host.node.apply_log(sent_at, page));
        self.push_feeds(gateway);
    }

    /// The process of a node ends, and a new one starts some time later.
    pub(crate) fn restart(&mut self, gateway: usize) {
        self.note(|| format!("node {} ends", gateway + 1));
        let jobs = std::mem::take(&mut self.gateways[gateway].jobs);
        jobs.into_values().for_each(|job| self.hang_up(job.reply));
        self.drop_feeds(gateway);
        let stats = self.gateways[gateway].node.stats();
        self.tally.count_node(&stats);
        let (offset, seed) = (self.rng.range(0, 1 << 40), self.rng.next());
        let ended = &mut self.gateways[gateway];
        ended.offset = offset;
        // Another process: its clock is another one, and it knows no feed of before.
        ended.config.seed = seed;
        let map = self.maps.newest.clone().expect("a map from the beginning");
        ended.incarnation += 1;
        ended.seat = Seat::new(gateway as u32 + 1, ended.incarnation, &map, &mut self.rng);
        ended.node = Node::new(ended.config, map).expect("a valid map");
        ended.up = false;
        ended.hops.clear();
        ended.cursors.iter_mut().for_each(|cursors| *cursors = None);
        let groups = ended.links.len();
        (0..groups).for_each(|group| self.relink_soon(gateway, group));
        let at = self.now + self.rng.range(0, 1_500);
        self.schedule(at, Event::Up { gateway });
    }
}
