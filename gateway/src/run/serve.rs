//! [`run`]: the nodes of one process, from start to end.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use foremap::node::NodeConfig;
use foremap::partition::MapNode;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::map::ensure_map;
use super::{Failure, shutdown};
use crate::host::{Process, Tailers};
use crate::http::{HttpOptions, Server, router};
use crate::store::{RedbOptions, RedbStore, Store};

/// Longest wait for requests in flight at shutdown.
const GRACE: Duration = Duration::from_secs(10);

/// What to serve.
#[derive(Clone)]
pub struct Options {
    /// One node per address; port 0 takes a free one. Node ids count from 1.
    pub listen: Vec<SocketAddr>,
    /// Origin that clients reach the nodes at, where that is not `http://` and the address. For one node only.
    pub origin: Option<String>,
    /// The store file.
    pub path: PathBuf,
    /// How it is opened.
    pub store: RedbOptions,
    /// Most entries in the memory of each node.
    pub memory_entries: usize,
    /// How the nodes speak HTTP.
    pub http: HttpOptions,
}

/// The nodes of a process, serving.
pub struct Running {
    /// Addresses, in order of node ids.
    pub addresses: Vec<SocketAddr>,
    store: Arc<dyn Store>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// Binds, opens the store, and serves.
///
/// # Errors
/// [`Failure`]: an address that is taken or not allowed, a store that cannot be used.
pub async fn start(options: Options) -> Result<Running, Failure> {
    let listeners = bind(&options).await?;
    let opened = RedbStore::open(&options.path, &options.store);
    let store = opened.map_err(|error| Failure::new(format!("the store {} {error}", options.path.display())))?;
    let store: Arc<dyn Store> = Arc::new(store);
    let addresses: Vec<SocketAddr> = listeners.iter().map(|(_, address)| *address).collect();
    let map = ensure_map(&*store, map_nodes(&options, &addresses)).await?;
    let seed = RandomState::new().build_hasher().finish();
    let config = |id| NodeConfig { memory_entries: options.memory_entries, ..NodeConfig::new(id, seed) };
    let configs: Vec<NodeConfig> = map.nodes.iter().map(|node| config(node.id)).collect();
    let process = Process::new(store.clone(), &map, &configs)
        .map_err(|error| Failure::new(format!("the partition map: {error}")))?;
    let process = Arc::new(process);
    let (stop, stopped) = watch::channel(false);
    let tailers = Tailers::start(process.clone()).await;
    let tailers = tailers.map_err(|error| Failure::new(format!("the change log: {error}")))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(tailers.run(stopped.clone()));
    for (node, (listener, _)) in process.nodes().zip(listeners) {
        let server = Server::new(process.clone(), node.clone(), options.http.clone(), stopped.clone());
        let mut stopped = stopped.clone();
        let listener = listener.tap_io(|io| drop(io.set_nodelay(true)));
        tasks.spawn(async move {
            let stop = async move { drop(stopped.wait_for(|stop| *stop).await) };
            if let Err(error) = axum::serve(listener, router(server)).with_graceful_shutdown(stop).await {
                tracing::error!(%error, "a listener failed");
            }
        });
    }
    Ok(Running { addresses, store, stop, tasks })
}

impl Running {
    /// Stops accepting, answers what is in flight, and closes the store.
    ///
    /// # Errors
    /// [`Failure`] where the store did not close well.
    pub async fn stop(mut self) -> Result<(), Failure> {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(GRACE, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("requests were still in flight after {} s", GRACE.as_secs());
            self.tasks.shutdown().await;
        }
        self.store.close().await.map_err(|error| Failure::new(error.to_string()))
    }
}

/// Starts, prints one line per node, and serves until a signal.
///
/// # Errors
/// As [`start`].
pub async fn run(options: Options) -> Result<(), Failure> {
    let running = start(options).await?;
    let mut out = std::io::stdout().lock();
    for (id, address) in (1..).zip(&running.addresses) {
        // A reader that went away is no reason not to serve.
        drop(writeln!(out, "node {id} ready at http://{address}"));
    }
    drop(out.flush());
    drop(out);
    shutdown::signal().await;
    tracing::info!("shutting down");
    running.stop().await
}

async fn bind(options: &Options) -> Result<Vec<(TcpListener, SocketAddr)>, Failure> {
    let mut listeners = Vec::with_capacity(options.listen.len());
    for &address in &options.listen {
        if options.http.token_key.is_none() && !address.ip().is_loopback() {
            let line = format!("without --token-key a node listens on loopback only, not on {address}");
            return Err(Failure::new(line));
        }
        let failure = |error: std::io::Error| Failure::new(format!("cannot listen on {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(failure)?;
        let address = listener.local_addr().map_err(failure)?;
        listeners.push((listener, address));
    }
    Ok(listeners)
}

fn map_nodes(options: &Options, addresses: &[SocketAddr]) -> Vec<MapNode> {
    let origin = |address: &SocketAddr| options.origin.clone().unwrap_or_else(|| format!("http://{address}"));
    (1..).zip(addresses).map(|(id, address)| MapNode { id, origin: origin(address), weight: 1 }).collect()
}
