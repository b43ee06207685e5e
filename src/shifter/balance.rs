//! Moves of partitions and replicas between nodes.

use super::planner::Planner;

/// Nodes in one plan that nothing helps are looked at once.
const MAX_STEPS: usize = 20_000;

/// Takes load off nodes that have too much: replicas first, as they cost no entries, then partitions.
pub(super) fn relieve(planner: &mut Planner<'_>) {
    let (from, to) = planner.band();
    if planner.draft.worst() <= from {
        return;
    }
    let mut stuck = vec![false; planner.draft.nodes.len()];
    for _ in 0..MAX_STEPS {
        let next = planner.draft.heaviest().find(|&(_, node)| !stuck[usize::from(node)]);
        let Some((relative, node)) = next else { break };
        if relative <= to {
            break;
        }
        if move_replica(planner, node, to) {
            continue;
        }
        stuck[usize::from(node)] = !move_partition(planner, node, to);
    }
}

/// Has a lighter node take over a replica. Returns `false` where none would help.
fn move_replica(planner: &mut Planner<'_>, node: u16, to: f64) -> bool {
    let draft = &planner.draft;
    let excess = draft.nodes[usize::from(node)] - draft.targets[usize::from(node)] * to;
    // The one that fits best; of those that are too large, the smallest.
    let fit = |&at: &usize| {
        let piece = draft.groups[at].piece();
        if piece <= 0.0 {
            f64::INFINITY
        } else if piece <= 1.2 * excess {
            1.0 - piece / (1.2 * excess)
        } else {
            piece / excess
        }
    };
    let pieces = draft.pieces[usize::from(node)].iter().copied().filter(|at| fit(at).is_finite());
    let Some(group) = pieces.min_by(|a, b| fit(a).total_cmp(&fit(b)).then(a.cmp(b))) else { return false };
    let piece = draft.groups[group].piece();
    let nodes = &draft.groups[group].nodes;
    let bears = |other: &u16| draft.bears(*other) && !nodes.contains(other);
    let Some(other) = draft.lightest().map(|(_, other)| other).find(bears) else { return false };
    let then = (draft.nodes[usize::from(other)] + piece) / draft.targets[usize::from(other)];
    if then >= draft.relative(node) - 1e-6 || then > to.max(draft.relative(node) - 0.02) {
        return false;
    }
    let nodes = nodes.iter().map(|&at| if at == node { other } else { at }).collect();
    planner.draft.set_replicas(group, nodes);
    true
}

/// Moves the partition that relieves a node best. Returns `false` where none would help.
fn move_partition(planner: &mut Planner<'_>, node: u16, to: f64) -> bool {
    let draft = &planner.draft;
    let excess = draft.nodes[usize::from(node)] - draft.targets[usize::from(node)] * to;
    let bears = |other: &u16| draft.bears(*other) && *other != node;
    let Some(lightest) = draft.lightest().map(|(_, other)| other).find(bears) else { return false };
    let room = draft.targets[usize::from(lightest)] * to - draft.nodes[usize::from(lightest)];
    let urgent = draft.relative(node) > planner.settings.urgent;
    let history = planner.input.history;
    let most = room.min(1.25 * excess);
    let mut best: Option<(bool, f64, u32)> = None;
    let mut smallest: Option<(f64, u32)> = None;
    for &partition in &draft.owned[usize::from(node)] {
        let load = draft.load[partition as usize];
        let rests = draft.moved.contains(&partition) || !planner.is_settled(history.partition(partition));
        if load <= 0.0 || rests && !urgent {
            continue;
        }
        if load <= most {
            // The heaviest that fits, so that few entries carry much load; what belongs together stays so if it can.
            let candidate = (!draft.tied.contains(&partition), load, partition);
            if best.is_none_or(|best| (candidate.0, candidate.1, best.2) > (best.0, best.1, candidate.2)) {
                best = Some(candidate);
            }
        } else if smallest.is_none_or(|least| (load, partition) < least) {
            smallest = Some((load, partition));
        }
    }
    // What carries next to nothing is not worth its entries.
    let drained = draft.map.nodes[usize::from(node)].weight == 0;
    let worth = |load: f64| drained || load >= 0.1 * excess.min(room) || load >= 0.02 * planner.mean;
    let fitting = best.filter(|best| worth(best.1)).map(|best| (best.1, best.2));
    // Too large for the room, and still better there.
    let better = |&(load, _): &(f64, u32)| {
        (draft.nodes[usize::from(lightest)] + load) / draft.targets[usize::from(lightest)] < draft.relative(node) - 0.02
    };
    let Some((load, partition)) = fitting.or_else(|| smallest.filter(better)) else { return false };
    if !planner.affords(partition) {
        planner.deferred += 1;
        return false;
    }
    // At its rendezvous winner it needs no exception.
    let home = draft.base[partition as usize];
    let fits_home = home != node
        && bears(&home)
        && (draft.nodes[usize::from(home)] + load) / draft.targets[usize::from(home)] <= to;
    let target = if fits_home { home } else { lightest };
    let relative = draft.relative(node);
    planner.draft.assign(partition, target);
    let ids = [node, target].map(|at| planner.draft.map.nodes[usize::from(at)].id);
    let why =
        format!("node {} bears {relative:.3}: {:.3} of a node's load to node {}", ids[0], load / planner.mean, ids[1]);
    planner.because(format!("partition {partition}"), why);
    true
}

