//! Warming up: fills memory with what a node is about to own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use foremap::control::{changed_hot_keys, former_owners, new_owners};
use foremap::key::CompositeKey;
use foremap::node::Node;
use foremap::partition::{MapNode, NodeId, PartitionMap, Placement};
use foremap::protocol::MAX_BATCH_KEYS;
use futures_util::stream::{self, StreamExt as _};

use super::{NodeHandle, Process};

/// Longest time for all of it: well within the coordinator's patience.
const TIME_OUT: Duration = Duration::from_millis(1_500);
/// Owners that are asked at once.
const ASKED: usize = 8;

/// Result of warming up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Warmed {
    /// Keys read.
    pub(super) keys: u64,
    /// Owners that did not tell their hot keys, chunks of keys that could not be read, and running out of time.
    pub(super) failures: u64,
}

/// Counts as it goes: what was read before time ran out counts, too.
#[derive(Default)]
struct WarmCounts {
    keys: AtomicU64,
    failures: AtomicU64,
}

impl WarmCounts {
    fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

/// Warms the nodes of `process` up for `next`, for a bounded time.
pub(super) async fn warm_up_in_time(process: &Process, map: &PartitionMap, next: &Arc<PartitionMap>) -> Warmed {
    let tally = WarmCounts::default();
    if tokio::time::timeout(TIME_OUT, warm_up(process, map, next, &tally)).await.is_err() {
        tracing::warn!(epoch = %next.epoch, "warming up took too long; the rest is read when it is asked for");
        tally.failed();
    }
    Warmed { keys: tally.keys.into_inner(), failures: tally.failures.into_inner() }
}

async fn warm_up(process: &Process, map: &PartitionMap, next: &Arc<PartitionMap>, tally: &WarmCounts) {
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
        read(process, node, gains.take(replicated.clone(), Node::MAX_HOT_KEYS), tally).await;
        // Of one owner at most twice its share, as not all have as many.
        let (gains, of_one) = (&gains, (2 * Node::MAX_HOT_KEYS).div_ceil(losers.len().max(1)));
        let asked = stream::iter(losers).for_each_concurrent(ASKED, |loser| async move {
            let keys = hot_keys(process, loser, tally).await;
            read(process, node, gains.take(keys, of_one), tally).await;
        });
        asked.await;
    }
}

/// The hot keys of `owner`, wherever it is; none where it cannot tell.
async fn hot_keys(process: &Process, owner: &MapNode, tally: &WarmCounts) -> Vec<CompositeKey> {
    if let Some(own) = process.nodes().find(|node| node.id() == owner.id) {
        return own.node().hot_keys(Node::MAX_HOT_KEYS);
    }
    match process.peers.hot_keys(owner, Node::MAX_HOT_KEYS).await {
        Ok(keys) => keys,
        Err(why) => {
            tracing::info!(node = owner.id, why, "an owner does not tell its hot keys");
            tally.failed();
            Vec::new()
        }
    }
}

/// Keys that a node is about to own, as far as they are read ahead.
struct Gains<'a> {
    node: NodeId,
    placement: &'a Placement,
    /// Number of keys that may still be read.
    left: AtomicUsize,
}

impl Gains<'_> {
    /// Takes what it gains of `keys`, the hottest first: at most `most` now, and [`Node::MAX_HOT_KEYS`] in all.
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
async fn read(process: &Process, node: &NodeHandle, keys: Vec<CompositeKey>, tally: &WarmCounts) {
    for keys in keys.chunks(MAX_BATCH_KEYS) {
        let Some((reads, _, answers)) = process.read(node.node().warm_reads(keys.to_vec())).await else { continue };
        let (all, failed) = (answers.len() as u64, answers.iter().filter(|answer| answer.is_err()).count() as u64);
        node.node().finish_warm(reads, answers);
        tally.keys.fetch_add(all - failed, Ordering::Relaxed);
        tally.failures.fetch_add(u64::from(failed > 0), Ordering::Relaxed);
    }
}
