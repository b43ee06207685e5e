//! [`PlanJob`]: planning, which takes up to some hundred milliseconds for a large fleet, apart from everything else.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{OperatorRequestId, Term};
use crate::Millis;
use crate::load::LoadReport;
use crate::partition::{Epoch, NodeId, PartitionMap};
use crate::shifter::{Plan, PlanSettings, Shifter, ShifterAction};

/// Work for the shifter, which is in it: until it comes back, nothing else is planned.
#[derive(Debug)]
pub struct PlanJob {
    pub(super) shifter: Option<Box<Shifter>>,
    pub(super) term: Term,
    pub(super) map: Arc<PartitionMap>,
    /// The map is in force by the shifter's own plan.
    pub(super) is_planned: bool,
    pub(super) task: Task,
}

/// Work of a job.
#[derive(Debug)]
pub(super) enum Task {
    Begin,
    /// Take in a round's reports, and plan unless a plan is on its way. `None` is a node that did not answer.
    Round {
        reports: Vec<Option<LoadReport>>,
        plans: bool,
        /// Plans are made and not applied.
        frozen: bool,
    },
    /// Apply what the dry run tells, if the caller saw the map in force.
    Apply {
        id: OperatorRequestId,
        seen: Option<Epoch>,
    },
    /// The dry run.
    Status {
        id: OperatorRequestId,
    },
}

/// A job that is done.
#[derive(Debug)]
pub struct Planned {
    pub(super) shifter: Box<Shifter>,
    pub(super) term: Term,
    pub(super) outcome: JobOutcome,
}

#[derive(Debug)]
pub(super) enum JobOutcome {
    Begun,
    Round { loads: BTreeMap<NodeId, u32>, lost: u64, action: Option<ShifterAction> },
    Apply { id: OperatorRequestId, action: Result<Option<ShifterAction>, Epoch> },
    Status { id: OperatorRequestId, next: Plan },
}

impl PlanJob {
    /// Does it; `unix` is wall-clock time in milliseconds.
    pub fn run(self, unix: Millis) -> Box<Planned> {
        let Self { shifter, term, map, is_planned, task } = self;
        let begin = || Box::new(Shifter::new(map.clone(), PlanSettings::default()));
        let mut shifter = shifter.unwrap_or_else(begin);
        if let Task::Round { reports, .. } = &task {
            reports.iter().flatten().for_each(|report| shifter.observe(report, unix));
        }
        match is_planned {
            true => shifter.published(&map),
            false => shifter.set_map(map),
        }
        let outcome = match task {
            Task::Begin => JobOutcome::Begun,
            Task::Round { reports, plans, frozen } => {
                shifter.freeze(frozen);
                let asked = reports.len();
                let loads: BTreeMap<NodeId, u32> =
                    reports.iter().flatten().map(|report| (report.node, report.requests.all)).collect();
                let lost = (asked - loads.len()) as u64;
                let action = if plans { shifter.plan(unix) } else { None };
                JobOutcome::Round { loads, lost, action }
            }
            Task::Apply { id, seen } => {
                let epoch = shifter.map().epoch;
                let is_other = seen.is_some_and(|seen| seen != epoch);
                JobOutcome::Apply { id, action: if is_other { Err(epoch) } else { Ok(shifter.apply(unix)) } }
            }
            Task::Status { id } => JobOutcome::Status { id, next: shifter.dry_run(unix) },
        };
        Box::new(Planned { shifter, term, outcome })
    }
}
