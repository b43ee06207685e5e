//! Gateways at the store: reads, writes and log polls, all of which take their time and may fail.

use std::sync::Arc;

use foremap::Millis;
use foremap::adapter::FlightId;
use foremap::node::{LogPage, MAX_AHEAD_US, ReadTicket, StoreAnswer, StoreFailure, agreed_time};
use foremap::protocol::{Cursor, ErrorCode};

use super::world::World;
use crate::cluster::{self, Command};
use crate::event::{Event, Outcome};
use crate::gateway::Gateway;
use crate::hop::Reply;
use crate::mutant::Mutant;
use crate::pipe::{End, Errand};
use crate::write_request::WriteRequest;

/// Times that a node repeats a read of the store, and the time before each.
const RETRIES: u32 = 2;
const RETRY_MS: Millis = 50;

impl World {
    /// Tells a gateway of the end of a pipeline.
    #[expect(clippy::too_many_arguments, reason = "a pipeline has that many properties")]
    pub(super) fn pipe_ended(
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
    pub(super) fn write(&mut self, client: usize, flight: FlightId, gateway: usize, write: &Arc<WriteRequest>) {
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

    /// Time that most clocks show, as the gateway goes on counting from when it last compared them.
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

    /// Polls overlap and overtake each other, and are sometimes long in coming.
    pub(super) fn poll_send(&mut self, gateway: usize, group: usize) {
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

    /// Takes the ends of the logs of a group: what comes after is followed.
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
}
