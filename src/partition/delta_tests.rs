use std::collections::BTreeMap;

use super::*;
use crate::partition::{Portion, StorageLayout};

fn node(id: NodeId, weight: u32) -> MapNode {
    MapNode { id, origin: format!("http://node{id}"), weight }
}

fn rule(prefix: &str, spread: u8) -> Rule {
    Rule { prefix: KeyPrefix::parse(prefix).unwrap(), portion: Portion { depth: 2, spread } }
}

fn hot(key: &str, nodes: &[NodeId]) -> HotKey {
    HotKey { key: CompositeKey::parse(key).unwrap(), nodes: nodes.to_vec() }
}

fn old() -> PartitionMap {
    let nodes = vec![node(1, 1), node(2, 1), node(3, 1)];
    let mut map = PartitionMap::new(1, 64, StorageLayout::default(), nodes);
    map.rules = vec![rule("a", 0), rule("b", 1), rule("c", 2)];
    map.exceptions = BTreeMap::from([(1, 1), (2, 2), (3, 3)]);
    map.hot = vec![hot("x", &[1]), hot("y", &[1, 2])];
    map
}

fn new() -> PartitionMap {
    let mut map = old();
    map.epoch.number += 1;
    map.nodes = vec![node(1, 1), node(2, 4), node(7, 1)];
    map.rules = vec![rule("a", 0), rule("b", 5), rule("b/1", 0)];
    map.exceptions = BTreeMap::from([(1, 1), (2, 1), (9, 7)]);
    map.hot = vec![hot("y", &[2]), hot("z", &[7])];
    map
}

#[test]
fn a_delta_holds_the_difference_only() {
    let delta = MapDelta::between(&old(), &new()).unwrap();
    assert_eq!(delta.nodes, [node(2, 4), node(7, 1)]);
    assert_eq!(delta.nodes_gone, [3]);
    assert_eq!(delta.rules, [rule("b", 5), rule("b/1", 0)]);
    assert_eq!(delta.rules_gone, [KeyPrefix::parse("c").unwrap()]);
    assert_eq!(delta.exceptions, [(2, Some(1)), (3, None), (9, Some(7))]);
    assert_eq!(delta.hot, [hot("y", &[2]), hot("z", &[7])]);
    assert_eq!(delta.hot_gone, [CompositeKey::parse("x").unwrap()]);
}

#[test]
fn a_delta_leads_there_and_back() {
    let there = MapDelta::between(&old(), &new()).unwrap();
    let back = MapDelta::between(&new(), &old()).unwrap();
    assert_eq!(there.apply(&old()), Ok(new()));
    assert_eq!(back.apply(&new()), Ok(old()));
    let still = MapDelta::between(&old(), &old()).unwrap();
    assert_eq!(still.apply(&old()), Ok(old()));
}

#[test]
fn another_base_is_refused() {
    let delta = MapDelta::between(&old(), &new()).unwrap();
    assert_eq!(delta.apply(&new()), Err(MapError::WrongBase));
}

#[test]
fn a_forged_delta_is_refused() {
    let honest = MapDelta::between(&old(), &new()).unwrap();
    let mut forged = honest.clone();
    forged.nodes[0].weight = 9;
    assert_eq!(forged.apply(&old()), Err(MapError::WrongResult));
    let mut forged = honest.clone();
    forged.nodes_gone = vec![1, 2, 3];
    forged.nodes.clear();
    assert!(matches!(forged.apply(&old()), Err(MapError::Invalid(_))));
    let mut forged = honest;
    forged.exceptions.push((64, Some(1)));
    assert!(matches!(forged.apply(&old()), Err(MapError::Invalid(_))));
}

#[test]
fn the_order_inside_a_delta_does_not_matter() {
    let mut delta = MapDelta::between(&old(), &new()).unwrap();
    delta.nodes.reverse();
    delta.rules.reverse();
    delta.exceptions.reverse();
    delta.hot.reverse();
    assert_eq!(delta.apply(&old()), Ok(new()));
}

#[test]
fn what_is_fixed_at_creation_has_no_delta() {
    let changes: [fn(&mut PartitionMap); 3] = [|m| m.partitions = 32, |m| m.seeds[1] = 0, |m| m.storage.shards = 128];
    for change in changes {
        let mut other = new();
        change(&mut other);
        assert_eq!(MapDelta::between(&old(), &other), None);
    }
}
