//! [`Gateway`]: the host of a node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foremap::Millis;
use foremap::node::{Node, NodeConfig, Pending};
use foremap::partition::PartitionMap;
use foremap::protocol::{Cursor, FeedId};

use super::hop::Reply;
use super::pipe::Link;
use super::rng::Rng;
use super::seat::Seat;

/// A batch on its way through a node.
pub(crate) struct Job {
    pub(crate) pending: Pending,
    /// Reads and hops under way.
    pub(crate) outstanding: usize,
    /// Positions that its answers must reach.
    pub(crate) floors: Vec<Cursor>,
    /// The caller's feed, and what it wants to follow beside the shards of its keys.
    pub(crate) follows: Option<(FeedId, Vec<Cursor>)>,
    pub(crate) reply: Reply,
}

/// A node and its process.
pub(crate) struct Gateway {
    pub(crate) node: Node,
    pub(crate) up: bool,
    pub(crate) incarnation: u32,
    pub(crate) jobs: BTreeMap<u64, Job>,
    /// To the masters of the groups.
    pub(crate) links: Vec<Option<Link>>,
    /// Number of replicas that a fence waits for, in each group: all that the newest one told of.
    pub(crate) wait_for: Vec<u32>,
    pub(crate) config: NodeConfig,
    /// Its clock is ahead of true time by so much.
    pub(crate) offset: Millis,
    /// An earlier position of the logs of every group, for polls that overlap; `None` before they were asked for.
    pub(crate) cursors: Vec<Option<Vec<Cursor>>>,
    /// Time that most clocks showed when they were last compared, and when that was.
    pub(crate) agreed: Option<(Millis, u64)>,
    /// Hops to other nodes that it waits for.
    pub(crate) hops: BTreeSet<u64>,
    pub(crate) seat: Seat,
}

impl Gateway {
    pub(crate) fn new(id: u32, map: &Arc<PartitionMap>, (groups, replicas): (usize, u32), rng: &mut Rng) -> Self {
        let config = NodeConfig {
            memory_entries: rng.range(4, 20) as usize,
            memory_bytes: rng.range(3, 16) as usize * 1_024,
            ring_entries: rng.range(3, 40) as usize,
            map_history: rng.range(1, 4) as usize,
            ..NodeConfig::new(id, rng.next())
        };
        Self {
            node: Node::new(config, map.clone()).expect("a valid map"),
            up: true,
            incarnation: 0,
            jobs: BTreeMap::new(),
            links: vec![None; groups],
            wait_for: vec![replicas; groups],
            config,
            offset: rng.range(0, 1 << 40),
            cursors: vec![None; groups],
            agreed: None,
            hops: BTreeSet::new(),
            seat: Seat::new(id, 0, map, rng),
        }
    }

    pub(crate) fn local(&self, now: Millis) -> Millis {
        now + self.offset
    }
}
