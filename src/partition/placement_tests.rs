use std::collections::BTreeMap;

use super::*;
use crate::key::KeyPrefix;
use crate::partition::{MapNode, Rule, StorageLayout};

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).unwrap()
}

fn map(nodes: u32) -> PartitionMap {
    let nodes = (1..=nodes).map(|id| MapNode { id, origin: format!("http://n{id}"), weight: 1 }).collect();
    PartitionMap::new(42, 16_384, StorageLayout::default(), nodes)
}

fn rule(prefix: &str, depth: u8, spread: u8) -> Rule {
    Rule { prefix: KeyPrefix::parse(prefix).unwrap(), portion: Portion { depth, spread } }
}

fn placement(map: PartitionMap) -> Placement {
    map.validate().unwrap();
    Placement::new(Arc::new(map))
}

#[test]
fn the_longest_rule_wins_and_only_at_component_boundaries() {
    let mut m = map(3);
    m.rules = vec![rule("", 3, 0), rule("a", 1, 1), rule("a/b", 2, 2), rule("a/b/c/d", 4, 3)];
    let p = placement(m);
    let spread = |text: &str| p.portion(&key(text)).spread;
    assert_eq!(
        ["b", "a", "a/x", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e", "a/bc", "ab"].map(spread),
        [0, 1, 1, 2, 2, 3, 3, 1, 0]
    );
}

#[test]
fn without_rules_the_first_two_components_are_hashed() {
    let p = placement(map(3));
    assert_eq!(p.portion(&key("a/b/c")), Portion { depth: 2, spread: 0 });
    assert_eq!(p.locate(&key("a/b/c")), p.locate(&key("a/b/d")));
    assert_eq!(p.locate(&key("a/b/c")), p.locate(&key("a/b")));
    assert_ne!(p.locate(&key("a/b")).partition, p.locate(&key("a/c")).partition);
}

#[test]
fn a_key_without_a_next_component_has_index_zero() {
    let mut m = map(3);
    m.rules = vec![rule("a", 1, 10)];
    let p = placement(m);
    assert_eq!(p.locate(&key("a")).spread_index, 0);
    let indices: Vec<_> = (0..64).map(|n| p.locate(&key(&format!("a/{n}"))).spread_index).collect();
    assert!(indices.iter().all(|&i| i < 1_024) && indices.iter().any(|&i| i > 512));
    // Deeper components do not take part.
    assert_eq!(p.locate(&key("a/1")), p.locate(&key("a/1/x/y")));
}

#[test]
fn depth_zero_gathers_everything_below_the_rule() {
    let mut m = map(3);
    m.rules = vec![rule("a", 0, 0)];
    let p = placement(m);
    assert_eq!(p.locate(&key("a/1")), p.locate(&key("a/2/x")));
}

#[test]
fn exceptions_outrank_the_rendezvous() {
    let mut m = map(3);
    let base: Vec<_> = (0..8).map(|partition| placement(m.clone()).owner(partition)).collect();
    m.exceptions = BTreeMap::from([(2, base[2] % 3 + 1), (3, base[3])]);
    let p = placement(m);
    let moved: Vec<_> = (0..8).filter(|&partition| p.owner(partition) != base[partition as usize]).collect();
    assert_eq!(moved, [2]);
}

#[test]
fn shares_follow_the_weights() {
    let mut m = map(4);
    for (node, weight) in m.nodes.iter_mut().zip([0, 1, 2, 5]) {
        node.weight = weight;
    }
    let p = placement(m);
    let mut shares = [0_i32; 4];
    for partition in 0..16_384 {
        shares[p.owner(partition) as usize - 1] += 1;
    }
    assert_eq!(shares[0], 0);
    // Four standard deviations of a binomial share.
    for (share, weight) in shares.into_iter().zip([0.0_f64, 1.0, 2.0, 5.0]) {
        let expected = 16_384.0 * weight / 8.0;
        let deviation = (expected * (1.0 - weight / 8.0)).sqrt();
        assert!((f64::from(share) - expected).abs() <= 4.0 * deviation, "{share} of {expected}");
    }
}

#[test]
fn an_owner_is_remembered_as_computed() {
    let warm = placement(map(50));
    let first: Vec<_> = (0..16_384).map(|partition| warm.owner(partition)).collect();
    let again: Vec<_> = (0..16_384).rev().map(|partition| warm.owner(partition)).collect();
    assert!(first.iter().eq(again.iter().rev()));
    assert_eq!(size_of_val(&warm.owners[..]), 2 * 16_384);
}
