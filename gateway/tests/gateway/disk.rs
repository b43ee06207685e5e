//! Disks that are full, tear writes and flip bits, under the redb store.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use ::redb::StorageBackend;
use ::redb::backends::FileBackend;
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::partition::StorageLayout;
use foremap::protocol::{Cursor, KeymapFields};
use foremap_gateway::store::{
    ChangeLog, Expect, Lifecycle, ListRange, OpenError, RedbOptions, RedbStore, StoreError, StoreStatus, Values, Write,
    WriteOutcome,
};

use crate::client::Gateway;

/// Faults of a disk, and when they come.
#[derive(Debug, Default)]
struct Faults {
    is_full: AtomicBool,
    /// Writes until one is torn, after which nothing is written; below 0: never.
    until_torn: AtomicI64,
}

impl Faults {
    fn none() -> Arc<Self> {
        Arc::new(Self { until_torn: AtomicI64::new(-1), ..Self::default() })
    }

    fn options(self: &Arc<Self>) -> RedbOptions {
        let faults = self.clone();
        let disk = move |file| -> Box<dyn StorageBackend> { Box::new(Faulty { file, faults: faults.clone() }) };
        RedbOptions {
            layout: StorageLayout { shards: 4, depth: 1, fan: 2 },
            check: false,
            disk: Arc::new(disk),
            ..RedbOptions::default()
        }
    }
}

