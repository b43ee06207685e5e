//! Warm-up: what a node tells of its hot keys, and how another takes them in.

use std::sync::Arc;

use super::*;
use crate::node::{LogPage, NodeConfig};
use crate::partition::{MapNode, PartitionMap, StorageLayout};
use crate::protocol::{BatchItem, BatchRequest, Change, Class, Consistency, ErrorCode, Keymap, KeymapFields};

fn node(id: u32) -> Node {
    let nodes = (1..=2).map(|id| MapNode { id, origin: format!("http://node-{id}"), weight: 1 }).collect();
    let map = PartitionMap::new(7, 64, StorageLayout { shards: 4, depth: 1, fan: 2 }, nodes);
    Node::new(NodeConfig::new(id, 9), Arc::new(map)).expect("valid map")
}

fn follow(node: &Node) {
    for shard in 0..4 {
        let page = LogPage { shard, position: 100, after: 100, complete: true, ..LogPage::default() };
        node.apply_log(0, &page);
    }
}

fn keys(node: &Node, owner: u32, count: usize) -> Vec<CompositeKey> {
    let keys = (0..).map(|n| CompositeKey::parse(&format!("user/{n}")).expect("valid"));
    keys.filter(|key| node.locate(key).node == owner).take(count).collect()
}

fn request(keys: &[CompositeKey]) -> BatchRequest {
    let item = |key: &CompositeKey| BatchItem { key: key.clone(), if_version: None, class: Class::Demand };
    BatchRequest { items: keys.iter().map(item).collect(), forwarded: true, ..BatchRequest::default() }
}

fn answers(reads: &[ReadTicket], position: u64) -> Vec<Result<StoreAnswer, StoreFailure>> {
    let keymap = |key: &CompositeKey| Keymap { key: key.clone(), version: 90, fields: KeymapFields::default() };
    reads.iter().map(|read| Ok(StoreAnswer { value: Some(keymap(&read.key)), position })).collect()
}

#[test]
fn keys_that_are_not_owned_yet_are_answered_from_memory_after_the_warm_up() {
    let node = node(1);
    let mut hot = keys(&node, 2, 3);
    // Nothing can be kept before the log is followed.
    let reads = node.warm_reads(hot.clone());
    let early = answers(&reads, 100);
    node.finish_warm(reads, early);
    assert_eq!((node.stats().warmed, node.stats().fills_refused), (0, 3));
    follow(&node);
    let reads = node.warm_reads(hot.clone());
    assert_eq!(reads.iter().map(|read| &read.key).collect::<Vec<_>>(), hot.iter().collect::<Vec<_>>());
    let change = Change { shard: reads[1].shard, version: 101, key: hot[1].clone(), deleted: false };
    let page =
        LogPage { shard: reads[1].shard, after: 100, changes: vec![change], position: 101, ..LogPage::default() };
    let mut answers = answers(&reads, 100);
    answers[2] = Err(StoreFailure { code: ErrorCode::Unavailable, detail: "down".into() });
    // The log overtakes the second, and the third fails.
    node.apply_log(1, &page);
    node.finish_warm(reads, answers);
    let stats = node.stats();
    assert_eq!((stats.warmed, stats.fills, stats.store_reads, stats.store_failures), (1, 1, 6, 1));
    let pending = node.begin(2, &request(&hot)).expect("within limits");
    assert_eq!((pending.reads.len(), node.stats().memory_hits), (2, 1));
    // What is there is not read again.
    let left: Vec<_> = node.warm_reads(hot.clone()).into_iter().map(|read| read.key).collect();
    assert_eq!(left, hot.split_off(1));
}

#[test]
fn a_warm_up_is_bounded_and_a_short_answer_is_a_failure() {
    let node = node(1);
    follow(&node);
    let many = (0..=Node::MAX_HOT_KEYS).map(|n| CompositeKey::parse(&format!("user/{n}")).expect("valid")).collect();
    let reads = node.warm_reads(many);
    assert_eq!(reads.len(), Node::MAX_HOT_KEYS);
    node.finish_warm(reads, Vec::new());
    assert_eq!((node.stats().warmed, node.stats().store_failures), (0, Node::MAX_HOT_KEYS as u64));
}

#[test]
fn the_keys_served_here_are_the_hot_ones_and_forwarded_ones_are_not() {
    let node = node(1);
    follow(&node);
    let (own, other) = (keys(&node, 1, 3), keys(&node, 2, 1));
    for (at, key) in own.iter().enumerate() {
        let request = BatchRequest { forwarded: false, ..request(std::slice::from_ref(key)) };
        (0..=at).for_each(|_| drop(node.begin(1, &request)));
    }
    let forwarded = BatchRequest { forwarded: false, ..request(&other) };
    assert_eq!(node.begin(1, &forwarded).map(|mut pending| pending.take_forwards().len()), Ok(1));
    assert_eq!(node.hot_keys(9), [own[2].clone(), own[1].clone(), own[0].clone()]);
    assert_eq!(node.hot_keys(1), [own[2].clone()]);
    assert_eq!((node.stats().hot_keys, node.stats().hot_uncounted), (3, 0));
    // A strong read is answered here, whoever owns the key.
    (0..4).for_each(|_| drop(node.begin(1, &BatchRequest { consistency: Consistency::Strong, ..forwarded.clone() })));
    assert_eq!(node.hot_keys(1), other);
}
