//! Several processes over one shared store, inside the test's process: each has a runtime of its own, so that it can be
//! killed and stopped like a process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use foremap::control::{ControlStats, Member};
use foremap::key::CompositeKey;
use foremap::node::{LogPage, StoreAnswer};
use foremap::partition::{Epoch, NodeId, PartitionMap, StorageLayout};
use foremap::protocol::Cursor;
use foremap_gateway::host::{Process, ShifterMode};
use foremap_gateway::http::HttpOptions;
use foremap_gateway::run::{Options, RunError, Running, ShareOptions, StoreOptions, start_over};
use foremap_gateway::store::{
    Blob, ChangeLog, Lifecycle, ListPart, ListRange, MasterStatus, Namespace, Promise, RedbOptions, RedbStore,
    Registry, ShardRead, StoreError, StoreFuture, StoreFutures, StoreStatus, Term, Values, VersionRecord, Write,
    WriteOutcome,
};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A store file that claims to be shared. What concerns the whole namespace can be made to fail, as where the one
/// master is dead that holds it.
pub(crate) struct Shared {
    store: RedbStore,
    is_shared: bool,
    is_meta_down: AtomicBool,
    is_leader_slow: AtomicBool,
    /// Writes so far, by the name of the operation.
    writes: Mutex<Vec<&'static str>>,
    /// Two halves, as if they were of two masters.
    groups: watch::Sender<Arc<Vec<Vec<u16>>>>,
    /// Which of them does not tell its logs.
    is_silent: [AtomicBool; 2],
    _dir: TempDir,
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        Self::of(true)
    }

    /// One that is for one process alone.
    pub(crate) fn alone() -> Arc<Self> {
        Self::of(false)
    }

    fn of(is_shared: bool) -> Arc<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let store = RedbStore::open(&dir.path().join("s"), &RedbOptions::default()).expect("opened");
        let half = store.layout().shards / 2;
        let groups = watch::Sender::new(Arc::new(vec![(0..half).collect(), (half..store.layout().shards).collect()]));
        let (is_meta_down, is_silent) = (AtomicBool::new(false), [AtomicBool::new(false), AtomicBool::new(false)]);
        let writes = Mutex::default();
        Arc::new(Self {
            store,
            is_shared,
            is_meta_down,
            is_leader_slow: AtomicBool::new(false),
            writes,
            groups,
            is_silent,
            _dir: dir,
        })
    }

    /// Waits until `gates` gateways have sent `count` more heartbeats each, whether they were taken or not.
    pub(crate) async fn beats(&self, gates: usize, count: usize) {
        let sent = || self.writes.lock().iter().filter(|write| **write == "announce").count();
        let before = sent();
        until("heartbeats are sent", || sent() >= before + gates * count).await;
    }

    /// Takes what was written since the last time.
    pub(crate) fn take_writes(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.writes.lock())
    }

    fn note(&self, write: &'static str) {
        self.writes.lock().push(write);
    }

    /// From now on the log of one half of the shards is not told.
    pub(crate) fn silence(&self, half: usize) {
        self.is_silent[half].store(true, Ordering::Relaxed);
    }

    /// The next answer about the leader takes half a second to arrive.
    pub(crate) fn delay_leader(&self) {
        self.is_leader_slow.store(true, Ordering::Relaxed);
    }

    /// Tells whether it has been asked about the leader since.
    pub(crate) fn is_leader_asked(&self) -> bool {
        !self.is_leader_slow.load(Ordering::Relaxed)
    }

    pub(crate) fn set_meta_down(&self, is_down: bool) {
        self.is_meta_down.store(is_down, Ordering::Relaxed);
    }

    fn meta<'a, T: Send + 'a>(&'a self, answer: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        match self.is_meta_down.load(Ordering::Relaxed) {
            true => Box::pin(async { Err(StoreError::Unavailable("its master is dead".into())) }),
            false => answer,
        }
    }
}

impl Values for Shared {
    fn layout(&self) -> StorageLayout {
        self.store.layout()
    }