#[derive(Debug)]
struct Faulty {
    file: FileBackend,
    faults: Arc<Faults>,
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self.faults.until_torn.load(Ordering::SeqCst) {
            0 => Err(io::Error::other("the power is out")),
            // As file systems do: what is added is a hole.
            _ => self.file.set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.faults.until_torn.load(Ordering::SeqCst) == 0 {
            return Err(io::Error::other("the power is out"));
        }
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        // What is written in place, and so has its room: headers and checksums.
        if self.faults.is_full.load(Ordering::SeqCst) && offset >= 3 * 4_096 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match self.faults.until_torn.load(Ordering::SeqCst) {
            0 => return Err(io::Error::other("the power is out")),
            1 => {
                self.faults.until_torn.store(0, Ordering::SeqCst);
                // The end of it arrives, not the beginning. A sector is written as a whole or not at all.
                let half = (data.len() / 2).next_multiple_of(512).min(data.len());
                self.file.write(offset + half as u64, &data[half..])?;
                return Err(io::Error::other("the power is out"));
            }
            2.. => _ = self.faults.until_torn.fetch_sub(1, Ordering::SeqCst),
            _ => {}
        }
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

fn key(n: usize) -> CompositeKey {
    CompositeKey::parse(&format!("user/{n:03}")).expect("a valid key")
}

fn put(n: usize, locator: &str) -> Write {
    let fields = KeymapFields { locator: locator.into(), ..KeymapFields::default() };
    Write { key: key(n), fields: Some(fields), expect: Expect::Any, id: None }
}

async fn write(store: &RedbStore, n: usize, locator: &str) -> Result<u64, StoreError> {
    match store.write(put(n, locator)).await?.value {
        WriteOutcome::Written(written) => Ok(written.version),
        other => panic!("written, not {other:?}"),
    }
}

async fn read(store: &RedbStore, n: usize) -> Result<Option<String>, StoreError> {
    Ok(store.read(vec![key(n)]).await.remove(0)?.value.map(|keymap| keymap.fields.locator))
}

/// Long enough that a page or more is written.
fn text(n: usize, round: usize) -> String {
    format!("{n}-{round}-{}", "x".repeat(200 + n % 700))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_writes_until_there_is_space_and_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Faults::none();
    let store = Arc::new(RedbStore::open(&dir.path().join("s"), &faults.options()).expect("opened"));
    let gateway = Gateway::over(store.clone()).await;
    for n in 0..50 {
        write(&store, n, &text(n, 0)).await.expect("written");
    }
    assert_eq!(gateway.text("/readyz").await.0, 200);
    faults.is_full.store(true, Ordering::SeqCst);
    let mut told = Vec::new();
    for n in 0..50 {
        told.push(write(&store, n, &text(n, 1)).await.expect_err("the disk is full"));
        // What was acknowledged is still there, and is read.
        let found = read(&store, n).await.expect("reads go on").expect("found");
        assert!(found == text(n, 0) || matches!(told[n], StoreError::Unknown(_)), "{n}: {found}");
    }
    assert!(told.iter().any(|error| matches!(error, StoreError::Unavailable(_))), "{told:?}");
    let disk = store.disk().expect("it has a file");
    assert!(disk.is_broken && disk.failed_writes >= 50 && disk.reopened >= 1, "{disk:?}");
    let (status, body) = gateway.text("/readyz").await;
    assert!(status == 503 && body.contains("nothing can be written since"), "{status} {body}");
    assert!(gateway.text("/metrics").await.1.contains("foremap_store_broken{node=\"1\"} 1"));
    assert_eq!(gateway.text("/healthz").await.0, 200);

    faults.is_full.store(false, Ordering::SeqCst);
    while store.disk().expect("it has a file").is_broken {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for n in 0..50 {
        write(&store, n, &text(n, 2)).await.expect("written again");
        assert_eq!(read(&store, n).await, Ok(Some(text(n, 2))));
    }
    assert_eq!(gateway.text("/readyz").await.0, 200);
    assert_eq!(store.troubles(), []);
    gateway.stop().await;
}

/// Whichever of its writes the power goes out at: what was acknowledged is there when it is back, and nothing else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_torn_by_a_crash_take_nothing_back() {
    let mut crashes = 0;
    for at in 1..60 {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        let faults = Faults::none();
        let store = RedbStore::open(&path, &faults.options()).expect("opened");
        let mut known: Vec<Vec<Option<String>>> = vec![vec![None]; 8];
        faults.until_torn.store(3 * at, Ordering::SeqCst);
        for round in 0..200 {
            let n = round % 8;
            let value = text(n, round);
            match write(&store, n, &value).await {
                Ok(_) => known[n] = vec![Some(value)],
                Err(StoreError::Unknown(_)) => known[n].push(Some(value)),
                Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
            }
        }
        crashes += usize::from(faults.until_torn.load(Ordering::SeqCst) == 0);
        store.close().await.expect("closed");
        drop(store);
        faults.until_torn.store(-1, Ordering::SeqCst);
        for check in [false, true] {
            let store = RedbStore::open(&path, &RedbOptions { check, ..faults.options() }).expect("opened");
            for (n, known) in known.iter().enumerate() {
                let found = read(&store, n).await.expect("read");
                assert!(known.contains(&found), "crash at {at}, key {n}: {found:?}, not one of {known:?}");
            }
            store.close().await.expect("closed");
        }
    }
    assert!(crashes > 20, "{crashes} crashes");
}

/// Everything that can be read of a store; errors are fine, anything else is what was written.
async fn is_true(store: &RedbStore, versions: &[Vec<u64>]) -> (usize, usize) {
    let (mut well, mut failed) = (0, 0);
    let mut count = |is_well: bool| if is_well { well += 1 } else { failed += 1 };
    for (n, written) in versions.iter().enumerate() {
        let found = read(store, n).await;
        count(found.is_ok());
        assert!(found.is_err() || found == Ok(Some(text(n, 2))), "key {n}: {found:?}");
        let kept = store.versions(key(n)).await;
        let numbers = kept.map(|kept| kept.value.iter().map(|record| record.version).rev().collect::<Vec<_>>());
        count(numbers.is_ok());
        assert!(numbers.is_err() || numbers.as_ref() == Ok(written), "key {n}: {numbers:?}");
    }
    let mut listed = 0;
    let mut is_whole = true;
    for shard in 0..store.layout().shards {
        let prefix = KeyPrefix::parse("user").expect("a prefix");
        match store.list_shard(shard, ListRange { prefix, after: None, limit: 1_000 }).await {
            Ok(part) => listed += part.items.len(),
            Err(_) => is_whole = false,
        }
        let log = store.poll(vec![Cursor { shard, position: 0 }], 10_000).await;
        count(log.is_ok());
        for change in log.iter().flat_map(|pages| &pages[0].changes) {
            let n: usize = change.key.as_str()["user/".len()..].parse().expect("a key that was written");
            assert!(versions[n].contains(&change.version) && !change.deleted, "{change:?}");
        }
    }
    assert!(!is_whole || listed == versions.len(), "{listed} are listed");
    (well, failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_blocks_are_errors_and_never_other_values() {
    const KEYS: usize = 40;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("s");
    let options = Faults::none().options();
    let store = RedbStore::open(&path, &options).expect("opened");
    let mut versions = vec![Vec::new(); KEYS];
    for round in 0..3 {
        for (n, versions) in versions.iter_mut().enumerate() {
            versions.push(write(&store, n, &text(n, round)).await.expect("written"));
        }
    }
    store.close().await.expect("closed");
    drop(store);
    let good = std::fs::read(&path).expect("readable");
    let used: Vec<usize> = (0..good.len() / 4_096)
        .filter(|block| good[block * 4_096..(block + 1) * 4_096].iter().any(|&byte| byte != 0))
        .collect();
    let (mut refused, mut failed) = (0, 0);
    // One bit, which makes a letter another one; at the end of a block, where records are, more often.
    let places = [0, 9, 200, 700, 1_500, 2_300, 3_100, 3_500, 3_800, 4_000, 4_090];
    for (block, place) in used.iter().flat_map(|&block| places.map(|place| (block, place))) {
        let mut bad = good.clone();
        bad[block * 4_096 + place] ^= 1;
        // In a file that is opened without looking at it, and in one that is open.
        for is_open in [false, true] {
            let opened = is_open.then(|| {
                std::fs::write(&path, &good).expect("writable");
                // All is read from the disk.
                RedbStore::open(&path, &RedbOptions { cache_bytes: 0, ..options.clone() }).expect("opened")
            });
            std::fs::write(&path, &bad).expect("writable");
            match opened.map_or_else(|| RedbStore::open(&path, &options), Ok) {
                Ok(store) => {
                    failed += usize::from(is_true(&store, &versions).await.1 > 0);
                    // Not merely dropped: what it still writes would be in the next file.
                    store.close().await.expect("closed");
                }
                Err(OpenError::Damaged(_) | OpenError::Io(_)) => refused += 1,
                Err(error) => panic!("block {block}: {error}"),
            }
        }
    }
    assert!(refused > 10 && failed > 10, "{} blocks, {refused} refused, {failed} failed", used.len());
    std::fs::write(&path, &good).expect("writable");
    let store = RedbStore::open(&path, &options).expect("opened");
    assert_eq!(is_true(&store, &versions).await.1, 0);
}

#[tokio::test]
async fn a_file_of_before_there_were_checksums_is_read_and_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("s");
    let options = Faults::none().options();
    plain(&path);
    let store = RedbStore::open(&path, &options).expect("opened");
    write(&store, 1, "one").await.expect("written");
    drop(store);
    let store = RedbStore::open(&path, &options).expect("opened");
    assert_eq!(read(&store, 1).await, Ok(Some("one".into())));
    assert!(std::fs::read(&path).expect("readable").starts_with(b"redb"));
}

/// A redb file of its own.
fn plain(path: &Path) {
    drop(::redb::Database::create(path).expect("created"));
}
