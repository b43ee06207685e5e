//! Nodes whose keys a next map changes: who has to warm up, and who can tell what.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::key::{CompositeKey, KeyPrefix};
use crate::partition::{MapDelta, NodeId, PartitionMap, Placement, Portion};

/// Most parts of prefixes that are looked at one by one; beyond, anybody may gain.
const MAX_PARTS: usize = 1 << 14;

/// The nodes that may own keys in `next` that they do not own in `map`. It errs towards yes.
///
/// Where only exceptions, replicas and rules differ that are those that own what differs. Where weights differ,
/// rendezvous hashing gives a partition to another node only where the winner lost weight or the other gained some.
///
/// O(map), and O(nodes) for each partition that is touched: to be asked once for a pair of maps.
pub fn new_owners(map: &PartitionMap, next: &PartitionMap) -> BTreeSet<NodeId> {
    let Some(delta) = MapDelta::between(map, next) else { return everybody(next) };
    let mut gainers = by_weight(map, next);
    if (&map.rules, &map.exceptions, &map.hot) == (&next.rules, &next.exceptions, &next.hot) {
        return gainers;
    }
    let (before, after) = (Placement::new(Arc::new(map.clone())), Placement::new(Arc::new(next.clone())));
    for &(partition, _) in &delta.exceptions {
        if before.owner(partition) != after.owner(partition) {
            gainers.insert(after.owner(partition));
        }
    }
    for key in hot_keys(&delta) {
        let had = serving(&before, key);
        gainers.extend(serving(&after, key).into_iter().filter(|node| !had.contains(node)));
    }
    match by_rules(&delta, &after) {
        Some(owners) => gainers.extend(owners),
        None => return everybody(next),
    }
    gainers
}

/// The nodes that may own keys in `map` that they do not own in `next`: the mirror of [`new_owners`].
pub fn former_owners(map: &PartitionMap, next: &PartitionMap) -> BTreeSet<NodeId> {
    new_owners(next, map)
}

/// The keys whose replicas differ.
pub fn changed_hot_keys(map: &PartitionMap, next: &PartitionMap) -> Vec<CompositeKey> {
    MapDelta::between(map, next).iter().flat_map(hot_keys).cloned().collect()
}

fn hot_keys(delta: &MapDelta) -> impl Iterator<Item = &CompositeKey> {
    delta.hot.iter().map(|hot| &hot.key).chain(&delta.hot_gone)
}

fn everybody(map: &PartitionMap) -> BTreeSet<NodeId> {
    map.nodes.iter().map(|node| node.id).collect()
}

/// Nodes that win partitions by rendezvous hashing. Where two nodes lost weight anybody wins; where one did, anybody else.
fn by_weight(map: &PartitionMap, next: &PartitionMap) -> BTreeSet<NodeId> {
    let weight = |map: &PartitionMap, id| map.node(id).map_or(0, |node| node.weight);
    let shrinks = |id: &NodeId| weight(next, *id) < weight(map, *id);
    let shrinking: Vec<NodeId> = map.nodes.iter().map(|node| node.id).filter(shrinks).take(2).collect();
    let wins = |id: NodeId| weight(next, id) > weight(map, id) || shrinking.iter().any(|&other| other != id);
    next.nodes.iter().filter(|node| node.weight > 0 && wins(node.id)).map(|node| node.id).collect()
}

/// The nodes that serve `key`.
fn serving(placement: &Placement, key: &CompositeKey) -> Vec<NodeId> {
    placement.replicas(key).map_or_else(|| vec![placement.locate(key).node], <[NodeId]>::to_vec)
}

/// Nodes that own, by `after`, what is below the prefixes whose rules differ; `None` where that may be anybody.
fn by_rules(delta: &MapDelta, after: &Placement) -> Option<BTreeSet<NodeId>> {
    let next = after.map();
    let (mut owners, mut parts) = (BTreeSet::new(), 0);
    for prefix in delta.rules.iter().map(|rule| &rule.prefix).chain(&delta.rules_gone) {
        let touched = next.parts(prefix, portion(next, prefix))?;
        parts += touched.len();
        if parts > MAX_PARTS {
            return None;
        }
        owners.extend(touched.into_iter().map(|partition| after.owner(partition)));
    }
    Some(owners)
}

/// The portion of the longest rule that covers all below `prefix`.
fn portion(map: &PartitionMap, prefix: &KeyPrefix) -> Portion {
    let rule = |text: &str| map.rules.binary_search_by(|rule| rule.prefix.as_str().cmp(text)).ok();
    let at = std::iter::once(prefix.as_str()).chain(prefix.enclosing()).find_map(rule);
    at.map_or_else(Portion::default, |at| map.rules[at].portion)
}

#[cfg(test)]
#[path = "new_owners_tests.rs"]
mod tests;
