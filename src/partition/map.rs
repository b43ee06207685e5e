//! [`PartitionMap`]: nodes, rules and exceptions of one epoch.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{HashId, MAX_DEPTH, MAX_SPREAD, MapNode, NodeId, Portion, StorageLayout};
use crate::codec::{DecodeError, MAX_SAFE_INTEGER};
use crate::key::{CompositeKey, KeyPrefix};

/// Virtual partitions of a new namespace: as many as Redis Cluster has slots.
pub const DEFAULT_PARTITIONS: u32 = 16_384;
/// Version of a map: ordered by incarnation first, so that a namespace
/// restored from a backup can outrank maps handed out before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch {
    /// Raised only when a namespace is recreated or restored.
    pub incarnation: u32,
    /// Raised by one at every change; below 2^53.
    pub number: u64,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation, self.number)
    }
}

/// Keys below `prefix` are placed by `portion`. The longest matching rule wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// Whole leading components.
    pub prefix: KeyPrefix,
    /// The part that is hashed below it.
    pub portion: Portion,
}

/// A key served by several nodes at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HotKey {
    /// The key.
    pub key: CompositeKey,
    /// Nodes that hold it, the first preferred.
    pub nodes: Vec<NodeId>,
}

/// The shared virtual partition map of one epoch. Immutable once published.
///
/// Its JSON form is validated on reading, like the binary one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct PartitionMap {
    /// Its version.
    pub epoch: Epoch,
    /// The placement hash.
    pub hash_id: HashId,
    /// Seeds of the portion hash and of the spread hash; in JSON 16 hexadecimal digits each.
    #[serde(with = "crate::codec::hex::pair")]
    pub seeds: [u64; 2],
    /// Number of virtual partitions, fixed at creation.
    pub partitions: u32,
    /// The store's slicing, fixed at creation.
    pub storage: StorageLayout,
    /// The nodes, by ascending id.
    pub nodes: Vec<MapNode>,
    /// The rules, by ascending prefix. The empty prefix sets the default.
    pub rules: Vec<Rule>,
    /// Partitions whose owner is not the rendezvous winner.
    pub exceptions: BTreeMap<u32, NodeId>,
    /// Keys with replicas, by ascending key.
    pub hot: Vec<HotKey>,
}

/// Why a map or delta cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapError {
    /// The bytes are not a map or delta.
    Decode(DecodeError),
    /// The map contradicts itself; says how.
    Invalid(&'static str),
    /// A delta for another map than the one at hand: fetch the whole map once.
    WrongBase,
    /// A delta whose result is not the map it names: fetch the whole map once.
    WrongResult,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => error.fmt(f),
            Self::Invalid(reason) => f.write_str(reason),
            Self::WrongBase => f.write_str("the delta is for another map"),
            Self::WrongResult => f.write_str("the delta does not lead to the map it names"),
        }
    }
}

impl std::error::Error for MapError {}

impl From<DecodeError> for MapError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl PartitionMap {
    /// Limits that keep a hostile map from taking memory.
    pub(super) const MAX_NODES: usize = 4_096;
    pub(super) const MAX_RULES: usize = 65_536;
    pub(super) const MAX_HOT: usize = 1_024;
    pub(super) const MAX_PARTITIONS: u32 = 1 << 20;
    /// A DNS name has at most 253 bytes; the rest is for scheme and port.
    pub(super) const MAX_ORIGIN_BYTES: usize = 300;
    /// Bytes of all prefixes together: 64 for each of the most rules. Front coding could
    /// otherwise unfold a few hundred kilobytes into many megabytes.
    pub(super) const MAX_RULE_TEXT: usize = 4 << 20;

