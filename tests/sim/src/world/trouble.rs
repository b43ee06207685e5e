//! Trouble with machines: crashes, pauses, cuts, promotions and clocks.

use foremap::Millis;

use super::world::World;
use crate::clocks::{FAR_US, JUMP_US};
use crate::cluster::Server;
use crate::event::Event;
use crate::mutant::Mutant;
use crate::net::Place;
use crate::times::{ACTIVE_UNTIL, LAST_READS};

/// Time after which servers look after their connections.
const CRON_MS: Millis = 250;

impl World {
    /// Something goes wrong, and later something else.
    pub(super) fn trouble(&mut self) {
        if !self.is_active() || self.profile.faults == 0 {
            return;
        }
        let at = self.now + self.rng.range(self.profile.trouble_ms / 4, self.profile.trouble_ms);
        self.schedule(at, Event::Trouble);
        let group = self.rng.below(self.cluster.groups());
        let leader = (group, self.cluster.leader(group));
        let server = (group, self.rng.below(self.cluster.servers()));
        match self.rng.below(27) {
            0..=3 => self.crash(leader),
            4 => self.crash(server),
            5..=7 => self.pause_server(leader),
            8..=11 => self.isolate(leader),
            12 | 13 => self.promote_soon(group, 0, 1),
            14 => {
                let ahead = self.rng.range(0, 2 * JUMP_US) as i64 - JUMP_US as i64;
                if self.far_ahead != Some(server) {
                    self.cluster.set_clock(server, ahead);
                    self.tally.add("clock jumps", 1);
                }
            }
            15 | 16 => self.pause_gateway(),
            17 => self.cut_gateways(),
            18 => self.cut_client(),
            19 | 20 => self.there_and_back(leader),
            21 | 22 => self.set_far_ahead(server),
            23..=25 => self.outside(group),
            _ => {
                let gateway = self.rng.below(self.gateways.len());
                self.relink_soon(gateway, group);
            }
        }
    }

    /// For a moment a clock is far ahead, as of a machine that has just started. The others are a majority, so only one is.
    fn set_far_ahead(&mut self, server: Server) {
        if self.far_ahead.is_some() {
            return;
        }
        let ahead = self.rng.pick(&FAR_US);
        self.note(|| format!("the clock of server {server:?} is {ahead} us ahead"));
        self.tally.add("clocks far ahead", 1);
        self.cluster.set_clock(server, ahead);
        self.far_ahead = Some(server);
        let at = self.span(5, 1_500);
        self.schedule(at, Event::ClockSet { server });
    }

    pub(super) fn clock_set(&mut self, server: Server) {
        self.cluster.set_clock(server, 0);
        self.far_ahead = None;
    }

    fn span(&mut self, from: Millis, to: Millis) -> Millis {
        (self.now + self.rng.range(from, to)).min(ACTIVE_UNTIL)
    }

    fn crash(&mut self, server: Server) {
        if self.cluster.run(server).is_none() {
            return;
        }
        let leads = self.cluster.leader(server.0) == server.1;
        let lazy = self.mutant == Some(Mutant::LazyDisk);
        // Without its tail, a server must not come back as the master before another was promoted; see `LazyDisk`.
        let replaceable = leads && (0..self.cluster.servers()).any(|at| self.cluster.is_candidate((server.0, at)));
        let loses_tail = lazy || (replaceable && self.rng.chance(30));
        self.note(|| format!("server {server:?} crashes, loses tail: {loses_tail}"));
        self.tally.add("crashes", 1);
        self.cluster.crash(server, loses_tail);
        self.pump();
        if leads && !(lazy && self.rng.chance(60)) {
            self.promote_soon(server.0, 200, 1_200);
        }
        let at = self.span(20, 2_500);
        self.schedule(at, Event::ServerUp { server });
    }

