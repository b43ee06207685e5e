//! A map as clients and nodes see it, with every key of the workload placed.

use std::collections::BTreeMap;
use std::sync::Arc;

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::partition::{PartitionMap, Placement, replica};

use crate::workload::Workload;

/// A map with the place of every key. Placed by the very code that clients use.
#[derive(Debug)]
pub struct View {
    /// The map.
    pub map: Arc<PartitionMap>,
    /// Partition and hashed depth by key.
    pub places: Vec<(u32, u8)>,
    /// Index of the owner by partition.
    pub owners: Vec<u16>,
    /// Keys with replicas: indices of nodes.
    pub hot: BTreeMap<u32, Vec<u16>>,
    is_hot: Vec<bool>,
    /// Load of each node, all clients going by this map, as a share of all requests.
    pub loads: Vec<f64>,
}

impl View {
    /// Places every key.
    pub fn new(map: Arc<PartitionMap>, base: &[u16], workload: &Workload) -> Self {
        let places = vec![(0, 0); workload.keys.len()];
        let hot_flags = vec![false; workload.keys.len()];
        let mut view =
            Self { map, places, owners: Vec::new(), hot: BTreeMap::new(), is_hot: hot_flags, loads: Vec::new() };
        view.place(0..workload.keys.len(), workload);
        view.finish(base, workload);
        view
    }

    /// Places what is different under the next map.
    pub fn next(&self, map: Arc<PartitionMap>, base: &[u16], workload: &Workload) -> Self {
        let changed = |a: &PartitionMap, b: &PartitionMap| -> Vec<KeyPrefix> {
            let only = |rule: &&foremap::partition::Rule| b.rules.binary_search(rule).is_err();
            a.rules.iter().filter(only).map(|rule| rule.prefix.clone()).collect()
        };
        let mut prefixes = changed(&self.map, &map);
        prefixes.extend(changed(&map, &self.map));
        let places = self.places.clone();
        let hot_flags = vec![false; workload.keys.len()];
        let mut view =
            Self { map, places, owners: Vec::new(), hot: BTreeMap::new(), is_hot: hot_flags, loads: Vec::new() };
        for prefix in prefixes {
            view.place(below(&prefix, &workload.keys), workload);
        }
        view.finish(base, workload);
        view
    }

    fn place(&mut self, keys: std::ops::Range<usize>, workload: &Workload) {
        let placement = Placement::new(Arc::clone(&self.map));
        for at in keys {
            let (partition, portion, _) = placement.partition(&workload.keys[at]);
            self.places[at] = (partition, portion.depth);
        }
    }

    fn finish(&mut self, base: &[u16], workload: &Workload) {
        let node = |&id: &u32| self.map.index_of(id);
        self.owners = self.map.owners(base);
        let find = |key: &CompositeKey| workload.keys.binary_search(key).ok().map(|at| at as u32);
        let replicas = |hot: &foremap::partition::HotKey| hot.nodes.iter().filter_map(node).collect::<Vec<_>>();
        self.hot = self.map.hot.iter().filter_map(|hot| Some((find(&hot.key)?, replicas(hot)))).collect();
        for &at in self.hot.keys() {
            self.is_hot[at as usize] = true;
        }
        self.weigh(workload);
    }

    /// Works the nodes' loads out anew, after the workload has changed.
    pub fn weigh(&mut self, workload: &Workload) {
        let mut partitions = vec![0.0; self.owners.len()];
        for (&(partition, _), rate) in self.places.iter().zip(&workload.rates) {
            partitions[partition as usize] += rate;
        }
        self.loads = vec![0.0; self.map.nodes.len()];
        for (at, nodes) in &self.hot {
            let rate = workload.rates[*at as usize];
            partitions[self.places[*at as usize].0 as usize] -= rate;
            for &node in nodes {
                self.loads[usize::from(node)] += rate / nodes.len() as f64;
            }
        }
        for (load, &owner) in partitions.iter().zip(&self.owners) {
            self.loads[usize::from(owner)] += load;
        }
    }

    /// Tells whether a key has replicas.
    pub fn is_hot(&self, key: u32) -> bool {
        self.is_hot[key as usize]
    }

    /// The node that a client asks for a key.
    pub fn node(&self, key: u32, salt: u64) -> u16 {
        if self.is_hot[key as usize]
            && let Some(nodes) = self.hot.get(&key)
        {
            return nodes[replica(salt, nodes.len())];
        }
        self.owners[self.places[key as usize].0 as usize]
    }

    /// Share of all entries that have another home in `other`; of keys with replicas those that share none.
    pub fn rehomed(&self, other: &Self) -> f64 {
        let moved = (0..self.places.len() as u32).filter(|&key| {
            let home = |view: &Self| view.owners[view.places[key as usize].0 as usize];
            match (self.hot.get(&key), other.hot.get(&key)) {
                (None, None) => home(self) != home(other),
                (Some(old), Some(new)) => !old.iter().any(|node| new.contains(node)),
                (None, Some(new)) => !new.contains(&home(self)),
                (Some(old), None) => !old.contains(&home(other)),
            }
        });
        moved.count() as f64 / self.places.len() as f64
    }
}

/// Range of the keys below a prefix, in ascending keys.
fn below(prefix: &KeyPrefix, keys: &[CompositeKey]) -> std::ops::Range<usize> {
    let text = prefix.slashed();
    let depth = prefix.depth();
    let start = keys.partition_point(|key| key.portion(depth) < text);
    let end = keys.partition_point(|key| key.portion(depth) <= text);
    start..end
}
