//! The host of a control machine: gateways register, one of them leads, maps are proposed, warmed up for and put in force, plans
//! are made and frozen, through the simulated store and with everything else going wrong meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foremap::Millis;
use foremap::control::{
    Answer, Beat, Change, Command as ControlCommand, Control, ControlConfig, CoordinatorConfig, Found, LeaderRecord,
    Member, MemberState, PlanJob, RequestId, StoreFailed, Times, new_owners,
};
use foremap::load::{Count, LoadReport};
use foremap::partition::{Epoch, MapNode, NodeId, PartitionMap, Placement};

use super::cluster::{Command, MetaChange, MetaRead, MetaReply, Reply};
use super::mutant::Mutant;
use super::pipes::Errand;
use super::rng::Rng;
use super::world::{Event, LAST_READS, NODES, World, origin};

/// The group that has what concerns the namespace.
const GROUP: usize = 0;
/// How long a registration and the lease hold, in milliseconds of the master's clock: a history is too short for the seconds of
/// a real gateway.
const TTL: Millis = 800;
const CONFIG: ControlConfig = ControlConfig {
    is_shared: true,
    plans: true,
    applies: true,
    beat_ms: 150,
    brisk_ms: 60,
    pause_ms: 20,
    ttl_ms: TTL,
    coordinator: CoordinatorConfig { grace_ms: 1_000, warm_ms: 300 },
};
const PROPOSAL: &str = "proposal";
const RECORD: &str = "record";
/// Masters whose clocks jump keep registrations for that much longer.
const SETTLED: Millis = LAST_READS + 8_000;

/// A gateway as a member, and as who may lead.
pub(crate) struct Seat {
    control: Control,
    weight: u32,
    /// When it is called next.
    wake: Millis,
    /// Content hashes of the maps that it has really warmed up for.
    warmed: BTreeSet<u64>,
    /// Whom it saw registered last.
    members: Vec<Member>,
}

impl Seat {
    pub(crate) fn new(id: NodeId, incarnation: u32, map: &Arc<PartitionMap>, rng: &mut Rng) -> Self {
        let weight = rng.range(0, 2) as u32;
        let member = Member {
            id,
            incarnation: u64::from(incarnation) * u64::from(NODES) + u64::from(id),
            origin: origin(id),
            weight,
            state: MemberState::Serving,
            warm_for: 0,
        };
        let control = Control::new(CONFIG, vec![member], map.clone());
        Self { control, weight, wake: Millis::MAX, warmed: BTreeSet::new(), members: Vec::new() }
    }
}

/// What is known of the maps in force, as nobody in the system knows it.
#[derive(Default)]
pub(crate) struct Maps {
    /// Content hash of each, by its epoch.
    hashes: BTreeMap<Epoch, u64>,
    /// Keys that are asked for most.
    hot: Vec<usize>,
    /// The newest one that anybody has read.
    pub(crate) newest: Option<Arc<PartitionMap>>,
    flips: u64,
    /// The highest term that anybody was given.
    term: u64,
    /// When each proposal was stored first, by its content hash.
    proposed: BTreeMap<u64, Millis>,
    /// Requests of operators: whether each is to freeze.
    asked: BTreeMap<RequestId, bool>,
    last_id: RequestId,
    /// A freeze was answered, and nobody has asked for its end since.
    is_frozen: bool,
}

impl Maps {
    pub(crate) fn new(first: Arc<PartitionMap>) -> Self {
        Self { newest: Some(first), ..Self::default() }
    }
}

/// A command of control that waits for the store.
pub(crate) enum Pending {
    Beat { newest: Option<Epoch> },
    Record,
    Store { change: Change, term: u64, faults: Faults, is_flipped: bool },
}

/// What would be wrong about a change if it took effect.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    stale: bool,
    frozen: bool,
    cold: bool,
}

/// Something that control waits for and the store has nothing to do with.
pub(crate) enum Job {
    Warm { hash: u64, is_real: bool },
    Loads { reports: Vec<Option<LoadReport>> },
    Plan(Box<PlanJob>),
}

