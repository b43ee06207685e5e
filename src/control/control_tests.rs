use super::super::command::{ControlStatus, NotDone, OperatorAnswer};
use super::*;
use crate::load::Count;
use crate::partition::{MapNode, Placement, StorageLayout};
use crate::shifter::Move;

fn member(id: NodeId, origin: &str) -> Member {
    let (state, origin) = (MemberState::Serving, origin.to_owned());
    Member { id, incarnation: u64::from(id) + 100, origin, weight: 1, state, warm_for: 0 }
}

/// A host, and a store that nobody else changes.
struct Host {
    control: Control,
    times: Times,
    term: Option<Term>,
    map: Option<Arc<PartitionMap>>,
    proposal: Option<Arc<PartitionMap>>,
    others: Vec<Member>,
    record: LeaderRecord,
    /// The store does not answer.
    is_down: bool,
    /// Commands that are not carried out by themselves.
    holds: fn(&Command) -> bool,
    held: Vec<Command>,
    answers: Vec<(OperatorRequestId, OperatorAnswer)>,
    stored: Vec<StoreChange>,
    /// Requests of four partitions in a round, by their owner in the first map.
    load: fn(NodeId) -> u32,
}

impl Host {
    fn new(config: ControlConfig, ids: &[NodeId]) -> Self {
        let node = |&id: &NodeId| MapNode { id, origin: format!("http://n{id}"), weight: 1 };
        let map = Arc::new(PartitionMap::new(7, 256, StorageLayout::default(), ids.iter().map(node).collect()));
        let own = if config.is_shared { &ids[..1] } else { ids };
        let own = own.iter().map(|id| member(*id, &format!("http://n{id}"))).collect();
        Self {
            control: Control::new(config, own, map.clone()),
            times: Times { now: 10, unix: 1_000_000_010 },
            term: Some(3),
            map: Some(map),
            proposal: None,
            others: ids[1..].iter().map(|id| member(*id, &format!("http://n{id}"))).collect(),
            record: LeaderRecord::default(),
            is_down: false,
            holds: |_| false,
            held: Vec::new(),
            answers: Vec::new(),
            stored: Vec::new(),
            load: |_| 0,
        }
    }

    fn epoch(&self) -> Epoch {
        self.control.map().epoch
    }

    /// Lets time pass, in which everything that is asked for is done at once.
    fn pass(&mut self, ms: Millis) {
        let end = self.times.now + ms;
        loop {
            self.control.handle_timeout(self.times);
            self.perform();
            let wait = self.control.poll_timeout(self.times).max(1);
            if self.times.now + wait.min(ms) > end {
                break;
            }
            self.times.now += wait.min(ms);
            self.times.unix += wait.min(ms);
        }
    }

    fn perform(&mut self) {
        while let Some(command) = self.control.poll_command() {
            if (self.holds)(&command) {
                self.held.push(command);
            } else {
                self.done(command);
            }
        }
    }

    /// Carries out what was held, and holds nothing more.
    fn release(&mut self) {
        self.holds = |_| false;
        for command in std::mem::take(&mut self.held) {
            self.done(command);
        }
        self.perform();
    }

    fn done(&mut self, command: Command) {
        let times = self.times;
        match command {
            Command::Beat(_) if self.is_down => self.control.handle_beat(times, Err(StoreFailed)),
            Command::Beat(beat) => {
                let mut members = self.others.clone();
                members.extend(beat.members);
                members.sort();
                let found = Found {
                    is_own: true,
                    term: self.term.filter(|_| beat.may_lead),
                    map: self.map.clone(),
                    proposal: self.proposal.clone(),
                    members: beat.reads_members.then_some(members),
                    store_ms: times.unix,
                };
                self.control.handle_beat(times, Ok(found));
            }
            Command::Store { change, .. } if self.is_down => {
                self.control.handle_stored(times, change, Err(StoreFailed))
            }
            Command::Store { change, term } => {
                let holds = self.term.is_none_or(|newest| newest == term) || term == 0;
                if holds {
                    self.stored.push(change.clone());
                    self.store(&change);
                }
                self.control.handle_stored(times, change, Ok(holds));
            }
            Command::ReadRecord => self.control.handle_record(times, Ok(self.record.clone())),
            Command::WarmUp { next, .. } => self.control.handle_warm(times, next.hash(), 5, 0),
            Command::CollectLoads { map, round } => {
                let report = |node: &MapNode| Some(self.report(node.id, round));
                let reports = map.nodes.iter().map(report).collect();
                self.control.handle_loads(times, reports);
            }
            Command::Plan(job) => self.control.handle_planned(times, job.run(times.unix)),
            Command::Answer(id, answer) => self.answers.push((id, answer)),
            Command::Follow(_) | Command::StopWarmUp => {}
        }
    }

