//! [`Control`]: membership, the lease, the coordinator, warming up and the life of a plan, as one machine.

use std::collections::VecDeque;
use std::sync::Arc;

use super::command::{Beat, Command, Found, StoreChange, StoreFailed, Times};
use super::config::ControlConfig;
use super::coordinator::{Coordinator, CoordinatorStep, Seen};
use super::job::Planned;
use super::member::{Member, MemberState};
use super::plans::Plans;
use super::record::LeaderRecord;
use super::stats::ControlStats;
use super::{OperatorRequestId, Term};
use crate::Millis;
use crate::load::LoadReport;
use crate::partition::{Epoch, NodeId, PartitionMap};

/// State of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing is under way.
    Idle,
    /// The store is to tell what it has, or to change.
    Busy,
    /// The freeze switch is turned for this request: nothing else is stored meanwhile, so that no plan comes in force after it.
    Freezing { id: OperatorRequestId, frozen: bool },
}

/// The control machine of one process. It is told what happened and when, and says what is to be done, as a queue of
/// [`Command`]s; [`poll_timeout`](Self::poll_timeout) says when it wants to be called again. Memory is bounded by that of a
/// shifter, three maps, the members, and 64 requests of operators.
#[derive(Debug)]
pub struct Control {
    pub(super) config: ControlConfig,
    pub(super) members: Vec<Member>,
    pub(super) map: Arc<PartitionMap>,
    /// The proposal that is followed.
    pub(super) proposal: Option<Arc<PartitionMap>>,
    pub(super) is_leaving: bool,
    pub(super) phase: Phase,
    /// When the next heartbeat is due, and when it may be at the earliest.
    pub(super) due: Millis,
    not_before: Millis,
    /// When a newer epoch that somebody named was last heeded.
    newer_at: Option<Millis>,
    pub(super) term: Option<Term>,
    /// Set while the leader's record is asked for or written at the moment.
    pub(super) is_recording: bool,
    coordinator: Coordinator,
    /// Content hash of the proposal that is warmed up for.
    warming: Option<u64>,
    /// Content hash of the last proposal that the nodes are warm for.
    warm_for: u64,
    pub(super) plans: Plans,
    /// The freeze switch is to be turned, in this order.
    pub(super) switches: VecDeque<(OperatorRequestId, bool)>,
    pub(super) commands: VecDeque<Command>,
    stats: ControlStats,
}

/// Shortest time between two heartbeats that a newer epoch causes: whoever makes epochs up costs the store five looks a second.
const NEWER_MS: Millis = 200;

impl Control {
    /// Of the nodes of `members`, which are of one incarnation and registered, and `map`, which is in force.
    pub fn new(config: ControlConfig, members: Vec<Member>, map: Arc<PartitionMap>) -> Self {
        let is_alone = !config.is_shared;
        let mut control = Self {
            config,
            members,
            map,
            proposal: None,
            is_leaving: false,
            phase: Phase::Idle,
            due: 0,
            not_before: 0,
            newer_at: None,
            term: None,
            is_recording: false,
            coordinator: Coordinator::new(config.coordinator),
            warming: None,
            warm_for: 0,
            plans: Plans::new(!config.applies),
            switches: VecDeque::new(),
            commands: VecDeque::new(),
            stats: ControlStats::default(),
        };
        if is_alone {
            control.set_term(Some(0));
        }
        control
    }

    /// The next command, in the order in which they are to be begun.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Time after `times` at which the machine wants [`Control::handle_timeout`] at the latest.
    pub fn poll_timeout(&self, times: Times) -> Millis {
        let beat = match self.phase {
            Phase::Idle => self.due.max(self.not_before).saturating_sub(times.now),
            Phase::Busy | Phase::Freezing { .. } => Millis::MAX,
        };
        let round =
            if self.config.plans && self.term.is_some() { self.plans.next_round(times.unix) } else { Millis::MAX };
        beat.min(round)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, times: Times) {
        if self.config.plans && self.term.is_some() {
            if self.plans.term() != self.term {
                self.ask_record();
            }
            let collect = self.plans.collect(times.unix, &self.map);
            self.commands.extend(collect);
        }
        if self.phase == Phase::Idle && times.now >= self.due.max(self.not_before) {
            self.beat(times);
        }
        self.advance(times);
    }

    fn beat(&mut self, times: Times) {
        self.not_before = times.now + self.config.pause_ms;
        for member in &mut self.members {
            member.state = if self.is_leaving { MemberState::Leaving } else { MemberState::Serving };
            member.warm_for = self.warm_for;
        }
        if !self.config.is_shared {
            let (map, members) = (Some(self.map.clone()), Some(self.members.clone()));
            let proposal = self.proposal.clone();
            let found = Found { is_own: true, term: Some(0), map, proposal, members, store_ms: times.unix };
            return self.found(times, found);
        }
        self.phase = Phase::Busy;
        self.commands.push_back(Command::Beat(Beat {
            members: self.members.clone(),
            // Who leaves keeps the lease until it is gone, so that it is let go soon, but does not take it.
            may_lead: !self.is_leaving || self.term.is_some(),
            reads_members: self.is_leaving || self.term.is_some(),
        }));
    }

