//! [`MapNode`]: a node of a map.

use serde::{Deserialize, Serialize};

/// Identifies a node for as long as the namespace lives.
pub type NodeId = u32;

/// A gateway node as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MapNode {
    /// Its identity.
    pub id: NodeId,
    /// Its address, `scheme://host[:port]`, at most 300 bytes.
    pub origin: String,
    /// Its share of the partitions, relative to the others; 0 drains it.
    pub weight: u32,
}
