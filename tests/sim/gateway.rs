//! The host of a node: store reads, log polls and hops, all of which take their time and may fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use foremap::Millis;
use foremap::adapter::{FailureKind, FlightId};
use foremap::node::{Forward, LogPage, Node, NodeConfig, Pending, ReadTicket, StoreFailure};
use foremap::partition::PartitionMap;
use foremap::protocol::{BatchRequest, BatchResponse, Consistency, ErrorCode, Problem};

use super::mutant::Mutant;
use super::rng::Rng;
use super::store::Store;
use super::world::{Answers, Event, Outcome, Reply, World, WriteRequest};

pub(crate) struct Job {
    pending: Pending,
    /// Reads and hops under way.
    outstanding: usize,
    reply: Reply,
}

pub(crate) struct Gateway {
    pub(crate) node: Node,
    pub(crate) up: bool,
    pub(crate) incarnation: u32,
    pub(crate) jobs: BTreeMap<u64, Job>,
    config: NodeConfig,
    /// Its clock is ahead of true time by so much.
    offset: Millis,
    /// An earlier position of every log, for polls that overlap.
    cursors: Vec<u64>,
}

/// The job that something was done for.
type Place = (usize, u32, u64);

impl Gateway {
    pub(crate) fn new(id: u32, map: &Arc<PartitionMap>, rng: &mut Rng) -> Self {
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
            config,
            offset: rng.range(0, 1 << 40),
            cursors: Vec::new(),
        }
    }

    pub(crate) fn local(&self, now: Millis) -> Millis {
        now + self.offset
    }

    pub(crate) fn start(&mut self, store: &Store) {
        self.cursors = store.positions();
    }
}

impl World {
    /// A request reaches a node.
    pub(crate) fn arrive(&mut self, gateway: usize, reply: Reply, mut request: BatchRequest) {
        if self.mutant == Some(Mutant::WeakStrong) {
            request.consistency = Consistency::Bounded;
        }
        let now = self.gateways[gateway].local(self.now);
        if !self.gateways[gateway].up {
            return self.hang_up(reply);
        }
        match self.gateways[gateway].node.begin(now, &request) {
            Ok(pending) => {
                let job = self.fresh_id();
                self.gateways[gateway].jobs.insert(job, Job { pending, outstanding: 0, reply });
                self.go_on(gateway, job);
            }
            Err(problem) => self.violate("request", format!("a node refused {request:?}: {problem:?}")),
        }
    }

    /// Starts what a job waits for; answers when nothing is left.
    fn go_on(&mut self, gateway: usize, id: u64) {
        let (now, incarnation) = (self.gateways[gateway].local(self.now), self.gateways[gateway].incarnation);
        let Some(job) = self.gateways[gateway].jobs.get_mut(&id) else { return };
        let (reads, forwards) = (job.pending.take_reads(), job.pending.take_forwards());
        job.outstanding += forwards.len() + usize::from(!reads.is_empty());
        if job.outstanding == 0 {
            return self.finish(gateway, id);
        }
        if !reads.is_empty() {
            let at = self.now + self.short_delay();
            self.schedule(at, Event::StoreView { gateway, incarnation, job: id, reads, sent_at: now });
        }
        for forward in forwards {
            let at = self.now + self.short_delay();
            let peer = forward.node as usize - 1;
            if self.fault(5) {
                let event = Event::PeerDone { gateway, incarnation, job: id, forward, sent_at: now, response: None };
                self.schedule(at + 100, event);
                continue;
            }
            let request = forward.request.clone();
            let reply = Reply::Peer { gateway, incarnation, job: id, forward, sent_at: now };
            self.schedule(at, Event::Arrive { gateway: peer, reply, request });
        }
    }

