//! The phase [`place`]: owners for partitions, and nodes for replicas.

use super::assignment::Assignment;
use super::budget::Budget;
use super::hot_group::HotGroup;
use super::plan::Reason;
use super::proposal::Proposal;
use super::snapshot::Snapshot;

/// Nodes in one plan that nothing helps are looked at once.
const MAX_STEPS: usize = 20_000;

/// Takes load off nodes that have too much, gives hot keys as many replicas as their load takes, and, where that leaves no node
/// urgent, brings together what is fetched together.
pub(super) fn place<'a>(snapshot: &Snapshot<'a>, budget: &Budget) -> Proposal<'a> {
    let mut proposal = Proposal::none(snapshot);
    relieve(snapshot, &mut proposal, budget);
    spread_replicas(snapshot, &mut proposal.assignment);
    relieve(snapshot, &mut proposal, budget);
    if proposal.assignment.nodes().worst() <= snapshot.input.settings.urgent {
        bring_together(snapshot, &mut proposal, budget);
    }
    proposal
}

/// Takes load off nodes that have too much: replicas first, as they cost no entries, then partitions.
fn relieve(snapshot: &Snapshot<'_>, proposal: &mut Proposal<'_>, budget: &Budget) {
    let (from, to) = snapshot.band();
    if proposal.assignment.nodes().worst() <= from {
        return;
    }
    let mut stuck = vec![false; proposal.assignment.nodes().len()];
    for _ in 0..MAX_STEPS {
        let next = proposal.assignment.nodes().heaviest().find(|&(_, node)| !stuck[usize::from(node)]);
        let Some((_, node)) = next.filter(|&(relative, _)| relative > to) else { break };
        if !move_replica(&mut proposal.assignment, node, to) {
            stuck[usize::from(node)] = !move_partition(snapshot, proposal, budget, (node, to));
        }
    }
}

/// Has a lighter node take over a replica. Returns `false` where none would help.
fn move_replica(assignment: &mut Assignment<'_>, node: u16, to: f64) -> bool {
    let excess = assignment.nodes().excess(node, to);
    // The one that fits best; of those that are too large, the smallest.
    let fit = |&at: &usize| {
        let piece = assignment.groups()[at].piece();
        if piece <= 0.0 {
            f64::INFINITY
        } else if piece <= 1.2 * excess {
            1.0 - piece / (1.2 * excess)
        } else {
            piece / excess
        }
    };
    let pieces = assignment.pieces(node).iter().copied().filter(|at| fit(at).is_finite());
    let Some(at) = pieces.min_by(|a, b| fit(a).total_cmp(&fit(b)).then(a.cmp(b))) else { return false };
    let group = &assignment.groups()[at];
    let Some(other) = assignment.nodes().lightest().find(|other| !group.nodes.contains(other)) else { return false };
    let (now, then) = (assignment.nodes().relative(node), assignment.nodes().relative_with(other, group.piece()));
    if then >= now - 1e-6 || then > to.max(now - 0.02) {
        return false;
    }
    let nodes = group.nodes.iter().map(|&at| if at == node { other } else { at }).collect();
    assignment.set_replicas(at, nodes);
    true
}

/// Moves the partition that relieves a node best. Returns `false` where none would help.
fn move_partition(
    snapshot: &Snapshot<'_>,
    proposal: &mut Proposal<'_>,
    budget: &Budget,
    (node, to): (u16, f64),
) -> bool {
    let assignment = &proposal.assignment;
    let nodes = assignment.nodes();
    let Some(lightest) = nodes.lightest().find(|&other| other != node) else { return false };
    let Some((load, partition)) = best_partition(snapshot, assignment, (node, to), lightest) else { return false };
    if assignment.entries() + assignment.share(partition) > budget.limit {
        proposal.deferred += 1;
        return false;
    }
    // At its rendezvous winner it needs no exception.
    let home = assignment.home(partition);
    let fits_home = home != node && nodes.bears(home) && nodes.relative_with(home, load) <= to;
    let target = if fits_home { home } else { lightest };
    let [from, at] = [node, target].map(|node| assignment.id(node));
    let (relative, of_mean) = (nodes.relative(node), load / snapshot.mean);
    let why = format!("node {from} bears {relative:.3}: {of_mean:.3} of a node's load to node {at}");
    proposal.assignment.assign(partition, target);
    proposal.reasons.push(Reason { subject: format!("partition {partition}"), why });
    true
}

