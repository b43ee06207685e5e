//! [`WarmUp`]: fills memory with what a node is about to own.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foremap::key::CompositeKey;
use foremap::node::{Node, may_gain, may_lose};
use foremap::partition::{MapNode, NodeId, PartitionMap, Placement};
use foremap::protocol::MAX_BATCH_KEYS;
use futures_util::stream::{self, StreamExt as _};
use tokio::task::AbortHandle;

use super::{NodeHandle, Process};

/// Longest time for all of it: well within the coordinator's patience.
const TIME_OUT: Duration = Duration::from_millis(1_500);
/// Owners that are asked at once.
const ASKED: usize = 8;

/// Warms the nodes of a process up for one proposal at a time.
pub(super) struct WarmUp {
    process: Arc<Process>,
    /// Content hash of the proposal that it is busy with, and the task.
    under_way: Option<(u64, AbortHandle)>,
    /// Content hash of the last proposal that it was done with.
    done: Arc<AtomicU64>,
}

impl WarmUp {
    pub(super) fn new(process: Arc<Process>) -> Self {
        Self { process, under_way: None, done: Arc::default() }
    }

    /// Content hash of the last proposal that it was done with, well or not; 0 for none.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Begins with `proposal` unless it has; ends what nobody proposes any more.
    pub(super) fn follow(&mut self, map: &Arc<PartitionMap>, proposal: Option<&Arc<PartitionMap>>) {
        let wanted = proposal.filter(|proposal| proposal.epoch > map.epoch).map(|p| (p.hash(), p));
        if self.under_way.as_ref().map(|(hash, _)| *hash) == wanted.map(|(hash, _)| hash) {
            return;
        }
        if let Some((_, task)) = self.under_way.take() {
            task.abort();
        }
        let Some((hash, next)) = wanted else { return };
        let (process, map, next, done) = (self.process.clone(), map.clone(), next.clone(), self.done.clone());
        let task = tokio::spawn(async move {
            if tokio::time::timeout(TIME_OUT, warm_up(&process, &map, &next)).await.is_err() {
                tracing::warn!(epoch = %next.epoch, "warming up took too long; the rest is read when it is asked for");
                process.membership.send_modify(|stats| stats.warm_failures += 1);
            }
            done.store(hash, Ordering::Relaxed);
            process.news.notify_one();
        });
        self.under_way = Some((hash, task.abort_handle()));
    }
}

impl Drop for WarmUp {
    fn drop(&mut self) {
        if let Some((_, task)) = self.under_way.take() {
            task.abort();
        }
    }
}

async fn warm_up(process: &Process, map: &PartitionMap, next: &Arc<PartitionMap>) {
    for node in process.nodes().filter(|node| may_gain(map, next, node.id())) {
        let loses = |other: &&MapNode| other.id != node.id() && may_lose(map, next, other.id);
        let losers: Vec<MapNode> = map.nodes.iter().filter(loses).cloned().collect();
        let asked = stream::iter(losers).map(|loser| async move { hot_keys(process, &loser).await });
        let mut answers = asked.buffer_unordered(ASKED);
        let mut gains = Gains::new(node.id(), next.clone());
        while let Some(keys) = answers.next().await {
            gains.add(keys);
        }
        for chunk in gains.hottest().chunks(MAX_BATCH_KEYS) {
            read(process, node, chunk.to_vec()).await;
        }
    }
}

/// The hot keys of `owner`, wherever it is; none where it cannot tell.
async fn hot_keys(process: &Process, owner: &MapNode) -> Vec<CompositeKey> {
    if let Some(own) = process.nodes().find(|node| node.id() == owner.id) {
        return own.node().hot_keys(Node::MAX_HOT_KEYS);
    }
    match process.peers.hot_keys(owner, Node::MAX_HOT_KEYS).await {
        Ok(keys) => keys,
        Err(why) => {
            tracing::info!(node = owner.id, why, "an owner does not tell its hot keys");
            process.membership.send_modify(|stats| stats.warm_failures += 1);
            Vec::new()
        }
    }
}

/// The keys that a node is about to own, of every owner the hottest first.
struct Gains {
    node: NodeId,
    placement: Placement,
    of_owners: Vec<Vec<CompositeKey>>,
}

impl Gains {
    fn new(node: NodeId, next: Arc<PartitionMap>) -> Self {
        Self { node, placement: Placement::new(next), of_owners: Vec::new() }
    }

    /// Keeps what the node gains of one owner's keys: of each of many owners that is little.
    fn add(&mut self, mut keys: Vec<CompositeKey>) {
        keys.truncate(Node::MAX_HOT_KEYS);
        keys.retain(|key| self.is_owner(key));
        self.of_owners.push(keys);
    }

    fn is_owner(&mut self, key: &CompositeKey) -> bool {
        let next = self.placement.map();
        match next.hot.binary_search_by(|hot| hot.key.cmp(key)) {
            Ok(at) => next.hot[at].nodes.contains(&self.node),
            Err(_) => self.placement.locate(key).node == self.node,
        }
    }

    /// At most [`Node::MAX_HOT_KEYS`], the same share of every owner.
    fn hottest(self) -> Vec<CompositeKey> {
        let most = self.of_owners.iter().map(Vec::len).max().unwrap_or(0);
        let ranked = (0..most).flat_map(|rank| self.of_owners.iter().filter_map(move |keys| keys.get(rank)));
        let mut known = HashSet::new();
        ranked.filter(|key| known.insert(*key)).take(Node::MAX_HOT_KEYS).cloned().collect()
    }
}

/// Reads `keys` into the memory of `node`. The log is being followed, so what it overtakes stays out.
async fn read(process: &Process, node: &NodeHandle, keys: Vec<CompositeKey>) {
    let Some((reads, _, answers)) = process.read(node.node().warm_reads(keys)).await else { return };
    let (all, failed) = (answers.len() as u64, answers.iter().filter(|answer| answer.is_err()).count() as u64);
    node.node().finish_warm(reads, answers);
    process.membership.send_modify(|stats| {
        stats.warm_keys += all - failed;
        stats.warm_failures += u64::from(failed > 0);
    });
}
