//! [`plan`]: from a map and what its nodes serve to the moves that are worth it.

use super::budget::Budget;
use super::foresee::foresee;
use super::input::PlanInput;
use super::merge::merge;
use super::outlook::Outlook;
use super::place::place;
use super::plan::Plan;
use super::proposal::Proposal;
use super::replicate::replicate;
use super::snapshot::Snapshot;
use super::split::split;

/// One step of planning: it reads what there is and what those before have come to, and proposes moves.
type PlanningPhase = for<'a> fn(&Snapshot<'a>, &Budget) -> Proposal<'a>;

/// All phases, in the order of what an entry re-homed buys.
const PHASES: [PlanningPhase; 5] = [foresee, replicate, split, place, merge];
/// If more than one in so many nodes does not report, nothing is planned: what is known is then no picture of the whole.
const MOST_SILENT: usize = 4;

/// The moves that are worth making in a map. The same input gives the same plan.
///
/// Greedy, in the order of what an entry re-homed buys: replicas for hot keys, splits of hot prefixes, moves of
/// partitions, then, with what is left, bringing together what is fetched together, and merging what has cooled. The
/// phases are those of Slicer (Adya et al., 2016) and Dicer, with replicas placed by load as what evens out the
/// rest. By its own prediction, what a plan leads to never costs more than what is there. It re-homes no more than its
/// settings allow, except for one split that cannot wait ([`Plan::beyond`]). O(partitions + what is heavy).
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let mut snapshot = Snapshot::new(input);
    let (base, round) = (input.map.epoch, input.load.round());
    if snapshot.assignment.nodes().total() <= 0.0 {
        return Plan { base, round, ..Plan::default() };
    }
    let before = Outlook::of(&snapshot.assignment, &snapshot.pairs, input.map.exceptions.len());
    let mut budget = Budget::new(&snapshot);
    let mut plan = Plan { base, round, before, after: before, ..Plan::default() };
    for phase in if is_telling(&snapshot) { &PHASES[..] } else { &[] } {
        let proposal = phase(&snapshot, &budget);
        budget.limit += proposal.beyond;
        plan.beyond += proposal.beyond;
        plan.deferred += proposal.deferred;
        plan.reasons.extend(proposal.reasons);
        snapshot.assignment = proposal.assignment;
    }
    plan.reasons.truncate(Plan::MAX_REASONS);
    let Snapshot { assignment, pairs, .. } = snapshot;
    let (after, entries) = (Outlook::of(&assignment, &pairs, assignment.exceptions()), assignment.entries());
    // What is done for a step that is still to come pays only then, and may cost a little now.
    let advance = if input.forecast.upcoming().is_empty() { 0.0 } else { 0.1 };
    if after.cost <= before.cost + advance && entries <= budget.limit.max(input.settings.entries_at_most) {
        Plan { moves: assignment.moves(), after, entries, churn: Outlook::churn(entries), ..plan }
    } else {
        Plan { reasons: Vec::new(), beyond: 0.0, ..plan }
    }
}

/// `false` where next to nothing is asked for, so that most that is uneven is chance, or where too many nodes are silent.
fn is_telling(snapshot: &Snapshot<'_>) -> bool {
    let nodes = snapshot.assignment.nodes();
    snapshot.mean >= snapshot.input.settings.quiet_below && nodes.silent() * MOST_SILENT <= nodes.len()
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
