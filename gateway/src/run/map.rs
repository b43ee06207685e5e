//! The map that a process starts with.

use std::sync::Arc;

use foremap::partition::{DEFAULT_PARTITIONS, MapNode, PartitionMap};
use foremap::shifter::{Move, shift};

use super::RunError;
use crate::store::{Store, StoreError, StoreStatus, Term};

/// Placement seed of a new namespace. It need not be secret or different: it only has to stay.
const SEED: u64 = 0x0066_6f72_656d_6170;

/// The stored map, with exactly `nodes`: created, or raised by one epoch where they differ. For a process that has the
/// store for itself, and so needs nobody's leave.
///
/// # Errors
/// [`RunError`] where the store fails or the map would contradict itself.
pub async fn ensure_map(store: &dyn Store, nodes: Vec<MapNode>) -> Result<Arc<PartitionMap>, RunError> {
    let map = first_map(store, nodes.clone()).await?;
    if map.nodes == nodes {
        return Ok(map);
    }
    let next = shift(&map, &[Move::Members { nodes }]);
    let next = Arc::new(next.map_err(|error| RunError::new(format!("the partition map: {error}")))?);
    match store.put_map(Some(map.epoch), next.clone(), Term::MAX).await.map_err(failed)? {
        true => Ok(next),
        false => Err(RunError::new("the partition map was changed by somebody else")),
    }
}

/// The stored map, whatever its nodes; one with `nodes` where there is none yet.
///
/// # Errors
/// As [`ensure_map`].
pub async fn first_map(store: &dyn Store, nodes: Vec<MapNode>) -> Result<Arc<PartitionMap>, RunError> {
    loop {
        if let Some(map) = store.map().await.map_err(failed)? {
            return Ok(map);
        }
        let mut map = PartitionMap::new(SEED, DEFAULT_PARTITIONS, store.layout(), nodes.clone());
        map.epoch.incarnation = incarnation_now(store);
        map.validate().map_err(|error| RunError::new(format!("the partition map: {error}")))?;
        let map = Arc::new(map);
        // Another process may have been first: look again.
        if store.put_map(None, map.clone(), 0).await.map_err(failed)? {
            return Ok(map);
        }
    }
}

/// Incarnation of a namespace that is created now: seconds since 1970, so that one that takes the place of another outranks
/// it, and sessions of before find out that their positions mean nothing any more.
fn incarnation_now(store: &dyn StoreStatus) -> u32 {
    u32::try_from(store.now_us() / 1_000_000).unwrap_or(u32::MAX)
}

fn failed(error: StoreError) -> RunError {
    RunError::of_store("the partition map", &error)
}
