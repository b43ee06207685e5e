//! The map that a process starts with.

use foremap::key::CompositeKey;
use foremap::partition::{HotKey, MapNode};
use foremap_gateway::run::ensure_map;
use foremap_gateway::store::{Namespace, RedbOptions, RedbStore};

fn nodes(count: u32) -> Vec<MapNode> {
    (1..=count).map(|id| MapNode { id, origin: format!("http://127.0.0.1:{id}"), weight: 1 }).collect()
}

#[tokio::test]
async fn the_epoch_rises_only_when_the_nodes_change() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = RedbStore::open(&dir.path().join("s"), &RedbOptions::default()).expect("opened");
    let first = ensure_map(&store, nodes(3)).await.expect("a map");
    assert_eq!(first.epoch.number, 1);
    // When it was made, so that a store that is made anew has a later one.
    assert!(first.epoch.incarnation > 1_750_000_000, "{}", first.epoch.incarnation);
    assert_eq!(ensure_map(&store, nodes(3)).await.expect("a map"), first);

    // What refers to a node that is gone goes with it.
    let mut busy = (*first).clone();
    busy.epoch.number = 2;
    busy.exceptions = [(5, 1), (6, 3)].into();
    let hot = |text: &str, nodes| HotKey { key: CompositeKey::parse(text).expect("valid"), nodes };
    busy.hot = vec![hot("a/1", vec![3, 2]), hot("a/2", vec![3])];
    assert_eq!(store.put_map(Some(first.epoch), busy.into(), 0).await, Ok(true));
    let fewer = ensure_map(&store, nodes(2)).await.expect("a map");
    assert_eq!((fewer.epoch.number, fewer.nodes.len()), (3, 2));
    assert_eq!((fewer.exceptions.clone(), fewer.hot.clone()), ([(5, 1)].into(), vec![hot("a/1", vec![2])]));
    assert_eq!((fewer.seeds, fewer.partitions, fewer.storage), (first.seeds, first.partitions, first.storage));
    assert_eq!(store.map().await, Ok(Some(fewer)));
}