impl World {
    /// The first map is in the store before anybody comes.
    pub(crate) fn found_map(&mut self) {
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
    pub(crate) fn wish(&mut self) {
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

    fn times(&self, gateway: usize) -> Times {
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
    pub(crate) fn up(&mut self, gateway: usize) {
        self.gateways[gateway].up = true;
        self.wake_control(gateway, self.now);
    }

    /// Time has passed for control.
    pub(crate) fn control(&mut self, gateway: usize, incarnation: u32) {
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
    fn drive_control(&mut self, gateway: usize) {
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
                if self.maps.asked.remove(&id) == Some(true) && answer == Answer::Frozen {
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
    pub(crate) fn control_job(&mut self, gateway: usize, incarnation: u32, job: Job) {
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

    /// What a node served: some of everything, and much of what is hot, wherever the map has it.
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

    fn send_beat(&mut self, gateway: usize, beat: Beat) {
        let Beat { members, may_lead, reads_members } = beat;
        let incarnation = members.first().map_or(0, |member| member.incarnation);
        let mut commands = vec![Command::Meta(MetaRead::Map), Command::Meta(MetaRead::Blob(PROPOSAL))];
        let announce = |member| Command::ChangeMeta(MetaChange::Announce { member, ttl_us: TTL * 1_000 });
        commands.extend(members.into_iter().map(announce));
        if may_lead {
            commands.push(Command::ChangeMeta(MetaChange::Lead { incarnation, ttl_us: TTL * 1_000 }));
        }
        if reads_members {
            commands.push(Command::Meta(MetaRead::Members));
        }
        let newest = self.maps.newest.as_ref().map(|map| map.epoch);
        self.send_pipe(gateway, GROUP, commands, Errand::Control(Pending::Beat { newest }));
    }

    fn send_change(&mut self, gateway: usize, pending: Pending) {
        let Pending::Store { change, term, is_flipped, .. } = &pending else { return };
        let blob = |blob, content: Option<Vec<u8>>| {
            let content = content.map(Arc::from);
            Command::ChangeMeta(MetaChange::PutBlob { blob, content, term: *term })
        };
        let term = if self.mutant == Some(Mutant::TermInsisted) { u64::MAX } else { *term };
        let put = |expect: Option<Epoch>, map: &Arc<PartitionMap>, term| {
            Command::ChangeMeta(MetaChange::PutMap { expect, map: map.clone(), term })
        };
        let commands = match change {
            Change::Propose(map) => vec![blob(PROPOSAL, Some(map.encode()))],
            Change::Clear | Change::Withdraw => vec![blob(PROPOSAL, None)],
            Change::Flip { .. } if *is_flipped => vec![blob(PROPOSAL, None)],
            Change::Flip { expect, map } if self.mutant == Some(Mutant::MapInsisted) => {
                // Whichever map is in force by now, one of these replaces it.
                let later = |by| Epoch { number: expect.number + by, ..*expect };
                (0..4).map(|by| put(Some(later(by)), map, u64::MAX)).collect()
            }
            Change::Flip { expect, map } => vec![put(Some(*expect), map, term)],
            Change::Begin(map) => vec![put(None, map, 0)],
            Change::Record(record) => vec![blob(RECORD, Some(record.encode()))],
        };
        self.send_pipe(gateway, GROUP, commands, Errand::Control(pending));
    }

    /// What came back counts, as it is behind the fence; `None` where it does not.
    pub(crate) fn control_done(&mut self, gateway: usize, pending: Pending, replies: Option<Vec<Reply>>) {
        let meta = |reply| match reply {
            Reply::Meta(reply) => Some(reply),
            _ => None,
        };
        let replies = replies.map(|replies| replies.into_iter().filter_map(meta).collect::<Vec<_>>());
        let times = self.times(gateway);
        match pending {
            Pending::Beat { newest } => {
                let found = replies.ok_or(StoreFailed).map(|replies| self.found_in(gateway, newest, replies));
                self.gateways[gateway].seat.control.handle_beat(times, found);
            }
            Pending::Record => {
                let record = replies.ok_or(StoreFailed).map(|mut replies| match replies.pop() {
                    Some(MetaReply::Blob(blob)) if self.mutant != Some(Mutant::FreezeForgotten) => {
                        LeaderRecord::read(blob.as_deref())
                    }
                    _ => LeaderRecord::default(),
                });
                self.gateways[gateway].seat.control.handle_record(times, record);
            }
            Pending::Store { change, term, faults, is_flipped } => {
                let stored = replies.ok_or(StoreFailed).map(|replies| replies.first() == Some(&MetaReply::Done(true)));
                if stored == Ok(true) && !is_flipped {
                    self.note_change(&change, faults);
                    if matches!(change, Change::Flip { .. }) {
                        let cleared = Pending::Store { change, term, faults, is_flipped: true };
                        return self.send_change(gateway, cleared);
                    }
                }
                let stored = if is_flipped { stored.map(|_| true) } else { stored };
                self.gateways[gateway].seat.control.handle_stored(times, change, stored);
            }
        }
        self.drive_control(gateway);
    }

    fn found_in(&mut self, gateway: usize, newest: Option<Epoch>, replies: Vec<MetaReply>) -> Found {
        let (is_own, store_ms) = (!replies.contains(&MetaReply::Done(false)), self.now_us() / 1_000);
        let mut found = Found { is_own, term: None, map: None, proposal: None, members: None, store_ms };
        for reply in replies {
            match reply {
                MetaReply::Map(map) => found.map = map,
                MetaReply::Blob(blob) => {
                    found.proposal = blob.and_then(|bytes| PartitionMap::decode(&bytes).ok()).map(Arc::new);
                }
                MetaReply::Term(term) => found.term = term,
                MetaReply::Members(members) => found.members = Some(members),
                MetaReply::Done(_) => {}
            }
        }
        self.maps.term = self.maps.term.max(found.term.unwrap_or(0));
        if let Some(proposal) = &found.proposal {
            // Whoever stored it may not have heard so.
            self.maps.proposed.entry(proposal.hash()).or_insert(self.now);
        }
        match &found.map {
            Some(map) => self.check_map(newest, map),
            None => self.violate("map", format!("gateway {gateway} finds no map in the store")),
        }
        if let Some(members) = &mut found.members {
            self.gateways[gateway].seat.members.clone_from(members);
        }
        found
    }

    /// A map is of one epoch only, and maps do not go back.
    fn check_map(&mut self, newest: Option<Epoch>, map: &Arc<PartitionMap>) {
        let hash = map.hash();
        let first = *self.maps.hashes.entry(map.epoch).or_insert(hash);
        if first != hash {
            self.violate("map", format!("two maps of epoch {}", map.epoch));
        }
        if newest.is_some_and(|newest| map.epoch < newest) {
            self.violate("map", format!("epoch {} came after {newest:?}", map.epoch));
        }
        if self.maps.newest.as_ref().is_none_or(|newest| newest.epoch < map.epoch) {
            self.maps.newest = Some(map.clone());
        }
    }

    /// What may not take effect any more, as far as is known when it is sent.
    fn faults(&self, gateway: usize, change: &Change, term: u64) -> Faults {
        let stale = term < self.maps.term && !matches!(change, Change::Begin(_));
        let Change::Flip { expect, map: next } = change else { return Faults { stale, ..Faults::default() } };
        let Some(map) = self.maps.newest.as_ref().filter(|map| map.epoch == *expect) else {
            return Faults { stale, ..Faults::default() };
        };
        let planned = |map: &PartitionMap| (map.rules.clone(), map.exceptions.clone(), map.hot.clone());
        let frozen = self.maps.is_frozen && planned(map) != planned(next) && map.nodes == next.nodes;
        let hash = next.hash();
        let had_time = self.maps.proposed.get(&hash).is_some_and(|&at| self.now >= at + CONFIG.coordinator.warm_ms);
        let owners = new_owners(map, next);
        let is_cold = |member: &&Member| {
            let host = &self.gateways[member.id as usize - 1];
            let is_same = host.seat.control.members().iter().any(|own| own.incarnation == member.incarnation);
            owners.contains(&member.id) && is_same && !host.seat.warmed.contains(&hash)
        };
        let cold = !had_time && self.gateways[gateway].seat.members.iter().any(|member| is_cold(&member));
        Faults { stale, frozen, cold }
    }

    fn note_change(&mut self, change: &Change, faults: Faults) {
        match change {
            Change::Propose(map) => {
                self.maps.proposed.entry(map.hash()).or_insert(self.now);
            }
            Change::Flip { map, .. } => {
                self.maps.flips += 1;
                let planned = !map.exceptions.is_empty() || !map.hot.is_empty() || !map.rules.is_empty();
                self.tally.add("maps with a plan in force", u64::from(planned));
            }
            Change::Clear | Change::Withdraw | Change::Begin(_) | Change::Record(_) => {}
        }
        if faults.stale {
            self.violate("lease", format!("a change of an earlier term than {} took effect", self.maps.term));
        }
        if faults.frozen {
            self.violate("freeze", "a plan came in force after a freeze was answered".to_owned());
        }
        if faults.cold {
            self.violate("warm", "a map came in force before its new owners were warm".to_owned());
        }
    }

    /// In the end, the map has whoever lives.
    pub(crate) fn check_control(&mut self) {
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
