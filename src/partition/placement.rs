//! [`Placement`]: a map made ready for look-ups.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use super::hash::{rendezvous_winner, spread_hash, xxh3};
use super::{NodeId, PartitionMap, Portion, Rule, replica};
use crate::key::CompositeKey;

/// Place of a key in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The virtual partition.
    pub partition: u32,
    /// Its owner.
    pub node: NodeId,
    /// The portion that was hashed.
    pub portion: Portion,
    /// Which of the `2^spread` parts of the prefix the key is in.
    pub spread_index: u32,
}

/// Look-ups on one map. Rule probing is O(components of the key); the owner of
/// a partition is computed in O(nodes) once and then remembered, two bytes a partition.
///
/// Many threads may look up at once: an owner depends on the map alone, so whoever computes it first writes the same.
#[derive(Debug)]
pub struct Placement {
    map: Arc<PartitionMap>,
    /// Placement hash of a rule's slashed prefix, and the index of the rule plus one; 0 is a free slot. Open addressing with
    /// linear probing, at most half full: the hash is there already, and uniform, so that a map of its own would do more.
    rules: Box<[(u64, u32)]>,
    default: Portion,
    /// Bit n is set where a rule has n components.
    depths: u32,
    /// Index into `map.nodes` (at most 4,096 of them) plus one; 0 is not computed yet.
    owners: Box<[AtomicU16]>,
    /// Of the nodes, next to each other.
    ids: Box<[NodeId]>,
}

impl Placement {
    /// Prepares `map`, in O(rules) and two bytes a partition.
    ///
    /// `map` must be [valid](PartitionMap::validate), as a decoded one always is.
    pub fn new(map: Arc<PartitionMap>) -> Self {
        let mut rules = vec![(0, 0); (2 * map.rules.len()).next_power_of_two()].into_boxed_slice();
        let (mut default, mut depths) = (Portion::default(), 0);
        for (at, rule) in map.rules.iter().enumerate() {
            if rule.prefix.depth() == 0 {
                default = rule.portion;
                continue;
            }
            depths |= 1 << rule.prefix.depth();
            let hash = xxh3(map.seeds[0], rule.prefix.slashed().as_bytes());
            let count = rules.len();
            let free = probes(hash, count).find(|&slot| rules[slot].1 == 0);
            if let Some(slot) = free {
                rules[slot] = (hash, at as u32 + 1);
            }
        }
        let owners = (0..map.partitions).map(|_| AtomicU16::new(0)).collect();
        let ids = map.nodes.iter().map(|node| node.id).collect();
        Self { map, rules, default, depths, owners, ids }
    }

    /// The map behind it.
    pub fn map(&self) -> &Arc<PartitionMap> {
        &self.map
    }

    /// Place of `key`.
    pub fn locate(&self, key: &CompositeKey) -> Location {
        let (partition, portion, spread_index) = self.partition(key);
        Location { partition, node: self.owner(partition), portion, spread_index }
    }

    /// The nodes that serve `key` instead of its partition's owner, where the map names some. O(log hot keys).
    pub fn replicas(&self, key: &CompositeKey) -> Option<&[NodeId]> {
        self.map.replicas(key)
    }

    /// The node that serves `key` to a batch of `salt`: the [`replica`] that falls to it where there are some, the
    /// partition's owner otherwise.
    pub fn server(&self, key: &CompositeKey, salt: u64) -> NodeId {
        match self.replicas(key) {
            Some(nodes) => nodes[replica(salt, nodes.len())],
            None => self.locate(key).node,
        }
    }

    /// The virtual partition of `key`, the portion hashed, and the spread index.
    pub fn partition(&self, key: &CompositeKey) -> (u32, Portion, u32) {
        let (ends, count) = key.ends();
        let ends = ends.get(..count).unwrap_or_default();
        let (portion, known) = self.longest(key, ends);
        let end = match portion.depth {
            0 => 0,
            depth => ends.get(usize::from(depth) - 1).or(ends.last()).copied().unwrap_or(0),
        };
        // Looking for a rule has hashed it more often than not.
        let hash = match known {
            Some((at, hash)) if at == end => hash,
            _ => xxh3(self.map.seeds[0], between(key, 0, end)),
        };
        let index = match ends.get(usize::from(portion.depth)) {
            Some(&next) if portion.spread > 0 => {
                (xxh3(self.map.seeds[1], between(key, end, next)) & ((1 << portion.spread) - 1)) as u32
            }
            _ => 0,
        };
        let spread = spread_hash(self.map.seeds[0], hash, index);
        let count = u64::from(self.map.partitions);
        // The same for the usual powers of two, without a division.
        let partition = if count.is_power_of_two() { spread & (count - 1) } else { spread % count };
        (partition as u32, portion, index)
    }

    /// The portion of the longest rule that covers `key`.
    pub fn portion(&self, key: &CompositeKey) -> Portion {
        let (ends, count) = key.ends();
        self.longest(key, ends.get(..count).unwrap_or_default()).0
    }

    /// Looks only at depths that rules have: most maps have them at one or two. Returns also the last prefix that was hashed,
    /// by its length, with its placement hash.
    fn longest(&self, key: &CompositeKey, ends: &[u16]) -> (Portion, Option<(u16, u64)>) {
        // Bit n: a rule of n components.
        let mut depths = self.depths & ((2_u32 << ends.len()) - 1);
        let mut known = None;
        while depths != 0 {
            let depth = depths.ilog2();
            depths ^= 1 << depth;
            let Some(&end) = ends.get(depth as usize - 1) else { break };
            let prefix = between(key, 0, end);
            let hash = xxh3(self.map.seeds[0], prefix);
            known = Some((end, hash));
            if let Some(rule) = self.rule(hash, prefix) {
                return (rule.portion, known);
            }
        }
        (self.default, known)
    }

    /// The rule of a slashed prefix with this placement hash.
    fn rule(&self, hash: u64, prefix: &[u8]) -> Option<&Rule> {
        for slot in probes(hash, self.rules.len()) {
            let &(other, at) = self.rules.get(slot)?;
            if at == 0 {
                return None;
            }
            if other == hash
                && let Some(rule) = self.map.rules.get(at as usize - 1)
                && rule.prefix.slashed().as_bytes() == prefix
            {
                return Some(rule);
            }
        }
        None
    }

    /// The owner of `partition`.
    ///
    /// # Panics
    /// For a partition that the map does not have.
    pub fn owner(&self, partition: u32) -> NodeId {
        let slot = &self.owners[partition as usize];
        let mut owner = slot.load(Ordering::Relaxed);
        if owner == 0 {
            owner = self.compute_owner(partition) + 1;
            slot.store(owner, Ordering::Relaxed);
        }
        self.ids[usize::from(owner) - 1]
    }

    fn compute_owner(&self, partition: u32) -> u16 {
        let exception = self.map.exceptions.get(&partition).and_then(|&id| self.map.index_of(id));
        exception.unwrap_or_else(|| rendezvous_winner(self.map.seeds[0], partition, &self.map.nodes))
    }
}

/// Slots of a table, whose size is a power of two, in the order in which they are tried.
fn probes(hash: u64, slots: usize) -> impl Iterator<Item = usize> {
    (0..slots).map(move |step| (hash as usize).wrapping_add(step) & (slots - 1))
}

fn between(key: &CompositeKey, begin: u16, end: u16) -> &[u8] {
    key.slashed().get(begin.into()..end.into()).unwrap_or_default()
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
