use super::*;

fn node(id: NodeId) -> MapNode {
    MapNode { id, origin: format!("http://node{id}:8080"), weight: 1 }
}

fn rule(prefix: &str, depth: u8, spread: u8) -> Rule {
    Rule { prefix: KeyPrefix::parse(prefix).unwrap(), portion: Portion { depth, spread } }
}

fn hot(key: &str, nodes: &[NodeId]) -> HotKey {
    HotKey { key: CompositeKey::parse(key).unwrap(), nodes: nodes.to_vec() }
}

fn map() -> PartitionMap {
    let mut map = PartitionMap::new(1, 64, StorageLayout::default(), vec![node(3), node(1), node(2)]);
    map.rules = vec![rule("", 1, 0), rule("a", 2, 10), rule("a/b", 16, 0)];
    map.exceptions = BTreeMap::from([(0, 2), (63, 3)]);
    map.hot = vec![hot("a/b", &[2, 1]), hot("a/c", &[3])];
    map
}

#[test]
fn a_new_map_is_sorted_and_valid() {
    assert_eq!(map().validate(), Ok(()));
    assert_eq!(map().nodes.iter().map(|n| n.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(map().node(2).map(|n| n.id), Some(2));
    assert_eq!(map().node(4), None);
}

#[test]
fn contradictions_are_named() {
    type Damage = fn(&mut PartitionMap);
    let cases: [(Damage, &str); 21] = [
        (|m| m.epoch.number = 1 << 53, "epoch"),
        (|m| m.partitions = 0, "partitions must"),
        (|m| m.partitions = (1 << 20) + 1, "partitions must"),
        (|m| m.storage.shards = 0, "storage layout"),
        (|m| m.storage.fan = 0, "storage layout"),
        (|m| m.storage.fan = 257, "storage layout"),
        (|m| m.storage.depth = 17, "storage layout"),
        (|m| m.nodes.clear(), "1 to 4,096 nodes"),
        (|m| m.nodes.swap(0, 1), "order of unique ids"),
        (|m| m.nodes[1].id = 1, "order of unique ids"),
        (|m| m.nodes[0].origin.clear(), "origin"),
        (|m| m.nodes[0].origin = "h".repeat(301), "origin"),
        (|m| m.nodes.iter_mut().for_each(|n| n.weight = 0), "weight"),
        (|m| m.rules.swap(0, 1), "order of prefix"),
        (|m| m.rules[1].portion.depth = 17, "depth"),
        (|m| m.rules[1].portion.spread = 11, "spread"),
        (|m| _ = m.exceptions.insert(64, 1), "unknown partition"),
        (|m| _ = m.exceptions.insert(5, 9), "unknown node"),
        (|m| m.hot.swap(0, 1), "hot keys must"),
        (|m| m.hot[0].nodes.clear(), "hot key names"),
        (|m| m.hot[0].nodes.push(9), "hot key names"),
    ];
    for (damage, reason) in cases {
        let mut damaged = map();
        damage(&mut damaged);
        let Err(MapError::Invalid(said)) = damaged.validate() else { panic!("{reason}: accepted") };
        assert!(said.contains(reason), "{said:?} does not say {reason:?}");
    }
}

#[test]
fn the_text_of_all_rules_is_limited() {
    let mut map = map();
    let long = "x".repeat(1_000);
    map.rules = (0..4_194).map(|n| rule(&format!("{n:04}{}", &long[..996]), 1, 0)).collect();
    assert_eq!(map.validate(), Ok(()));
    map.rules.push(rule(&format!("4194{}", &long[..996]), 1, 0));
    assert!(matches!(map.validate(), Err(MapError::Invalid(reason)) if reason.contains("4 MiB")));
}

#[test]
fn json_round_trips_and_is_validated() {
    let text = serde_json::to_string(&map()).unwrap();
    assert!(text.contains(r#""seeds":["0000000000000001","#), "{text}");
    assert_eq!(serde_json::from_str::<PartitionMap>(&text).unwrap(), map());
    let huge = text.replace(r#""partitions":64"#, r#""partitions":4294967295"#);
    assert_ne!(huge, text);
    let error = serde_json::from_str::<PartitionMap>(&huge).unwrap_err();
    assert!(error.to_string().contains("partitions must be"), "{error}");
}

#[test]
fn epochs_are_ordered_by_incarnation_first() {
    let epoch = |incarnation, number| Epoch { incarnation, number };
    assert!(epoch(1, 9) < epoch(2, 1) && epoch(2, 1) < epoch(2, 2));
    assert_eq!(epoch(2, 17).to_string(), "2.17");
}
