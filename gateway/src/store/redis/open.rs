//! Opening and closing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::redis::{Cmd, Value};
use foremap::node::ReplicaFence;
use foremap::partition::{PartitionMap, StorageLayout};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::check;
use super::clocks::Clocks;
use super::cluster::Cluster;
use super::connect::Connector;
use super::course::PlacedRequest;
use super::keys::{FORMAT, KeyPlace, Keyspace, SLOTS};
use super::master::RequestKind;
use super::master_queue::SlotResult;
use super::options::{Address, RedisOptions};
use super::reply::{Fault, bytes};
use super::routes::Maker;
use super::seal::Seal;
use super::settings_audit::SettingsAudit;
use crate::store::record::{decode_format, encode_format};
use crate::store::{Lifecycle, OpenError, Promise, StoreError, StoreFuture};

/// A store in a Redis Cluster. Other processes may use it at the same time.
pub struct RedisStore {
    pub(super) cluster: Arc<Cluster>,
    pub(super) layout: StorageLayout,
    pub(super) options: RedisOptions,
    pub(super) visible: watch::Sender<u64>,
    /// The map as it was last read.
    pub(super) map: Mutex<Option<Arc<PartitionMap>>>,
    pub(super) seal: Seal,
    /// By which secret what is stored was sealed when it was last looked at.
    pub(super) sealed_by: Mutex<Option<[u8; 32]>>,
    /// True once there was a registration without a seal of the fleet, which has been told.
    pub(super) saw_strangers: AtomicBool,
    /// Writes under way.
    writing: watch::Sender<usize>,
    closed: AtomicBool,
    pub(super) clocks: Arc<Clocks>,
    followers: [JoinHandle<()>; 3],
}

/// A write under way.
struct Writing<'a>(&'a watch::Sender<usize>);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl RedisStore {
    /// Connects, checks that the cluster keeps what a store promises, loads the functions, and creates the namespace if
    /// it is new. Needs a tokio runtime, also afterwards.
    ///
    /// # Errors
    /// [`OpenError`], in words fit for one line.
    pub async fn open(options: &RedisOptions) -> Result<Self, OpenError> {
        options.check().map_err(OpenError::Unfit)?;
        let seeds: Vec<Address> = options.nodes.iter().filter_map(|node| Address::parse(node)).collect();
        let connector = Connector::new(options);
        let view = check::look(&connector, &seeds).await?;
        let audit = SettingsAudit::new(check::servers(&connector, &view, options).await?);
        let clocks = Arc::new(Clocks::new(connector.clone(), options.clock.clone()));
        clocks.compare(view.nodes.clone()).await;
        let fence = ReplicaFence::new(options.replicas);
        let maker = Maker { connector, fence, suspicion: Arc::new(Notify::new()) };
        // The layout tells the names of the shards, and is found under a name that does not depend on it.
        let cluster = Cluster::new(Keyspace::new(&options.namespace, 1), maker, seeds, &view, audit);
        let layout = Self::prepare(&cluster, options.layout).await?;
        let cluster = Arc::new(cluster.with_keys(Keyspace::new(&options.namespace, layout.shards), &view));
        // What seeds did not tell: which slots are on their way.
        cluster.refresh().await;
        let followers = [
            tokio::spawn(cluster.clone().follow()),
            tokio::spawn(cluster.clone().watch_settings()),
            tokio::spawn(clocks.clone().follow(cluster.clone())),
        ];
        Ok(Self {
            cluster,
            layout,
            options: options.clone(),
            visible: watch::Sender::new(0),
            map: Mutex::new(None),
            seal: Seal::new(options.token_key.clone(), &options.namespace),
            sealed_by: Mutex::new(None),
            saw_strangers: AtomicBool::new(false),
            writing: watch::Sender::new(0),
            closed: AtomicBool::new(false),
            clocks,
            followers,
        })
    }

    /// Writes the format record of a new namespace; returns the layout of an existing one.
    async fn prepare(cluster: &Cluster, layout: StorageLayout) -> Result<StorageLayout, OpenError> {
        let key = cluster.keys.key(KeyPlace::Meta, FORMAT);
        let (mut set, mut get) = (::redis::cmd("SET"), ::redis::cmd("GET"));
        set.arg(&key).arg(encode_format(layout)).arg("NX");
        get.arg(&key);
        let outcome = cluster.run_one(RequestKind::Write, PlacedRequest::new(KeyPlace::Meta, [set, get])).await;
        let values = outcome.map_err(|fault| match fault {
            Fault::Failed(why) => OpenError::Unfit(why),
            other => OpenError::Unreachable(other.of_read().to_string()),
        })?;
        let stored = bytes(values.into_iter().nth(1).unwrap_or(Value::Nil), "the format record");
        let stored = stored.map_err(|error| OpenError::Damaged(error.to_string()))?.unwrap_or_default();
        let layout = decode_format(&stored).map_err(|error| OpenError::Damaged(format!("format record: {error}")))?;
        if layout.shards > SLOTS {
            return Err(OpenError::Unfit(format!("a cluster has room for {SLOTS} shards, not {}", layout.shards)));
        }
        Ok(layout)
    }

    /// Writes the format record again where it is gone.
    pub(super) async fn prepare_anew(&self) -> Result<(), StoreError> {
        match Self::prepare(&self.cluster, self.layout).await {
            Ok(layout) if layout == self.layout => Ok(()),
            Ok(_) => Err(StoreError::Corrupt("it is sliced in another way now: start this process again".into())),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    fn begin(&self) -> Result<Writing<'_>, StoreError> {
        self.writing.send_modify(|count| *count += 1);
        let writing = Writing(&self.writing);
        if self.closed.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        Ok(writing)
    }

    /// Performs a command that writes.
    pub(super) async fn change(&self, place: KeyPlace, command: Cmd) -> Result<Value, StoreError> {
        let _writing = self.begin()?;
        let values = self
            .cluster
            .run_one(RequestKind::Write, PlacedRequest::new(place, [command]))
            .await
            .map_err(Fault::of_write)?;
        self.visible.send_modify(|count| *count += 1);
        Ok(values.into_iter().next().unwrap_or(Value::Nil))
    }

    /// Performs commands that read.
    pub(super) async fn look(
        &self,
        place: KeyPlace,
        commands: impl Into<Arc<[Cmd]>>,
    ) -> Result<Vec<Value>, StoreError> {
        let outcome: SlotResult = self.cluster.run_one(RequestKind::Read, PlacedRequest::new(place, commands)).await;
        outcome.map_err(Fault::of_read)
    }

    async fn shut(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::SeqCst);
        // The sender is here, so this ends only when the last write has.
        drop(self.writing.subscribe().wait_for(|count| *count == 0).await);
        Ok(())
    }
}

impl Lifecycle for RedisStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn promise(&self) -> Promise {
        self.cluster.audit.promise()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.shut())
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        self.followers.iter().for_each(JoinHandle::abort);
    }
}
