//! [`Limits`]: what a node takes from whoever connects to it.

use std::time::Duration;

use foremap::protocol::MAX_HEAD_BYTES;

/// Bounds of connections and of requests that have not arrived yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most connections of the node.
    pub connections: usize,
    /// Longest time for the first head of a connection.
    pub head: Duration,
    /// Longest time of a connection from one answer to the end of the next head.
    pub idle: Duration,
    /// Longest time for a body.
    pub body: Duration,
    /// Most bytes of heads and bodies that have arrived in part.
    pub unfinished: usize,
}

impl Limits {
    /// Longest head.
    pub(super) const HEAD_BYTES: usize = MAX_HEAD_BYTES;
}

impl Default for Limits {
    /// A head takes a round trip or two, and a body of 1 MiB arrives within 20 s over 500 kbit/s. Connections are kept
    /// beyond the 60 s for which clients presume them open. 16 MiB are the bodies of a thousand large batches.
    fn default() -> Self {
        Self {
            connections: 32_768,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body: Duration::from_secs(20),
            unfinished: 16 << 20,
        }
    }
}
