//! Questions of the planner of shifts to a map: whose a partition is by rendezvous, and where the parts of a prefix lie.

use super::hash::{rendezvous_winner, spread_hash, xxh3};
use super::{PartitionMap, Portion};
use crate::key::KeyPrefix;

impl PartitionMap {
    /// The rendezvous winner of every partition, as an index into [`PartitionMap::nodes`]: who owns it where no exception
    /// says otherwise. It depends on nodes and weights alone. O(partitions x nodes).
    pub fn rendezvous(&self) -> Vec<u16> {
        (0..self.partitions).map(|partition| rendezvous_winner(self.seeds[0], partition, &self.nodes)).collect()
    }

    /// The owner of every partition, likewise, where `rendezvous` is what [`PartitionMap::rendezvous`] told. O(partitions).
    pub fn owners(&self, rendezvous: &[u16]) -> Vec<u16> {
        let mut owners = rendezvous.to_vec();
        for (&partition, &id) in &self.exceptions {
            if let (Some(owner), Some(at)) = (owners.get_mut(partition as usize), self.index_of(id)) {
                *owner = at;
            }
        }
        owners
    }

    /// The partitions of the `2^spread` parts of `prefix` hashed by `portion`, in the order of the spread index; just one where
    /// the portion ends before the prefix does. `None` where it goes deeper, as then the prefix alone does not tell.
    pub fn parts(&self, prefix: &KeyPrefix, portion: Portion) -> Option<Vec<u32>> {
        let (depth, len) = (usize::from(portion.depth), prefix.depth());
        if depth > len {
            return None;
        }
        let slashed = prefix.slashed();
        let end = if depth == 0 {
            0
        } else {
            slashed.match_indices('/').nth(depth - 1).map_or(slashed.len(), |(at, _)| at + 1)
        };
        let (head, rest) = slashed.split_at_checked(end)?;
        let hash = xxh3(self.seeds[0], head.as_bytes());
        let mask = (1_u64 << portion.spread) - 1;
        let place = |index: u64| (spread_hash(self.seeds[0], hash, index as u32) % u64::from(self.partitions)) as u32;
        Some(match rest.split_inclusive('/').next() {
            Some(next) => vec![place(xxh3(self.seeds[1], next.as_bytes()) & mask)],
            None => (0..=mask).map(place).collect(),
        })
    }
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;
