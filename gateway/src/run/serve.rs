//! [`run`]: the nodes of one process, from start to end.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foremap::control::{ControlConfig, Member, MemberState};
use foremap::node::NodeConfig;
use foremap::partition::{MapNode, NodeId, PartitionMap};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::files::OpenLimits;
use super::map::{ensure_map, first_map};
use super::{RunError, files, shutdown};
use crate::host::{ControlTask, JoinRefused, Process, ShareTask, ShifterMode, Tailers, join};
use crate::http::{HttpOptions, Server, Workers, serve_admin};
use crate::model::ShareOptions;
use crate::store::{OpenError, RedbOptions, RedbStore, RedisOptions, RedisStore, Store};

/// Pause between two attempts to start.
const RETRY: Duration = Duration::from_millis(500);
/// Longest wait for requests in flight at shutdown.
const GRACE: Duration = Duration::from_secs(10);
/// Longest wait for the map to give the partitions of a node that leaves to others.
const LEAVE: Duration = Duration::from_secs(5);
/// Time for which a node still accepts after that, so that other gateways and busy clients have heard of the new map.
const LINGER: Duration = Duration::from_millis(500);
/// As in the map and the registry.
const MAX_ORIGIN_BYTES: usize = 300;

/// Options of the nodes to serve.
#[derive(Clone)]
pub struct Options {
    /// One node per address; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Address at which operators are served besides; for one node only.
    pub admin_listen: Option<SocketAddr>,
    /// Origin that clients and other gateways reach the node at, where that is not `http://` and the address. For one
    /// node only.
    pub origin: Option<String>,
    /// Id of the first node; the others follow.
    pub node: NodeId,
    /// The store.
    pub store: StoreOptions,
    /// Most entries in the memory of each node.
    pub memory_entries: usize,
    /// Longest wait of [`run`] for a store of which a part does not answer, or is missing.
    pub patience: Duration,
    /// Party that acts on the Partition Shifter's plans.
    pub shifter: ShifterMode,
    /// The model that clients share.
    pub share: ShareOptions,
    /// Options of the nodes' HTTP servers.
    pub http: HttpOptions,
}

/// Which store.
#[derive(Clone)]
pub enum StoreOptions {
    /// A file, for one process.
    File {
        /// Path of the file.
        path: PathBuf,
        /// Options for opening it.
        options: RedbOptions,
    },
    /// A Redis Cluster, for any number of processes.
    Redis(Box<RedisOptions>),
}

impl StoreOptions {
    async fn open(&self) -> Result<Arc<dyn Store>, RunError> {
        match self {
            Self::File { path, options } => {
                let opened = RedbStore::open(path, options);
                let store = opened.map_err(|error| RunError::new(format!("the store {} {error}", path.display())))?;
                Ok(Arc::new(store))
            }
            Self::Redis(options) => {
                let failure = |error: OpenError| {
                    let line = format!("the store redis://{} {error}", options.nodes.join(","));
                    RunError::new(line).that_may_pass(error.may_pass())
                };
                Ok(Arc::new(RedisStore::open(options).await.map_err(failure)?))
            }
        }
    }
}

