//! [`Process`]: the nodes of one process over one store.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use foremap::Millis;
use foremap::control::ControlStats;
use foremap::key::CompositeKey;
use foremap::node::{Forward, Node, NodeConfig, PeerStats, Pending, ReadTicket, StoreAnswer, StoreFailure, Subject};
use foremap::partition::{Epoch, MapError, NodeId, PartitionMap};
use foremap::protocol::{BatchRequest, BatchResponse, Cursor, Problem};
use futures_util::future::join_all;
use tokio::sync::{Notify, watch};

use super::control_handle::{ControlHandle, OperatorRequests};
use super::wakers::Wakers;
use super::{Gate, Peers, ProcessClock, Relayed, Sharing, ShifterMode};
use crate::auth::TokenKey;
use crate::store::{Store, StoreError, Term};

/// One node of this process.
pub struct NodeHandle {
    id: NodeId,
    node: Node,
    pub(crate) wakers: Wakers,
}

impl NodeHandle {
    /// Its id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }
}

/// The nodes of one process, by id, over one store.
pub struct Process {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock that every age counts on.
    pub clock: ProcessClock,
    /// Gate at which requests wait.
    pub gate: Gate,
    nodes: BTreeMap<NodeId, Arc<NodeHandle>>,
    pub(super) peers: Peers,
    applied: watch::Sender<u64>,
    map: watch::Sender<Arc<PartitionMap>>,
    /// A feed was opened or extended: call it.
    pub(crate) feed_news: Notify,
    pub(super) control: ControlHandle,
    /// Party that acts on what the Partition Shifter plans.
    pub shifter: ShifterMode,
    /// The model that clients share.
    pub sharing: Sharing,
    /// No other process draws it.
    pub(super) incarnation: u64,
}

impl Process {
    /// Nodes with `configs`, all with `map`, and what its control is asked. With `token_key` it signs what it sends to the nodes
    /// of other processes.
    ///
    /// # Errors
    /// [`MapError`] where the map contradicts itself.
    pub fn new(
        store: Arc<dyn Store>,
        map: &Arc<PartitionMap>,
        configs: &[NodeConfig],
        token_key: Option<TokenKey>,
        shifter: ShifterMode,
    ) -> Result<(Self, OperatorRequests), MapError> {
        let handle = |config: &NodeConfig| {
            let node = Node::new(*config, map.clone())?;
            Ok((config.id, Arc::new(NodeHandle { id: config.id, node, wakers: Wakers::default() })))
        };
        let nodes = configs.iter().map(handle).collect::<Result<_, MapError>>()?;
        let clock = ProcessClock::start();
        let incarnation = configs.first().map_or(0, |config| config.seed);
        let gate = Gate::new(clock, !store.is_shared());
        let (control, requests) = ControlHandle::new();
        let process = Self {
            store,
            clock,
            gate,
            nodes,
            peers: Peers::new(clock, token_key),
            applied: watch::Sender::new(0),
            map: watch::Sender::new(map.clone()),
            feed_news: Notify::new(),
            control,
            shifter,
            sharing: Sharing::new(incarnation),
            incarnation,
        };
        Ok((process, requests))
    }

    /// The newest map, and when there is a newer one.
    pub fn map(&self) -> watch::Receiver<Arc<PartitionMap>> {
        self.map.subscribe()
    }

    /// Takes over a newer map at every node; `Ok(false)` where it is not newer.
    ///
    /// # Errors
    /// [`MapError::Invalid`] where the map contradicts itself, or what is fixed at creation differs.
    pub fn publish(&self, map: &Arc<PartitionMap>) -> Result<bool, MapError> {
        if map.epoch <= self.map.borrow().epoch {
            return Ok(false);
        }
        for node in self.nodes.values() {
            node.node().publish_map(map.clone())?;
        }
        self.peers.follow(map);
        self.map.send_replace(map.clone());
        // Feeds of a store that was replaced end at once.
        self.feed_news.notify_one();
        Ok(true)
    }

    /// Somebody has a map of `epoch`: where that is newer, the store is asked for it at once.
    pub fn newer_epoch(&self, epoch: Epoch) {
        if epoch > self.map.borrow().epoch {
            self.control.newer_epoch(epoch);
        }
    }

    /// The incarnation of the store, by the newest map.
    pub(super) fn incarnation_of_store(&self) -> u32 {
        self.map.borrow().epoch.incarnation
    }

    /// The store is not what it was: look at its map now.
    pub(super) fn look_for_map(&self) {
        self.control.news.notify_one();
    }

    /// From now on its nodes want to own nothing, and say that they are not ready. They go on answering.
    pub fn leave(&self) {
        self.control.leave();
    }

