use super::*;
use crate::partition::{HotKey, MapNode, Rule, StorageLayout};
use crate::shifter::{Move, shift};

fn node(id: NodeId) -> MapNode {
    MapNode { id, origin: format!("http://n{id}"), weight: 1 }
}

fn map_of(ids: impl IntoIterator<Item = NodeId>) -> PartitionMap {
    PartitionMap::new(7, 256, StorageLayout::default(), ids.into_iter().map(node).collect())
}

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

fn prefix(text: &str) -> KeyPrefix {
    KeyPrefix::parse(text).expect("valid")
}

fn rule(text: &str, depth: u8, spread: u8) -> Rule {
    Rule { prefix: prefix(text), portion: Portion { depth, spread } }
}

fn hot(text: &str, nodes: &[NodeId]) -> HotKey {
    HotKey { key: key(text), nodes: nodes.to_vec() }
}

/// Maps that differ in one thing, or in several at once.
fn maps() -> Vec<PartitionMap> {
    let three = || map_of(1..=3);
    let weighted = vec![node(1), MapNode { weight: 3, ..node(2) }, MapNode { weight: 0, ..node(3) }];
    let all = PartitionMap {
        exceptions: [(3, 1), (4, 3), (90, 2)].into(),
        rules: vec![rule("a", 1, 3), rule("a/b", 2, 1), rule("c/d", 1, 0)],
        hot: vec![hot("a/b/7", &[3, 1]), hot("e/f/1", &[2])],
        ..three()
    };
    vec![
        three(),
        map_of(1..=2),
        map_of(1..=4),
        PartitionMap { nodes: weighted.clone(), ..three() },
        PartitionMap { exceptions: [(3, 1), (4, 2)].into(), ..three() },
        PartitionMap { exceptions: [(3, 3), (4, 2)].into(), nodes: weighted, ..three() },
        PartitionMap { rules: vec![rule("", 1, 0)], ..three() },
        PartitionMap { rules: vec![rule("a", 1, 2)], ..three() },
        PartitionMap { rules: vec![rule("a", 1, 2), rule("a/b", 2, 4), rule("a/b/7", 3, 0)], ..three() },
        PartitionMap { rules: vec![rule("c/d", 2, 2)], ..three() },
        PartitionMap { rules: vec![rule("c/d", 4, 0)], ..three() },
        PartitionMap { hot: vec![hot("a/b/7", &[1, 2]), hot("c/d/1", &[3])], ..three() },
        PartitionMap { hot: vec![hot("a/b/7", &[2])], rules: vec![rule("a", 0, 0)], ..three() },
        all.clone(),
        PartitionMap { nodes: map_of(1..=4).nodes, ..all },
    ]
}

#[test]
fn who_may_gain_or_lose_errs_towards_yes() {
    let mut keys: Vec<CompositeKey> = (0..3_000).map(|n| key(&format!("t{n}/u"))).collect();
    for (first, second) in ["a/b", "a/x", "c/d", "e/f"].iter().flat_map(|first| (0..60).map(move |n| (first, n))) {
        keys.extend([key(&format!("{first}/{second}")), key(&format!("{first}/{second}/{second}"))]);
    }
    keys.extend(["a", "c", "a/b", "c/d", "c/d/1/2/3"].map(key));
    let served = |map: &PartitionMap| -> Vec<Vec<NodeId>> {
        let placement = Placement::new(Arc::new(map.clone()));
        keys.iter().map(|key| serving(&placement, key)).collect()
    };
    let maps = maps();
    let served: Vec<_> = maps.iter().map(served).collect();
    let (mut yes, mut no) = (0, 0);
    for (map, before) in maps.iter().zip(&served) {
        map.validate().expect("valid");
        for (next, after) in maps.iter().zip(&served) {
            let (gains, losses) = (new_owners(map, next), former_owners(map, next));
            let gained = |from: &[Vec<_>], to: &[Vec<_>], id| {
                from.iter().zip(to).any(|(f, t)| t.contains(&id) && !f.contains(&id))
            };
            for id in 1..=4 {
                assert!(!gained(before, after, id) || gains.contains(&id), "{id}: {map:?} {next:?}");
                assert!(!gained(after, before, id) || losses.contains(&id), "{id}: {map:?} {next:?}");
                *if gains.contains(&id) { &mut yes } else { &mut no } += 1;
            }
            assert!(gains.iter().all(|&id| next.node(id).is_some()), "{map:?} {next:?}");
        }
    }
    assert!(yes > 200 && no > 200, "{yes} {no}");
}

#[test]
fn a_plan_concerns_those_it_names_only() {
    let map = map_of(1..=100);
    let placement = Placement::new(Arc::new(map.clone()));
    let (home, owner) = (placement.owner(9), placement.locate(&key("a/b/c")).node);
    let others: Vec<NodeId> = (1..=100).filter(|id| ![home, owner].contains(id)).collect();
    let assign = Move::Assign { partition: 9, node: Some(others[0]) };
    let replicate = |nodes: &[NodeId]| Move::Replicate { key: key("a/b/c"), nodes: nodes.to_vec() };
    let next = shift(&map, &[assign, replicate(&[owner, others[1]])]).expect("valid");
    assert_eq!(new_owners(&map, &next), others[..2].iter().copied().collect());
    assert_eq!(former_owners(&map, &next), [home].into());
    // Another replica, a replica less, and none any more.
    let more = shift(&next, &[replicate(&[owner, others[2], others[1]])]).expect("valid");
    assert_eq!((new_owners(&next, &more), former_owners(&next, &more)), ([others[2]].into(), [].into()));
    let none = shift(&more, &[replicate(&[])]).expect("valid");
    assert_eq!((new_owners(&more, &none), former_owners(&more, &none)), ([].into(), [others[1], others[2]].into()));
    // A prefix in two parts.
    let place = Move::Place { prefix: prefix("x/y"), portion: Portion { depth: 2, spread: 1 } };
    let split = shift(&map, &[place]).expect("valid");
    assert!((1..=2).contains(&new_owners(&map, &split).len()), "{:?}", new_owners(&map, &split));
    assert_eq!(former_owners(&map, &split), [placement.locate(&key("x/y/z")).node].into());
    assert_eq!(new_owners(&split, &map), former_owners(&map, &split));
    // One that loses its replicas to its owner, who was none of them.
    let away = shift(&map, &[replicate(&others[..1])]).expect("valid");
    assert_eq!((new_owners(&away, &map), former_owners(&away, &map)), ([owner].into(), [others[0]].into()));
}

#[test]
fn what_differs_in_more_than_can_be_looked_at_concerns_everybody() {
    let map = map_of(1..=100);
    let rules: Vec<Rule> = (10..27).map(|n| rule(&format!("r{n}"), 1, 10)).collect();
    let few = PartitionMap { rules: rules[..1].to_vec(), partitions: 256, ..map.clone() };
    assert!(new_owners(&map, &few).len() > 50);
    assert_eq!(new_owners(&map, &PartitionMap { rules, ..map.clone() }).len(), 100);
    assert_eq!(new_owners(&map, &PartitionMap { seeds: [8, 8], ..map.clone() }).len(), 100);
}
