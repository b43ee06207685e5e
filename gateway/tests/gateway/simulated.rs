//! The simulated cluster conforms, too: what the simulation proves is said of a store that keeps the contract.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foremap::control::Member;
use foremap::key::CompositeKey;
use foremap::node::{LogPage, StoreAnswer};
use foremap::partition::{Epoch, NodeId, PartitionMap, StorageLayout};
use foremap::protocol::{Cursor, Keymap, KeymapFields};
use foremap_gateway::store::{
    Blob, ChangeLog, Expect, Lifecycle, ListPart, ListRange, Namespace, Registry, ShardRead, StoreError, StoreFuture,
    StoreFutures, StoreStatus, Term, Values, VersionRecord, Write, WriteId, WriteOutcome, Written,
};
use foremap_sim::cluster::{self, Cluster, Command, MetaChange, MetaRead, MetaReply, Outcome, Reply, Retention};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::store_suite::{LOG_ENTRIES, VERSIONS, conformance};

/// A cluster on which all is well, with this machine's clock.
struct Simulated {
    cluster: Mutex<Option<Cluster>>,
    layout: StorageLayout,
    groups: watch::Sender<Arc<Vec<Vec<u16>>>>,
    written: watch::Sender<u64>,
}

impl Simulated {
    fn open(masters: usize, replicas: usize) -> Self {
        let layout = StorageLayout::default();
        let retention = Retention { versions: VERSIONS, log_entries: LOG_ENTRIES as usize };
        let cluster = Cluster::new(layout, retention, masters, replicas);
        let groups = Arc::new((0..masters).map(|group| cluster.shards_of(group)).collect());
        let (groups, written) = (watch::Sender::new(groups), watch::Sender::new(0));
        Self { cluster: Mutex::new(Some(cluster)), layout, groups, written }
    }

    fn perform(&self, shard: Option<u16>, command: &Command) -> Result<Reply, StoreError> {
        let mut open = self.cluster.lock();
        let Some(cluster) = open.as_mut() else { return Err(StoreError::Unavailable("closed".into())) };
        let group = shard.map_or(0, |shard| cluster.group_of(shard));
        match cluster.perform(group, now_us(), command) {
            Ok((reply, true)) => Ok(reply),
            Ok((_, false)) => Err(StoreError::Unknown("not behind the fence".into())),
            Err(refused) => Err(StoreError::Unavailable(format!("{refused:?}"))),
        }
    }

    fn meta(&self, command: &Command) -> Result<MetaReply, StoreError> {
        match self.perform(None, command)? {
            Reply::Meta(reply) => Ok(reply),
            other => Err(unexpected(&other)),
        }
    }

    fn change(&self, change: MetaChange) -> Result<bool, StoreError> {
        match self.meta(&Command::ChangeMeta(change))? {
            MetaReply::Done(done) => Ok(done),
            other => Err(unexpected(&other)),
        }
    }

    fn outcome(&self, shard: u16, command: &Command) -> Result<ShardRead<WriteOutcome>, StoreError> {
        let Reply::Written(outcome, position) = self.perform(Some(shard), command)? else {
            return Err(StoreError::Corrupt("no outcome".into()));
        };
        self.written.send_modify(|count| *count += 1);
        let value = match outcome {
            Outcome::Written { version, created } => WriteOutcome::Written(Written { version, created }),
            Outcome::Conflict { current } => WriteOutcome::Conflict { current },
            Outcome::Missing => WriteOutcome::Missing,
            Outcome::ClockAhead => return Err(StoreError::Unavailable("the clock is ahead".into())),
            Outcome::UsedUp => return Err(StoreError::UsedUp),
        };
        Ok(ShardRead { value, shard, position })
    }

    fn records(&self, key: &CompositeKey) -> Result<ShardRead<Vec<VersionRecord>>, StoreError> {
        let shard = self.layout.shard(key);
        let Reply::Versions(records, position) = self.perform(Some(shard), &Command::Versions(key.clone()))? else {
            return Err(StoreError::Corrupt("no versions".into()));
        };
        let record = |record: cluster::Record| {
            let version = record.version;
            let keymap = |fields: Arc<KeymapFields>| Keymap { key: key.clone(), version, fields: (*fields).clone() };
            let id = record.id.as_deref().and_then(WriteId::new);
            VersionRecord { version, keymap: record.fields.map(keymap), created: record.created, id }
        };
        Ok(ShardRead { value: records.into_iter().map(record).collect(), shard, position })
    }
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

fn unexpected(reply: &impl std::fmt::Debug) -> StoreError {
    StoreError::Corrupt(format!("{reply:?}"))
}

fn micros(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX)
}

fn ready<'a, T: Send + 'a>(answer: Result<T, StoreError>) -> StoreFuture<'a, T> {
    Box::pin(std::future::ready(answer))
}

impl Values for Simulated {
    fn layout(&self) -> StorageLayout {
        self.layout
    }

