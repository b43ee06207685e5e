//! One history from begin to end.

use foremap::protocol::KeymapFields;

use super::world::{Judge, MAX_STEPS, SHARDS, World};
use crate::check::Violation;
use crate::clocks::FAR_US;
use crate::cluster::{self, Command, Expect};
use crate::event::Event;
use crate::mutant::Mutant;
use crate::net::Place;
use crate::tally::Tally;
use crate::times::{ACTIVE_UNTIL, LAST_READS};

/// Times that a last write is begun anew: a gateway may find only by one that its connection to a server is gone.
const LAST_WRITES: u32 = 10;
/// Lines of the log that a violation is shown with.
const TAIL: usize = 200;

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
    /// Sets all clocks.
    fn set_clocks(&mut self, ahead_us: i64) {
        for group in 0..self.cluster.groups() {
            (0..self.cluster.servers()).for_each(|at| self.cluster.set_clock((group, at), ahead_us));
        }
    }

    /// Writes what is there before anybody asks. Sometimes clocks were far ahead when it was written, and somebody who is gone
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
        while let Some(event) = self.next_event() {
            self.happen(event);
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
}