    /// Tells whether it is about to end.
    pub fn is_leaving(&self) -> bool {
        self.control.is_leaving()
    }

    /// State of its control.
    pub fn control(&self) -> watch::Receiver<ControlStats> {
        self.control.stats()
    }

    /// The term under which this process leads.
    pub(crate) fn term(&self) -> Option<Term> {
        self.control.stats().borrow().term
    }

    /// Hands a request for the coordinator on to `origin`.
    pub(crate) async fn relay(&self, origin: &str, relayed: Relayed) -> Option<(StatusCode, HeaderMap, Bytes)> {
        self.peers.relay(origin, relayed).await
    }

    /// Statistics of its requests to the nodes of other processes.
    pub fn peers(&self) -> PeerStats {
        self.peers.stats()
    }

    /// The nodes, by ascending id.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<NodeHandle>> {
        self.nodes.values()
    }

    /// Changes whenever log pages were applied.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Positions up to which every node has applied the log of `shards`; `None` where one has not begun.
    pub(super) fn applied_positions(&self, shards: &[u16]) -> Option<Vec<Cursor>> {
        let now = self.clock.now();
        let applied: Vec<_> = self.nodes.values().map(|node| node.node().positions(now)).collect();
        let cursor = |&shard: &u16| {
            let points = applied.iter().map(|points| points[usize::from(shard)]);
            let known = points.map(|point| (point.age_ms != u32::MAX).then_some(point.position));
            Some(Cursor { shard, position: known.min()?? })
        };
        shards.iter().map(cursor).collect()
    }

    pub(super) fn announce(&self) {
        self.applied.send_modify(|count| *count += 1);
    }

    /// Answers `request` as `node`.
    ///
    /// # Errors
    /// A [`Problem`] for a request over its limits.
    pub async fn batch(&self, node: &NodeHandle, request: &BatchRequest) -> Result<BatchResponse, Problem> {
        let mut pending = node.node().begin(self.clock.now(), request)?;
        while !pending.is_ready() {
            let (reads, forwards) = (pending.take_reads(), pending.take_forwards());
            let forwards = join_all(forwards.into_iter().map(|forward| self.forward(forward)));
            let (reads, forwards) = tokio::join!(self.read(reads), forwards);
            self.hand_back(node, &mut pending, reads, forwards);
        }
        Ok(node.node().finish(self.clock.now(), pending))
    }

    pub(super) async fn read(&self, reads: Vec<ReadTicket>) -> Option<FetchedReads> {
        if reads.is_empty() {
            return None;
        }
        let _permit = self.gate.read().await;
        let sent_at = self.clock.now();
        let keys: Vec<CompositeKey> = reads.iter().map(|read| read.key.clone()).collect();
        let failure = |error: StoreError| StoreFailure { code: error.code(), detail: error.to_string() };
        let answers = self.store.read(keys).await.into_iter().map(|answer| answer.map_err(failure)).collect();
        Some((reads, sent_at, answers))
    }

    /// Nodes of one process reach each other through memory, by the same steps as over a network. Where a node of
    /// another process does not answer in time, the store does.
    async fn forward(&self, forward: Forward) -> Forwarded {
        let sent_at = self.clock.now();
        let response = match self.nodes.get(&forward.node) {
            Some(peer) => self.answer_forward(peer, &forward.request).await,
            None => {
                let map = self.map.borrow().clone();
                let response = self.peers.forward(map.node(forward.node), &forward.request, Subject::default()).await;
                response.inspect(|response| self.newer_epoch(response.epoch))
            }
        };
        (forward, sent_at, response)
    }

    async fn answer_forward(&self, peer: &NodeHandle, request: &BatchRequest) -> Option<BatchResponse> {
        let mut pending = peer.node().begin(self.clock.now(), request).ok()?;
        // A forwarded request is never forwarded again, so only reads can be left.
        while !pending.is_ready() {
            pending.take_forwards();
            let reads = self.read(pending.take_reads()).await;
            self.hand_back(peer, &mut pending, reads, Vec::new());
        }
        Some(peer.node().finish(self.clock.now(), pending))
    }

    fn hand_back(
        &self,
        node: &NodeHandle,
        pending: &mut Pending,
        reads: Option<FetchedReads>,
        forwards: Vec<Forwarded>,
    ) {
        let node = node.node();
        let now = self.clock.now();
        if let Some((reads, sent_at, answers)) = reads {
            node.finish_store(now, pending, reads, sent_at, answers);
        }
        for (forward, sent_at, response) in forwards {
            node.finish_forward(now, pending, forward, sent_at, response);
        }
    }
}

pub(super) type FetchedReads = (Vec<ReadTicket>, Millis, Vec<Result<StoreAnswer, StoreFailure>>);
type Forwarded = (Forward, Millis, Option<BatchResponse>);
