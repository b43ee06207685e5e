//! The host of a control machine: gateways register, one of them leads, maps are proposed, warmed up for and put in force, plans
//! are made and frozen, with everything else going wrong meanwhile.

use std::sync::Arc;

use foremap::Millis;
use foremap::control::{Command as ControlCommand, OperatorAnswer, Times};
use foremap::load::{Count, LoadReport};
use foremap::partition::{MapNode, NodeId, PartitionMap, Placement};

use super::control_store::{GROUP, RECORD};
use super::world::World;
use crate::cluster::{Command, MetaChange, MetaRead, MetaReply, Reply};
use crate::event::Event;
use crate::mutant::Mutant;
use crate::pipe::Errand;
use crate::seat::{Job, Pending, TTL};
use crate::times::LAST_READS;

/// Masters whose clocks jump keep registrations for that much longer.
const SETTLED: Millis = LAST_READS + 8_000;

impl World {
    /// The first map is in the store before anybody comes.
    pub(super) fn found_map(&mut self) {
        let Some(map) = &self.maps.newest else { return };
        let change = MetaChange::PutMap { expect: None, map: map.clone(), term: 0 };
        let done = self.cluster.perform(GROUP, self.now_us(), &Command::ChangeMeta(change));
        debug_assert!(matches!(done, Ok((Reply::Meta(MetaReply::Done(true)), true))));
        // Somebody took the lease, and was gone.
        let lead = MetaChange::Lead { incarnation: u64::MAX, ttl_us: TTL * 1_000 };
        let led = self.cluster.perform(GROUP, self.now_us(), &Command::ChangeMeta(lead));
        debug_assert!(matches!(led, Ok((Reply::Meta(MetaReply::Term(Some(_))), true))));
        for gateway in 0..self.gateways.len() {
            self.wake_control(gateway, self.now);
        }
    }

    /// Other keys are asked for most, an operator turns a switch, or a process ends.
    pub(super) fn wish(&mut self) {
        self.maps.hot = (0..self.rng.below(3)).map(|_| self.rng.below(self.keys.len())).collect();
        if !self.is_active() {
            return;
        }
        let gateway = self.rng.below(self.gateways.len());
        if self.gateways[gateway].up && self.rng.chance(70) {
            self.ask_control(gateway);
        }
        if self.rng.chance(25) {
            let gateway = self.rng.below(self.gateways.len());
            self.schedule(self.now, Event::Restart { gateway });
        }
        let at = self.now + self.rng.range(100, 1_500);
        self.schedule(at, Event::Wish);
    }

    fn ask_control(&mut self, gateway: usize) {
        self.maps.last_id += 1;
        let (times, id) = (self.times(gateway), self.maps.last_id);
        let freezes = self.rng.chance(50);
        if !freezes {
            // From now on, a plan may come in force.
            self.maps.is_frozen = false;
        }
        self.maps.asked.insert(id, freezes);
        self.gateways[gateway].seat.control.handle_freeze(times, id, freezes);
        self.drive_control(gateway);
    }

    pub(super) fn times(&self, gateway: usize) -> Times {
        Times { now: self.gateways[gateway].local(self.now), unix: self.now_us() / 1_000 }
    }

    fn wake_control(&mut self, gateway: usize, at: Millis) {
        if at < self.gateways[gateway].seat.wake && at <= SETTLED {
            self.gateways[gateway].seat.wake = at;
            let incarnation = self.gateways[gateway].incarnation;
            self.schedule(at, Event::Control { gateway, incarnation });
        }
    }

    /// A gateway that has started begins to take part.
    pub(super) fn up(&mut self, gateway: usize) {
        self.gateways[gateway].up = true;
        self.wake_control(gateway, self.now);
    }

    /// Time has passed for control.
    pub(super) fn control(&mut self, gateway: usize, incarnation: u32) {
        let host = &mut self.gateways[gateway];
        if host.incarnation != incarnation || !host.up {
            return;
        }
        host.seat.wake = Millis::MAX;
        let times = self.times(gateway);
        self.gateways[gateway].seat.control.handle_timeout(times);
        self.drive_control(gateway);
    }

    /// Carries out what control asks for.
    pub(super) fn drive_control(&mut self, gateway: usize) {
        while let Some(command) = self.gateways[gateway].seat.control.poll_command() {
            self.perform_control(gateway, command);
        }
        let times = self.times(gateway);
        // Some hosts are late.
        let wait = self.gateways[gateway].seat.control.poll_timeout(times).max(1).saturating_add(self.rng.range(0, 30));
        self.wake_control(gateway, self.now.saturating_add(wait));
    }

