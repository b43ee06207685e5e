//! Replicas for hot keys, placed by load.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::HotGroup;
use super::planner::{PlanInput, Planner};
use crate::key::{CompositeKey, KeyPrefix};
use crate::load::Upcoming;
use crate::load::cell_of;
use crate::partition::{NodeId, Placement};

/// Most keys of one parent that share their replicas. More are taken one by one.
const MAX_GROUP: usize = 16;
/// What a key of a group has at least, as a share of the group.
const LEAST_OF_GROUP: f64 = 0.02;

/// The keys that have replicas in the map, with their loads, as groups.
pub(super) fn groups_of(input: &PlanInput<'_>, placement: &Placement) -> Vec<HotGroup> {
    let map = input.map;
    let mut groups: Vec<HotGroup> = Vec::new();
    let mut known: BTreeMap<(&str, Vec<u16>), usize> = BTreeMap::new();
    for hot in &map.hot {
        let mut nodes: Vec<u16> = hot.nodes.iter().filter_map(|&id| map.index_of(id)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let key = (hot.key.clone(), input.load.key(&hot.key));
        // What was replicated together, and has the same nodes, is a group.
        let parent = parent(&hot.key, placement);
        match known.get(&(parent, nodes.clone())) {
            Some(&at) if groups[at].keys.len() < MAX_GROUP => groups[at].keys.push(key),
            _ => {
                known.insert((parent, nodes.clone()), groups.len());
                groups.push(HotGroup { keys: vec![key], nodes });
            }
        }
    }
    groups
}

/// What keys of a group have in common: one component more than is hashed. Such keys are fetched together more often than not.
fn parent<'a>(key: &'a CompositeKey, placement: &Placement) -> &'a str {
    key.portion(usize::from(placement.partition(key).1.depth) + 1)
}

/// A key that is to get replicas.
struct Candidate {
    key: CompositeKey,
    load: f64,
    partition: u32,
    depth: usize,
}

/// Takes keys that are too hot for one node off their partitions, and gives those that have cooled back.
pub(super) fn replicate(planner: &mut Planner<'_>) {
    let (mean, settings) = (planner.mean, planner.settings);
    cool(planner);
    let known: Vec<&CompositeKey> = planner.draft.map.hot.iter().map(|hot| &hot.key).collect();
    let mut together: BTreeMap<&str, Vec<Candidate>> = BTreeMap::new();
    let input = planner.input;
    for (key, load) in input.load.keys(mean * settings.replicate_from * LEAST_OF_GROUP) {
        if known.binary_search(&key).is_ok() {
            continue;
        }
        let (partition, portion, _) = planner.placement.partition(key);
        let depth = usize::from(portion.depth);
        let candidate = Candidate { key: key.clone(), load, partition, depth };
        together.entry(parent(key, &planner.placement)).or_default().push(candidate);
    }
    let mut units: Vec<Vec<Candidate>> = Vec::new();
    for group in together.into_values() {
        let load: f64 = group.iter().map(|candidate| candidate.load).sum();
        let heavy = group.iter().filter(|candidate| candidate.load >= LEAST_OF_GROUP * load).count();
        if heavy > MAX_GROUP {
            units.extend(group.into_iter().map(|candidate| vec![candidate]));
        } else {
            units.push(group.into_iter().filter(|candidate| candidate.load >= LEAST_OF_GROUP * load).collect());
        }
    }
    let load_of = |unit: &[Candidate]| unit.iter().map(|candidate| candidate.load).sum::<f64>();
    units.retain(|unit| load_of(unit) >= settings.replicate_from * mean);
    units.sort_by(|a, b| load_of(b).total_cmp(&load_of(a)).then_with(|| a[0].key.cmp(&b[0].key)));
    let mut room = settings.max_hot.min(1_024).saturating_sub(planner.draft.groups.iter().map(|g| g.keys.len()).sum());
    for unit in units {
        let entries = planner.entry() * unit.len() as f64;
        if unit.len() > room || planner.draft.entries + entries > planner.limit {
            planner.deferred += 1;
            continue;
        }
        room -= unit.len();
        planner.draft.entries += entries;
        take_off(planner, unit);
    }
    join(planner);
}