    /// The first map of a namespace: no rules, no exceptions.
    pub fn new(seed: u64, partitions: u32, storage: StorageLayout, mut nodes: Vec<MapNode>) -> Self {
        nodes.sort();
        Self {
            epoch: Epoch { incarnation: 1, number: 1 },
            hash_id: HashId::default(),
            seeds: [seed, super::xxh3(seed, b"spread")],
            partitions,
            storage,
            nodes,
            rules: Vec::new(),
            exceptions: BTreeMap::new(),
            hot: Vec::new(),
        }
    }

    /// Checks order, ranges and references.
    ///
    /// # Errors
    /// [`MapError::Invalid`] with the first contradiction.
    pub fn validate(&self) -> Result<(), MapError> {
        let check = |ok: bool, reason| if ok { Ok(()) } else { Err(MapError::Invalid(reason)) };
        check(self.epoch.number <= MAX_SAFE_INTEGER, "the epoch number must be below 2^53")?;
        check((1..=Self::MAX_PARTITIONS).contains(&self.partitions), "partitions must be 1 to 1,048,576")?;
        check(self.storage.is_valid(), "the storage layout needs 1 <= fan <= shards and depth <= 16")?;
        check(!self.nodes.is_empty() && self.nodes.len() <= Self::MAX_NODES, "a map has 1 to 4,096 nodes")?;
        check(self.nodes.is_sorted_by(|a, b| a.id < b.id), "nodes must be in ascending order of unique ids")?;
        let origin_fits = |n: &MapNode| (1..=Self::MAX_ORIGIN_BYTES).contains(&n.origin.len());
        check(self.nodes.iter().all(origin_fits), "an origin has 1 to 300 bytes")?;
        check(self.nodes.iter().any(|n| n.weight > 0), "one node at least must have weight")?;
        check(self.rules.len() <= Self::MAX_RULES, "a map has at most 65,536 rules")?;
        check(self.rules.is_sorted_by(|a, b| a.prefix < b.prefix), "rules must be in ascending order of prefix")?;
        let text: usize = self.rules.iter().map(|r| r.prefix.as_str().len()).sum();
        check(text <= Self::MAX_RULE_TEXT, "the prefixes of all rules have at most 4 MiB")?;
        let in_range = |p: &Portion| p.depth <= MAX_DEPTH && p.spread <= MAX_SPREAD;
        check(self.rules.iter().all(|r| in_range(&r.portion)), "depth is at most 16 and spread at most 10")?;
        check(self.exceptions.keys().all(|&p| p < self.partitions), "an exception names an unknown partition")?;
        check(self.exceptions.values().all(|&n| self.node(n).is_some()), "an exception names an unknown node")?;
        check(self.hot.len() <= Self::MAX_HOT, "a map has at most 1,024 hot keys")?;
        check(self.hot.is_sorted_by(|a, b| a.key < b.key), "hot keys must be in ascending order")?;
        let known = |h: &HotKey| !h.nodes.is_empty() && h.nodes.iter().all(|&n| self.node(n).is_some());
        check(self.hot.iter().all(known), "a hot key names no node or an unknown one")
    }

    /// The node `id`, in O(log n).
    pub fn node(&self, id: NodeId) -> Option<&MapNode> {
        self.nodes.get(usize::from(self.index_of(id)?))
    }

    /// Index of the node `id` in [`PartitionMap::nodes`], in O(log n).
    pub fn index_of(&self, id: NodeId) -> Option<u16> {
        self.nodes.binary_search_by_key(&id, |n| n.id).ok().map(|at| at as u16)
    }

    /// The nodes that serve `key` instead of its partition's owner, where the map names some. O(log hot keys).
    pub fn replicas(&self, key: &CompositeKey) -> Option<&[NodeId]> {
        let at = self.hot.binary_search_by(|hot| hot.key.cmp(key)).ok()?;
        Some(self.hot.get(at)?.nodes.as_slice()).filter(|nodes| !nodes.is_empty())
    }
}

impl Serialize for PartitionMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for PartitionMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Self::deserialize(deserializer)?;
        map.validate().map_err(serde::de::Error::custom)?;
        Ok(map)
    }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
