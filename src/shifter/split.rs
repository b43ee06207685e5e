//! The phase [`split`]: spread bits and depth for hot prefixes.

use super::budget::Budget;
use super::part_loads::PartLoads;
use super::proposal::Proposal;
use super::snapshot::Snapshot;
use crate::load::PrefixNow;
use crate::partition::{MAX_DEPTH, MAX_SPREAD, Portion};

/// Splits prefixes that are too heavy for one node, as finely as it takes and at once. What alone is too much for a node stays too
/// much until it is split, however much that re-homes: one such split a plan may go beyond the budget.
pub(super) fn split<'a>(snapshot: &Snapshot<'a>, budget: &Budget) -> Proposal<'a> {
    let mut proposal = Proposal::none(snapshot);
    let (settings, forecast) = (snapshot.input.settings, snapshot.input.forecast);
    let expected = snapshot.assignment.prefixes().values().map(|now| (now, now.load * forecast.factor(&now.prefix)));
    let mut heavy: Vec<_> = expected.filter(|&(_, load)| load > settings.split_from * snapshot.mean).collect();
    heavy.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.prefix.cmp(&b.0.prefix)));
    let mut limit = budget.for_splits;
    let mut pressing = settings.urgent * snapshot.mean;
    for (now, load) in heavy {
        let portion = proposal.assignment.portion(&now.prefix);
        let Some((portion, parts)) = finer(snapshot, now, load, portion) else { continue };
        let cannot_wait = load > std::mem::replace(&mut pressing, f64::INFINITY);
        let before = proposal.assignment.entries();
        proposal.hash(snapshot, now, (load, portion, &parts), if cannot_wait { f64::INFINITY } else { limit });
        if proposal.assignment.entries() > limit && cannot_wait {
            proposal.beyond = proposal.assignment.entries() - before;
            limit += proposal.beyond;
        }
    }
    proposal
}

/// A portion that leaves no part above what a part may have, if one is needed and helps; with the loads of its parts.
fn finer(snapshot: &Snapshot<'_>, now: &PrefixNow, load: f64, portion: Portion) -> Option<(Portion, PartLoads)> {
    let (input, prefix) = (&snapshot.input, &now.prefix);
    let (depth, len) = (usize::from(portion.depth), prefix.depth());
    if depth > len || len > usize::from(MAX_DEPTH) || input.history.is_held(prefix, input.load.round()) {
        return None;
    }
    let parts = |spread| PartLoads::under(load, now, spread);
    // One component too short: all of it lies in one part of the prefix above.
    let (now_at, first) = if depth == len { (portion.spread, portion.spread + 1) } else { (0, 0) };
    let current = parts(now_at).heaviest();
    if current <= input.settings.split_from * snapshot.mean || first > MAX_SPREAD {
        return None;
    }
    let finest = parts(MAX_SPREAD).heaviest();
    let enough = (input.settings.piece * snapshot.mean).max(finest * 1.1);
    let finer = (first.max(1)..=MAX_SPREAD).map(|spread| (spread, parts(spread)));
    let (spread, parts) = finer.into_iter().find(|(_, parts)| parts.heaviest() <= enough)?;
    (parts.heaviest() < 0.85 * current).then_some((Portion { depth: len as u8, spread }, parts))
}