/// Has groups served by the same replicas where their prefixes are fetched together and the next component is the same: what
/// belongs to one thing usually has one name. The most frequent pairs first.
fn join(planner: &mut Planner<'_>) {
    let mut by_prefix: BTreeMap<KeyPrefix, BTreeMap<String, usize>> = BTreeMap::new();
    for (at, group) in planner.draft.groups.iter().enumerate() {
        let Some((key, _)) = group.keys.first() else { continue };
        let depth = usize::from(planner.placement.partition(key).1.depth);
        let prefix = KeyPrefix::of_portion(key.portion(depth));
        let next = key.component_after(depth).unwrap_or_default().to_owned();
        by_prefix.entry(prefix).or_default().insert(next, at);
    }
    let known =
        planner.input.load.together().filter(|(a, b, _)| by_prefix.contains_key(a) && by_prefix.contains_key(b));
    let mut pairs: Vec<_> = known.collect();
    pairs.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| (a.0, a.1).cmp(&(b.0, b.1))));
    let mut partner: BTreeMap<usize, usize> = BTreeMap::new();
    let mut taken = vec![false; planner.draft.groups.len()];
    for (a, b, _) in pairs {
        for (next, &one) in &by_prefix[a] {
            let Some(&other) = by_prefix[b].get(next) else { continue };
            let groups = &planner.draft.groups;
            let (large, small) = if groups[one].load() >= groups[other].load() { (one, other) } else { (other, one) };
            let fits = groups[one].keys.len() + groups[other].keys.len() <= MAX_GROUP;
            let cost = planner.entry() * groups[small].keys.len() as f64;
            let free = groups[one].nodes == groups[other].nodes;
            if !taken[one] && !taken[other] && fits && (free || planner.draft.entries + cost <= planner.limit) {
                (taken[one], taken[other]) = (true, true);
                planner.draft.entries += if free { 0.0 } else { cost };
                partner.insert(large, small);
            }
        }
    }
    if !partner.is_empty() {
        planner.draft.join_groups(&partner);
    }
}

fn take_off(planner: &mut Planner<'_>, unit: Vec<Candidate>) {
    let seed = planner.draft.map.seeds[1];
    let mut group = HotGroup { keys: Vec::new(), nodes: Vec::new() };
    for candidate in unit {
        let Candidate { key, load, partition, depth } = candidate;
        planner.draft.add(partition, -load);
        // Neither the prefix nor what is below it has this load any more.
        for depth in [depth, depth + 1] {
            let Some(next) = key.component_after(depth) else { continue };
            let prefix = KeyPrefix::of_portion(key.portion(depth));
            if let Some(now) = planner.prefixes.get_mut(&prefix) {
                now.load = (now.load - load).max(0.0);
                let at = cell_of(seed, next);
                if let Ok(cell) = now.cells.binary_search_by_key(&at, |cell| cell.0) {
                    now.cells[cell].1 = (now.cells[cell].1 - load).max(0.0);
                }
            }
        }
        group.keys.push((key, load));
    }
    let of_mean = group.load() / planner.mean;
    let others = group.keys.len() - 1;
    let subject = group.keys[0].0.clone();
    let why = format!("with {others} of the same parent {of_mean:.2} of a node's load: served by replicas");
    planner.because(subject, why);
    planner.draft.add_group(group);
}

/// Whether the keys of a group are about to be asked for.
fn is_foreseen(planner: &Planner<'_>, group: &HotGroup) -> bool {
    let covers = |key: &CompositeKey| planner.input.forecast.upcoming().iter().any(|step| step.to.covers(key));
    group.keys.first().is_some_and(|(key, _)| covers(key))
}

/// Gives keys that have cooled back to the owner of their partition.
fn cool(planner: &mut Planner<'_>) {
    let until = planner.settings.replicate_until * planner.mean;
    let groups = std::mem::take(&mut planner.draft.groups);
    planner.draft.pieces.iter_mut().for_each(Vec::clear);
    for mut group in groups {
        let cold = group.load() < until && planner.input.load.rounds_known() > 1;
        let foreseen = is_foreseen(planner, &group);
        let entries = planner.entry() * group.keys.len() as f64;
        if !cold || foreseen || planner.draft.entries + entries > planner.limit {
            planner.draft.readd_group(group);
            continue;
        }
        planner.draft.entries += entries;
        let nodes = std::mem::take(&mut group.nodes);
        planner.draft.take_load(&nodes, group.load());
        for (key, load) in group.keys {
            let partition = planner.placement.partition(&key).0;
            planner.draft.add(partition, load);
            planner.because(key, format!("{:.2} of a node's load: served by its owner again", load / planner.mean));
        }
    }
}