    fn read(&self, keys: Vec<CompositeKey>) -> StoreFutures<'_, StoreAnswer> {
        let read = |key: CompositeKey| match self.perform(Some(self.layout.shard(&key)), &Command::Read(key))? {
            Reply::Read(answer) => Ok(answer),
            other => Err(unexpected(&other)),
        };
        Box::pin(std::future::ready(keys.into_iter().map(read).collect()))
    }

    fn write(&self, write: Write) -> StoreFuture<'_, ShardRead<WriteOutcome>> {
        let expect = match write.expect {
            Expect::Any => cluster::Expect::Any,
            Expect::Present => cluster::Expect::Present,
            Expect::Version(version) => cluster::Expect::Version(version),
        };
        let (shard, id) = (self.layout.shard(&write.key), write.id.map(|id| id.as_str().into()));
        let write = cluster::Write { key: write.key, fields: write.fields, expect, id, latest_us: u64::MAX };
        ready(self.outcome(shard, &Command::Write(write)))
    }

    fn versions(&self, key: CompositeKey) -> StoreFuture<'_, ShardRead<Vec<VersionRecord>>> {
        ready(self.records(&key))
    }

    fn version(&self, key: CompositeKey, version: u64) -> StoreFuture<'_, ShardRead<Option<VersionRecord>>> {
        ready(self.records(&key).map(|ShardRead { value, shard, position }| {
            let value = value.into_iter().find(|record| record.version == version);
            ShardRead { value, shard, position }
        }))
    }

    fn remove_version(&self, key: CompositeKey, version: u64) -> StoreFuture<'_, ShardRead<WriteOutcome>> {
        ready(self.outcome(self.layout.shard(&key), &Command::RemoveVersion(key, version)))
    }

    fn list_shard(&self, shard: u16, range: ListRange) -> StoreFuture<'_, ListPart> {
        let ListRange { prefix, after, limit } = range;
        // The position first, as in a pipeline.
        let position = match self.perform(Some(shard), &Command::Position(shard)) {
            Ok(Reply::Position(position)) => position,
            Ok(other) => return ready(Err(unexpected(&other))),
            Err(error) => return ready(Err(error)),
        };
        ready(match self.perform(Some(shard), &Command::List { shard, prefix, after, limit }) {
            Ok(Reply::Listed(items, more)) => Ok(ListPart { items, more, position }),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => Err(error),
        })
    }
}

impl ChangeLog for Simulated {
    fn groups(&self) -> watch::Receiver<Arc<Vec<Vec<u16>>>> {
        self.groups.subscribe()
    }

    fn poll(&self, cursors: Vec<Cursor>, limit: usize) -> StoreFuture<'_, Vec<LogPage>> {
        let poll = |cursor: Cursor| match self.perform(Some(cursor.shard), &Command::Poll(cursor, limit))? {
            Reply::Page(page) => Ok(page),
            other => Err(unexpected(&other)),
        };
        ready(cursors.into_iter().map(poll).collect())
    }

    fn positions(&self, shards: Vec<u16>) -> StoreFuture<'_, Vec<u64>> {
        let position = |shard| match self.perform(Some(shard), &Command::Position(shard))? {
            Reply::Position(position) => Ok(position),
            other => Err(unexpected(&other)),
        };
        ready(shards.into_iter().map(position).collect())
    }

    fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }
}

impl Namespace for Simulated {
    fn map(&self) -> StoreFuture<'_, Option<Arc<PartitionMap>>> {
        ready(match self.meta(&Command::Meta(MetaRead::Map)) {
            Ok(MetaReply::Map(map)) => Ok(map),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => Err(error),
        })
    }

    fn put_map(&self, expect: Option<Epoch>, map: Arc<PartitionMap>, term: Term) -> StoreFuture<'_, bool> {
        ready(self.change(MetaChange::PutMap { expect, map, term }))
    }

    fn blob(&self, blob: Blob) -> StoreFuture<'_, Option<Vec<u8>>> {
        ready(match self.meta(&Command::Meta(MetaRead::Blob(blob.name()))) {
            Ok(MetaReply::Blob(content)) => Ok(content.map(|content| content.to_vec())),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => Err(error),
        })
    }

    fn put_blob(&self, blob: Blob, content: Option<Vec<u8>>, term: Term) -> StoreFuture<'_, bool> {
        let bytes = content.as_ref().map_or(0, Vec::len);
        if bytes > Blob::MAX_BYTES {
            return ready(Err(StoreError::TooLarge(format!("{bytes} bytes"))));
        }
        ready(self.change(MetaChange::PutBlob { blob: blob.name(), content: content.map(Into::into), term }))
    }
}

impl Registry for Simulated {
    fn announce(&self, member: Member, ttl: Duration) -> StoreFuture<'_, bool> {
        ready(self.change(MetaChange::Announce { member, ttl_us: micros(ttl) }))
    }

    fn retract(&self, id: NodeId, incarnation: u64) -> StoreFuture<'_, ()> {
        ready(self.change(MetaChange::Retract { id, incarnation }).map(drop))
    }

    fn members(&self) -> StoreFuture<'_, Vec<Member>> {
        ready(match self.meta(&Command::Meta(MetaRead::Members)) {
            Ok(MetaReply::Members(members)) => Ok(members),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => Err(error),
        })
    }

    fn take_lease(&self, incarnation: u64, ttl: Duration) -> StoreFuture<'_, Option<Term>> {
        let change = MetaChange::Lead { incarnation, ttl_us: micros(ttl) };
        ready(match self.meta(&Command::ChangeMeta(change)) {
            Ok(MetaReply::Term(term)) => Ok(term),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => Err(error),
        })
    }
}

impl StoreStatus for Simulated {
    fn waiting(&self) -> (usize, usize) {
        (0, 0)
    }

    fn now_us(&self) -> u64 {
        now_us()
    }
}

impl Lifecycle for Simulated {
    fn is_shared(&self) -> bool {
        true
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.cluster.lock().take();
        ready(Ok(()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_simulated_cluster_conforms() {
    conformance(|| Arc::new(Simulated::open(3, 2))).await;
}
