//! Promises of a [`ChangeLog`](foremap_gateway::store::ChangeLog).

use foremap::protocol::Cursor;
use foremap_gateway::store::{Expect, Write};

use super::harness::{LOG_ENTRIES, Shared, delete, key, put, written};

pub(super) async fn conformance(open: &impl Fn() -> Shared) {
    the_log_tells_every_write(open()).await;
    the_log_is_trimmed_and_says_so(open()).await;
}

fn all_shards(store: &Shared) -> Vec<u16> {
    (0..store.layout().shards).collect()
}

async fn the_log_tells_every_write(store: Shared) {
    let shard = store.layout().shard(&key("a/b"));
    let shards = all_shards(&store);
    let positions = store.positions(shards.clone()).await.expect("a store that works");
    let cursor = |(&shard, &position)| Cursor { shard, position };
    let mut cursors: Vec<Cursor> = shards.iter().zip(&positions).map(cursor).collect();
    let groups = store.groups().borrow().concat();
    assert_eq!(groups.len(), shards.len(), "every shard in one group");
    assert!(shards.iter().all(|shard| groups.contains(shard)));
    let mut expected = Vec::new();
    for n in 0..6 {
        expected.push((written(&store, put("a/b", &n.to_string())).await.version, false));
    }
    expected.push((written(&store, delete("a/b")).await.version, true));
    // What was not written is not told.
    store.write(Write { expect: Expect::Present, ..put("a/b", "no") }).await.expect("a store that works");
    let mut told = Vec::new();
    loop {
        let pages = store.poll(cursors.clone(), 3).await.expect("a store that works");
        assert_eq!(pages.len(), cursors.len());
        for (cursor, page) in cursors.iter_mut().zip(&pages) {
            assert_eq!((page.shard, page.after, page.reset), (cursor.shard, cursor.position, false));
            cursor.position = page.position;
        }
        let page = &pages[usize::from(shard)];
        assert!(page.changes.len() <= 3 && page.changes.iter().all(|c| c.key == key("a/b") && c.shard == shard));
        assert!(page.changes.last().is_none_or(|c| c.version == page.position));
        told.extend(page.changes.iter().map(|c| (c.version, c.deleted)));
        if pages.iter().all(|page| page.complete) {
            break;
        }
    }
    assert_eq!(told, expected);
    let reached: Vec<u64> = cursors.iter().map(|cursor| cursor.position).collect();
    assert_eq!(reached, store.positions(shards).await.expect("a store that works"));
    // A part of the shards, in any order.
    let part = vec![Cursor { shard, position: 0 }, Cursor { shard: u16::from(shard == 0), position: 0 }];
    let pages = store.poll(part, 100).await.expect("a store that works");
    assert_eq!((pages[0].changes.len(), pages[1].changes.len()), (expected.len(), 0));
}

async fn the_log_is_trimmed_and_says_so(store: Shared) {
    let shard = store.layout().shard(&key("a/b"));
    let mut all = Vec::new();
    for n in 0..LOG_ENTRIES + 5 {
        all.push(written(&store, put("a/b", &n.to_string())).await.version);
    }
    let from = |position: u64| {
        let store = store.clone();
        async move { store.poll(vec![Cursor { shard, position }], 1_000).await.expect("a store that works").remove(0) }
    };
    for lost in [0, all[0], all[3]] {
        let page = from(lost).await;
        assert!(page.reset && page.changes.is_empty() && page.complete);
        assert_eq!(Some(&page.position), all.last());
    }
    let page = from(all[4]).await;
    assert_eq!((page.reset, page.changes.len() as u64), (false, LOG_ENTRIES));
}
