//! What every store must do. Run it with a function that opens an empty store; one behind a network through
//! [`Patient`](crate::patient::Patient), as an answer that comes too late is none of what is tested here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foremap::control::{Member, MemberState};
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::node::StoreAnswer;
use foremap::partition::{MapNode, PartitionMap};
use foremap::protocol::{Cursor, KeymapFields};
use foremap_gateway::store::{Blob, Expect, Read, Store, StoreError, Write, WriteId, WriteOutcome, Written, list};

/// Retention of the store under test.
pub(crate) const VERSIONS: usize = 5;
pub(crate) const LOG_ENTRIES: u64 = 20;

type Shared = Arc<dyn Store>;

/// Runs the suite; `open` opens a new, empty store with the retention above.
pub(crate) async fn conformance(open: impl Fn() -> Shared) {
    reads_see_acknowledged_writes(open()).await;
    compare_and_set(open()).await;
    retries_return_the_first_outcome(open()).await;
    deletes_leave_markers(open()).await;
    versions_are_kept_and_trimmed(open()).await;
    only_old_versions_can_be_removed(open()).await;
    lists_are_ordered_and_complete(open()).await;
    lists_hold_still_under_writes(open()).await;
    the_log_tells_every_write(open()).await;
    the_log_is_trimmed_and_says_so(open()).await;
    one_of_many_racing_writers_wins(open()).await;
    the_map_changes_by_compare_and_set(open()).await;
    members_are_listed_until_they_expire(open()).await;
    one_coordinator_at_a_time_and_terms_rise(open()).await;
    a_deposed_coordinator_changes_nothing(open()).await;
    a_closed_store_refuses_writes(open()).await;
}

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("a valid key")
}

fn put(text: &str, locator: &str) -> Write {
    let fields = KeymapFields { locator: locator.into(), ..KeymapFields::default() };
    Write { key: key(text), fields: Some(fields), expect: Expect::Any, id: None }
}

fn delete(text: &str) -> Write {
    Write { key: key(text), fields: None, expect: Expect::Any, id: None }
}

fn id(text: &str) -> Option<WriteId> {
    WriteId::new(text)
}

async fn written(store: &Shared, write: Write) -> Written {
    match store.write(write).await.expect("a store that works").value {
        WriteOutcome::Written(written) => written,
        other => panic!("written, not {other:?}"),
    }
}

async fn read(store: &Shared, keys: &[&str]) -> Vec<StoreAnswer> {
    let answers = store.read(keys.iter().map(|text| key(text)).collect()).await;
    answers.into_iter().map(|answer| answer.expect("a store that works")).collect()
}

fn all_shards(store: &Shared) -> Vec<u16> {
    (0..store.layout().shards).collect()
}

async fn locator(store: &Shared, text: &str) -> Option<String> {
    read(store, &[text]).await.remove(0).value.map(|keymap| keymap.fields.locator)
}

async fn reads_see_acknowledged_writes(store: Shared) {
    let layout = store.layout();
    let absent = read(&store, &["a/b"]).await;
    assert_eq!((absent[0].value.as_ref(), absent[0].position), (None, 0));
    let Read { value, shard, position } = store.write(put("a/b", "one")).await.expect("a store that works");
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

fn member(id: u32, incarnation: u64, origin: &str) -> Member {
    Member { id, incarnation, origin: origin.into(), weight: 1, state: MemberState::Serving, warm_for: 0 }
}

/// Long enough that nothing expires by itself on a loaded machine.
const LONG: Duration = Duration::from_secs(60);
/// Over soon.
const SHORT: Duration = Duration::from_millis(900);

async fn members_are_listed_until_they_expire(store: Shared) {
    let announce = |member: Member, ttl| {
        let store = store.clone();
        async move { store.announce(member, ttl).await.expect("a store that works") }
    };
    let members = || async { store.members().await.expect("a store that works") };
    assert_eq!(members().await, []);
    let (first, second) = (member(2, 1, "http://a"), member(1, 1, "http://b"));
    assert!(announce(first.clone(), LONG).await && announce(second.clone(), LONG).await);
    assert_eq!(members().await, [second.clone(), first.clone()]);
    let warm = Member { warm_for: 9, state: MemberState::Leaving, ..second };
    assert!(announce(warm.clone(), LONG).await);
    assert_eq!(members().await, [warm.clone(), first.clone()]);
    // Another process is refused; the same one after a restart is not.
    assert!(!announce(member(2, 2, "http://c"), LONG).await);
    let back = member(2, 3, "http://a");
    assert!(announce(back.clone(), LONG).await);
    assert_eq!(members().await, [warm.clone(), back.clone()]);
    // Only its own registration is taken back.
    store.retract(2, 1).await.expect("a store that works");
    assert_eq!(members().await.len(), 2);
    store.retract(2, 3).await.expect("a store that works");
    assert_eq!(members().await, std::slice::from_ref(&warm));
    let begun = Instant::now();
    assert!(announce(member(3, 1, "http://d"), SHORT).await);
    let listed = members().await.len();
    // Its time began later, so it is over later still.
    assert!(listed == 2 || begun.elapsed() >= SHORT);
    tokio::time::sleep(SHORT + Duration::from_millis(100)).await;
    assert_eq!(members().await, [warm]);
    assert!(announce(member(3, 2, "http://e"), LONG).await, "an expired id is free");
}

async fn one_coordinator_at_a_time_and_terms_rise(store: Shared) {
    let lead = |incarnation, ttl| {
        let store = store.clone();
        async move { store.take_lease(incarnation, ttl).await.expect("a store that works") }
    };
    let first = lead(1, LONG).await.expect("free");
    assert!(first > 0);
    assert_eq!(lead(2, LONG).await, None);
    assert_eq!(lead(1, LONG).await, Some(first), "kept");
    assert_eq!(lead(2, Duration::ZERO).await, None, "not theirs to give up");
    assert_eq!(lead(1, Duration::ZERO).await, None, "given up");
    let second = lead(2, SHORT).await.expect("free again");
    assert!(second > first);
    tokio::time::sleep(SHORT + Duration::from_millis(100)).await;
    assert!(lead(1, LONG).await.expect("expired") > second);
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

async fn a_closed_store_refuses_writes(store: Shared) {
    written(&store, put("a/b", "one")).await;
    store.close().await.expect("closed");
    let refused = store.write(put("a/b", "two")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    store.close().await.expect("closing twice is no error");
}
