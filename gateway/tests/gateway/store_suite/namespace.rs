//! Promises of a [`Namespace`](foremap_gateway::store::Namespace).

use std::sync::Arc;
use std::time::Duration;

use foremap::partition::{MapNode, PartitionMap};
use foremap_gateway::store::{Blob, StoreError};

use super::harness::{LONG, Shared};

pub(super) async fn conformance(open: &impl Fn() -> Shared) {
    the_map_changes_by_compare_and_set(open()).await;
    a_deposed_coordinator_changes_nothing(open()).await;
}

async fn the_map_changes_by_compare_and_set(store: Shared) {
    let node = MapNode { id: 1, origin: "http://127.0.0.1:1".into(), weight: 1 };
    let first = Arc::new(PartitionMap::new(1, 64, store.layout(), vec![node]));
    let mut next = (*first).clone();
    next.epoch.number = 2;
    let next = Arc::new(next);
    assert_eq!(store.map().await.expect("a store that works"), None);
    assert_eq!(store.put_map(Some(first.epoch), first.clone(), 0).await, Ok(false));
    assert_eq!(store.put_map(None, first.clone(), 0).await, Ok(true));
    assert_eq!(store.put_map(None, next.clone(), 0).await, Ok(false));
    assert_eq!(store.map().await.expect("a store that works"), Some(first.clone()));
    assert_eq!(store.put_map(Some(first.epoch), next.clone(), 0).await, Ok(true));
    assert_eq!(store.map().await.expect("a store that works"), Some(next));
}

async fn a_deposed_coordinator_changes_nothing(store: Shared) {
    let map = PartitionMap::new(1, 64, store.layout(), vec![MapNode { id: 1, origin: "http://a".into(), weight: 1 }]);
    let next = |number| {
        let mut next = map.clone();
        next.epoch.number = number;
        Arc::new(next)
    };
    assert_eq!(store.put_map(None, next(1), 0).await, Ok(true));
    let old = store.take_lease(1, LONG).await.expect("a store that works").expect("free");
    assert_eq!(store.put_map(Some(map.epoch), next(2), old).await, Ok(true));
    assert_eq!(store.put_blob(Blob::Proposal, Some(vec![1, 2]), old).await, Ok(true));
    assert_eq!(store.blob(Blob::Proposal).await, Ok(Some(vec![1, 2])));
    assert_eq!(store.blob(Blob::Model).await, Ok(None));
    store.take_lease(1, Duration::ZERO).await.expect("a store that works");
    let new = store.take_lease(2, LONG).await.expect("a store that works").expect("free");
    assert_eq!(store.put_map(Some(next(2).epoch), next(3), old).await, Ok(false));
    assert_eq!(store.put_blob(Blob::Proposal, None, old).await, Ok(false));
    assert_eq!(store.blob(Blob::Proposal).await, Ok(Some(vec![1, 2])));
    assert_eq!(store.put_map(Some(next(2).epoch), next(3), new).await, Ok(true));
    assert_eq!(store.put_blob(Blob::Proposal, None, new).await, Ok(true));
    assert_eq!(store.blob(Blob::Proposal).await, Ok(None));
    let large = vec![7; Blob::MAX_BYTES + 1];
    assert!(matches!(store.put_blob(Blob::Model, Some(large), new).await, Err(StoreError::TooLarge(_))));
}
