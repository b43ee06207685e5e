//! Placement of keys: a change of the map moves what it must, and nothing else.

use std::sync::Arc;

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::partition::{PartitionMap, Placement, Portion, Rule, StorageLayout, xxh3};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::config;
use crate::strategies::{key, layout, map, map_of, prefix};

fn placement(map: &PartitionMap) -> Placement {
    map.validate().unwrap();
    Placement::new(Arc::new(map.clone()))
}

/// The portion by the definition: the longest covering rule, found by looking at each.
fn naive_portion(map: &PartitionMap, key: &CompositeKey) -> Portion {
    let covering = map.rules.iter().filter(|rule| rule.prefix.covers(key));
    covering.max_by_key(|rule| rule.prefix.depth()).map_or(Portion::default(), |rule| rule.portion)
}

/// The partition by the definition, on owned text.
fn naive_partition(map: &PartitionMap, key: &CompositeKey) -> u32 {
    let portion = naive_portion(map, key);
    let parts: Vec<_> = key.components().map(|part| format!("{part}/")).collect();
    let depth = usize::from(portion.depth).min(parts.len());
    let mut hash = xxh3(map.seeds[0], parts[..depth].concat().as_bytes());
    let next = parts.get(usize::from(portion.depth)).map_or(0, |next| xxh3(map.seeds[1], next.as_bytes()));
    let index = (next % (1 << portion.spread)) as u32;
    if index > 0 {
        hash = xxh3(map.seeds[0], &[&hash.to_le_bytes()[..], &index.to_le_bytes()[..]].concat());
    }
    (hash % u64::from(map.partitions)) as u32
}

fn naive_shard(layout: &StorageLayout, key: &CompositeKey) -> u16 {
    const SEED: u64 = u64::from_be_bytes(*b"foremaps");
    let parts: Vec<_> = key.components().map(|part| format!("{part}/")).collect();
    let base = xxh3(SEED, parts[..usize::from(layout.depth).min(parts.len())].concat().as_bytes());
    let slot = xxh3(SEED, key.as_str().as_bytes()) % u64::from(layout.fan);
    ((u128::from(base) + u128::from(slot)) % u128::from(layout.shards)) as u16
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn a_key_is_placed_by_its_longest_rule(map in map(), keys in vec(key(), 1..40)) {
        let placement = placement(&map);
        for key in &keys {
            let place = placement.locate(key);
            prop_assert_eq!(place.portion, naive_portion(&map, key), "{}", key);
            prop_assert_eq!(place.partition, naive_partition(&map, key), "{}", key);
            prop_assert_eq!(place.node, placement.owner(place.partition));
            prop_assert!(place.spread_index < 1 << place.portion.spread);
            if let Some(&exception) = map.exceptions.get(&place.partition) {
                prop_assert_eq!(place.node, exception);
            }
        }
    }

    #[test]
    fn a_storage_shard_follows_its_formula(layout in layout(), keys in vec(key(), 1..20), prefix in prefix()) {
        let named = layout.shards_of(&prefix);
        prop_assert!(named.is_sorted_by(|a, b| a < b));
        for key in &keys {
            let shard = layout.shard(key);
            prop_assert_eq!(shard, naive_shard(&layout, key));
            prop_assert!(!prefix.covers(key) || named.contains(&shard));
        }
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn one_more_spread_bit_rehomes_exactly_the_keys_with_that_bit(
        seed in any::<u64>(), bit in 0..10_u8, depth in 0..3_u8, keys in vec(key(), 100),
    ) {
        let mut before = PartitionMap::new(seed, 1 << 20, StorageLayout::default(), one_node());
        before.rules = vec![Rule { prefix: KeyPrefix::all(), portion: Portion { depth, spread: bit } }];
        let mut after = before.clone();
        after.rules[0].portion.spread += 1;
        let (before, after) = (placement(&before), placement(&after));
        for key in &keys {
            let next = key.components().nth(depth.into()).map(|next| format!("{next}/"));
            let has_bit = next.is_some_and(|next| xxh3(before.map().seeds[1], next.as_bytes()) >> bit & 1 == 1);
            let (old, new) = (before.locate(key), after.locate(key));
            prop_assert_eq!(new.spread_index, old.spread_index | u32::from(has_bit) << bit);
            // Of 2^20 partitions, another one: the seed is fixed, so no coincidence can come later.
            prop_assert_eq!(new.partition != old.partition, has_bit, "{}", key);
        }
    }

    #[test]
    fn a_removed_node_moves_only_its_own_partitions(map in map_of(2..12), gone in any::<prop::sample::Index>()) {
        let gone = map.nodes[gone.index(map.nodes.len())].id;
        let mut without = map.clone();
        without.nodes.retain(|node| node.id != gone);
        without.nodes[0].weight = without.nodes[0].weight.max(1);
        let mut with = map.clone();
        with.nodes.iter_mut().for_each(|node| node.weight = without.node(node.id).map_or(node.weight, |n| n.weight));
        without.exceptions.retain(|_, node| *node != gone);
        without.hot.clear();
        let (with, without) = (placement(&with), placement(&without));
        for partition in (0..map.partitions).step_by((map.partitions as usize / 512).max(1)) {
            let (old, new) = (with.owner(partition), without.owner(partition));
            prop_assert!(new != gone);
            prop_assert!(old == new || old == gone, "partition {}: {} to {}", partition, old, new);
        }
    }

    #[test]
    fn a_weight_moves_partitions_to_or_from_its_node_only(
        map in map_of(2..12), node in any::<prop::sample::Index>(), weight in any::<u32>(),
    ) {
        let at = node.index(map.nodes.len());
        let (id, old_weight) = (map.nodes[at].id, map.nodes[at].weight);
        let mut changed = map.clone();
        changed.nodes[at].weight = weight;
        prop_assume!(changed.validate().is_ok());
        let (before, after) = (placement(&map), placement(&changed));
        for partition in (0..map.partitions).step_by((map.partitions as usize / 512).max(1)) {
            let (old, new) = (before.owner(partition), after.owner(partition));
            if old != new {
                prop_assert_eq!(if weight > old_weight { new } else { old }, id, "partition {}", partition);
            }
        }
    }
}

fn one_node() -> Vec<foremap::partition::MapNode> {
    vec![foremap::partition::MapNode { id: 1, origin: "http://n1".into(), weight: 1 }]
}
