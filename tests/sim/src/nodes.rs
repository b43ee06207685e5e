//! The nodes of a history, by number.

/// Nodes of the map.
pub(crate) const NODES: u32 = 3;

/// Origin of a node.
pub(crate) fn origin(node: u32) -> String {
    format!("http://node-{node}")
}
