//! [`Patient`]: a store that is asked again while it is late, so that the suite tells a slow store from a wrong one.
//!
//! On a loaded machine a replica acknowledges too late now and then, and the answer is that nothing can be told, or that an
//! outcome is not known. That is right, and no test of what a store does. What is asked again has the same effect as what
//! was asked once; whatever a store tells is passed on as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foremap::control::Member;
use foremap::key::CompositeKey;
use foremap::node::{LogPage, StoreAnswer};
use foremap::partition::{Epoch, NodeId, PartitionMap, StorageLayout};
use foremap::protocol::Cursor;
use foremap_gateway::store::{
    Backup, Blob, ChangeLog, ClockStatus, DiskStatus, Lifecycle, ListPart, ListRange, MasterStatus, Namespace,
    NoBackup, Promise, Registry, ShardRead, Store, StoreError, StoreFuture, StoreFutures, StoreStatus, Term, Trouble,
    Values, VersionRecord, Write, WriteId, WriteOutcome, Written,
};
use tokio::sync::watch;

/// Longest wait for one answer: a store that is late for longer is down.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts. The second follows at once: a write is known by its id only as long as its version is kept.
const PAUSE: Duration = Duration::from_millis(20);

/// Change that is made to the answers, to test the suite itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tamper {
    /// Nothing.
    No,
    /// The first to each question is late: done, and not told.
    Late,
    /// Every fifth read finds nothing.
    Forget,
}

/// See above.
pub(crate) struct Patient<S> {
    store: S,
    tamper: Tamper,
    reads: AtomicU64,
    is_closed: AtomicBool,
}

fn is_late<T>(told: &Result<T, StoreError>) -> bool {
    matches!(told, Err(StoreError::Unavailable(_) | StoreError::Unknown(_)))
}

impl<S: Store> Patient<S> {
    pub(crate) fn new(store: S) -> Self {
        Self::tampered(store, Tamper::No)
    }

    pub(crate) fn tampered(store: S, tamper: Tamper) -> Self {
        Self { store, tamper, reads: AtomicU64::new(0), is_closed: AtomicBool::new(false) }
    }

    /// Asks until it is told; says also whether an earlier attempt may have happened.
    async fn told<'a, T>(&'a self, ask: impl Fn() -> StoreFuture<'a, T>) -> (Result<T, StoreError>, bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut may_have_happened = false;
        for attempt in 0_u32.. {
            if attempt > 1 {
                tokio::time::sleep(PAUSE).await;
            }
            let mut told = ask().await;
            if self.tamper == Tamper::Late && attempt == 0 && !self.is_closed.load(Ordering::SeqCst) {
                told = Err(StoreError::Unknown("late".into()));
            }
            // One that is closed refuses for good.
            let over = self.is_closed.load(Ordering::SeqCst) || Instant::now() > deadline;
            if over || !is_late(&told) {
                return (told, may_have_happened);
            }
            may_have_happened |= matches!(told, Err(StoreError::Unknown(_)));
        }
        unreachable!("the deadline comes before as many attempts")
    }

    fn again<'a, T: Send + 'a>(
        &'a self,
        ask: impl Fn() -> StoreFuture<'a, T> + Send + Sync + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move { self.told(ask).await.0 })
    }
}

impl<S: Store> Values for Patient<S> {
    fn layout(&self) -> StorageLayout {
        self.store.layout()
    }