    pub(super) fn server_up(&mut self, server: Server) {
        if self.cluster.run(server).is_some() {
            return;
        }
        let lazy = self.mutant == Some(Mutant::LazyDisk);
        let may_lead = self.cluster.leader(server.0) == server.1 || self.cluster.is_followed(server);
        if !lazy && may_lead && self.cluster.is_behind(server) {
            // Nobody has taken its place yet; at the latest in the end somebody does.
            if !self.is_active() {
                self.promote(server.0);
            }
            return self.schedule(self.now + 200, Event::ServerUp { server });
        }
        self.note(|| format!("server {server:?} is back"));
        self.cluster.restart(server);
        let at = self.now + self.rng.range(0, 1_000);
        self.schedule(at, Event::Notice { server });
    }

    /// Like `SIGSTOP`: connections stay, nothing moves.
    fn pause_server(&mut self, server: Server) {
        let until = self.span(100, 2_500);
        self.note(|| format!("server {server:?} stands still until {until}"));
        self.tally.add("pauses", 1);
        self.net.pause(Place::Server(server), until);
        if self.rng.chance(70) {
            self.promote_soon(server.0, 200, 1_200);
        }
    }

    /// Cuts a server off from its replicas, and perhaps from some gateways.
    fn isolate(&mut self, server: Server) {
        let until = self.span(200, 3_000);
        self.note(|| format!("server {server:?} is cut off until {until}"));
        self.tally.add("cuts", 1);
        for other in 0..self.cluster.servers() {
            if other != server.1 {
                self.net.sever(Place::Server(server), Place::Server((server.0, other)), until);
            }
        }
        for gateway in 0..self.gateways.len() {
            if self.rng.chance(40) {
                self.net.sever(Place::Server(server), Place::Gateway(gateway), until);
            }
        }
        if self.rng.chance(80) {
            self.promote_soon(server.0, 200, 1_200);
        }
    }

    /// Somebody replicates from the leader who is not of the cluster: a backup, a migration. Or ends that, or stands still.
    fn outside(&mut self, group: usize) {
        let leader = self.cluster.leader(group);
        if self.outside[group].is_none() {
            self.tally.add("outside replicas", 1);
            self.outside[group] = Some(leader);
            return self.attach_outside(group);
        }
        if self.rng.chance(60) {
            let until = self.span(100, 1_000);
            return self.net.pause(Place::Server((group, self.cluster.outside())), until);
        }
        self.outside[group] = None;
        self.cluster.move_outside(group, None);
        self.pump();
    }

    /// It connects to the server that it was told, if that can be reached.
    fn attach_outside(&mut self, group: usize) {
        let Some(to) = self.outside[group] else { return };
        let (server, outside) = ((group, to), Place::Server((group, self.cluster.outside())));
        let runs = self.net.paused(self.now, outside).is_none();
        if runs && self.cluster.leader_seen_by(server) == Some(to) && !self.cluster.has_outside(server) {
            self.note(|| format!("a server that is not of the cluster replicates from {server:?}"));
            self.cluster.move_outside(group, Some(to));
            self.pump();
        }
    }

    fn pause_gateway(&mut self) {
        let (gateway, until) = (self.rng.below(self.gateways.len()), self.span(50, 3_000));
        self.note(|| format!("node {} stands still until {until}", gateway + 1));
        self.tally.add("pauses", 1);
        self.net.pause(Place::Gateway(gateway), until);
    }

    fn cut_gateways(&mut self) {
        let (a, b, until) =
            (self.rng.below(self.gateways.len()), self.rng.below(self.gateways.len()), self.span(100, 2_000));
        self.net.sever(Place::Gateway(a), Place::Gateway(b), until);
    }

    fn cut_client(&mut self) {
        let (client, gateway) = (self.rng.below(self.clients.len()), self.rng.below(self.gateways.len()));
        let until = self.span(100, 2_000);
        self.net.sever(Place::Client(client), Place::Gateway(gateway), until);
    }

