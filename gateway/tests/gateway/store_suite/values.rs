//! Promises of [`Values`](foremap_gateway::store::Values).

use foremap::key::KeyPrefix;
use foremap_gateway::store::{Expect, ShardRead, Write, WriteId, WriteOutcome, Written, list};

use super::harness::{Shared, VERSIONS, delete, key, locator, put, read, written};

pub(super) async fn conformance(open: &impl Fn() -> Shared) {
    reads_see_acknowledged_writes(open()).await;
    compare_and_set(open()).await;
    one_of_many_racing_writers_wins(open()).await;
    retries_return_the_first_outcome(open()).await;
    deletes_leave_markers(open()).await;
    versions_are_kept_and_trimmed(open()).await;
    only_old_versions_can_be_removed(open()).await;
    lists_are_ordered_and_complete(open()).await;
    lists_hold_still_under_writes(open()).await;
}

fn id(text: &str) -> Option<WriteId> {
    WriteId::new(text)
}

async fn reads_see_acknowledged_writes(store: Shared) {
    let layout = store.layout();
    let absent = read(&store, &["a/b"]).await;
    assert_eq!((absent[0].value.as_ref(), absent[0].position), (None, 0));
    let ShardRead { value, shard, position } = store.write(put("a/b", "one")).await.expect("a store that works");
    let WriteOutcome::Written(Written { version, created: true }) = value else { panic!("{value:?}") };
    assert_eq!((shard, position), (layout.shard(&key("a/b")), version));
    let second = written(&store, put("a/b", "two")).await;
    assert!(second.version > version && !second.created);
    let answers = read(&store, &["a/b", "a/c", "a/b"]).await;
    let keymap = answers[0].value.as_ref().expect("found");
    assert_eq!((keymap.version, keymap.fields.locator.as_str(), &keymap.key), (second.version, "two", &key("a/b")));
    assert_eq!((answers[0].position, answers.len()), (second.version, 3));
    assert_eq!((&answers[0], &answers[1].value), (&answers[2], &None));
}

async fn compare_and_set(store: Shared) {
    let with = |expect, locator| Write { expect, ..put("a/b", locator) };
    let outcome = |write| async { store.write(write).await.expect("a store that works").value };
    assert_eq!(outcome(with(Expect::Present, "no")).await, WriteOutcome::Conflict { current: 0 });
    assert_eq!(outcome(with(Expect::Version(7), "no")).await, WriteOutcome::Conflict { current: 0 });
    let first = written(&store, with(Expect::Version(0), "one")).await.version;
    assert_eq!(outcome(with(Expect::Version(0), "no")).await, WriteOutcome::Conflict { current: first });
    let second = written(&store, with(Expect::Version(first), "two")).await.version;
    assert_eq!(outcome(with(Expect::Version(first), "no")).await, WriteOutcome::Conflict { current: second });
    written(&store, with(Expect::Present, "three")).await;
    let conditional = Write { expect: Expect::Version(second), ..delete("a/b") };
    assert!(matches!(outcome(conditional).await, WriteOutcome::Conflict { .. }));
    assert_eq!(locator(&store, "a/b").await.as_deref(), Some("three"));
    assert_eq!(store.versions(key("a/b")).await.expect("a store that works").value.len(), 3);
}

async fn one_of_many_racing_writers_wins(store: Shared) {
    written(&store, put("n/0", "0")).await;
    let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(increments(store.clone(), 10))).collect();
    for task in tasks {
        task.await.expect("a writer");
    }
    assert_eq!(locator(&store, "n/0").await.as_deref(), Some("80"));
}

/// Raises the number at `n/0` by compare-and-set, `times` times.
async fn increments(store: Shared, times: usize) {
    let mut done = 0;
    while done < times {
        let current = read(&store, &["n/0"]).await.remove(0).value.expect("found");
        let next = current.fields.locator.parse::<u64>().expect("a number") + 1;
        let write = Write { expect: Expect::Version(current.version), ..put("n/0", &next.to_string()) };
        let outcome = store.write(write).await.expect("a store that works").value;
        done += usize::from(matches!(outcome, WriteOutcome::Written(_)));
    }
}

async fn retries_return_the_first_outcome(store: Shared) {
    let first = Write { id: id("w-1"), expect: Expect::Version(0), ..put("a/b", "one") };
    let outcome = written(&store, first.clone()).await;
    written(&store, Write { id: id("w-2"), ..put("a/b", "two") }).await;
    // Its condition would not hold any more; the retry is still the same, successful write.
    assert_eq!(written(&store, first).await, outcome);
    assert_eq!(locator(&store, "a/b").await.as_deref(), Some("two"));
    let gone = Write { id: id("w-3"), ..delete("a/b") };
    let removed = written(&store, gone.clone()).await;
    assert_eq!(written(&store, gone).await, removed);
    // The same id at another key is another write.
    assert!(written(&store, Write { id: id("w-1"), ..put("a/c", "three") }).await.created);
    assert_eq!(store.versions(key("a/b")).await.expect("a store that works").value.len(), 3);
}