    fn read(&self, keys: Vec<CompositeKey>) -> StoreFutures<'_, StoreAnswer> {
        self.store.read(keys)
    }

    fn write(&self, write: Write) -> StoreFuture<'_, ShardRead<WriteOutcome>> {
        self.note("write");
        self.store.write(write)
    }

    fn versions(&self, key: CompositeKey) -> StoreFuture<'_, ShardRead<Vec<VersionRecord>>> {
        self.store.versions(key)
    }

    fn version(&self, key: CompositeKey, version: u64) -> StoreFuture<'_, ShardRead<Option<VersionRecord>>> {
        self.store.version(key, version)
    }

    fn remove_version(&self, key: CompositeKey, version: u64) -> StoreFuture<'_, ShardRead<WriteOutcome>> {
        self.note("remove_version");
        self.store.remove_version(key, version)
    }

    fn list_shard(&self, shard: u16, range: ListRange) -> StoreFuture<'_, ListPart> {
        self.store.list_shard(shard, range)
    }
}

impl ChangeLog for Shared {
    fn groups(&self) -> watch::Receiver<Arc<Vec<Vec<u16>>>> {
        self.groups.subscribe()
    }

    fn poll(&self, cursors: Vec<Cursor>, limit: usize) -> StoreFuture<'_, Vec<LogPage>> {
        let half = |cursor: &Cursor| usize::from(cursor.shard >= self.store.layout().shards / 2);
        if cursors.iter().any(|cursor| self.is_silent[half(cursor)].load(Ordering::Relaxed)) {
            return Box::pin(async { Err(StoreError::Unavailable("its master is dead".into())) });
        }
        self.store.poll(cursors, limit)
    }

    fn positions(&self, shards: Vec<u16>) -> StoreFuture<'_, Vec<u64>> {
        self.store.positions(shards)
    }

    fn written(&self) -> watch::Receiver<u64> {
        self.store.written()
    }
}

impl Namespace for Shared {
    fn map(&self) -> StoreFuture<'_, Option<Arc<PartitionMap>>> {
        self.meta(self.store.map())
    }

    fn put_map(&self, expect: Option<Epoch>, map: Arc<PartitionMap>, term: Term) -> StoreFuture<'_, bool> {
        self.note("put_map");
        self.meta(self.store.put_map(expect, map, term))
    }

    fn blob(&self, blob: Blob) -> StoreFuture<'_, Option<Vec<u8>>> {
        let answer = self.meta(self.store.blob(blob));
        if blob != Blob::Leader || !self.is_leader_slow.swap(false, Ordering::Relaxed) {
            return answer;
        }
        Box::pin(async {
            let answer = answer.await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            answer
        })
    }

    fn put_blob(&self, blob: Blob, content: Option<Vec<u8>>, term: Term) -> StoreFuture<'_, bool> {
        self.note(blob.name());
        self.meta(self.store.put_blob(blob, content, term))
    }
}

impl Registry for Shared {
    fn announce(&self, member: Member, ttl: Duration) -> StoreFuture<'_, bool> {
        self.note("announce");
        self.meta(self.store.announce(member, ttl))
    }

    fn retract(&self, id: NodeId, incarnation: u64) -> StoreFuture<'_, ()> {
        self.note("retract");
        self.meta(self.store.retract(id, incarnation))
    }

    fn members(&self) -> StoreFuture<'_, Vec<Member>> {
        self.meta(self.store.members())
    }

    fn take_lease(&self, incarnation: u64, ttl: Duration) -> StoreFuture<'_, Option<Term>> {
        self.note("take_lease");
        self.meta(self.store.take_lease(incarnation, ttl))
    }
}

impl StoreStatus for Shared {
    fn waiting(&self) -> (usize, usize) {
        self.store.waiting()
    }

    fn masters(&self) -> Vec<MasterStatus> {
        let half = |(at, is_silent): (usize, &AtomicBool)| MasterStatus {
            address: format!("half-{at}:1"),
            open: is_silent.load(Ordering::Relaxed),
            attempts: 5,
            failures: 2,
            waiting: (1, 8),
            replicas: 3,
            outside: 1,
            lacking: if is_silent.load(Ordering::Relaxed) { vec!["lost:1".into()] } else { Vec::new() },
            unfit: (at == 0).then(|| "replica half-0:2 has appendonly no".into()),
            is_durable: at == 1,
            trouble: is_silent.load(Ordering::Relaxed).then(|| "replica lost:1 is not attached".into()),
        };
        self.is_silent.iter().enumerate().map(half).collect()
    }