/// Gives each group as many replicas as its load takes, on the lightest nodes.
pub(super) fn spread_replicas(planner: &mut Planner<'_>) {
    let piece = planner.settings.replica * planner.mean;
    let bearing = planner.draft.bearing();
    let mut groups: Vec<usize> = (0..planner.draft.groups.len()).collect();
    let load = |planner: &Planner<'_>, at: usize| planner.draft.groups[at].load();
    groups.sort_by(|&a, &b| load(planner, b).total_cmp(&load(planner, a)).then(a.cmp(&b)));
    for at in groups {
        let (load, now) = (load(planner, at), planner.draft.groups[at].nodes.len());
        // What waits for its time has replicas already.
        if now > 0 && is_foreseen(planner, &planner.draft.groups[at]) {
            continue;
        }
        let want = ((load / piece).ceil() as usize).clamp(2, bearing.max(2)).min(bearing);
        if now >= 2.min(bearing) && now * 4 >= want * 3 && now <= want * 2 {
            continue;
        }
        let mut nodes = planner.draft.groups[at].nodes.clone();
        if now > want {
            // The heaviest nodes are let go.
            nodes.sort_by(|&a, &b| planner.draft.relative(a).total_cmp(&planner.draft.relative(b)).then(a.cmp(&b)));
            nodes.truncate(want);
        } else {
            let free = planner.draft.lightest().map(|(_, node)| node);
            let free = free.filter(|node| !nodes.contains(node) && planner.draft.bears(*node));
            let added: Vec<u16> = free.take(want - now).collect();
            nodes.extend(added);
        }
        planner.draft.set_replicas(at, nodes);
    }
}

/// Gives the keys of a prefix that is to come the replicas of those they follow. Returns how many.
pub(super) fn foresee(planner: &mut Planner<'_>, step: &Upcoming) -> usize {
    let known: BTreeSet<CompositeKey> =
        planner.draft.groups.iter().flat_map(|group| group.keys.iter().map(|(key, _)| key.clone())).collect();
    let mut added = 0;
    for at in 0..planner.draft.groups.len() {
        let group = &planner.draft.groups[at];
        let next = |(key, _): &(CompositeKey, f64)| {
            let rest = key.as_str().strip_prefix(step.from.slashed())?;
            CompositeKey::from_canonical(&format!("{}{rest}", step.to.slashed()))
        };
        let keys: Vec<_> = group.keys.iter().filter_map(next).filter(|key| !known.contains(key)).collect();
        if keys.is_empty() || known.len() + added + keys.len() > planner.settings.max_hot {
            continue;
        }
        added += keys.len();
        let group = HotGroup { keys: keys.into_iter().map(|key| (key, 0.0)).collect(), nodes: group.nodes.clone() };
        planner.draft.add_group(group);
    }
    added
}

/// Has a key served by these nodes, or by its owner alone where there are none.
pub(super) fn replace(planner: &mut Planner<'_>, key: &CompositeKey, ids: &[NodeId]) {
    let draft = &mut planner.draft;
    let nodes: Vec<u16> = ids.iter().filter_map(|&id| draft.map.index_of(id)).collect();
    let load = planner.input.load.key(key);
    let known = draft.groups.iter().position(|group| group.keys.iter().any(|(other, _)| other == key));
    match known {
        Some(at) => {
            let group = &mut draft.groups[at];
            group.keys.retain(|(other, _)| other != key);
            let old = group.nodes.clone();
            draft.take_load(&old, load);
        }
        None => draft.add(planner.placement.partition(key).0, -load),
    }
    if nodes.is_empty() {
        draft.add(planner.placement.partition(key).0, load);
    } else {
        draft.add_group(HotGroup { keys: vec![(key.clone(), load)], nodes });
    }
}