/// The nodes of a process, serving.
pub struct Running {
    /// Addresses, in order of node ids.
    pub addresses: Vec<SocketAddr>,
    /// Address at which operators are served besides.
    pub admin: Option<SocketAddr>,
    process: Arc<Process>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// Binds, opens the store, and serves.
///
/// # Errors
/// [`RunError`]: an address that is taken or not allowed, a store that cannot be used, a node id that is.
pub async fn start(options: Options) -> Result<Running, RunError> {
    let listeners = bind(&options).await?;
    let store = options.store.open().await?;
    serve(store, listeners, options).await
}

/// The same over a store that is open already, whatever the options say.
///
/// # Errors
/// As [`start`].
pub async fn start_over(store: Arc<dyn Store>, options: Options) -> Result<Running, RunError> {
    let listeners = bind(&options).await?;
    serve(store, listeners, options).await
}

type Bound = (TcpListener, SocketAddr);

async fn serve(store: Arc<dyn Store>, listeners: Vec<Bound>, options: Options) -> Result<Running, RunError> {
    let nodes = map_nodes(&options, &listeners, store.is_shared())?;
    let incarnation = draw();
    let member = |node: &MapNode| Member {
        id: node.id,
        incarnation,
        origin: node.origin.clone(),
        weight: node.weight,
        state: MemberState::Serving,
        warm_for: 0,
    };
    let members: Vec<Member> = nodes.iter().map(member).collect();
    if !store.is_shared() {
        let map = ensure_map(&*store, nodes.clone()).await?;
        return begin(store, listeners, options, &map, &nodes, members).await;
    }
    join(&*store, &members).await.map_err(|refused| {
        RunError::new(match refused {
            JoinRefused::Taken(id) => format!("another live process is node {id}: give each its own --node"),
            JoinRefused::Store(error) => return RunError::of_store("the registry", &error),
        })
    })?;
    let begun = async {
        // All later membership goes through the leader.
        let map = first_map(&*store, nodes.clone()).await?;
        begin(store.clone(), listeners, options, &map, &nodes, members).await
    };
    let begun = begun.await;
    if begun.is_err() {
        for node in &nodes {
            // What stays is forgotten by itself.
            let _ = store.retract(node.id, incarnation).await;
        }
    }
    begun
}

async fn begin(
    store: Arc<dyn Store>,
    listeners: Vec<Bound>,
    options: Options,
    map: &Arc<PartitionMap>,
    nodes: &[MapNode],
    members: Vec<Member>,
) -> Result<Running, RunError> {
    let seed = draw();
    let OpenLimits { connections, feeds } = files::room(nodes.len());
    let config = |id| NodeConfig { memory_entries: options.memory_entries, feeds, ..NodeConfig::new(id, seed) };
    let configs: Vec<NodeConfig> = nodes.iter().map(|node| config(node.id)).collect();
    let (process, requests) = Process::new(store, map, &configs, options.http.token_key.clone(), options.shifter)
        .map_err(|error| RunError::new(format!("the partition map: {error}")))?;
    let process = Arc::new(process);
    let (stop, stopped) = watch::channel(false);
    let tailers = Tailers::start(process.clone()).await;
    let tailers = tailers.map_err(|error| RunError::of_store("the change log", &error))?;
    let workers = Workers::start().map_err(|error| RunError::new(format!("no threads: {error}")))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(tailers.run(stopped.clone()));
    if let Some(key) = options.http.token_key.clone() {
        tasks.spawn(key.follow(stopped.clone()));
    }
    tasks.spawn(process.clone().pump(stopped.clone()));
    let config = ControlConfig {
        is_shared: process.store.is_shared(),
        plans: options.shifter != ShifterMode::Off,
        applies: options.shifter == ShifterMode::Auto,
        ..ControlConfig::default()
    };
    tasks.spawn(ControlTask::new(process.clone(), config, members, requests).run(stopped.clone()));
    tasks.spawn(ShareTask::new(process.clone(), options.share.clone()).run(stopped.clone()));
    let admin = options.admin_listen.map(listen_admin).transpose()?;
    let mut http = options.http.clone();
    http.limits.connections = http.limits.connections.min(connections);
    let addresses = listeners.iter().map(|(_, address)| *address).collect();
    for (node, (listener, _)) in process.nodes().zip(listeners) {
        let own = nodes.iter().find(|own| own.id == node.id());
        let own = own.map(|own| own.origin.trim_end_matches('/').to_owned());
        let http = HttpOptions { origins: own.into_iter().collect(), ..http.clone() };
        let server = Server::new(process.clone(), node.clone(), http, stopped.clone());
        if let Some((listener, _)) = admin.as_ref().filter(|_| node.id() == options.node) {
            let listener = listener.try_clone();
            let served = listener.and_then(|listener| serve_admin(listener, server.clone(), stopped.clone()));
            served.map_err(|error| RunError::new(format!("cannot serve operators: {error}")))?;
        }
        tasks.spawn(workers.clone().serve(listener, server, stopped.clone()));
    }
    Ok(Running { addresses, admin: admin.map(|(_, address)| address), process, stop, tasks })
}

fn listen_admin(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), RunError> {
    let listen = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listen().map_err(|error: std::io::Error| RunError::new(format!("cannot listen on {address}: {error}")))
}

/// A number that no other process draws.
fn draw() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl Running {
    /// The nodes.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Hands its partitions to others where there are any, stops accepting, answers what is in flight, and closes the
    /// store. Until it stops accepting it answers as ever, but says that it is not ready.
    ///
    /// # Errors
    /// [`RunError`] where the store did not close well.
    pub async fn stop(mut self) -> Result<(), RunError> {
        self.process.leave();
        if self.process.store.is_shared() {
            self.leave().await;
        }
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(GRACE, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("requests were still in flight after {} s", GRACE.as_secs());
            self.tasks.shutdown().await;
        }
        self.process.store.close().await.map_err(|error| RunError::new(error.to_string()))
    }

    async fn leave(&self) {
        let mut control = self.process.control();
        let left = control.wait_for(|stats| stats.has_left);
        if tokio::time::timeout(LEAVE, left).await.is_err() {
            tracing::warn!("the map still names this process after {} s", LEAVE.as_secs());
        }
        tokio::time::sleep(LINGER).await;
    }
}

/// Starts as soon as the store lets it: a gateway that is restarted while a master or a replica is away comes up with it.
async fn patiently(options: Options) -> Result<Running, RunError> {
    let until = Instant::now() + options.patience;
    let mut told = false;
    loop {
        let failure = match start(options.clone()).await {
            Ok(running) => return Ok(running),
            Err(failure) if failure.may_pass() && Instant::now() < until => failure,
            Err(failure) => return Err(failure),
        };
        if !told {
            tracing::warn!("{failure}; trying again for {} s", options.patience.as_secs());
            told = true;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Starts, prints one line per node, and serves until a signal.
///
/// # Errors
/// As [`start`].
pub async fn run(options: Options) -> Result<(), RunError> {
    let first = options.node;
    let running = patiently(options).await?;
    let mut out = std::io::stdout().lock();
    for (id, address) in (first..).zip(&running.addresses) {
        // A reader that went away is no reason not to serve.
        drop(writeln!(out, "node {id} ready at http://{address}"));
    }
    if let Some(address) = running.admin {
        drop(writeln!(out, "admin ready at http://{address}"));
    }
    drop(out.flush());
    drop(out);
    shutdown::signal().await;
    tracing::info!("shutting down");
    running.stop().await
}

async fn bind(options: &Options) -> Result<Vec<(TcpListener, SocketAddr)>, RunError> {
    let mut listeners = Vec::with_capacity(options.listen.len());
    for &address in options.listen.iter().chain(&options.admin_listen) {
        if options.http.token_key.is_none() && !address.ip().is_loopback() {
            let line = format!("without --token-key a node listens on loopback only, not on {address}");
            return Err(RunError::new(line));
        }
    }
    for &address in &options.listen {
        let failure = |error: std::io::Error| RunError::new(format!("cannot listen on {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(failure)?;
        let address = listener.local_addr().map_err(failure)?;
        listeners.push((listener, address));
    }
    Ok(listeners)
}

fn map_nodes(options: &Options, listeners: &[Bound], is_shared: bool) -> Result<Vec<MapNode>, RunError> {
    let node = |(at, (_, address)): (usize, &Bound)| {
        if is_shared && options.origin.is_none() && address.ip().is_unspecified() {
            let line = format!("nobody can reach a node at {address}: name an --origin");
            return Err(RunError::new(line));
        }
        let origin = options.origin.clone().unwrap_or_else(|| format!("http://{address}"));
        if !(1..=MAX_ORIGIN_BYTES).contains(&origin.len()) {
            return Err(RunError::new(format!("an --origin has 1 to {MAX_ORIGIN_BYTES} bytes")));
        }
        let id = u32::try_from(at).ok().and_then(|at| options.node.checked_add(at));
        let id = id.ok_or_else(|| RunError::new("the node ids would go beyond 4294967295"))?;
        Ok(MapNode { id, origin, weight: 1 })
    };
    listeners.iter().enumerate().map(node).collect()
}
