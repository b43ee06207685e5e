//! Peers to compare with: other ways to place keys, and the store below.

use foremap::partition::{StorageLayout, xxh3};

use crate::fleet::max_over_mean;
use crate::workload::Workload;

/// Load of the heaviest node over the mean where whole keys are hashed, and nothing is ever moved.
pub fn whole_key(workload: &Workload, base: &[u16], nodes: usize) -> f64 {
    let mut loads = vec![0.0; nodes];
    for (key, rate) in workload.keys.iter().zip(&workload.rates) {
        let partition = xxh3(1, key.as_str().as_bytes()) % base.len() as u64;
        loads[usize::from(base[partition as usize])] += rate;
    }
    max_over_mean(&loads)
}

/// Which node serves a key where whole keys are hashed.
pub fn whole_key_node(workload: &Workload, base: &[u16], key: u32) -> u16 {
    let partition = xxh3(1, workload.keys[key as usize].as_str().as_bytes()) % base.len() as u64;
    base[partition as usize]
}

/// Load of the heaviest storage shard over the mean, and of the heaviest of `masters`, each of which has as many
/// consecutive shards.
pub fn storage(workload: &Workload, masters: usize) -> (f64, f64) {
    let layout = StorageLayout::default();
    let count = usize::from(layout.shards);
    let (mut shards, mut loads) = (vec![0.0; count], vec![0.0; masters]);
    for (key, rate) in workload.keys.iter().zip(&workload.rates) {
        let shard = usize::from(layout.shard(key));
        shards[shard] += rate;
        loads[shard * masters / count] += rate;
    }
    (max_over_mean(&shards), max_over_mean(&loads))
}
