//! Partition maps and deltas.

use std::collections::BTreeMap;
use std::sync::Arc;

use foremap::key::CompositeKey;
use foremap::partition::{MapDelta, MapError, PartitionMap, Placement};

use crate::seeds;
use crate::wire::{assert_only_form, json};

/// Largest text of all rules together that a valid map can have.
const MAX_RULE_TEXT: usize = 4 << 20;

/// `PartitionMap::decode`: one form, valid, and every key has a place among its nodes.
pub fn partition_map(data: &[u8]) -> bool {
    let Ok(map) = PartitionMap::decode(data) else { return false };
    assert_only_form(data, &map.encode());
    check(&map);
    let base = seeds::base_map();
    match MapDelta::between(&base, &map) {
        Some(delta) => assert_eq!(delta.apply(&base).as_ref(), Ok(&map)),
        None => assert_ne!((base.seeds, base.partitions, base.storage), (map.seeds, map.partitions, map.storage)),
    }
    true
}

/// A map in JSON, as a client without wasm reads it.
pub fn partition_map_json(data: &[u8]) -> bool {
    let Some(map) = json::<PartitionMap>(data) else { return false };
    assert_eq!(PartitionMap::decode(&map.encode()).as_ref(), Ok(&map));
    check(&map);
    true
}

fn check(map: &PartitionMap) {
    assert_eq!(map.validate(), Ok(()));
    assert!(map.rules.iter().map(|rule| rule.prefix.as_str().len()).sum::<usize>() <= MAX_RULE_TEXT);
    let placement = Placement::new(Arc::new(map.clone()));
    for text in ["a", "user/1/avatar", "bucket/hot/front page"] {
        let key = CompositeKey::parse(text).expect("valid");
        let place = placement.locate(&key);
        assert!(place.partition < map.partitions && map.node(place.node).is_some(), "{place:?}");
        assert!(map.storage.shard(&key) < map.storage.shards);
    }
}

/// `MapDelta::decode` and `MapDelta::apply`, held against the plain meaning of a delta.
pub fn map_delta(data: &[u8]) -> bool {
    let Ok(mut delta) = MapDelta::decode(data) else { return false };
    assert_eq!(MapDelta::decode(&delta.encode()).as_ref(), Ok(&delta));
    let base = seeds::base_map();
    let hash = base.hash();
    if delta.from != hash {
        assert_eq!(delta.apply(&base), Err(MapError::WrongBase));
        // No fuzzer guesses a hash; what comes after it must be reached all the same.
        delta.from = hash;
    }
    let expected = plainly(&base, &delta);
    let valid = expected.validate().is_ok();
    if valid {
        delta.to = expected.hash();
        assert_eq!(delta.apply(&base).as_ref(), Ok(&expected));
        delta.to ^= 1;
        assert_eq!(delta.apply(&base), Err(MapError::WrongResult));
    } else {
        assert!(matches!(delta.apply(&base), Err(MapError::Invalid(_))));
    }
    assert_eq!(base.hash(), hash);
    valid
}

/// Applies a delta plainly: what is gone leaves, then what is set arrives, in order.
fn plainly(base: &PartitionMap, delta: &MapDelta) -> PartitionMap {
    let mut nodes: BTreeMap<_, _> = base.nodes.iter().map(|node| (node.id, node)).collect();
    let mut rules: BTreeMap<_, _> = base.rules.iter().map(|rule| (&rule.prefix, rule)).collect();
    let mut hot: BTreeMap<_, _> = base.hot.iter().map(|hot| (&hot.key, hot)).collect();
    nodes.retain(|id, _| !delta.nodes_gone.contains(id));
    rules.retain(|prefix, _| !delta.rules_gone.contains(prefix));
    hot.retain(|key, _| !delta.hot_gone.contains(key));
    nodes.extend(delta.nodes.iter().map(|node| (node.id, node)));
    rules.extend(delta.rules.iter().map(|rule| (&rule.prefix, rule)));
    hot.extend(delta.hot.iter().map(|hot| (&hot.key, hot)));
    let mut exceptions = base.exceptions.clone();
    for (partition, node) in &delta.exceptions {
        match node {
            Some(node) => exceptions.insert(*partition, *node),
            None => exceptions.remove(partition),
        };
    }
    PartitionMap {
        epoch: delta.epoch,
        nodes: nodes.into_values().cloned().collect(),
        rules: rules.into_values().cloned().collect(),
        exceptions,
        hot: hot.into_values().cloned().collect(),
        ..base.clone()
    }
}
