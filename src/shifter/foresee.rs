//! The phase [`foresee`]: what steps with the clock is where it will be before the step comes.

use std::collections::BTreeSet;

use super::assignment::Assignment;
use super::budget::Budget;
use super::hot_group::HotGroup;
use super::part_loads::PartLoads;
use super::plan::Reason;
use super::proposal::Proposal;
use super::snapshot::Snapshot;
use crate::key::{CompositeKey, KeyPrefix};
use crate::load::{ROUND_MS, Upcoming};

/// Gives the next of the prefixes that step with the clock the portion, the homes and the replicas of the one that is hot now, and
/// so its load is where it was when the step comes.
pub(super) fn foresee<'a>(snapshot: &Snapshot<'a>, budget: &Budget) -> Proposal<'a> {
    let mut proposal = Proposal::none(snapshot);
    for step in snapshot.input.forecast.upcoming() {
        // The loads known are of before: afterwards there is nothing to copy.
        if step.at < snapshot.input.load.round() * ROUND_MS {
            continue;
        }
        let homes = copy_homes(snapshot, &mut proposal.assignment, step, budget.for_steps);
        let replicas = copy_replicas(&mut proposal.assignment, step, snapshot.input.settings.max_hot);
        if homes + replicas > 0 {
            let why = format!("follows {} at {}: gets its portion and its homes before", step.from, step.at);
            proposal.reasons.push(Reason { subject: step.to.to_string(), why });
        }
    }
    proposal
}

/// The name in the prefix that follows, of what is below the one before.
fn stepped(step: &Upcoming, text: &str) -> Option<String> {
    text.strip_prefix(step.from.slashed()).map(|rest| format!("{}{rest}", step.to.slashed()))
}

/// Copies rules and owners. Returns how many.
fn copy_homes(snapshot: &Snapshot<'_>, assignment: &mut Assignment<'_>, step: &Upcoming, limit: f64) -> usize {
    let mut count = 0;
    for now in snapshot.assignment.prefixes().values() {
        let Some(to) = stepped(step, now.prefix.slashed()) else { continue };
        let Some(to) = KeyPrefix::from_canonical(to.trim_end_matches('/')) else { continue };
        let portion = assignment.portion(&now.prefix);
        if usize::from(portion.depth) != now.prefix.depth() {
            continue;
        }
        let rules = assignment.rules();
        if rules.contains_key(&now.prefix) && rules.get(&to) != Some(&portion) {
            // Nothing is known to be there yet, so that nothing is re-homed.
            assignment.set_rule(to.clone(), portion);
            count += 1;
        }
        let map = snapshot.input.map;
        let Some((from, next)) = map.parts(&now.prefix, portion).zip(map.parts(&to, portion)) else { continue };
        for ((from, next), load) in from.into_iter().zip(next).zip(PartLoads::of(now, portion.spread).0) {
            let home = assignment.owner(from);
            let affordable = assignment.entries() + assignment.share(next) <= limit;
            if load >= 0.03 * snapshot.mean && assignment.owner(next) != home && affordable {
                assignment.assign(next, home);
                assignment.tie([next]);
                count += 1;
            }
        }
    }
    count
}

/// Gives keys the replicas of those they follow. Returns how many.
fn copy_replicas(assignment: &mut Assignment<'_>, step: &Upcoming, max_hot: usize) -> usize {
    let keys = assignment.groups().iter().flat_map(|group| &group.keys);
    let known: BTreeSet<CompositeKey> = keys.map(|(key, _)| key.clone()).collect();
    let mut added = 0;
    for group in assignment.groups().to_vec() {
        let next = |(key, _): &(CompositeKey, f64)| CompositeKey::from_canonical(&stepped(step, key.as_str())?);
        let keys = group.keys.iter().filter_map(next).filter(|key| !known.contains(key));
        let keys: Vec<_> = keys.map(|key| (key, 0.0)).collect();
        if !keys.is_empty() && known.len() + added + keys.len() <= max_hot {
            added += keys.len();
            assignment.add_group(HotGroup { keys, nodes: group.nodes });
        }
    }
    added
}
