//! [`Plans`]: the life of a plan, from the loads that it is made from until it is in force, given up, or taken back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::command::{Command, ControlStatus, NotDone, OperatorAnswer, Times};
use super::job::{JobOutcome, PlanJob, Planned, Task};
use super::{OperatorRequestId, Term};
use crate::Millis;
use crate::load::{LoadReport, ROUND_MS};
use crate::partition::{Epoch, NodeId, PartitionMap};
use crate::shifter::{Move, Plan, Shifter, ShifterAction, ShifterStats};

/// Longest time that a plan may take to come in force before another is made: the warm-up, and two heartbeats of everybody.
const PATIENCE_MS: Millis = 8_000;

/// The shifter of a leader, and what it has under way. Bounded as the load model is, and by [`Plans::MAX_ASKED`].
#[derive(Debug, Default)]
pub(super) struct Plans {
    /// The term that it plans under.
    term: Option<Term>,
    /// The shifter, where nothing is done with it at the moment.
    shifter: Option<Box<Shifter>>,
    is_begun: bool,
    /// Set while a job has it.
    is_busy: bool,
    /// The request that it is for.
    busy_for: Option<OperatorRequestId>,
    /// The round whose loads were asked for last.
    round: u64,
    is_collecting: bool,
    /// Reports that came while a job was under way.
    reports: Option<Vec<Option<LoadReport>>>,
    asked: VecDeque<(OperatorRequestId, Ask)>,
    /// Plans are made, and put in force on demand only.
    is_dry: bool,
    frozen: bool,
    pending: Option<PendingPlan>,
    /// Epoch of the last map that came in force by a plan, until the shifter is told.
    came: Option<Epoch>,
    last: Option<Plan>,
    loads: BTreeMap<NodeId, u32>,
    /// As the shifter was last seen.
    stats: ShifterStats,
    /// Reports that nodes did not deliver.
    lost: u64,
}

/// A plan that is on its way.
#[derive(Debug)]
struct PendingPlan {
    plan: Plan,
    /// Content hash of the map that it leads to.
    hash: u64,
    since: Millis,
    /// Somebody asked for it, so that it goes on while shifts are frozen.
    is_asked_for: bool,
}

/// Request of an operator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    Apply { seen: Option<Epoch> },
    Status,
}

impl Plans {
    /// Most requests that wait for a job to end.
    pub(super) const MAX_ASKED: usize = 64;

    /// With `is_dry`, plans are put in force on demand only.
    pub(super) fn new(is_dry: bool) -> Self {
        Self { is_dry, ..Self::default() }
    }

    /// Begins under `term`, after [`Plans::end`], with the freeze switch as it was left. What has been asked for meanwhile
    /// is answered.
    pub(super) fn begin(&mut self, term: Term, frozen: bool) {
        (self.term, self.frozen, self.round) = (Some(term), frozen, 0);
    }

    /// Plans no more. Whoever waits for something is told that the leader is elsewhere.
    pub(super) fn end(&mut self, commands: &mut VecDeque<Command>) {
        for (id, _) in std::mem::take(&mut self.asked) {
            commands.push_back(Command::Answer(id, OperatorAnswer::Refused(NotDone::Elsewhere)));
        }
        // A job may be under way: it is thrown away when it comes back.
        let (is_busy, busy_for) = (self.is_busy, self.busy_for);
        *self = Self { lost: self.lost, is_busy, busy_for, ..Self::new(self.is_dry) };
    }

    pub(super) fn term(&self) -> Option<Term> {
        self.term
    }

    /// Tells whether the shifter is at work.
    pub(super) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// When the next round ends, by the wall clock.
    pub(super) fn next_round(&self, unix: Millis) -> Millis {
        let ends = ROUND_MS - unix % ROUND_MS;
        if unix / ROUND_MS == self.round { ends } else { 0 }
    }

    /// Asks for the loads of the round that has ended, once.
    pub(super) fn collect(&mut self, unix: Millis, map: &Arc<PartitionMap>) -> Option<Command> {
        let round = unix / ROUND_MS;
        if round == self.round {
            return None;
        }
        let is_first = self.round == 0;
        self.round = round;
        // The round that it began in is not whole.
        if is_first || self.is_collecting || !self.is_begun {
            return None;
        }
        self.is_collecting = true;
        Some(Command::CollectLoads { map: map.clone(), round })
    }

    /// The reports of all nodes, `None` for each that did not answer.
    pub(super) fn loaded(&mut self, reports: Vec<Option<LoadReport>>) {
        self.is_collecting = false;
        if self.term.is_some() {
            self.reports = Some(reports);
        }
    }

    /// Keeps a request until it is its turn.
    pub(super) fn ask(&mut self, id: OperatorRequestId, ask: Ask) -> Result<(), NotDone> {
        if self.asked.len() == Self::MAX_ASKED {
            return Err(NotDone::Busy);
        }
        self.asked.push_back((id, ask));
        Ok(())
    }

    /// Another map is in force.
    pub(super) fn follow(&mut self, map: &PartitionMap) {
        let hash = map.hash();
        if let Some(done) = self.pending.take_if(|pending| pending.hash == hash) {
            (self.last, self.came) = (Some(done.plan), Some(map.epoch));
        }
        self.pending.take_if(|pending| pending.plan.base != map.epoch);
    }