/// The partition, with its load, that relieves a node best at the lightest one: the heaviest that fits, so that few entries carry
/// much load; what belongs together stays so if it can. Otherwise the smallest, if it is still better there.
fn best_partition(
    snapshot: &Snapshot<'_>,
    assignment: &Assignment<'_>,
    (node, to): (u16, f64),
    lightest: u16,
) -> Option<(f64, u32)> {
    let nodes = assignment.nodes();
    let (excess, room) = (nodes.excess(node, to), -nodes.excess(lightest, to));
    let is_urgent = nodes.relative(node) > snapshot.input.settings.urgent;
    let most = room.min(1.25 * excess);
    let mut best: Option<(bool, f64, u32)> = None;
    let mut smallest: Option<(f64, u32)> = None;
    for &partition in assignment.owned(node) {
        let load = assignment.load(partition);
        let rests = assignment.is_moved(partition) || !snapshot.input.is_settled(partition);
        if load <= 0.0 || rests && !is_urgent {
            continue;
        }
        if load <= most {
            let candidate = (!assignment.is_tied(partition), load, partition);
            if best.is_none_or(|best| (candidate.0, candidate.1, best.2) > (best.0, best.1, candidate.2)) {
                best = Some(candidate);
            }
        } else if smallest.is_none_or(|least| (load, partition) < least) {
            smallest = Some((load, partition));
        }
    }
    // What carries next to nothing is not worth its entries.
    let drained = snapshot.input.map.nodes[usize::from(node)].weight == 0;
    let worth = |load: f64| drained || load >= 0.1 * excess.min(room) || load >= 0.02 * snapshot.mean;
    let fitting = best.filter(|best| worth(best.1)).map(|best| (best.1, best.2));
    let better = |&(load, _): &(f64, u32)| nodes.relative_with(lightest, load) < nodes.relative(node) - 0.02;
    fitting.or_else(|| smallest.filter(better))
}

/// Gives each group as many replicas as its load takes, on the lightest nodes.
fn spread_replicas(snapshot: &Snapshot<'_>, assignment: &mut Assignment<'_>) {
    let piece = snapshot.input.settings.replica * snapshot.mean;
    let bearing = assignment.nodes().bearing();
    let mut groups: Vec<(usize, f64)> = assignment.groups().iter().map(HotGroup::load).enumerate().collect();
    groups.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    for (at, load) in groups {
        let group = &assignment.groups()[at];
        let now = group.nodes.len();
        // What waits for its time has replicas already.
        if now > 0 && group.is_foreseen(&snapshot.input) {
            continue;
        }
        let want = ((load / piece).ceil() as usize).clamp(2, bearing.max(2)).min(bearing);
        if now >= 2.min(bearing) && now * 4 >= want * 3 && now <= want * 2 {
            continue;
        }
        let (nodes, mut replicas) = (assignment.nodes(), group.nodes.clone());
        if now > want {
            // The heaviest nodes are let go.
            replicas.sort_by(|&a, &b| nodes.relative(a).total_cmp(&nodes.relative(b)).then(a.cmp(&b)));
            replicas.truncate(want);
        } else {
            replicas.extend(nodes.lightest().filter(|node| !group.nodes.contains(node)).take(want - now));
        }
        assignment.set_replicas(at, replicas);
    }
}

/// Brings prefixes that are fetched together to one node, the most frequent pairs first.
fn bring_together(snapshot: &Snapshot<'_>, proposal: &mut Proposal<'_>, budget: &Budget) {
    let pairs = &snapshot.pairs.partitions;
    let most = budget.for_order(proposal.assignment.entries());
    let least = 0.1 / pairs.len().max(1) as f64;
    let (_, to) = snapshot.band();
    for &(one, other, frequency) in pairs {
        let assignment = &proposal.assignment;
        if frequency < least || assignment.entries() + assignment.share(one).max(assignment.share(other)) > most {
            break;
        }
        if assignment.owner(one) != assignment.owner(other) {
            let fits = |partition: u32, node: u16| {
                !assignment.is_tied(partition)
                    && snapshot.input.is_settled(partition)
                    && assignment.nodes().bears(node)
                    && assignment.nodes().relative_with(node, assignment.load(partition)) <= to
            };
            // The lighter one goes to the heavier one.
            let is_lighter = assignment.load(one) <= assignment.load(other);
            let (light, heavy) = if is_lighter { (one, other) } else { (other, one) };
            let choices = [(light, heavy), (heavy, light)].into_iter();
            let mut choices = choices.map(|(moving, staying)| (moving, staying, assignment.owner(staying)));
            let Some((moving, staying, node)) = choices.find(|&(moving, _, node)| fits(moving, node)) else { continue };
            let id = assignment.id(node);
            proposal.assignment.assign(moving, node);
            let share = 100.0 * frequency;
            let why = format!("{share:.3} % of what is fetched together: joins partition {staying} at node {id}");
            proposal.reasons.push(Reason { subject: format!("partition {moving}"), why });
        }
        proposal.assignment.tie([one, other]);
    }
}