    fn perform_control(&mut self, gateway: usize, command: ControlCommand) {
        match command {
            ControlCommand::Beat(beat) => self.send_beat(gateway, beat),
            ControlCommand::Store { change, term } => {
                let faults = self.faults(gateway, &change, term);
                self.send_change(gateway, Pending::Store { change, term, faults, is_flipped: false });
            }
            ControlCommand::ReadRecord => {
                let read = vec![Command::Meta(MetaRead::Blob(RECORD))];
                self.send_pipe(gateway, GROUP, read, Errand::Control(Pending::Record));
            }
            ControlCommand::Follow(map) => {
                if let Err(error) = self.gateways[gateway].node.publish_map(map) {
                    self.violate("map", format!("a node refused a map in force: {error}"));
                }
            }
            ControlCommand::WarmUp { next, .. } => {
                let (hash, is_real) = (next.hash(), self.mutant != Some(Mutant::FlipCold));
                // Some are slow.
                let wait = if self.rng.chance(80) { self.rng.range(1, 200) } else { self.rng.range(200, 2_000) };
                let wait = if is_real { wait } else { 1 };
                self.schedule_job(gateway, wait, Job::Warm { hash, is_real });
            }
            ControlCommand::StopWarmUp => {}
            ControlCommand::CollectLoads { map, round } => {
                let reports = map.nodes.iter().map(|node| self.report(&map, node, round)).collect();
                let wait = self.rng.range(1, 100);
                self.schedule_job(gateway, wait, Job::Loads { reports });
            }
            ControlCommand::Plan(job) => {
                let wait = self.rng.range(1, 300);
                self.schedule_job(gateway, wait, Job::Plan(job));
            }
            ControlCommand::Answer(id, answer) => {
                if self.maps.asked.remove(&id) == Some(true) && answer == OperatorAnswer::Frozen {
                    self.maps.is_frozen = !self.maps.asked.values().any(|freezes| !freezes);
                    self.tally.add("freezes", 1);
                }
            }
        }
    }

    fn schedule_job(&mut self, gateway: usize, wait: Millis, job: Job) {
        let incarnation = self.gateways[gateway].incarnation;
        self.schedule(self.now + wait, Event::ControlJob { gateway, incarnation, job });
    }

    /// Work of control is done.
    pub(super) fn control_job(&mut self, gateway: usize, incarnation: u32, job: Job) {
        let times = self.times(gateway);
        let host = &mut self.gateways[gateway];
        if host.incarnation != incarnation {
            return;
        }
        match job {
            Job::Warm { hash, is_real } => {
                if is_real {
                    host.seat.warmed.insert(hash);
                }
                host.seat.control.handle_warm(times, hash, 0, 0);
            }
            Job::Loads { reports } => host.seat.control.handle_loads(times, reports),
            Job::Plan(job) => host.seat.control.handle_planned(times, job.run(times.unix)),
        }
        self.drive_control(gateway);
    }

    /// Load of a node: some of everything, and much of what is hot, wherever the map has it.
    fn report(&mut self, map: &Arc<PartitionMap>, node: &MapNode, round: u64) -> Option<LoadReport> {
        if self.rng.chance(10) {
            return None;
        }
        let placement = Placement::new(map.clone());
        let count = |all: u32| Count { all, late: all / 4 };
        let mut keys = Vec::new();
        for &hot in &self.maps.hot {
            let key = &self.keys[hot];
            let replicas = placement.replicas(key).map_or_else(|| vec![placement.locate(key).node], <[NodeId]>::to_vec);
            if replicas.contains(&node.id) && keys.iter().all(|(known, _)| known != key) {
                keys.push((key.clone(), count(20_000 / replicas.len() as u32)));
            }
        }
        keys.sort_by(|(one, _), (other, _)| one.cmp(other));
        let own = (0..map.partitions).filter(|&partition| placement.owner(partition) == node.id);
        let mut partitions: Vec<(u32, Count)> = own.map(|partition| (partition, count(20))).collect();
        for (key, hot) in keys.iter().filter(|(key, _)| placement.replicas(key).is_none()) {
            let partition = placement.locate(key).partition;
            if let Some((_, known)) = partitions.iter_mut().find(|(at, _)| *at == partition) {
                *known = count(known.all + hot.all);
            }
        }
        let all = partitions.iter().map(|(_, count)| count.all).sum();
        let incarnation = u64::from(self.gateways[node.id as usize - 1].incarnation);
        let requests = count(all);
        Some(LoadReport {
            node: node.id,
            incarnation,
            number: round,
            round,
            requests,
            partitions,
            keys,
            ..LoadReport::default()
        })
    }

    /// In the end, the map has whoever lives.
    pub(super) fn check_control(&mut self) {
        self.tally.add("maps in force", self.maps.flips);
        for at in 0..self.gateways.len() {
            let stats = self.gateways[at].seat.control.stats();
            self.tally.add("plans in force", stats.shifter.plans);
        }
        let Some(map) = self.maps.newest.clone() else { return };
        let weights: Vec<u32> = self.gateways.iter().map(|gateway| gateway.seat.weight).collect();
        let named: Vec<u32> = map.nodes.iter().map(|node| node.weight).collect();
        // Where nobody wants anything, the last map stays.
        if weights.iter().any(|&weight| weight > 0) && weights != named {
            self.violate(
                "map",
                format!("members of weights {weights:?} live, and the map in force is {:?}", map.nodes),
            );
        }
    }
}
