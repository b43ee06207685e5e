//! The nodes, as clients see them: hops and store reads take no time, which the round trip of a client includes.

use std::sync::Arc;

use foremap::Millis;
use foremap::node::{Feeds, Forward, Node, NodeConfig, ReadTicket, StoreAnswer, StoreFailure};
use foremap::partition::{MapNode, PartitionMap, StorageLayout};
use foremap::protocol::{BatchRequest, BatchResponse, Cursor, MapKnowledge};

use super::store::Store;

/// Nodes.
pub const NODES: usize = 3;
/// Time before its answer at which a node has polled the logs that the answer relies on.
pub const POLLED_BEFORE_MS: Millis = 5;
/// Milliseconds that the clocks of the nodes are ahead by: their readings mean nothing to each other.
const OFFSETS: [Millis; NODES] = [0, 86_400_000 * 365, 7_777_777];

/// Origin at which node number `at` answers.
pub fn origin(at: usize) -> String {
    format!("http://node-{at}")
}

/// The number of the node that answers at `origin`.
pub fn node_at(origin: &str) -> Option<usize> {
    origin.rsplit('-').next()?.parse().ok().filter(|&at| at < NODES)
}

struct Host {
    node: Node,
    offset: Millis,
    /// Of each shard how far its log was read.
    polled: Vec<Option<u64>>,
}

/// All nodes of the cluster.
pub struct Fleet {
    hosts: Vec<Host>,
    layout: StorageLayout,
    /// A defect put in on purpose: logs were polled so much earlier than the nodes say.
    pub(crate) lie_ms: Millis,
}

impl Fleet {
    /// Nodes that know nothing yet.
    ///
    /// # Panics
    /// Never: the map is valid.
    pub fn new(seed: u64) -> Self {
        let layout = StorageLayout::default();
        let node = |at: usize| MapNode { id: at as u32 + 1, origin: origin(at), weight: 1 };
        let map = Arc::new(PartitionMap::new(seed, 16_384, layout, (0..NODES).map(node).collect()));
        let host = |at: usize| Host {
            node: Node::new(NodeConfig::new(at as u32 + 1, seed), map.clone()).expect("a valid map"),
            offset: OFFSETS[at],
            polled: vec![None; usize::from(layout.shards)],
        };
        Self { hosts: (0..NODES).map(host).collect(), layout, lie_ms: 0 }
    }

    /// Layout by which keys are spread over storage shards.
    pub fn layout(&self) -> StorageLayout {
        self.layout
    }

    /// The map that all nodes have.
    pub fn map_knowledge(&self) -> MapKnowledge {
        self.hosts[0].node.map_knowledge()
    }

    /// Answer of node number `at` to a batch.
    ///
    /// # Panics
    /// If the node refuses the request: an adapter sends none that breaks a limit.
    pub fn answer(&mut self, store: &Store, now: Millis, at: usize, request: &BatchRequest) -> BatchResponse {
        self.poll(store, now, at, request);
        let host = &self.hosts[at];
        let local = now + host.offset;
        let mut pending = host.node.begin(local, request).expect("a request within the limits");
        loop {
            let host = &self.hosts[at];
            let reads = pending.take_reads();
            if !reads.is_empty() {
                let answers = reads.iter().map(|read: &ReadTicket| Ok(store.read(&read.key)));
                let answers: Vec<Result<StoreAnswer, StoreFailure>> = answers.collect();
                host.node.finish_store(local, &mut pending, reads, local, answers);
                continue;
            }
            let forwards = pending.take_forwards();
            if forwards.is_empty() {
                return host.node.finish(local, pending);
            }
            for forward in forwards {
                let Forward { node, ref request, .. } = forward;
                let response = self.answer(store, now, node as usize - 1, request);
                self.hosts[at].node.finish_forward(local, &mut pending, forward, local, Some(response));
            }
        }
    }

    /// Reading of the clock of node number `at`.
    pub(crate) fn local(&self, at: usize, now: Millis) -> Millis {
        now + self.hosts[at].offset
    }

    /// The change feeds of node number `at`.
    pub(crate) fn feeds(&self, at: usize) -> Feeds<'_> {
        self.hosts[at].node.feeds()
    }

    /// Reads the logs of the shards of `cursors`.
    pub(crate) fn poll_cursors(&mut self, store: &Store, now: Millis, at: usize, cursors: &[Cursor]) {
        self.poll_shards(store, now, at, cursors.iter().map(|cursor| cursor.shard));
    }

    /// Reads all logs.
    pub(crate) fn poll_all(&mut self, store: &Store, now: Millis, at: usize) {
        self.poll_shards(store, now, at, 0..self.layout.shards);
    }

    /// Reads the logs that the answer to `request` relies on, as they were a moment before.
    fn poll(&mut self, store: &Store, now: Millis, at: usize, request: &BatchRequest) {
        let items = request.items.iter().map(|item| store.shard(&item.key));
        let mut shards: Vec<u16> = items.chain(request.cursors.iter().map(|cursor| cursor.shard)).collect();
        shards.sort_unstable();
        shards.dedup();
        self.poll_shards(store, now, at, shards.into_iter());
    }

    fn poll_shards(&mut self, store: &Store, now: Millis, at: usize, shards: impl Iterator<Item = u16>) {
        let Host { node, offset, polled } = &mut self.hosts[at];
        let sent_at = now - POLLED_BEFORE_MS;
        let as_of = sent_at - self.lie_ms;
        for shard in shards {
            let cursor = &mut polled[usize::from(shard)];
            let page = store.page(shard, *cursor, as_of);
            *cursor = Some(page.position);
            node.apply_log(sent_at + *offset, &page);
        }
    }
}

#[cfg(test)]
mod tests {
    use foremap::key::CompositeKey;
    use foremap::protocol::{BatchItem, Class, Outcome};

    use super::*;
    use crate::pace::START;

    #[test]
    fn any_node_answers_any_key_as_of_the_last_poll() {
        let keys: Vec<CompositeKey> = (0..20).map(|n| CompositeKey::parse(&format!("k/{n}")).expect("valid")).collect();
        let mut fleet = Fleet::new(1);
        let mut store = Store::new(fleet.layout(), &keys);
        let items = keys.iter().map(|key| BatchItem { key: key.clone(), if_version: None, class: Class::Demand });
        let request = BatchRequest { items: items.collect(), ..BatchRequest::default() };
        for (step, at) in [0, 1, 2, 1, 0].into_iter().enumerate() {
            let now = START + 1_000 * step as Millis;
            for id in 0..20 {
                store.write(now - 10, id);
            }
            let response = fleet.answer(&store, now, at, &request);
            for (id, result) in response.results.iter().enumerate() {
                let Outcome::Found { keymap } = &result.outcome else { panic!("{result:?}") };
                assert_eq!(Some(keymap.version), store.commits(id as u32).last().map(|commit| commit.version));
                assert!(Millis::from(result.at.age_ms) <= POLLED_BEFORE_MS, "{result:?}");
            }
        }
    }
}