    fn store(&mut self, change: &StoreChange) {
        match change {
            StoreChange::Propose(map) => self.proposal = Some(map.clone()),
            StoreChange::Clear | StoreChange::Withdraw => self.proposal = None,
            StoreChange::Flip { expect, map } => {
                assert_eq!(self.map.as_ref().map(|map| map.epoch), Some(*expect));
                (self.map, self.proposal) = (Some(map.clone()), None);
            }
            StoreChange::Begin(map) => self.map = Some(map.clone()),
            StoreChange::Record(record) => self.record = record.clone(),
        }
    }

    /// Load stays where the first map had it, whoever owns it by now.
    fn report(&self, node: NodeId, round: u64) -> LoadReport {
        let placement = Placement::new(self.control.map().clone());
        let first = placement.map().rendezvous();
        let hot = |partition: usize| {
            let owner = first[partition];
            let before = first[..partition].iter().filter(|other| **other == owner).count();
            before < 4
        };
        let count = |partition: usize| match hot(partition) {
            true => (self.load)(NodeId::from(first[partition]) + 1) / 4,
            false => 10,
        };
        let own = (0..first.len()).filter(|&partition| placement.owner(partition as u32) == node);
        let partitions: Vec<(u32, Count)> = own
            .map(|partition| (partition as u32, Count { all: count(partition), late: count(partition) / 4 }))
            .collect();
        let all = partitions.iter().map(|(_, count)| count.all).sum();
        let requests = Count { all, late: all / 4 };
        LoadReport { node, incarnation: 1, number: round, round, requests, partitions, ..LoadReport::default() }
    }

    fn flips(&self) -> usize {
        self.stored.iter().filter(|change| matches!(change, StoreChange::Flip { .. })).count()
    }