    /// Takes the outcome of [`Command::Beat`].
    pub fn handle_beat(&mut self, times: Times, found: Result<Found, StoreFailed>) {
        self.phase = Phase::Idle;
        match found {
            Ok(found) => self.found(times, found),
            Err(StoreFailed) => self.failed(times),
        }
        self.advance(times);
    }

    /// It may have lost the lease meanwhile.
    fn failed(&mut self, times: Times) {
        self.stats.failures += 1;
        self.stats.is_failing = true;
        self.set_term(None);
        self.due = times.now + self.config.beat_ms;
    }

    fn found(&mut self, times: Times, found: Found) {
        self.stats.is_failing = false;
        self.stats.is_doubled = !found.is_own;
        let is_new = found.term.is_some() && self.term != found.term;
        self.set_term(found.term);
        let Some(map) = found.map else {
            let map = self.begun_anew(found.store_ms);
            return self.store(StoreChange::Begin(map), self.term.unwrap_or(0));
        };
        if map.epoch > self.map.epoch {
            self.follow(map.clone());
        }
        self.warm_up(&map, found.proposal);
        if let Some(members) = &found.members {
            self.note(&map, members);
        }
        let plan = self.plans.moves(&map);
        let members = found.members.as_deref().unwrap_or_default();
        let seen = Seen { members, map: &map, proposal: self.proposal.as_ref(), plan: &plan };
        // Without the members a leader of a moment would believe that nobody lives.
        let step = match found.members {
            Some(_) => self.coordinator.round(times.now, found.term, &seen),
            None => CoordinatorStep::Rest,
        };
        let wait = match (&step, &self.proposal) {
            (CoordinatorStep::Rest, _) if is_new => 0,
            (CoordinatorStep::Rest, None) if !self.config.is_shared => Millis::MAX - times.now,
            (CoordinatorStep::Rest, None) if !self.is_leaving => self.config.beat_ms,
            (CoordinatorStep::Rest, _) => self.config.brisk_ms,
            _ => 0,
        };
        self.due = times.now + wait;
        self.take(step);
    }

    /// The store is empty, as after FLUSHALL, or a restart on an empty disk. The incarnation is a later one, so clients hear
    /// that the store is another one.
    fn begun_anew(&self, store_ms: Millis) -> Arc<PartitionMap> {
        let known = &self.map;
        let mut next = PartitionMap::new(known.seeds[0], known.partitions, known.storage, known.nodes.clone());
        let seconds = u32::try_from(store_ms / 1_000).unwrap_or(u32::MAX);
        next.epoch.incarnation = seconds.max(known.epoch.incarnation.saturating_add(1));
        next.seeds = known.seeds;
        Arc::new(next)
    }

    fn take(&mut self, step: CoordinatorStep) {
        let change = match step {
            CoordinatorStep::Rest => return,
            CoordinatorStep::Propose(map) => StoreChange::Propose(map),
            CoordinatorStep::Flip { expect, map } => StoreChange::Flip { expect, map },
            CoordinatorStep::Clear => StoreChange::Clear,
        };
        if self.config.is_shared || matches!(change, StoreChange::Flip { .. }) {
            return self.store(change, self.term.unwrap_or(0));
        }
        // Nobody else looks at proposals.
        match change {
            StoreChange::Propose(map) => {
                self.stats.proposals += 1;
                let known = self.map.clone();
                self.warm_up(&known, Some(map));
            }
            _ => self.proposal = None,
        }
    }

    fn store(&mut self, change: StoreChange, term: Term) {
        self.phase = Phase::Busy;
        self.commands.push_back(Command::Store { change, term });
    }

    /// Takes the outcome of [`Command::Store`]: whether it took effect.
    pub fn handle_stored(&mut self, times: Times, change: StoreChange, stored: Result<bool, StoreFailed>) {
        match change {
            StoreChange::Record(record) => self.recorded(&record, stored),
            StoreChange::Withdraw => self.withdrawn(stored),
            change => {
                self.phase = Phase::Idle;
                match stored {
                    Ok(true) => self.changed(change),
                    Ok(false) if matches!(change, StoreChange::Begin(_)) => {}
                    Ok(false) => self.stats.refusals += 1,
                    Err(StoreFailed) => self.failed(times),
                }
            }
        }
        self.advance(times);
    }

    fn changed(&mut self, change: StoreChange) {
        match change {
            StoreChange::Propose(_) => self.stats.proposals += 1,
            StoreChange::Flip { map, .. } => {
                self.stats.flips += 1;
                self.proposal = None;
                self.follow(map);
            }
            StoreChange::Begin(map) => self.follow(map),
            StoreChange::Clear | StoreChange::Withdraw | StoreChange::Record(_) => {}
        }
        self.due = 0;
    }

