use std::sync::Arc;

use super::*;
use crate::key::CompositeKey;
use crate::partition::{MapNode, Placement, Rule, StorageLayout};

fn map() -> PartitionMap {
    let nodes = (1..=30).map(|id| MapNode { id, origin: format!("http://n{id}"), weight: 1 + id % 3 }).collect();
    PartitionMap::new(42, 4_096, StorageLayout::default(), nodes)
}

#[test]
fn the_rendezvous_winner_is_the_owner_without_exceptions() {
    let map = map();
    let winners = map.rendezvous();
    let placement = Placement::new(Arc::new(map.clone()));
    for (partition, &winner) in winners.iter().enumerate() {
        assert_eq!(placement.owner(partition as u32), map.nodes[usize::from(winner)].id);
    }
}

#[test]
fn the_parts_of_a_prefix_are_where_its_keys_are() {
    let mut map = map();
    let prefix = KeyPrefix::parse("a/b").expect("a prefix");
    let portion = Portion { depth: 2, spread: 3 };
    map.rules = vec![Rule { prefix: prefix.clone(), portion }];
    let placement = Placement::new(Arc::new(map.clone()));
    let parts = map.parts(&prefix, portion).expect("it goes no deeper");
    assert_eq!(parts.len(), 8);
    for n in 0..50 {
        let key = CompositeKey::parse(&format!("a/b/{n}/x")).expect("a key");
        let (partition, _, index) = placement.partition(&key);
        assert_eq!(parts[index as usize], partition);
        let child = KeyPrefix::parse(&format!("a/b/{n}")).expect("a prefix");
        assert_eq!(map.parts(&child, portion), Some(vec![partition]));
    }
    assert_eq!(map.parts(&prefix, Portion { depth: 3, spread: 0 }), None);
}
