//! [`WarmUp`]: fills memory with what a node is about to own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use foremap::control::{changed_hot_keys, former_owners, new_owners};
use foremap::key::CompositeKey;
use foremap::node::Node;
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
            warm_up_in_time(&process, &map, &next).await;
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

/// Warms the nodes of `process` up for `next`, for a bounded time.
pub(super) async fn warm_up_in_time(process: &Process, map: &PartitionMap, next: &Arc<PartitionMap>) {
    if tokio::time::timeout(TIME_OUT, warm_up(process, map, next)).await.is_err() {
        tracing::warn!(epoch = %next.epoch, "warming up took too long; the rest is read when it is asked for");
        process.membership.send_modify(|stats| stats.warm_failures += 1);
    }
}

async fn warm_up(process: &Process, map: &PartitionMap, next: &Arc<PartitionMap>) {
    let gaining = new_owners(map, next);
    let gainers: Vec<_> = process.nodes().filter(|node| gaining.contains(&node.id())).collect();
    if gainers.is_empty() {
        return;
    }
    let (losing, replicated) = (former_owners(map, next), changed_hot_keys(map, next));
    let placement = Placement::new(next.clone());
    for node in gainers {
        let losers: Vec<&MapNode> =
            map.nodes.iter().filter(|other| other.id != node.id() && losing.contains(&other.id)).collect();
        let gains = Gains { node: node.id(), placement: &placement, left: AtomicUsize::new(Node::MAX_HOT_KEYS) };
        // The maps themselves tell these, and who serves them may go on doing so.
        read(process, node, gains.take(replicated.clone(), Node::MAX_HOT_KEYS)).await;
        // Of one owner at most twice its share, as not all have as many.
        let (gains, of_one) = (&gains, (2 * Node::MAX_HOT_KEYS).div_ceil(losers.len().max(1)));
        let asked = stream::iter(losers).for_each_concurrent(ASKED, |loser| async move {
            let keys = hot_keys(process, loser).await;
            read(process, node, gains.take(keys, of_one)).await;
        });
        asked.await;
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

/// What a node is about to own, as far as it is read ahead.
struct Gains<'a> {
    node: NodeId,
    placement: &'a Placement,
    /// How many more keys.
    left: AtomicUsize,
}

impl Gains<'_> {
    /// What it gains of `keys`, of which the hottest are first: at most `most` now, and [`Node::MAX_HOT_KEYS`] in all.
    fn take(&self, mut keys: Vec<CompositeKey>, most: usize) -> Vec<CompositeKey> {
        keys.truncate(Node::MAX_HOT_KEYS);
        keys.retain(|key| self.is_owner(key));
        keys.truncate(most);
        let rest = |left: usize| Some(left.saturating_sub(keys.len()));
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).unwrap_or_else(|left| left);
        keys.truncate(left);
        keys
    }

    fn is_owner(&self, key: &CompositeKey) -> bool {
        match self.placement.replicas(key) {
            Some(nodes) => nodes.contains(&self.node),
            None => self.placement.locate(key).node == self.node,
        }
    }
}

/// Reads `keys` into the memory of `node`. The log is being followed, so what it overtakes stays out.
async fn read(process: &Process, node: &NodeHandle, keys: Vec<CompositeKey>) {
    for keys in keys.chunks(MAX_BATCH_KEYS) {
        let Some((reads, _, answers)) = process.read(node.node().warm_reads(keys.to_vec())).await else { continue };
        let (all, failed) = (answers.len() as u64, answers.iter().filter(|answer| answer.is_err()).count() as u64);
        node.node().finish_warm(reads, answers);
        process.membership.send_modify(|stats| {
            stats.warm_keys += all - failed;
            stats.warm_failures += u64::from(failed > 0);
        });
    }
}
