//! Requests on their way through nodes, and hops between these.

use std::collections::BTreeMap;

use foremap::Millis;
use foremap::adapter::{FailureKind, FlightId};
use foremap::node::{Forward, Node, ReadTicket};
use foremap::protocol::{
    BatchRequest, BatchResponse, Consistency, ErrorCode, ItemResult, Outcome as NodeOutcome, Problem,
};

use super::world::World;
use crate::cluster::Command;
use crate::event::{Event, Outcome};
use crate::gateway::{Gateway, Job};
use crate::hop::{Hop, Reply};
use crate::mutant::Mutant;
use crate::net::Place;
use crate::pipe::Errand;
use crate::seat::Seat;

/// Longest time that a node waits for another.
const PEER_MS: Millis = 400;

impl World {
    /// A request reaches a node.
    pub(super) fn arrive(&mut self, gateway: usize, reply: Reply, mut request: BatchRequest) {
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
    pub(super) fn go_on(&mut self, gateway: usize, id: u64) {
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

    pub(super) fn read_store(
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
    pub(super) fn reply(&mut self, gateway: usize, client: usize, flight: FlightId, outcome: Outcome) {
        let cut = self.net.cut(self.now, Place::Gateway(gateway), Place::Client(client));
        if cut.is_some() || self.fault(4) {
            return;
        }
        let at = self.now + self.delay();
        self.schedule(at, Event::Deliver { client, flight, outcome });
    }

    pub(super) fn hang_up(&mut self, reply: Reply) {
        match reply {
            Reply::Client { client, flight } => {
                let outcome = Outcome::Failure(FailureKind::Network);
                self.schedule(self.now + 2, Event::Deliver { client, flight, outcome });
            }
            Reply::Peer(back) => self.schedule(self.now + 2, Event::PeerDone { back, response: None }),
        }
    }

    /// An error answer.
    pub(super) fn refuse(&mut self, gateway: usize, client: usize, flight: FlightId, code: ErrorCode) {
        let body = serde_json::to_vec(&Problem::new(code, "injected")).unwrap_or_default();
        let retry_after = self.rng.chance(30).then_some(100);
        self.reply(gateway, client, flight, Outcome::Response { status: code.status(), retry_after, body });
    }

    pub(super) fn peer_done(&mut self, back: Box<Hop>, response: Option<BatchResponse>) {
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

    /// The process of a node ends, and a new one starts some time later.
    pub(super) fn restart(&mut self, gateway: usize) {
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