    fn finish(&mut self, gateway: usize, id: u64) {
        let Gateway { node, jobs, offset, .. } = &mut self.gateways[gateway];
        let Some(job) = jobs.remove(&id) else { return };
        let mut response = node.finish(self.now + *offset, job.pending);
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
                self.reply(client, flight, Outcome::Response { status: 200, retry_after: None, body });
            }
            Reply::Peer { gateway, incarnation, job, forward, sent_at } => {
                let response = BatchResponse::decode(&response.encode()).ok();
                let at = self.now + self.short_delay();
                self.schedule(at, Event::PeerDone { gateway, incarnation, job, forward, sent_at, response });
            }
        }
    }

    /// Sends an outcome on its way back, on which it may get lost.
    fn reply(&mut self, client: usize, flight: FlightId, outcome: Outcome) {
        if self.fault(4) {
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
            Reply::Peer { gateway, incarnation, job, forward, sent_at } => {
                let event = Event::PeerDone { gateway, incarnation, job, forward, sent_at, response: None };
                self.schedule(self.now + 2, event);
            }
        }
    }

    /// The moment at which the store looks.
    pub(crate) fn store_view(
        &mut self,
        gateway: usize,
        incarnation: u32,
        job: u64,
        reads: Vec<ReadTicket>,
        sent_at: Millis,
    ) {
        let answers: Answers = if self.fault(4) {
            let failure = || StoreFailure { code: ErrorCode::Unavailable, detail: "injected".into() };
            reads.iter().map(|_| Err(failure())).collect()
        } else {
            reads.iter().map(|read| Ok(self.store.read(&read.key))).collect()
        };
        let at = self.now + self.short_delay();
        self.schedule(at, Event::StoreDone { gateway, incarnation, job, reads, sent_at, answers });
    }

    pub(crate) fn store_done(&mut self, place: Place, reads: Vec<ReadTicket>, sent_at: Millis, mut answers: Answers) {
        if self.mutant == Some(Mutant::FillRace) {
            for (read, answer) in reads.iter().zip(&mut answers) {
                if let Ok(answer) = answer {
                    answer.position = self.store.position(read.shard);
                }
            }
        }
        let (gateway, incarnation, id) = place;
        let Gateway { node, jobs, offset, incarnation: current, .. } = &mut self.gateways[gateway];
        let Some(job) = jobs.get_mut(&id).filter(|_| *current == incarnation) else { return };
        job.outstanding -= 1;
        node.finish_store(self.now + *offset, &mut job.pending, reads, sent_at, answers);
        self.go_on(gateway, id);
    }

    pub(crate) fn peer_done(
        &mut self,
        place: Place,
        forward: Forward,
        sent_at: Millis,
        response: Option<BatchResponse>,
    ) {
        let (gateway, incarnation, id) = place;
        let Gateway { node, jobs, offset, incarnation: current, .. } = &mut self.gateways[gateway];
        let Some(job) = jobs.get_mut(&id).filter(|_| *current == incarnation) else { return };
        job.outstanding -= 1;
        node.finish_forward(self.now + *offset, &mut job.pending, forward, sent_at, response);
        self.go_on(gateway, id);
    }

    /// A write reaches a gateway: it is committed, or refused before.
    pub(crate) fn write(&mut self, client: usize, flight: FlightId, gateway: usize, write: &WriteRequest) {
        if !self.gateways[gateway].up {
            return self.hang_up(Reply::Client { client, flight });
        }
        if self.fault(5) {
            return self.refuse(client, flight, ErrorCode::Unavailable);
        }
        let version = self.store.write(self.now, self.step, write.id, &write.key, write.fields.clone());
        self.note(|| format!("committed {} at {version}: {:?}", write.key, write.fields.as_ref().map(|f| &f.locator)));
        self.reply(client, flight, Outcome::Written(version));
    }

    /// An error answer.
    pub(crate) fn refuse(&mut self, client: usize, flight: FlightId, code: ErrorCode) {
        let body = serde_json::to_vec(&Problem::new(code, "injected")).unwrap_or_default();
        let retry_after = self.rng.chance(30).then_some(100);
        self.reply(client, flight, Outcome::Response { status: code.status(), retry_after, body });
    }

    /// Polls overlap and overtake each other, and are sometimes long in coming.
    pub(crate) fn poll_send(&mut self, gateway: usize) {
        if !self.is_active() {
            return;
        }
        let usual = self.profile.poll_ms;
        let pause = if self.rng.chance(2) { self.rng.range(500, 4_000) } else { self.rng.range(10, usual) };
        self.schedule(self.now + pause, Event::PollSend { gateway });
        let repeats = self.rng.chance(15);
        let page = self.rng.pick(&[1, 3, 100, 100]);
        let Gateway { node, cursors, up, incarnation, offset, .. } = &mut self.gateways[gateway];
        if !*up {
            return;
        }
        let sent_at = self.now + *offset;
        let applied: Vec<u64> = node.positions(sent_at).iter().map(|point| point.position).collect();
        let fresh: Vec<u64> = applied.iter().zip(&*cursors).map(|(&applied, &cursor)| applied.max(cursor)).collect();
        let earlier = std::mem::replace(cursors, fresh.clone());
        let asked = if repeats { earlier } else { fresh };
        let incarnation = *incarnation;
        let at = self.now + self.short_delay();
        self.schedule(at, Event::PollView { gateway, incarnation, cursors: asked, sent_at, page });
    }

    pub(crate) fn poll_view(
        &mut self,
        gateway: usize,
        incarnation: u32,
        cursors: &[u64],
        sent_at: Millis,
        page: usize,
    ) {
        if self.fault(5) {
            return;
        }
        let poll = |(shard, &after): (usize, &u64)| self.store.poll(shard as u16, after, page);
        let pages = cursors.iter().enumerate().map(poll).collect();
        let at = self.now + self.short_delay();
        self.schedule(at, Event::PollDone { gateway, incarnation, pages, sent_at });
    }

    pub(crate) fn poll_done(&mut self, gateway: usize, incarnation: u32, pages: &[LogPage], mut sent_at: Millis) {
        let gateway = &mut self.gateways[gateway];
        if self.mutant == Some(Mutant::LatePoll) {
            sent_at = self.now + gateway.offset;
        }
        if gateway.incarnation == incarnation {
            pages.iter().for_each(|page| gateway.node.apply_log(sent_at, page));
        }
    }

    pub(crate) fn map_arrives(&mut self, gateway: usize, map: Arc<PartitionMap>) {
        if let Err(error) = self.gateways[gateway].node.publish_map(map) {
            self.violate("map", format!("a node refused a shifted map: {error}"));
        }
    }

    /// The process of a node ends, and a new one starts some time later.
    pub(crate) fn restart(&mut self, gateway: usize) {
        self.note(|| format!("node {} ends", gateway + 1));
        let jobs = std::mem::take(&mut self.gateways[gateway].jobs);
        jobs.into_values().for_each(|job| self.hang_up(job.reply));
        let stats = self.gateways[gateway].node.stats();
        self.tally.count_node(&stats);
        let offset = self.rng.range(0, 1 << 40);
        let ended = &mut self.gateways[gateway];
        ended.offset = offset;
        ended.node = Node::new(ended.config, self.map.clone()).expect("a valid map");
        ended.up = false;
        ended.incarnation += 1;
        ended.cursors = self.store.positions();
        let at = self.now + self.rng.range(0, 1_500);
        self.schedule(at, Event::Up { gateway });
    }
}
