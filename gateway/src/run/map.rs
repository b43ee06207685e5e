//! The map that a process starts with.

use std::sync::Arc;

use foremap::partition::{DEFAULT_PARTITIONS, MapNode, PartitionMap};

use super::Failure;
use crate::store::{Store, StoreError, Term};

/// Placement seed of a new namespace. It need not be secret or different: it only has to stay.
const SEED: u64 = 0x0066_6f72_656d_6170;

/// The stored map, with exactly `nodes`: created, or raised by one epoch where they differ.
///
/// # Errors
/// [`Failure`] where the store fails or the map would contradict itself.
pub async fn ensure_map(store: &dyn Store, nodes: Vec<MapNode>) -> Result<Arc<PartitionMap>, Failure> {
    let failure = |error: StoreError| Failure::new(format!("the partition map: {error}"));
    loop {
        let stored = store.map().await.map_err(failure)?;
        let map = match &stored {
            Some(map) if map.nodes == nodes => return Ok(map.clone()),
            Some(map) => with_nodes(map, nodes.clone()),
            None => PartitionMap::new(SEED, DEFAULT_PARTITIONS, store.layout(), nodes.clone()),
        };
        map.validate().map_err(|error| Failure::new(format!("the partition map: {error}")))?;
        let map = Arc::new(map);
        // Another process may have been first: look again.
        // The process has the store for itself, so it needs nobody's leave.
        if store.put_map(stored.map(|map| map.epoch), map.clone(), Term::MAX).await.map_err(failure)? {
            return Ok(map);
        }
    }
}

/// The next epoch, without what refers to nodes that are gone.
fn with_nodes(map: &PartitionMap, nodes: Vec<MapNode>) -> PartitionMap {
    let mut next = PartitionMap { nodes, ..map.clone() };
    next.nodes.sort();
    next.epoch.number += 1;
    let known: Vec<u32> = next.nodes.iter().map(|node| node.id).collect();
    next.exceptions.retain(|_, node| known.contains(node));
    for hot in &mut next.hot {
        hot.nodes.retain(|node| known.contains(node));
    }
    next.hot.retain(|hot| !hot.nodes.is_empty());
    next
}