    /// The next job, where there is something to do and none is under way.
    pub(super) fn job(&mut self, times: Times, map: &Arc<PartitionMap>, commands: &mut VecDeque<Command>) {
        let Some(term) = self.term else { return };
        self.pending.take_if(|pending| times.now.saturating_sub(pending.since) > PATIENCE_MS);
        while !self.is_busy {
            let Some(task) = self.task(commands) else { return };
            self.is_busy = true;
            self.busy_for = match task {
                Task::Apply { id, .. } | Task::Status { id } => Some(id),
                Task::Begin | Task::Round { .. } => None,
            };
            let is_planned = self.came.take() == Some(map.epoch);
            let job = PlanJob { shifter: self.shifter.take(), term, map: map.clone(), is_planned, task };
            commands.push_back(Command::Plan(Box::new(job)));
        }
    }

    fn task(&mut self, commands: &mut VecDeque<Command>) -> Option<Task> {
        if self.shifter.is_none() {
            return Some(Task::Begin);
        }
        if let Some(reports) = self.reports.take() {
            let frozen = self.frozen || self.is_dry;
            return Some(Task::Round { reports, plans: self.pending.is_none(), frozen });
        }
        loop {
            match self.asked.pop_front()? {
                (id, Ask::Apply { .. }) if self.pending.is_some() => {
                    commands.push_back(Command::Answer(id, OperatorAnswer::Refused(NotDone::Pending)));
                }
                (id, Ask::Apply { seen }) => return Some(Task::Apply { id, seen }),
                (id, Ask::Status) => return Some(Task::Status { id }),
            }
        }
    }

    /// A job is done. Says whether another map is wanted now.
    pub(super) fn planned(&mut self, times: Times, planned: Planned, commands: &mut VecDeque<Command>) -> bool {
        (self.is_busy, self.busy_for) = (false, None);
        let Planned { shifter, term, outcome } = planned;
        if self.term != Some(term) {
            if let JobOutcome::Apply { id, .. } | JobOutcome::Status { id, .. } = outcome {
                commands.push_back(Command::Answer(id, OperatorAnswer::Refused(NotDone::Elsewhere)));
            }
            return false;
        }
        (self.stats, self.is_begun) = (shifter.stats(), true);
        let epoch = shifter.map().epoch;
        self.shifter = Some(shifter);
        let (answer, is_wanted) = match outcome {
            JobOutcome::Begun => return false,
            JobOutcome::Round { loads, lost, action } => {
                self.loads = loads;
                self.lost += lost;
                // Shifts may have been frozen while it was planned.
                let action = action.filter(|_| !self.frozen);
                let is_wanted = action.is_some();
                if let Some(action) = action {
                    self.await_map(times, action, false);
                }
                return is_wanted;
            }
            JobOutcome::Apply { id, action: Err(epoch) } => {
                ((id, OperatorAnswer::Refused(NotDone::Epoch(epoch))), false)
            }
            JobOutcome::Apply { id, action: Ok(action) } => {
                let plan = action.map(|action| self.await_map(times, action, true));
                let is_wanted = plan.is_some();
                ((id, OperatorAnswer::Applied(Box::new(plan.unwrap_or_default()))), is_wanted)
            }
            JobOutcome::Status { id, next } => {
                ((id, OperatorAnswer::Status(Box::new(self.status(epoch, next)))), false)
            }
        };
        commands.push_back(Command::Answer(answer.0, answer.1));
        is_wanted
    }

    /// The job under way ended without its shifter.
    pub(super) fn lose(&mut self, commands: &mut VecDeque<Command>) {
        (self.is_busy, self.is_begun) = (false, false);
        let asked = self.busy_for.take();
        commands.extend(asked.map(|id| Command::Answer(id, OperatorAnswer::Refused(NotDone::Busy))));
    }

    fn await_map(&mut self, times: Times, action: ShifterAction, is_asked_for: bool) -> Plan {
        let ShifterAction::Publish { map, plan } = action;
        let pending = PendingPlan { plan: plan.clone(), hash: map.hash(), since: times.now, is_asked_for };
        self.pending = Some(pending);
        plan
    }

    fn status(&self, epoch: Epoch, next: Plan) -> ControlStatus {
        ControlStatus {
            frozen: self.frozen,
            epoch,
            loads: self.loads.clone(),
            stats: self.stats(),
            last: self.last.clone(),
            pending: self.pending.as_ref().map(|pending| pending.plan.clone()),
            next,
        }
    }

    /// The moves that are to come in force on top of `map`.
    pub(super) fn moves(&self, map: &PartitionMap) -> Vec<Move> {
        let pending = self.pending.as_ref().filter(|pending| pending.plan.base == map.epoch);
        pending.map_or_else(Vec::new, |pending| pending.plan.moves.clone())
    }

    /// The plan that is on its way, as operators read it.
    pub(super) fn pending(&self) -> Option<&Plan> {
        self.pending.as_ref().map(|pending| &pending.plan)
    }

    /// Stops applying plans, also one on its way that nobody asked for; or resumes it.
    pub(super) fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
        self.pending.take_if(|pending| frozen && !pending.is_asked_for);
    }

    /// Counts and fills, with the switch as it is now.
    pub(super) fn stats(&self) -> ShifterStats {
        ShifterStats { frozen: self.term.is_some() && (self.frozen || self.is_dry), ..self.stats }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.len()
    }
}
