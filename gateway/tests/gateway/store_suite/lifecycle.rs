//! Promises of a [`Lifecycle`](foremap_gateway::store::Lifecycle).

use foremap_gateway::store::{NoBackup, StoreError};

use super::harness::{Shared, put, written};

pub(super) async fn conformance(open: &impl Fn() -> Shared) {
    a_backup_is_whole_or_made_elsewhere(open()).await;
    a_closed_store_refuses_writes(open()).await;
}

async fn a_backup_is_whole_or_made_elsewhere(store: Shared) {
    written(&store, put("a/b", "one")).await;
    let mut frames = match store.backup() {
        Ok(frames) => frames,
        Err(why) => return assert_eq!(why, NoBackup::Elsewhere, "nobody else makes one"),
    };
    let mut bytes = 0;
    while let Some(frame) = frames.recv().await {
        bytes += frame.expect("a frame").len();
    }
    assert!(bytes > 0);
}

async fn a_closed_store_refuses_writes(store: Shared) {
    written(&store, put("a/b", "one")).await;
    store.close().await.expect("closed");
    let refused = store.write(put("a/b", "two")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    store.close().await.expect("closing twice is no error");
}
