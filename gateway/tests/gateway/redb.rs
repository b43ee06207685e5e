//! The redb store: conformance, and what is its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foremap::control::{Member, MemberState};
use foremap::key::CompositeKey;
use foremap::partition::StorageLayout;
use foremap::protocol::{ErrorCode, KeymapFields, MAX_VERSION};
use foremap_gateway::store::{
    Expect, Lifecycle, OpenError, RedbOptions, RedbStore, Registry, StoreError, Values, Write, WriteOutcome,
};

use crate::patient::{Patient, Tamper};
use crate::store_suite::{LOG_ENTRIES, VERSIONS, conformance};

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("a valid key")
}

fn put(text: &str) -> Write {
    let fields = KeymapFields { locator: "here".into(), ..KeymapFields::default() };
    Write { key: key(text), fields: Some(fields), expect: Expect::Any, id: None }
}

async fn version(store: &RedbStore, text: &str) -> Result<u64, StoreError> {
    match store.write(put(text)).await?.value {
        WriteOutcome::Written(written) => Ok(written.version),
        other => panic!("written, not {other:?}"),
    }
}

/// A new store for each call, in `dir`.
fn fresh(dir: &Path) -> RedbStore {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let options = RedbOptions { versions: VERSIONS, log_entries: LOG_ENTRIES, ..RedbOptions::default() };
    let path = dir.join(format!("conforms-{}.redb", COUNT.fetch_add(1, Ordering::Relaxed)));
    RedbStore::open(&path, &options).expect("opened")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redb_conforms() {
    let dir = tempfile::tempdir().expect("a directory");
    conformance(|| Arc::new(fresh(dir.path()))).await;
}

/// Delays that a loaded machine brings to a store over a network are no fault of it, and do not hide one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_tells_a_slow_store_from_a_wrong_one() {
    let dir = tempfile::tempdir().expect("a directory");
    conformance(|| Arc::new(Patient::tampered(fresh(dir.path()), Tamper::Late))).await;
    let wrong = async move { conformance(|| Arc::new(Patient::tampered(fresh(dir.path()), Tamper::Forget))).await };
    assert!(tokio::spawn(wrong).await.expect_err("it must fail").is_panic());
}

#[tokio::test]
async fn versions_follow_the_clock_and_survive_it_being_set_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(AtomicU64::new(1_000_000_000_000));
    let reads = clock.clone();
    let options = RedbOptions { clock: Arc::new(move || reads.load(Ordering::Relaxed)), ..RedbOptions::default() };
    let store = RedbStore::open(&dir.path().join("s"), &options).expect("opened");
    assert_eq!(version(&store, "a/b").await, Ok(1_000_000_000_000));
    // In the same microsecond, and with a clock that is a minute slow: still ascending.
    assert_eq!(version(&store, "a/b").await, Ok(1_000_000_000_001));
    clock.fetch_sub(59_000_000, Ordering::Relaxed);
    assert_eq!(version(&store, "a/b").await, Ok(1_000_000_000_002));
    // By any amount: for one write it was ten years ahead.
    const YEARS: u64 = 10 * 365 * 86_400_000_000;
    clock.fetch_add(YEARS, Ordering::Relaxed);
    let ahead = version(&store, "a/b").await.expect("written");
    clock.fetch_sub(YEARS, Ordering::Relaxed);
    assert_eq!(version(&store, "a/b").await, Ok(ahead + 1));
    assert_eq!(version(&store, "other/b").await, Ok(clock.load(Ordering::Relaxed)));
    clock.store(0, Ordering::Relaxed);
    assert_eq!(version(&store, "a/b").await, Ok(ahead + 2));
}

#[tokio::test]
async fn no_version_is_beyond_the_last_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(AtomicU64::new(MAX_VERSION + 1));
    let reads = clock.clone();
    let options = RedbOptions { clock: Arc::new(move || reads.load(Ordering::Relaxed)), ..RedbOptions::default() };
    let store = RedbStore::open(&dir.path().join("s"), &options).expect("opened");
    let refused = version(&store, "a/b").await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    clock.store(MAX_VERSION, Ordering::Relaxed);
    assert_eq!(version(&store, "a/b").await, Ok(MAX_VERSION));
    clock.store(5, Ordering::Relaxed);
    assert_eq!(version(&store, "a/b").await, Err(StoreError::UsedUp));
    assert_eq!(StoreError::UsedUp.code(), ErrorCode::Internal);
    assert_eq!(version(&store, "other/b").await, Ok(5), "other shards have versions left");
}

