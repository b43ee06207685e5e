//! The phase [`merge`]: what has cooled goes back to where it was.

use super::budget::Budget;
use super::part_loads::PartLoads;
use super::plan::Reason;
use super::proposal::Proposal;
use super::snapshot::Snapshot;
use crate::key::KeyPrefix;
use crate::load::PrefixNow;
use crate::partition::Portion;

/// Merges prefixes that have cooled and brings cold partitions home, a little at a time, while no node is urgent. So the map stays
/// small.
pub(super) fn merge<'a>(snapshot: &Snapshot<'a>, budget: &Budget) -> Proposal<'a> {
    let mut proposal = Proposal::none(snapshot);
    if proposal.assignment.nodes().worst() <= snapshot.input.settings.urgent {
        merge_prefixes(snapshot, &mut proposal, budget);
        bring_home(snapshot, &mut proposal, budget);
    }
    proposal
}

fn merge_prefixes<'a>(snapshot: &Snapshot<'a>, proposal: &mut Proposal<'a>, budget: &Budget) {
    let limit = budget.for_order(proposal.assignment.entries());
    let below = snapshot.input.settings.merge_below * snapshot.mean;
    if snapshot.input.load.rounds_known() < 4 {
        return;
    }
    for (prefix, portion) in proposal.assignment.rules().clone() {
        if !may_merge(snapshot, &prefix, portion) {
            continue;
        }
        let cold = || PrefixNow {
            prefix: prefix.clone(),
            load: snapshot.input.load.prefix(&prefix),
            keys: 1,
            cells: Vec::new(),
        };
        let now = snapshot.assignment.prefixes().get(&prefix).cloned().unwrap_or_else(cold);
        let spreads = (0..=portion.spread).map(|spread| (spread, PartLoads::of(&now, spread)));
        let Some((spread, parts)) = spreads.into_iter().find(|(_, parts)| parts.heaviest() <= below) else { continue };
        let merged = match spread {
            // It needs no rule of its own any more.
            0 => proposal.assignment.covering(&prefix),
            spread if spread < portion.spread => Portion { spread, ..portion },
            _ => continue,
        };
        proposal.hash(snapshot, &now, (now.load, merged, &parts), limit);
    }
}

/// `false` for a rule that was changed a short while ago, or that is for what is foreseen.
fn may_merge(snapshot: &Snapshot<'_>, prefix: &KeyPrefix, portion: Portion) -> bool {
    let input = &snapshot.input;
    let is_own = usize::from(portion.depth) == prefix.depth() && prefix.depth() > 0;
    let changed = input.history.rule(prefix);
    let is_fresh = changed.is_some_and(|at| input.load.round() < at + 2 * input.settings.residence);
    is_own && !is_fresh && !input.is_foreseen(prefix)
}

/// Brings cold exceptions home where there are too many.
fn bring_home(snapshot: &Snapshot<'_>, proposal: &mut Proposal<'_>, budget: &Budget) {
    let map = snapshot.input.map;
    let bound = (snapshot.input.settings.exceptions * f64::from(map.partitions)) as usize;
    let over = map.exceptions.len().saturating_sub(bound);
    if over == 0 {
        return;
    }
    let assignment = &mut proposal.assignment;
    let most = budget.for_order(assignment.entries());
    let mut cold: Vec<u32> = map.exceptions.keys().copied().collect();
    cold.retain(|&partition| !assignment.is_moved(partition) && !assignment.is_tied(partition));
    cold.sort_by(|&a, &b| assignment.load(a).total_cmp(&assignment.load(b)).then(a.cmp(&b)));
    let (_, to) = snapshot.band();
    let mut done = 0;
    for partition in cold {
        if done >= over || assignment.entries() + assignment.share(partition) > most {
            break;
        }
        let home = assignment.home(partition);
        let fits = assignment.nodes().relative_with(home, assignment.load(partition)) <= to;
        if assignment.nodes().bears(home) && fits && snapshot.input.is_settled(partition) {
            assignment.assign(partition, home);
            done += 1;
        }
    }
    if done > 0 {
        let why = format!("{done} cold partitions back to their rendezvous winners: too many exceptions");
        proposal.reasons.push(Reason { subject: "map".to_owned(), why });
    }
}