/// Brings prefixes that are fetched together to one node, the most frequent pairs first.
pub(super) fn bring_together(planner: &mut Planner<'_>) {
    let most = (planner.draft.entries + planner.settings.entries_for_order).min(planner.limit);
    let least = 0.1 / planner.pairs.len().max(1) as f64;
    let (_, to) = planner.band();
    for (one, other, frequency) in planner.pairs.clone() {
        let draft = &planner.draft;
        if frequency < least || draft.entries + draft.share(one).max(draft.share(other)) > most {
            break;
        }
        let homes = [one, other].map(|partition| draft.owner[partition as usize]);
        if homes[0] == homes[1] {
            planner.draft.tied.extend([one, other]);
            continue;
        }
        let history = planner.input.history;
        let fits = |partition: u32, node: u16| {
            let load = draft.nodes[usize::from(node)] + draft.load[partition as usize];
            let free = !draft.tied.contains(&partition) && planner.is_settled(history.partition(partition));
            free && draft.bears(node) && load / draft.targets[usize::from(node)] <= to
        };
        // The lighter one goes to the heavier one.
        let (light, heavy) = if draft.load[one as usize] <= draft.load[other as usize] { (0, 1) } else { (1, 0) };
        let partitions = [one, other];
        let choice = [(light, heavy), (heavy, light)].into_iter().find(|&(a, b)| fits(partitions[a], homes[b]));
        let Some((moving, staying)) = choice else { continue };
        planner.draft.assign(partitions[moving], homes[staying]);
        planner.draft.tied.extend([one, other]);
        let id = planner.draft.map.nodes[usize::from(homes[staying])].id;
        let why = format!(
            "{:.3} % of what is fetched together: joins partition {} at node {id}",
            100.0 * frequency,
            partitions[staying]
        );
        planner.because(format!("partition {}", partitions[moving]), why);
    }
}

/// Brings cold exceptions home where there are too many, so that the map stays small.
pub(super) fn bring_home(planner: &mut Planner<'_>) {
    let draft = &planner.draft;
    let bound = (planner.settings.exceptions * f64::from(draft.map.partitions)) as usize;
    let over = draft.map.exceptions.len().saturating_sub(bound);
    if over == 0 {
        return;
    }
    let most = (draft.entries + planner.settings.entries_for_order).min(planner.limit);
    let mut cold: Vec<u32> = draft.map.exceptions.keys().copied().collect();
    cold.retain(|partition| !draft.moved.contains(partition) && !draft.tied.contains(partition));
    cold.sort_by(|&a, &b| draft.load[a as usize].total_cmp(&draft.load[b as usize]).then(a.cmp(&b)));
    let mut done = 0;
    for partition in cold {
        let draft = &planner.draft;
        if done >= over || draft.entries + draft.share(partition) > most {
            break;
        }
        let home = draft.base[partition as usize];
        let then = (draft.nodes[usize::from(home)] + draft.load[partition as usize]) / draft.targets[usize::from(home)];
        let settled = planner.is_settled(planner.input.history.partition(partition));
        if planner.draft.bears(home) && then <= planner.band().1 && settled {
            planner.draft.assign(partition, home);
            done += 1;
        }
    }
    if done > 0 {
        planner.because("map", format!("{done} cold partitions back to their rendezvous winners: too many exceptions"));
    }
}