    /// Each key alone, as each fails alone.
    fn read(&self, keys: Vec<CompositeKey>) -> StoreFutures<'_, StoreAnswer> {
        Box::pin(async move {
            let mut answers = self.store.read(keys.clone()).await;
            for (key, answer) in keys.iter().zip(&mut answers) {
                if is_late(answer) || self.tamper == Tamper::Late {
                    let ask = || -> StoreFuture<'_, StoreAnswer> {
                        let asked = self.store.read(vec![key.clone()]);
                        Box::pin(async move { asked.await.remove(0) })
                    };
                    *answer = self.told(ask).await.0;
                }
                if self.tamper == Tamper::Forget
                    && self.reads.fetch_add(1, Ordering::Relaxed) % 5 == 4
                    && let Ok(answer) = answer
                {
                    answer.value = None;
                }
            }
            answers
        })
    }

    /// Under an id of its own: a later attempt returns the outcome of the first.
    fn write(&self, write: Write) -> StoreFuture<'_, ShardRead<WriteOutcome>> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let fresh = || WriteId::new(&format!("patient-{}", IDS.fetch_add(1, Ordering::Relaxed)));
        let write = Write { id: write.id.clone().or_else(fresh), ..write };
        self.again(move || self.store.write(write.clone()))
    }

    fn versions(&self, key: CompositeKey) -> StoreFuture<'_, ShardRead<Vec<VersionRecord>>> {
        self.again(move || self.store.versions(key.clone()))
    }

    fn version(&self, key: CompositeKey, version: u64) -> StoreFuture<'_, ShardRead<Option<VersionRecord>>> {
        self.again(move || self.store.version(key.clone(), version))
    }

    fn remove_version(&self, key: CompositeKey, version: u64) -> StoreFuture<'_, ShardRead<WriteOutcome>> {
        Box::pin(async move {
            let was_there = self.version(key.clone(), version).await?.value.is_some();
            let (told, before) = self.told(|| self.store.remove_version(key.clone(), version)).await;
            told.map(|read| match read.value {
                WriteOutcome::Missing if before && was_there => {
                    ShardRead { value: WriteOutcome::Written(Written { version, created: false }), ..read }
                }
                _ => read,
            })
        })
    }

    fn list_shard(&self, shard: u16, range: ListRange) -> StoreFuture<'_, ListPart> {
        self.again(move || self.store.list_shard(shard, range.clone()))
    }
}

impl<S: Store> ChangeLog for Patient<S> {
    fn groups(&self) -> watch::Receiver<Arc<Vec<Vec<u16>>>> {
        self.store.groups()
    }

    fn poll(&self, cursors: Vec<Cursor>, limit: usize) -> StoreFuture<'_, Vec<LogPage>> {
        self.again(move || self.store.poll(cursors.clone(), limit))
    }

    fn positions(&self, shards: Vec<u16>) -> StoreFuture<'_, Vec<u64>> {
        self.again(move || self.store.positions(shards.clone()))
    }

    fn written(&self) -> watch::Receiver<u64> {
        self.store.written()
    }
}

impl<S: Store> Namespace for Patient<S> {
    fn map(&self) -> StoreFuture<'_, Option<Arc<PartitionMap>>> {
        self.again(move || self.store.map())
    }

    fn put_map(&self, expect: Option<Epoch>, map: Arc<PartitionMap>, term: Term) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            match self.told(|| self.store.put_map(expect, map.clone(), term)).await {
                (Ok(false), true) => Ok(self.map().await?.is_some_and(|stored| stored == map)),
                (told, _) => told,
            }
        })
    }

    fn blob(&self, blob: Blob) -> StoreFuture<'_, Option<Vec<u8>>> {
        self.again(move || self.store.blob(blob))
    }

    fn put_blob(&self, blob: Blob, content: Option<Vec<u8>>, term: Term) -> StoreFuture<'_, bool> {
        self.again(move || self.store.put_blob(blob, content.clone(), term))
    }
}

impl<S: Store> Registry for Patient<S> {
    fn announce(&self, member: Member, ttl: Duration) -> StoreFuture<'_, bool> {
        self.again(move || self.store.announce(member.clone(), ttl))
    }

    fn retract(&self, id: NodeId, incarnation: u64) -> StoreFuture<'_, ()> {
        self.again(move || self.store.retract(id, incarnation))
    }

    fn members(&self) -> StoreFuture<'_, Vec<Member>> {
        self.again(move || self.store.members())
    }

    fn take_lease(&self, incarnation: u64, ttl: Duration) -> StoreFuture<'_, Option<Term>> {
        self.again(move || self.store.take_lease(incarnation, ttl))
    }
}

impl<S: Store> StoreStatus for Patient<S> {
    fn waiting(&self) -> (usize, usize) {
        self.store.waiting()
    }

    fn masters(&self) -> Vec<MasterStatus> {
        self.store.masters()
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.store.troubles()
    }

    fn clocks(&self) -> Vec<ClockStatus> {
        self.store.clocks()
    }

    fn disk(&self) -> Option<DiskStatus> {
        self.store.disk()
    }

    fn now_us(&self) -> u64 {
        self.store.now_us()
    }
}

impl<S: Store> Lifecycle for Patient<S> {
    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    fn promise(&self) -> Promise {
        self.store.promise()
    }

    fn backup(&self) -> Result<Backup, NoBackup> {
        self.store.backup()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.is_closed.store(true, Ordering::SeqCst);
        self.store.close()
    }
}
