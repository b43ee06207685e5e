use super::*;
use crate::partition::{Placement, StorageLayout};
use std::sync::Arc;

fn node(id: NodeId) -> MapNode {
    MapNode { id, origin: format!("http://n{id}"), weight: 1 }
}

fn map() -> PartitionMap {
    PartitionMap::new(1, 1_024, StorageLayout::default(), (1..=4).map(node).collect())
}

fn prefix(text: &str) -> KeyPrefix {
    KeyPrefix::parse(text).expect("a valid prefix")
}

fn keys() -> Vec<CompositeKey> {
    let text = |n: u32| format!("logs/{}/{n}", n % 10);
    (0..2_000).map(|n| CompositeKey::parse(&text(n)).expect("a valid key")).collect()
}

fn partitions(map: &PartitionMap) -> Vec<u32> {
    let placement = Placement::new(Arc::new(map.clone()));
    keys().iter().map(|key| placement.partition(key).0).collect()
}

#[test]
fn a_spread_bit_rehomes_about_half_of_its_prefix_and_merging_brings_it_back() {
    let (before, hot) = (map(), prefix("logs/3"));
    let moves = [Move::Place { prefix: hot.clone(), portion: Portion { depth: 2, spread: 1 } }];
    let after = shift(&before, &moves).expect("a valid shift");
    assert_eq!(after.epoch.number, before.epoch.number + 1);
    let moved: Vec<_> = keys()
        .into_iter()
        .zip(partitions(&before).into_iter().zip(partitions(&after)))
        .filter(|(_, (old, new))| old != new)
        .map(|(key, _)| key)
        .collect();
    assert!(moved.iter().all(|key| hot.covers(key)), "nothing else moves");
    assert!((70..130).contains(&moved.len()), "{} of 200", moved.len());
    let merged = shift(&after, &[Move::Merge { prefix: hot }]).expect("a valid shift");
    assert_eq!(partitions(&merged), partitions(&before));
}

#[test]
fn an_assignment_moves_one_partition() {
    let assigned = shift(&map(), &[Move::Assign { partition: 7, node: Some(2) }]).expect("a valid shift");
    let placement = Placement::new(Arc::new(assigned.clone()));
    assert_eq!(placement.owner(7), 2);
    let back = shift(&assigned, &[Move::Assign { partition: 7, node: None }]).expect("a valid shift");
    assert!(back.exceptions.is_empty());
}

#[test]
fn members_that_leave_take_their_exceptions_along() {
    let key = CompositeKey::parse("a/b").expect("a valid key");
    let busy = [
        Move::Assign { partition: 7, node: Some(4) },
        Move::Replicate { key: key.clone(), nodes: vec![4, 1] },
        Move::Members { nodes: (1..=3).rev().map(node).collect() },
    ];
    let after = shift(&map(), &busy).expect("a valid shift");
    assert_eq!((after.nodes.len(), after.exceptions.len()), (3, 0));
    assert_eq!(after.hot, [HotKey { key: key.clone(), nodes: vec![1] }]);
    let cold = shift(&after, &[Move::Replicate { key, nodes: vec![] }]).expect("a valid shift");
    assert!(cold.hot.is_empty());
}

#[test]
fn a_shift_that_contradicts_itself_is_refused_whole() {
    let before = map();
    let moves = [Move::Assign { partition: 7, node: Some(2) }, Move::Assign { partition: 8, node: Some(99) }];
    assert!(matches!(shift(&before, &moves), Err(MapError::Invalid(_))));
    assert_eq!(before, map());
}
