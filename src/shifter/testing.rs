//! A fleet for tests: requests in, reports out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::key::CompositeKey;
use crate::load::{LoadCollector, LoadReport, ROUND_MS, ServedRequest};
use crate::partition::{MapNode, NodeId, PartitionMap, Placement, StorageLayout, replica};

pub(super) fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("a valid key")
}

pub(super) fn map(nodes: u32, partitions: u32) -> Arc<PartitionMap> {
    let node = |id| MapNode { id, origin: format!("http://n{id}"), weight: 1 };
    Arc::new(PartitionMap::new(5, partitions, StorageLayout::default(), (1..=nodes).map(node).collect()))
}

/// The reports of the nodes of `map` of a round in which each key was asked for so often, evenly over the round.
pub(super) fn reports(
    map: &Arc<PartitionMap>,
    requests: &[(CompositeKey, u32)],
    number: u64,
    round: u64,
) -> Vec<LoadReport> {
    let placement = Placement::new(Arc::clone(map));
    let new = |id| (id, LoadCollector::new(map.seeds[1], 1, 0));
    let mut collectors: BTreeMap<NodeId, LoadCollector> = map.nodes.iter().map(|node| new(node.id)).collect();
    let mut salt = round << 32;
    for slice in 0..4_u32 {
        let now = u64::from(slice) * ROUND_MS / 4;
        for (key, count) in requests {
            let place = placement.locate(key);
            let hot = map.hot.iter().find(|hot| hot.key == *key);
            for _ in 0..count / 4 + u32::from(slice < count % 4) {
                salt += 1;
                let node = hot.map_or(place.node, |hot| hot.nodes[replica(salt, hot.nodes.len())]);
                let served = ServedRequest {
                    key,
                    partition: place.partition,
                    depth: place.portion.depth,
                    replicated: hot.is_some(),
                };
                if let Some(collector) = collectors.get_mut(&node) {
                    collector.observe(now, served);
                }
            }
        }
    }
    collectors
        .into_iter()
        .map(|(node, mut collector)| {
            let mut report = collector.take(ROUND_MS, node, 1, round);
            report.number = number;
            report
        })
        .collect()
}

/// Load of the heaviest node over the mean.
pub(super) fn imbalance(map: &Arc<PartitionMap>, requests: &[(CompositeKey, u32)]) -> f64 {
    let placement = Placement::new(Arc::clone(map));
    let mut loads: BTreeMap<NodeId, f64> = map.nodes.iter().map(|node| (node.id, 0.0)).collect();
    for (key, count) in requests {
        let owner = vec![placement.locate(key).node];
        let nodes = map.hot.iter().find(|hot| hot.key == *key).map_or(owner, |hot| hot.nodes.clone());
        for node in &nodes {
            *loads.entry(*node).or_default() += f64::from(*count) / nodes.len() as f64;
        }
    }
    let total: f64 = loads.values().sum();
    loads.values().copied().fold(0.0, f64::max) * loads.len() as f64 / total
}
