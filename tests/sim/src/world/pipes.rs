//! Pipelines from gateways to the cluster: lists of commands, each with the fence behind it.

use foremap::Millis;
use foremap::node::Lack;

use super::world::World;
use crate::cluster::{Body, Command, Message, Refused, Server, Told};
use crate::event::Event;
use crate::mutant::Mutant;
use crate::net::Place;
use crate::pipe::{End, Errand, Link, Pipe};

/// Longest time that a master may wait for its replicas.
const WAIT_MS: Millis = 250;
/// Longest time that a gateway waits for a master.
const PIPE_MS: Millis = 700;
/// Times that a fence is waited for again.
const MAX_AGAIN: u32 = 2;
/// When TCP sends a lost packet again, at the earliest.
const RETRANSMISSION_MS: Millis = 200;

impl World {
    /// Sends `commands` to the master of `group`, as far as `gateway` knows it.
    pub(super) fn send_pipe(&mut self, gateway: usize, group: usize, commands: Vec<Command>, errand: Errand) {
        let id = self.fresh_id();
        let host = &self.gateways[gateway];
        let (incarnation, sent_at) = (host.incarnation, host.local(self.now));
        let Some(link) = host.links[group] else {
            self.relink_soon(gateway, group);
            return self.pipe_ended(gateway, incarnation, group, Vec::new(), sent_at, errand, End::Refused);
        };
        let (wait_for, waits, replies) = (host.wait_for[group], 0, Vec::new());
        let pipe = Pipe { gateway, incarnation, group, link, wait_for, waits, commands, replies, sent_at, errand };
        self.pipes.insert(id, pipe);
        let at = self.now + self.short_delay();
        self.schedule(at, Event::Reach { pipe: id });
        self.schedule(self.now + PIPE_MS, Event::PipeDone { pipe: id, gateway, end: End::Broken });
    }

    /// When something from `gateway` gets through to `server`; `None` where it does now.
    fn held_up(&self, gateway: usize, server: Server) -> Option<Millis> {
        let place = Place::Server(server);
        self.net.cut(self.now, Place::Gateway(gateway), place).or_else(|| self.net.paused(self.now, place))
    }

