//! The phase [`replicate`]: replicas for hot keys.

use std::collections::BTreeMap;

use super::budget::Budget;
use super::hot_group::{HotGroup, parent};
use super::plan::Reason;
use super::proposal::Proposal;
use super::snapshot::Snapshot;
use crate::key::{CompositeKey, KeyPrefix};

/// Share of the load of a group that a key of it has at least.
const LEAST_OF_GROUP: f64 = 0.02;

/// Takes keys that are too hot for one node off their partitions, and gives those that have cooled back. Which nodes serve them
/// is decided when they are placed.
pub(super) fn replicate<'a>(snapshot: &Snapshot<'a>, budget: &Budget) -> Proposal<'a> {
    let mut proposal = Proposal::none(snapshot);
    give_back(snapshot, &mut proposal, budget);
    let taken: usize = proposal.assignment.groups().iter().map(|group| group.keys.len()).sum();
    let mut room = snapshot.input.settings.max_hot.min(1_024).saturating_sub(taken);
    for unit in units(snapshot) {
        let entries = snapshot.input.entry() * unit.keys.len() as f64;
        if unit.keys.len() > room || proposal.assignment.entries() + entries > budget.limit {
            proposal.deferred += 1;
            continue;
        }
        room -= unit.keys.len();
        proposal.assignment.rehome(entries);
        take_off(snapshot, &mut proposal, unit);
    }
    join(snapshot, &mut proposal, budget);
    proposal
}

/// Gives keys that have cooled back to the owner of their partition.
fn give_back(snapshot: &Snapshot<'_>, proposal: &mut Proposal<'_>, budget: &Budget) {
    let input = &snapshot.input;
    let until = input.settings.replicate_until * snapshot.mean;
    let mut spent = proposal.assignment.entries();
    let cooled = proposal.assignment.remove_groups(|group| {
        let entries = input.entry() * group.keys.len() as f64;
        let is_cold = group.load() < until && input.load.rounds_known() > 1;
        let goes = is_cold && !group.is_foreseen(input) && spent + entries <= budget.limit;
        spent += if goes { entries } else { 0.0 };
        goes
    });
    for group in cooled {
        proposal.assignment.rehome(input.entry() * group.keys.len() as f64);
        proposal.assignment.take_load(&group.nodes, group.load());
        for (key, load) in group.keys {
            proposal.assignment.add(snapshot.placement.partition(&key).0, load);
            let why = format!("{:.2} of a node's load: served by its owner again", load / snapshot.mean);
            proposal.reasons.push(Reason { subject: key.to_string(), why });
        }
    }
}

/// Keys without replicas that are too hot for one node, alone or with others of their parent; the hottest first.
fn units(snapshot: &Snapshot<'_>) -> Vec<HotGroup> {
    let from = snapshot.input.settings.replicate_from * snapshot.mean;
    let known: Vec<&CompositeKey> = snapshot.input.map.hot.iter().map(|hot| &hot.key).collect();
    let mut together: BTreeMap<&str, HotGroup> = BTreeMap::new();
    for (key, load) in snapshot.input.load.keys(from * LEAST_OF_GROUP) {
        if known.binary_search(&key).is_err() {
            together.entry(parent(key, &snapshot.placement)).or_default().keys.push((key.clone(), load));
        }
    }
    let mut units: Vec<HotGroup> = Vec::new();
    for mut group in together.into_values() {
        let least = LEAST_OF_GROUP * group.load();
        if group.keys.iter().filter(|&&(_, load)| load >= least).count() > HotGroup::MAX_KEYS {
            units.extend(group.keys.into_iter().map(|key| HotGroup { keys: vec![key], ..HotGroup::default() }));
        } else {
            group.keys.retain(|&(_, load)| load >= least);
            units.push(group);
        }
    }
    units.retain(|unit| unit.load() >= from);
    units.sort_by(|a, b| b.load().total_cmp(&a.load()).then_with(|| a.keys[0].0.cmp(&b.keys[0].0)));
    units
}

fn take_off(snapshot: &Snapshot<'_>, proposal: &mut Proposal<'_>, unit: HotGroup) {
    for (key, load) in &unit.keys {
        let (partition, portion, _) = snapshot.placement.partition(key);
        proposal.assignment.take_off(key, *load, (partition, portion));
    }
    let (others, of_mean) = (unit.keys.len() - 1, unit.load() / snapshot.mean);
    let why = format!("with {others} of the same parent {of_mean:.2} of a node's load: served by replicas");
    proposal.reasons.push(Reason { subject: unit.keys[0].0.to_string(), why });
    proposal.assignment.add_group(unit);
}

/// Has groups served by the same replicas where their prefixes are fetched together and the next component is the same: what
/// belongs to one thing usually has one name. The most frequent pairs first.
fn join(snapshot: &Snapshot<'_>, proposal: &mut Proposal<'_>, budget: &Budget) {
    let groups = proposal.assignment.groups();
    let mut by_prefix: BTreeMap<KeyPrefix, BTreeMap<String, usize>> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        let Some((key, _)) = group.keys.first() else { continue };
        let depth = usize::from(snapshot.placement.partition(key).1.depth);
        let prefix = KeyPrefix::of_portion(key.portion(depth));
        let next = key.component_after(depth).unwrap_or_default().to_owned();
        by_prefix.entry(prefix).or_default().insert(next, at);
    }
    let pairs = snapshot.input.load.together();
    let mut pairs: Vec<_> = pairs.filter(|(a, b, _)| by_prefix.contains_key(a) && by_prefix.contains_key(b)).collect();
    pairs.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| (a.0, a.1).cmp(&(b.0, b.1))));
    let mut partner: BTreeMap<usize, usize> = BTreeMap::new();
    let mut taken = vec![false; groups.len()];
    let (mut spent, mut costs) = (proposal.assignment.entries(), Vec::new());
    for (a, b, _) in pairs {
        for (next, &one) in &by_prefix[a] {
            let Some(&other) = by_prefix[b].get(next) else { continue };
            let (large, small) = if groups[one].load() >= groups[other].load() { (one, other) } else { (other, one) };
            let fits = groups[one].keys.len() + groups[other].keys.len() <= HotGroup::MAX_KEYS;
            let is_free = groups[one].nodes == groups[other].nodes;
            let cost = if is_free { 0.0 } else { snapshot.input.entry() * groups[small].keys.len() as f64 };
            let affordable = is_free || spent + cost <= budget.limit;
            if !taken[one] && !taken[other] && fits && affordable {
                (taken[one], taken[other]) = (true, true);
                spent += cost;
                costs.push(cost);
                partner.insert(large, small);
            }
        }
    }
    if !partner.is_empty() {
        costs.into_iter().for_each(|cost| proposal.assignment.rehome(cost));
        proposal.assignment.join_groups(&partner);
    }
}
