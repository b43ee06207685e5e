//! [`Proposal`]: the moves of one phase.

use super::assignment::Assignment;
use super::part_loads::PartLoads;
use super::plan::Reason;
use super::snapshot::Snapshot;
use crate::load::PrefixNow;
use crate::partition::Portion;

/// The moves of one phase: the assignment that they lead to, and why.
#[derive(Debug, Clone)]
pub(super) struct Proposal<'a> {
    pub(super) assignment: Assignment<'a>,
    pub(super) reasons: Vec<Reason>,
    /// Moves that do not fit into the budget.
    pub(super) deferred: usize,
    /// Share of all entries that one split re-homes although it does not fit.
    pub(super) beyond: f64,
}

impl<'a> Proposal<'a> {
    /// No moves.
    pub(super) fn none(snapshot: &Snapshot<'a>) -> Self {
        Self { assignment: snapshot.assignment.clone(), reasons: Vec::new(), deferred: 0, beyond: 0.0 }
    }

    /// Hashes another portion below a prefix of this load, whose parts then have these loads, unless more than `limit` is
    /// re-homed, or the portion is deeper than the prefix: then the prefix alone does not tell where its keys go.
    pub(super) fn hash(
        &mut self,
        snapshot: &Snapshot<'a>,
        now: &PrefixNow,
        (load, portion, parts): (f64, Portion, &PartLoads),
        limit: f64,
    ) {
        let old = self.assignment.portion(&now.prefix);
        if usize::from(old.depth.max(portion.depth)) > now.prefix.depth() {
            return;
        }
        let kept =
            if old.depth == portion.depth { (-f64::from(portion.spread.abs_diff(old.spread))).exp2() } else { 0.0 };
        let entries = snapshot.input.share(now) * (1.0 - kept);
        if self.assignment.entries() + entries > limit {
            self.deferred += 1;
            return;
        }
        self.assignment.hash(now, portion, parts);
        self.assignment.rehome(entries);
        let (of_mean, of_heaviest) = (load / snapshot.mean, parts.heaviest() / snapshot.mean);
        let why = format!(
            "{of_mean:.2} of a node's load: {}.{} -> {}.{} (depth.spread), its heaviest part then {of_heaviest:.2}; re-homes {:.4} %",
            old.depth,
            old.spread,
            portion.depth,
            portion.spread,
            100.0 * entries
        );
        self.reasons.push(Reason { subject: now.prefix.to_string(), why });
    }
}