    fn now_us(&self) -> u64 {
        self.store.now_us()
    }
}

impl Lifecycle for Shared {
    fn is_shared(&self) -> bool {
        self.is_shared
    }

    fn promise(&self) -> Promise {
        Promise::Replicated
    }

    /// The others go on using it.
    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// One gateway process of one node.
pub(crate) struct Gate {
    pub(crate) id: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) process: Arc<Process>,
    running: Option<Running>,
    runtime: Option<Runtime>,
}

/// Keeps a process stopped, as SIGSTOP does, for as long as it lives.
pub(crate) struct Stopped(std::sync::mpsc::Sender<()>);

impl Gate {
    pub(crate) async fn start(store: &Arc<Shared>, id: NodeId) -> Self {
        Self::try_start(store, id, 0, HttpOptions::default()).await.expect("started")
    }

    /// One that shifts partitions.
    pub(crate) async fn shifting(store: &Arc<Shared>, id: NodeId) -> Self {
        Self::begin(store, id, 0, HttpOptions::default(), ShifterMode::Auto).await.expect("started")
    }

    pub(crate) async fn try_start(
        store: &Arc<Shared>,
        id: NodeId,
        port: u16,
        http: HttpOptions,
    ) -> Result<Self, RunError> {
        Self::begin(store, id, port, http, ShifterMode::Off).await
    }

    async fn begin(
        store: &Arc<Shared>,
        id: NodeId,
        port: u16,
        http: HttpOptions,
        shifter: ShifterMode,
    ) -> Result<Self, RunError> {
        let options = Options {
            admin_listen: None,
            listen: vec![SocketAddr::from(([127, 0, 0, 1], port))],
            origin: None,
            node: id,
            store: StoreOptions::File { path: "unused".into(), options: RedbOptions::default() },
            memory_entries: 10_000,
            patience: Duration::ZERO,
            share: ShareOptions { every: Duration::from_secs(2), ..ShareOptions::default() },
            shifter,
            http,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let started = runtime.spawn(start_over(store.clone(), options)).await.expect("no panic");
        match started {
            Ok(running) => {
                let (address, process) = (running.addresses[0], running.process().clone());
                Ok(Self { id, address, process, running: Some(running), runtime: Some(runtime) })
            }
            Err(failure) => {
                runtime.shutdown_background();
                Err(failure)
            }
        }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// As on SIGTERM.
    pub(crate) async fn stop(mut self) {
        if let (Some(running), Some(runtime)) = (self.running.take(), &self.runtime) {
            runtime.spawn(running.stop()).await.expect("no panic").expect("stopped");
        }
    }

    /// As by SIGKILL; returns its port, once it is free. What it has still to say to the store is never said.
    pub(crate) async fn kill(self) -> u16 {
        let address = self.address;
        drop(self);
        until("the port is free", || std::net::TcpListener::bind(address).is_ok()).await;
        address.port()
    }

    /// As by SIGSTOP: its connections stay open, and nothing is answered.
    pub(crate) fn freeze(&self) -> Stopped {
        let (stopped, until) = std::sync::mpsc::channel();
        let runtime = self.runtime.as_ref().expect("running");
        // Its only worker.
        runtime.spawn(async move {
            let _ = until.recv();
        });
        Stopped(stopped)
    }

    pub(crate) fn control(&self) -> ControlStats {
        *self.process.control().borrow()
    }

    /// Its term; 0 where it does not lead.
    pub(crate) fn term(&self) -> Term {
        self.control().term.unwrap_or(0)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.process.map().borrow().epoch.number
    }

    /// The nodes of its map.
    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.process.map().borrow().nodes.iter().map(|node| node.id).collect()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits until `done` holds.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(tokio::time::Instant::now() < deadline, "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until every one of `gates` has a map of exactly `nodes`; returns how long that took.
pub(crate) async fn agree(gates: &[&Gate], nodes: &[NodeId]) -> Duration {
    let begun = tokio::time::Instant::now();
    until(&format!("a map of {nodes:?}"), || gates.iter().all(|gate| gate.nodes() == nodes)).await;
    begun.elapsed()
}
