//! [`FeedId`]: the name of a change feed.

use serde::{Deserialize, Serialize};

/// Names a feed of one gateway process. Batches that carry it add their shards to the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FeedId {
    /// The node that serves it.
    pub node: u32,
    /// Its number there, drawn anew by each process, at most 2^53 - 1.
    pub number: u64,
}