/// Members that registered by a clock that was ahead, and are gone, are not registered until that time comes.
#[tokio::test]
async fn what_a_clock_far_ahead_registered_is_over_when_it_is_right_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(AtomicU64::new(2_000_000_000_000_000));
    let reads = clock.clone();
    let options = RedbOptions { clock: Arc::new(move || reads.load(Ordering::Relaxed)), ..RedbOptions::default() };
    let store = RedbStore::open(&dir.path().join("s"), &options).expect("opened");
    let ttl = Duration::from_secs(3);
    let member = |incarnation, origin: &str| Member {
        id: 1,
        incarnation,
        origin: origin.into(),
        weight: 1,
        state: MemberState::Serving,
        warm_for: 0,
    };
    assert_eq!(store.announce(member(1, "http://gone"), ttl).await, Ok(true));
    let term = store.take_lease(1, ttl).await.expect("works").expect("free");
    clock.store(1_000_000_000_000_000, Ordering::Relaxed);
    assert_eq!(store.members().await, Ok(vec![]));
    assert_eq!(store.announce(member(2, "http://here"), ttl).await, Ok(true));
    assert_eq!(store.take_lease(2, ttl).await, Ok(Some(term + 1)));
}

#[tokio::test]
async fn a_reopened_file_has_everything_and_keeps_its_layout() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("s");
    let layout = StorageLayout { shards: 8, depth: 1, fan: 2 };
    let store = RedbStore::open(&path, &RedbOptions { layout, ..RedbOptions::default() }).expect("opened");
    let first = version(&store, "a/b").await.expect("written");
    store.close().await.expect("closed");
    drop(store);
    let store = RedbStore::open(&path, &RedbOptions::default()).expect("opened again");
    assert_eq!(store.layout(), layout);
    let answer = store.read(vec![key("a/b")]).await.remove(0).expect("works");
    assert_eq!((answer.value.map(|keymap| keymap.version), answer.position), (Some(first), first));
    assert!(version(&store, "a/b").await.expect("written") > first);
}

fn open_error(path: &Path) -> OpenError {
    match RedbStore::open(path, &RedbOptions::default()) {
        Ok(_) => panic!("{} must not open", path.display()),
        Err(error) => error,
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_told_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    let store = RedbStore::open(&path("s"), &RedbOptions::default()).expect("opened");
    for n in 0..200 {
        version(&store, &format!("a/{n}")).await.expect("written");
    }
    assert!(matches!(open_error(&path("s")), OpenError::Locked));
    store.close().await.expect("closed");
    drop(store);
    let good = std::fs::read(path("s")).expect("readable");

    std::fs::write(path("text"), "this is no store\n".repeat(1_000)).expect("writable");
    assert!(matches!(open_error(&path("text")), OpenError::Damaged(_)));
    std::fs::write(path("short"), &good[..good.len() / 2]).expect("writable");
    assert!(matches!(open_error(&path("short")), OpenError::Damaged(_)));
    // Overwritten in the middle: the page checksums tell.
    let mut flipped = good.clone();
    let pages = flipped.len() / 4_096;
    for page in 1..pages {
        flipped[page * 4_096 + 2_000..page * 4_096 + 2_100].fill(0x5a);
    }
    std::fs::write(path("flipped"), &flipped).expect("writable");
    assert!(matches!(open_error(&path("flipped")), OpenError::Damaged(_)));
    assert!(matches!(open_error(dir.path()), OpenError::Io(_)));
    assert!(matches!(open_error(&path("missing/s")), OpenError::Io(_)));
    drop(RedbStore::open(&path("s"), &RedbOptions::default()).expect("the good file still opens"));
}