    fn promote_soon(&mut self, group: usize, from: Millis, to: Millis) {
        let at = self.now + self.rng.range(from, to);
        self.schedule(at, Event::Promote { group });
    }

    /// An operator hands the lead over, and back as soon as the old leader follows: what it had not passed on is gone,
    /// though it leads as before.
    fn there_and_back(&mut self, old: Server) {
        self.tally.add("handed over and back", 1);
        // Its replicas do not receive what it does meanwhile, as the network is bad.
        let until = self.now + self.rng.range(50, 400);
        self.net.lose(until);
        for other in (0..self.cluster.servers()).filter(|&other| other != old.1) {
            self.net.sever(Place::Server(old), Place::Server((old.0, other)), until.min(ACTIVE_UNTIL));
        }
        self.promote(old.0);
        self.schedule(until, Event::Notice { server: old });
        self.promote_soon(old.0, until - self.now + 20, until - self.now + 120);
    }

    /// The other masters agree on a new leader, whether or not the old one is gone. It does not know.
    pub(super) fn promote(&mut self, group: usize) {
        let old = self.cluster.leader(group);
        let can = |server: &usize| {
            self.cluster.is_candidate((group, *server))
                && self.net.paused(self.now, Place::Server((group, *server))).is_none()
        };
        let candidates: Vec<usize> = (0..self.cluster.servers()).filter(can).collect();
        if candidates.is_empty() {
            return;
        }
        let new = self.rng.pick(&candidates);
        self.note(|| format!("server {:?} is promoted in place of {old}", (group, new)));
        self.tally.add("promotions", 1);
        self.cluster.promote((group, new));
        self.pump();
        for other in (0..self.cluster.servers()).filter(|&other| other != new) {
            let until = if other == old && !self.rng.chance(50) { 2_500 } else { 300 };
            let at = self.now + self.rng.range(10, until);
            self.schedule(at, Event::Notice { server: (group, other) });
        }
    }

    /// A server hears of who leads, once it can.
    pub(super) fn notice(&mut self, server: Server) {
        let (group, leader) = (server.0, self.cluster.leader(server.0));
        if self.cluster.leader_seen_by(server).is_none_or(|seen| seen == leader) {
            return;
        }
        let (place, leader) = (Place::Server(server), Place::Server((group, leader)));
        let held = self.net.cut(self.now, place, leader).or_else(|| self.net.paused(self.now, place));
        if let Some(until) = held {
            return self.schedule(until + 1, Event::Notice { server });
        }
        self.note(|| format!("server {server:?} hears that {leader:?} leads"));
        self.cluster.follow(server);
        self.pump();
    }

    /// Replicas whose connection is gone connect again.
    pub(super) fn cron(&mut self) {
        if self.now < LAST_READS {
            self.schedule(self.now + CRON_MS, Event::Cron);
        }
        if self.rng.chance(20) {
            self.cluster.sync_disks();
        }
        for group in 0..self.cluster.groups() {
            if self.rng.chance(40) {
                self.attach_outside(group);
            }
            let leader = self.cluster.leader(group);
            for at in (0..self.cluster.servers()).filter(|&at| at != leader) {
                let (server, place) = ((group, at), Place::Server((group, at)));
                let follows = self.cluster.leader_seen_by(server) == Some(leader);
                let reaches = self.net.cut(self.now, place, Place::Server((group, leader))).is_none();
                let runs = self.net.paused(self.now, place).is_none();
                if follows && reaches && runs && !self.cluster.is_settled(server) && self.rng.chance(40) {
                    self.cluster.follow(server);
                }
            }
        }
        self.pump();
    }

    /// Everything runs again and is reached.
    pub(super) fn heal(&mut self) {
        self.net.heal();
        for group in 0..self.cluster.groups() {
            for at in 0..self.cluster.servers() {
                let server = (group, at);
                self.schedule(self.now + 1, Event::ServerUp { server });
                self.schedule(self.now + 1_000, Event::Notice { server });
            }
        }
    }
}