    /// A pipeline reaches a server: it is executed, though its gateway may have given up.
    pub(super) fn reach(&mut self, id: u64) {
        let Some(pipe) = self.pipes.get(&id) else { return };
        let (gateway, link, commands) = (pipe.gateway, pipe.link, pipe.commands.clone());
        if let Some(until) = self.held_up(gateway, link.server) {
            let at = until + self.short_delay();
            return self.schedule(at, Event::Reach { pipe: id });
        }
        if self.cluster.run(link.server) != Some(link.run) || self.fault(1) {
            return self.answer_pipe(id, End::Refused);
        }
        let now_us = self.now_us();
        let mut replies = Vec::with_capacity(commands.len());
        for command in &commands {
            match self.cluster.execute(link.server, link.connection, now_us, command) {
                Ok(reply) => replies.push(reply),
                Err(Refused::NotMaster | Refused::Down) => return self.answer_pipe(id, End::Refused),
            }
        }
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.replies = replies;
        }
        // The rest of it may come in a later packet, and that one be sent again because it was lost.
        if self.rng.chance(20) {
            let lost = if self.rng.chance(self.net.loss(self.now)) { RETRANSMISSION_MS } else { 0 };
            let at = self.now + lost + self.short_delay();
            return self.schedule(at, Event::ReachFence { pipe: id });
        }
        self.reach_fence(id);
    }

    /// The fence of a pipeline reaches the server; later perhaps the wait of it once more.
    pub(super) fn reach_fence(&mut self, id: u64) {
        let Some(pipe) = self.pipes.get(&id) else { return };
        let (gateway, link, wait_for, again) = (pipe.gateway, pipe.link, pipe.wait_for, pipe.waits > 0);
        if let Some(until) = self.held_up(gateway, link.server) {
            let at = until + self.short_delay();
            return self.schedule(at, Event::ReachFence { pipe: id });
        }
        let runs = self.cluster.run(link.server) == Some(link.run);
        let fenced = runs
            && (self.mutant == Some(Mutant::WaitAlone)
                || again
                || self.cluster.increment(link.server, link.connection).is_ok())
            && self.cluster.wait(link.server, link.connection, wait_for, id).is_ok();
        if !fenced {
            return self.answer_pipe(id, End::Broken);
        }
        self.schedule(self.now + WAIT_MS, Event::WaitOver { server: link.server, pipe: id });
        self.pump();
    }

    /// The time of a `WAIT` is over; a server that stands still does not notice.
    pub(super) fn wait_over(&mut self, server: Server, pipe: u64) {
        if let Some(until) = self.net.paused(self.now, Place::Server(server)) {
            return self.schedule(until, Event::WaitOver { server, pipe });
        }
        self.cluster.stop_waiting(server, pipe);
        self.pump();
    }

    /// Puts what the cluster has to say on its way.
    pub(super) fn pump(&mut self) {
        for message in self.cluster.take_messages() {
            match message.body {
                Body::Waited(pipe, Some(told)) if self.is_same_history(pipe) => self.waited(pipe, &told),
                Body::Waited(pipe, Some(_)) => self.answer_pipe(pipe, End::Broken),
                Body::Waited(pipe, None) => self.answer_pipe(pipe, End::Broken),
                _ => {
                    let at = self.now + self.short_delay();
                    self.schedule(at, Event::Carry { message });
                }
            }
        }
        for stored in self.cluster.take_effective() {
            self.note(|| format!("for good: {} at {}", stored.key, stored.record.version));
            if stored.record.version > self.highest() {
                let highest = self.highest();
                self.violate("clock", format!("{stored:?} is ahead of {highest}, so a wrong clock wrote it"));
            }
            if !self.truth.add(self.now, self.step, &stored) {
                self.violate("order", format!("{stored:?} is not the newest of its key"));
            }
        }
    }

    /// A wait is over: the gateway judges the fence, or waits once more for a replica that has just come.
    fn waited(&mut self, id: u64, told: &Told) {
        let lacks = self.fence.lacks(told.offset, &told.members, &told.attached);
        let enough = self.mutant == Some(Mutant::AnyReplica) && told.count >= self.fence.replicas();
        let holds = match self.mutant {
            Some(Mutant::NoFence) => true,
            Some(Mutant::PartialFence) => lacks.len() <= 1,
            Some(Mutant::AnyReplica) => enough,
            _ => lacks.is_empty(),
        };
        self.tally.add("fence refused", u64::from(!lacks.is_empty()));
        let of_member = lacks.iter().any(|lack| matches!(lack, Lack::Detached(_) | Lack::Late(_)));
        self.tally.add("stood in for a member", u64::from(of_member && told.count >= self.fence.replicas()));
        let needed = self.fence.waits_for(&told.members, &told.attached);
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        self.gateways[pipe.gateway].wait_for[pipe.group] = needed;
        let may_come = lacks.iter().any(|lack| matches!(lack, Lack::Late(_) | Lack::LateOutside(_)));
        if !holds && may_come && needed > pipe.wait_for && pipe.waits < MAX_AGAIN {
            pipe.wait_for = needed;
            pipe.waits += 1;
            self.tally.add("waited again", 1);
            let at = self.now + self.short_delay() + self.short_delay();
            return self.schedule(at, Event::ReachFence { pipe: id });
        }
        self.answer_pipe(id, End::Executed(holds));
    }

    /// The last command of a fence: whether the server is still in the history that the connection was opened in.
    fn is_same_history(&mut self, pipe: u64) -> bool {
        let Some(link) = self.pipes.get(&pipe).map(|pipe| pipe.link) else { return true };
        let is_same = self.cluster.history(link.server) == link.history;
        self.tally.add("histories changed", u64::from(!is_same));
        is_same || self.mutant == Some(Mutant::HistoryIgnored)
    }

    /// A message from server to server. Connections lose nothing, but what is held up arrives late.
    pub(super) fn carry(&mut self, message: Message) {
        let Some(to) = message.to else { return };
        let (from, to) = (Place::Server((message.group, message.from)), Place::Server((message.group, to)));
        let held = self.net.cut(self.now, from, to).or_else(|| self.net.paused(self.now, to));
        if let Some(until) = held {
            let at = until + self.short_delay();
            return self.schedule(at, Event::Carry { message });
        }
        self.cluster.arrive(message);
        self.pump();
    }

    fn answer_pipe(&mut self, id: u64, end: End) {
        let Some(pipe) = self.pipes.get(&id) else { return };
        let (gateway, server) = (pipe.gateway, pipe.link.server);
        let held = self.net.cut(self.now, Place::Gateway(gateway), Place::Server(server)).unwrap_or(self.now);
        let at = held + self.short_delay();
        self.schedule(at, Event::PipeDone { pipe: id, gateway, end });
    }

    /// The end of a pipeline, or of the gateway's patience.
    pub(super) fn pipe_done(&mut self, id: u64, end: End) {
        // A time-out leaves the commands on their way.
        let ended = if end == End::Broken {
            self.pipes.get_mut(&id).map(|pipe| {
                let errand = std::mem::replace(&mut pipe.errand, Errand::Leave);
                (pipe.gateway, pipe.incarnation, pipe.group, pipe.link, Vec::new(), pipe.sent_at, errand)
            })
        } else {
            self.pipes.remove(&id).map(|pipe| {
                let Pipe { gateway, incarnation, group, link, replies, sent_at, errand, .. } = pipe;
                (gateway, incarnation, group, link, replies, sent_at, errand)
            })
        };
        let Some((gateway, incarnation, group, link, replies, sent_at, errand)) = ended else { return };
        if matches!(errand, Errand::Leave) || self.gateways[gateway].incarnation != incarnation {
            return;
        }
        // A connection on which something went wrong is given up, mostly.
        let keeps = end == End::Executed(true);
        if !keeps {
            self.tally.add("pipelines failed", 1);
            let current = self.gateways[gateway].links[group] == Some(link);
            if current && (!matches!(end, End::Executed(_)) || self.rng.chance(50)) {
                self.relink_soon(gateway, group);
            }
        }
        self.pipe_ended(gateway, incarnation, group, replies, sent_at, errand, end);
    }

    pub(super) fn relink_soon(&mut self, gateway: usize, group: usize) {
        let at = self.now + self.rng.range(1, 40);
        self.schedule(at, Event::Relink { gateway, group });
    }

    /// Asks a server that can be reached who leads its group, and connects to that.
    pub(super) fn relink(&mut self, gateway: usize, group: usize) {
        let server = (group, self.rng.below(self.cluster.servers()));
        let seen = if self.held_up(gateway, server).is_none() { self.cluster.leader_seen_by(server) } else { None };
        let link = seen.and_then(|leader| {
            let server = (group, leader);
            let run = self.cluster.run(server).filter(|_| self.held_up(gateway, server).is_none())?;
            Some((server, run))
        });
        let connection = self.fresh_id();
        let history = |server| self.cluster.history(server);
        self.gateways[gateway].links[group] =
            link.map(|(server, run)| Link { server, run, connection, history: history(server) });
    }
}