async fn deletes_leave_markers(store: Shared) {
    let outcome = store.write(delete("a/b")).await.expect("a store that works");
    assert_eq!((outcome.value, outcome.position), (WriteOutcome::Missing, 0));
    let first = written(&store, put("a/b", "one")).await.version;
    let marker = written(&store, delete("a/b")).await.version;
    assert_eq!(locator(&store, "a/b").await, None);
    assert_eq!(store.write(delete("a/b")).await.expect("a store that works").value, WriteOutcome::Missing);
    let again = written(&store, Write { expect: Expect::Version(0), ..put("a/b", "two") }).await;
    assert!(again.created && again.version > marker);
    let versions = store.versions(key("a/b")).await.expect("a store that works").value;
    let told: Vec<_> = versions.iter().map(|v| (v.version, v.keymap.is_some())).collect();
    assert_eq!(told, [(again.version, true), (marker, false), (first, true)]);
    let old = store.version(key("a/b"), first).await.expect("a store that works").value.expect("kept");
    assert_eq!(old.keymap.expect("no marker").fields.locator, "one");
    assert!(store.version(key("a/b"), marker).await.expect("a store that works").value.expect("kept").keymap.is_none());
    assert_eq!(store.version(key("a/b"), first + 1).await.expect("a store that works").value, None);
}

async fn versions_are_kept_and_trimmed(store: Shared) {
    let mut all = Vec::new();
    for n in 0..VERSIONS + 3 {
        all.push(written(&store, put("a/b", &n.to_string())).await.version);
        // A neighbour in the order of keys is not touched.
        if n == 0 {
            written(&store, put("a/b/c", "other")).await;
        }
    }
    let kept = store.versions(key("a/b")).await.expect("a store that works").value;
    let newest: Vec<u64> = all.iter().rev().take(VERSIONS).copied().collect();
    assert_eq!(kept.iter().map(|v| v.version).collect::<Vec<_>>(), newest);
    assert_eq!(store.versions(key("a/b/c")).await.expect("a store that works").value.len(), 1);
}

async fn only_old_versions_can_be_removed(store: Shared) {
    let first = written(&store, put("a/b", "one")).await.version;
    let second = written(&store, put("a/b", "two")).await.version;
    let store = &store;
    let outcome =
        |version| async move { store.remove_version(key("a/b"), version).await.expect("a store that works").value };
    assert_eq!(outcome(second).await, WriteOutcome::Conflict { current: second });
    assert!(matches!(outcome(first).await, WriteOutcome::Written(w) if w.version == first));
    assert_eq!(outcome(first).await, WriteOutcome::Missing);
    let marker = written(store, delete("a/b")).await.version;
    // Without its marker a deletion could not be told from a key that never was.
    assert_eq!(outcome(marker).await, WriteOutcome::Conflict { current: marker });
    assert!(matches!(outcome(second).await, WriteOutcome::Written(_)));
    assert_eq!(store.versions(key("a/b")).await.expect("a store that works").value.len(), 1);
}

async fn all_pages(store: &Shared, prefix: &str, limit: usize) -> Vec<String> {
    let prefix = KeyPrefix::parse(prefix).expect("a valid prefix");
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = list(&**store, &prefix, after, limit).await.expect("a store that works");
        assert!(page.items.len() <= limit);
        for item in &page.items {
            let layout = store.layout();
            assert_eq!(item.shard, layout.shard(&item.keymap.key));
            // Each is known to be current as of its shard's log, as far as it went when the list was read.
            let now = store.positions(vec![item.shard]).await.expect("a store that works")[0];
            assert!((item.keymap.version..=now).contains(&item.position), "{item:?}, {now}");
            keys.push(item.keymap.key.as_str().to_owned());
        }
        if !page.more {
            return keys;
        }
        after = Some(page.items.last().expect("a page with more has items").keymap.key.clone());
    }
}

async fn lists_are_ordered_and_complete(store: Shared) {
    let mut keys: Vec<String> = (0..60).map(|n| format!("user/{}/item-{n}", n % 7)).collect();
    // The prefix itself, neighbours that share bytes but not components, and bytes around the slash.
    let around = ["user", "user/1", "user/10/x", "user/1!", "user/1/!", "user/1-a", "user/1%2Fa", "users/1", "other/1"];
    keys.extend(around.map(str::to_owned));
    for key in &keys {
        written(&store, put(key, "here")).await;
    }
    written(&store, put("user/1/gone", "here")).await;
    written(&store, delete("user/1/gone")).await;
    keys.sort();
    for prefix in ["", "user", "user/1", "user/1/item-8", "nothing"] {
        let covers = KeyPrefix::parse(prefix).expect("a valid prefix");
        let expected: Vec<_> = keys.iter().filter(|text| covers.covers(&key(text))).cloned().collect();
        for limit in [1, 3, 10, 1_000] {
            assert_eq!(all_pages(&store, prefix, limit).await, expected, "{prefix:?} by {limit}");
        }
    }
}

async fn lists_hold_still_under_writes(store: Shared) {
    let stays: Vec<String> = (0..100).map(|n| format!("k/{n:03}")).collect();
    for key in &stays {
        written(&store, put(key, "here")).await;
    }
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..150 {
                written(&store, put(&format!("k/{:03}/new", n % 100), "here")).await;
                written(&store, put(&format!("k/{:03}", n % 100), "again")).await;
                written(&store, delete(&format!("k/{:03}/new", n % 100))).await;
            }
        })
    };
    while !writer.is_finished() {
        let listed = all_pages(&store, "k", 7).await;
        assert!(listed.is_sorted_by(|a, b| a < b), "in order, each once");
        let present: Vec<_> = listed.into_iter().filter(|key| !key.ends_with("new")).collect();
        assert_eq!(present, stays);
    }
    writer.await.expect("the writer");
}