    fn status(&mut self) -> ControlStatus {
        self.control.handle_status(self.times, 99);
        self.perform();
        match self.answers.pop() {
            Some((99, OperatorAnswer::Status(status))) => *status,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_member_that_comes_is_proposed_warmed_up_for_and_in_the_map() {
    let mut host = Host::new(ControlConfig::default(), &[1, 2]);
    host.pass(100);
    let stats = host.control.stats();
    assert_eq!((stats.term, stats.members, host.record.origin.as_str()), (Some(3), 2, "http://n1"));
    host.others.push(Member { warm_for: 1, ..member(3, "http://n3") });
    host.pass(1_100);
    let proposal = host.proposal.clone().expect("a proposal");
    assert_eq!((host.flips(), proposal.nodes.len()), (0, 3), "the one that comes is cold");
    host.others[1].warm_for = proposal.hash();
    host.pass(300);
    assert_eq!((host.flips(), host.epoch(), host.proposal.is_none()), (1, proposal.epoch, true));
    let stats = host.control.stats();
    assert_eq!((stats.proposals, stats.flips, stats.refusals, stats.warm_keys), (1, 1, 0, 5));
}

#[test]
fn who_has_no_lease_changes_nothing_and_follows() {
    let mut host = Host::new(ControlConfig::default(), &[1, 2]);
    host.term = None;
    host.others.push(member(3, "http://n3"));
    host.pass(5_000);
    assert!(host.stored.is_empty() && host.control.stats().term.is_none());
    for id in 1..=2 {
        host.control.handle_apply(host.times, id, None);
    }
    host.control.handle_freeze(host.times, 3, true);
    host.perform();
    let elsewhere = OperatorAnswer::Refused(NotDone::Elsewhere);
    assert!(host.answers.len() == 3 && host.answers.iter().all(|(_, answer)| *answer == elsewhere));
    let next = crate::shifter::shift(host.control.map(), &[Move::Assign { partition: 9, node: Some(1) }]);
    host.map = Some(Arc::new(next.expect("valid")));
    host.pass(1_100);
    assert_eq!(host.epoch(), host.map.as_ref().expect("there").epoch);
}

#[test]
fn a_hot_node_is_relieved_and_a_freeze_stops_that() {
    for config in [ControlConfig::default(), ControlConfig { is_shared: false, ..ControlConfig::default() }] {
        let mut host = Host::new(config, &[1, 2]);
        host.load = |node| if node == 1 { 9_000 } else { 1_000 };
        host.pass(100);
        host.control.handle_freeze(host.times, 1, true);
        host.perform();
        assert_eq!(host.answers.pop(), Some((1, OperatorAnswer::Frozen)));
        assert!(host.record.frozen);
        host.pass(9_000);
        assert_eq!(host.flips(), 0);
        let status = host.status();
        assert!(status.frozen && status.pending.is_none() && !status.next.is_empty(), "{:?}", status.loads);
        host.control.handle_freeze(host.times, 2, false);
        host.perform();
        host.pass(9_000);
        assert!(host.flips() > 0 && host.status().last.is_some());
        assert_eq!(host.answers.pop(), Some((2, OperatorAnswer::Frozen)));
    }
}

#[test]
fn a_freeze_is_answered_when_no_plan_can_come_in_force_any_more() {
    let mut host = Host::new(ControlConfig::default(), &[1, 2]);
    host.load = |node| if node == 1 { 9_000 } else { 1_000 };
    // The map is on its way to the store.
    host.holds = |command| matches!(command, Command::Store { change: StoreChange::Flip { .. }, .. });
    while host.held.is_empty() {
        host.others[0].warm_for = host.proposal.as_ref().map_or(0, |proposal| proposal.hash());
        host.pass(200);
        assert!(host.times.now < 60_000, "never relieved");
    }
    host.control.handle_freeze(host.times, 1, true);
    host.perform();
    host.pass(500);
    assert!(host.answers.is_empty() && !host.record.frozen, "it may come in force");
    host.release();
    assert_eq!((host.flips(), host.answers.pop()), (1, Some((1, OperatorAnswer::Frozen))));
    // Proposed, and frozen before it is in force.
    host.control.handle_freeze(host.times, 2, false);
    host.perform();
    let known = host.flips();
    host.holds = |command| matches!(command, Command::Store { change: StoreChange::Record(_), .. });
    host.load = |node| if node == 2 { 9_000 } else { 1_000 };
    host.pass(20_000);
    host.control.handle_freeze(host.times, 3, true);
    host.perform();
    let before = host.flips();
    host.pass(5_000);
    assert_eq!((host.flips(), before >= known), (before, true), "nothing is stored while the switch is");
    host.release();
    assert_eq!(host.answers.last(), Some(&(3, OperatorAnswer::Frozen)));
    assert!(host.proposal.is_none() && host.record.frozen);
    host.pass(20_000);
    assert_eq!(host.flips(), before);
}

#[test]
fn a_freeze_that_the_store_does_not_keep_says_so() {
    let mut host = Host::new(ControlConfig::default(), &[1, 2]);
    host.pass(100);
    host.is_down = true;
    host.control.handle_freeze(host.times, 1, true);
    host.perform();
    assert_eq!(host.answers.pop(), Some((1, OperatorAnswer::Refused(NotDone::Store))));
    host.pass(1_100);
    let stats = host.control.stats();
    assert!(stats.term.is_none() && stats.is_failing && stats.failures > 0);
    host.is_down = false;
    host.pass(1_100);
    assert!(host.control.stats().term.is_some() && !host.status().frozen);
}

#[test]
fn what_is_asked_for_is_applied_while_frozen_and_once() {
    let mut host = Host::new(ControlConfig { applies: false, ..ControlConfig::default() }, &[1, 2]);
    host.load = |node| if node == 1 { 9_000 } else { 1_000 };
    host.pass(9_000);
    assert_eq!((host.flips(), host.control.stats().shifter.frozen), (0, true), "plans are told, not applied");
    let epoch = host.epoch();
    let other = Epoch { number: epoch.number + 1, ..epoch };
    host.control.handle_apply(host.times, 1, Some(other));
    host.control.handle_apply(host.times, 2, Some(epoch));
    host.control.handle_apply(host.times, 3, Some(epoch));
    host.holds = |command| matches!(command, Command::WarmUp { .. });
    host.perform();
    let [(1, other), (2, OperatorAnswer::Applied(plan)), (3, twice)] = &host.answers[..] else {
        panic!("{:?}", host.answers)
    };
    assert_eq!(
        (other, twice),
        (&OperatorAnswer::Refused(NotDone::Epoch(epoch)), &OperatorAnswer::Refused(NotDone::Pending))
    );
    assert!(!plan.is_empty() && plan.base == epoch);
    host.pass(60);
    host.others[0].warm_for = host.proposal.as_ref().expect("proposed").hash();
    assert_eq!(host.flips(), 0, "its own node is cold");
    host.release();
    host.pass(300);
    assert_eq!(host.flips(), 1);
}

#[test]
fn a_plan_that_does_not_come_in_force_is_given_up() {
    let mut host = Host::new(ControlConfig::default(), &[1, 2]);
    host.load = |node| if node == 1 { 9_000 } else { 1_000 };
    host.holds = |command| matches!(command, Command::Beat(_));
    host.pass(10);
    host.release();
    host.pass(10);
    host.holds = |command| matches!(command, Command::Store { change: StoreChange::Propose(_), .. });
    while host.held.is_empty() {
        host.pass(200);
        assert!(host.times.now < 60_000, "never proposed");
    }
    let first = host.control.pending_plan().expect("on its way").round;
    host.pass(12_000);
    assert!(host.control.pending_plan().is_none_or(|plan| plan.round > first));
}

#[test]
fn a_store_that_is_empty_gets_a_map_of_a_later_incarnation() {
    let mut host = Host::new(ControlConfig::default(), &[1, 2]);
    host.pass(100);
    let known = host.epoch();
    host.map = None;
    host.pass(1_100);
    assert!(host.epoch().incarnation > known.incarnation);
    assert_eq!(host.map.as_deref(), Some(&**host.control.map()));
}

#[test]
fn who_leaves_hands_over_and_keeps_the_lease_until_it_has() {
    let mut host = Host::new(ControlConfig::default(), &[1, 2]);
    host.pass(100);
    host.control.handle_leave();
    host.others[0].warm_for = 1;
    host.pass(100);
    let proposal = host.proposal.clone().expect("a proposal");
    assert!(!host.control.stats().has_left && host.control.stats().term.is_some());
    host.others[0].warm_for = proposal.hash();
    host.pass(600);
    assert!(host.control.stats().has_left && host.epoch() == proposal.epoch);
}

#[test]
fn requests_have_a_bound_and_end_with_the_lease() {
    let mut host = Host::new(ControlConfig::default(), &[1, 2]);
    host.pass(100);
    host.holds = |command| matches!(command, Command::Plan(_));
    host.control.handle_status(host.times, 0);
    host.perform();
    for id in 1..=65 {
        host.control.handle_status(host.times, id);
    }
    host.perform();
    assert_eq!(host.answers, [(65, OperatorAnswer::Refused(NotDone::Busy))]);
    let stats = host.control.stats();
    assert!(stats.asked == 64 && stats.asked <= stats.asked_max);
    host.answers.clear();
    host.term = None;
    host.pass(1_100);
    host.release();
    let elsewhere =
        |(_, answer): &(OperatorRequestId, OperatorAnswer)| *answer == OperatorAnswer::Refused(NotDone::Elsewhere);
    assert_eq!((host.answers.len(), host.answers.iter().all(elsewhere)), (65, true));
}

#[test]
fn an_epoch_that_somebody_made_up_costs_five_looks_a_second() {
    let mut host = Host::new(ControlConfig::default(), &[1, 2]);
    host.pass(100);
    let mut beats = 0;
    for _ in 0..100 {
        let epoch = Epoch { incarnation: u32::MAX, number: 1 };
        host.control.handle_newer_epoch(host.times, epoch);
        host.control.handle_timeout(host.times);
        while let Some(command) = host.control.poll_command() {
            beats += usize::from(matches!(command, Command::Beat(_)));
            host.done(command);
        }
        host.times.now += 10;
    }
    assert!((4..=7).contains(&beats), "{beats}");
}

#[test]
fn what_is_asked_before_the_leader_has_read_the_record_waits_for_it() {
    let mut host = Host::new(ControlConfig::default(), &[1, 2]);
    host.holds = |command| matches!(command, Command::ReadRecord);
    host.pass(100);
    host.control.handle_status(host.times, 1);
    host.control.handle_freeze(host.times, 2, true);
    host.perform();
    assert!(host.answers.is_empty() && host.control.stats().term.is_none());
    host.release();
    assert_eq!(host.answers.len(), 2, "{:?}", host.answers);
    assert!(host.record.frozen);
}
