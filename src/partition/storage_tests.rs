use std::collections::BTreeSet;

use super::*;

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).unwrap()
}

#[test]
fn a_prefix_names_exactly_the_shards_that_its_keys_use() {
    let layouts = [(256, 1, 16), (256, 2, 16), (256, 0, 16), (7, 1, 7), (5, 1, 1), (u16::MAX, 1, 3), (16, 3, 4)];
    for (shards, depth, fan) in layouts {
        let layout = StorageLayout { shards, depth, fan };
        assert!(layout.is_valid());
        for prefix in ["bucket", "bucket/7", "bucket/7/x"] {
            let used: BTreeSet<u16> = (0..4_000).map(|n| layout.shard(&key(&format!("{prefix}/{n}")))).collect();
            let named = layout.shards_of(&KeyPrefix::parse(prefix).unwrap());
            assert!(named.is_sorted_by(|a, b| a < b));
            if usize::from(depth) <= prefix.split('/').count() {
                assert_eq!(named, used.into_iter().collect::<Vec<_>>(), "{layout:?} {prefix}");
            } else {
                assert_eq!(named, (0..shards).collect::<Vec<_>>(), "{layout:?} {prefix}");
            }
        }
    }
}

#[test]
fn the_key_named_like_its_prefix_is_covered() {
    for depth in 0..4 {
        let layout = StorageLayout { depth, ..StorageLayout::default() };
        for text in ["a", "a/b", "a/b/c"] {
            assert!(layout.shards_of(&KeyPrefix::parse(text).unwrap()).contains(&layout.shard(&key(text))));
        }
    }
}

#[test]
fn the_empty_prefix_covers_every_shard() {
    let layout = StorageLayout::default();
    assert_eq!(layout.shards_of(&KeyPrefix::all()).len(), 256);
    let hashed_nothing = StorageLayout { depth: 0, ..layout };
    assert_eq!(hashed_nothing.shards_of(&KeyPrefix::all()).len(), 16);
}
