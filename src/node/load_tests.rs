//! Tests of who counts what, and of who serves keys that have replicas.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::key::CompositeKey;
use crate::load::ROUND_MS;
use crate::node::{Forward, LogPage, NodeConfig, StoreAnswer};
use crate::partition::{HotKey, MapNode, NodeId, PartitionMap, StorageLayout, replica, xxh3};
use crate::protocol::{BatchItem, BatchRequest, Class};

const HOT: [&str; 2] = ["user/hot", "user/hot too"];

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

/// One of three nodes; nodes 2 and 3 have replicas of two keys.
fn node(id: NodeId) -> Node {
    let nodes = (1..=3).map(|id| MapNode { id, origin: format!("http://node-{id}"), weight: 1 }).collect();
    let mut map = PartitionMap::new(7, 64, StorageLayout { shards: 1, depth: 1, fan: 1 }, nodes);
    map.hot = HOT.map(|hot| HotKey { key: key(hot), nodes: vec![2, 3] }).to_vec();
    let node = Node::new(NodeConfig::new(id, 9), Arc::new(map)).expect("valid map");
    let page = LogPage { shard: 0, after: 0, changes: vec![], position: 100, complete: true, reset: false };
    node.apply_log(0, &page);
    node
}

fn request(keys: &[CompositeKey]) -> BatchRequest {
    let item = |key: &CompositeKey| BatchItem { key: key.clone(), if_version: None, class: Class::Demand };
    BatchRequest { items: keys.iter().map(item).collect(), max_staleness_ms: 2_000, ..BatchRequest::default() }
}

/// Hands a batch to `node`, whose store has nothing; returns what it sends on.
fn ask(node: &Node, request: &BatchRequest) -> Vec<Forward> {
    let mut pending = node.begin(1, request).expect("within limits");
    let forwards = pending.take_forwards();
    let reads = pending.take_reads();
    let answers = reads.iter().map(|_| Ok(StoreAnswer { value: None, position: 100 })).collect();
    node.finish_store(1, &mut pending, reads, 1, answers);
    forwards
}

fn report(node: &Node) -> LoadReport {
    node.take_load(ROUND_MS, 5, 77)
}

/// The first `part/n/x` of each node.
fn keys(node: &Node) -> Vec<CompositeKey> {
    let of = |id| (0..).map(|n| key(&format!("part/{n}/x"))).find(|key| node.locate(key).node == id);
    (1..=3).map(|id| of(id).expect("every node owns some")).collect()
}

#[test]
fn a_request_is_counted_by_the_node_that_answers_it() {
    let (near, owner) = (node(1), node(2));
    let keys = keys(&near);
    let forwards = ask(&near, &request(&keys));
    assert_eq!(forwards.iter().map(|forward| forward.node).collect::<Vec<_>>(), [2, 3]);
    assert!(ask(&owner, &forwards[0].request).is_empty());
    let (of_near, of_owner) = (report(&near), report(&owner));
    let partitions = |report: &LoadReport| report.partitions.iter().map(|&(at, n)| (at, n.all)).collect::<Vec<_>>();
    assert_eq!(partitions(&of_near), [(near.locate(&keys[0]).partition, 1)]);
    assert_eq!(partitions(&of_owner), [(near.locate(&keys[1]).partition, 1)]);
    assert_eq!((of_near.node, of_near.incarnation, of_near.number, of_near.round), (1, 5, 1, 77));
    // Who had the batch from the client knows what belongs together.
    assert!(!of_near.together.is_empty() && of_owner.together.is_empty());
    assert_eq!((report(&near).requests.all, report(&near).number), (0, 3));
}

#[test]
fn a_key_with_replicas_is_counted_as_such_and_served_by_each_of_them() {
    let (near, replica) = (node(1), node(2));
    let hot = HOT.map(key);
    let mut sent: BTreeMap<NodeId, u32> = BTreeMap::new();
    for _ in 0..1_000 {
        let forwards = ask(&near, &request(&hot));
        // Keys of the same replicas stay together.
        assert_eq!(forwards.len(), 1);
        *sent.entry(forwards[0].node).or_default() += 1;
        assert_eq!(forwards[0].request.items.len(), 2);
    }
    // Half of them each: within six standard deviations.
    assert!(sent.keys().eq(&[2, 3]) && sent.values().all(|&n| n.abs_diff(500) < 95), "{sent:?}");
    for _ in 0..8 {
        assert!(ask(&replica, &request(&hot)).is_empty());
    }
    let stats = replica.stats();
    assert_eq!((stats.fills, stats.memory_hits), (2, 14));
    assert_eq!((stats.load_keys, stats.load_prefixes, stats.load_partitions), (2, 0, 0));
    let report = report(&replica);
    assert!(report.partitions.is_empty() && report.prefixes.is_empty());
    assert_eq!(report.keys.iter().map(|(key, n)| (key.as_str(), n.all)).collect::<Vec<_>>(), HOT.map(|key| (key, 8)));
    assert_eq!(replica.stats().load_keys, 0);
}

#[test]
fn batches_that_are_sent_on_take_turns_and_other_keys_go_to_their_owner() {
    let near = node(1);
    let keys = keys(&near);
    // One without hot keys is a turn as well.
    ask(&near, &request(&keys));
    let first = xxh3(9, &1_u32.to_le_bytes());
    for n in 1..=100 {
        let batch: Vec<_> = HOT.map(key).into_iter().chain(keys.clone()).collect();
        let mut expected = BTreeMap::from([(2, vec![keys[1].clone()]), (3, vec![keys[2].clone()])]);
        expected.entry([2, 3][replica(first.wrapping_add(n), 2)]).or_default().extend(HOT.map(key));
        expected.values_mut().for_each(|keys| keys.sort());
        let sent_on = ask(&near, &request(&batch)).into_iter().map(|forward| {
            let mut keys: Vec<_> = forward.request.items.into_iter().map(|item| item.key).collect();
            keys.sort();
            (forward.node, keys)
        });
        assert_eq!(sent_on.collect::<BTreeMap<_, _>>(), expected, "batch {n}");
    }
}