    fn follow(&mut self, map: Arc<PartitionMap>) {
        self.plans.follow(&map);
        self.map = map.clone();
        self.commands.push_back(Command::Follow(map));
    }

    /// Begins to warm up for `proposal`, and ends what nobody proposes any more.
    fn warm_up(&mut self, map: &Arc<PartitionMap>, proposal: Option<Arc<PartitionMap>>) {
        self.proposal = proposal;
        let wanted = self.proposal.as_ref().filter(|proposal| proposal.epoch > map.epoch);
        let wanted = wanted.map(|next| (next.hash(), next.clone()));
        if self.warming == wanted.as_ref().map(|(hash, _)| *hash) {
            return;
        }
        self.warming = wanted.as_ref().map(|(hash, _)| *hash);
        self.commands.push_back(match wanted {
            Some((_, next)) => Command::WarmUp { map: map.clone(), next },
            None => Command::StopWarmUp,
        });
    }

    /// The nodes are as warm as they get for the proposal of this content hash; so many keys were read, with so many failures.
    pub fn handle_warm(&mut self, times: Times, hash: u64, keys: u64, failures: u64) {
        self.stats.warm_keys += keys;
        self.stats.warm_failures += failures;
        if self.warming == Some(hash) {
            self.warm_for = hash;
            self.due = 0;
        }
        self.advance(times);
    }

    fn note(&mut self, map: &PartitionMap, members: &[Member]) {
        let is_own = |id: NodeId| self.members.iter().any(|own| own.id == id);
        let is_named = map.nodes.iter().any(|node| is_own(node.id));
        let others = members.iter().any(|member| member.state == MemberState::Serving && !is_own(member.id));
        self.stats.members = members.len() as u64;
        self.stats.has_left = self.is_leaving && !(is_named && others);
    }

    fn set_term(&mut self, term: Option<Term>) {
        if self.term == term {
            return;
        }
        self.term = term;
        self.plans.end(&mut self.commands);
        match term {
            Some(_) => self.ask_record(),
            None => self.refuse_switches(),
        }
    }

    /// The reports that came of [`Command::CollectLoads`], `None` for each node that did not answer.
    pub fn handle_loads(&mut self, times: Times, reports: Vec<Option<LoadReport>>) {
        self.plans.loaded(reports);
        self.advance(times);
    }

    /// Takes the outcome of [`Command::Plan`].
    pub fn handle_planned(&mut self, times: Times, planned: Box<Planned>) {
        if self.plans.planned(times, *planned, &mut self.commands) {
            self.due = 0;
        }
        self.advance(times);
    }

    /// A job ended without a result: the shifter begins anew.
    pub fn handle_plan_lost(&mut self, times: Times) {
        self.plans.lose(&mut self.commands);
        self.advance(times);
    }

    /// Somebody has a map of `epoch`: where that is newer, the store is asked for it at once.
    pub fn handle_newer_epoch(&mut self, times: Times, epoch: Epoch) {
        let is_due = self.newer_at.is_none_or(|last| times.now.saturating_sub(last) >= NEWER_MS);
        if epoch > self.map.epoch && is_due {
            self.newer_at = Some(times.now);
            self.due = 0;
        }
    }

    /// The store is not what it was, or something in it is new: it is looked at as soon as may be.
    pub fn handle_news(&mut self) {
        self.due = 0;
    }

    /// From now on its nodes want to own nothing. They go on answering.
    pub fn handle_leave(&mut self) {
        (self.is_leaving, self.due) = (true, 0);
    }

    /// Begins what can begin now.
    pub(super) fn advance(&mut self, times: Times) {
        if self.phase == Phase::Idle
            && !self.is_recording
            && self.plans.term() == self.term
            && let Some(term) = self.term
            && let Some((id, frozen)) = self.switches.pop_front()
        {
            self.phase = Phase::Freezing { id, frozen };
            self.is_recording = true;
            let origin = self.members.first().map(|member| member.origin.clone()).unwrap_or_default();
            let change = StoreChange::Record(LeaderRecord { origin, frozen });
            self.commands.push_back(Command::Store { change, term });
        }
        if self.config.plans {
            self.plans.job(times, &self.map, &mut self.commands);
        }
    }

    /// The map in force, as far as is known here.
    pub fn map(&self) -> &Arc<PartitionMap> {
        &self.map
    }

    /// The registrations, which end with the process.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The plan on its way, for logs.
    pub fn pending_plan(&self) -> Option<&crate::shifter::Plan> {
        self.plans.pending()
    }

    /// Counts and fills. The term is that under which the leader's record is stored.
    pub fn stats(&self) -> ControlStats {
        ControlStats {
            term: self.term.filter(|_| self.plans.term() == self.term),
            is_planning: self.plans.is_begun(),
            shifter: self.plans.stats(),
            lost: self.plans.lost(),
            asked: self.plans.asked() + self.switches.len(),
            asked_max: 2 * Plans::MAX_ASKED,
            ..self.stats
        }
    }
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
