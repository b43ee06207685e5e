//! [`Fleet`].

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use foremap_redis_cluster::{ClusterOptions, RedisCluster, Watch};
use tempfile::TempDir;

use crate::gateway::Gateway;
use crate::http::Http;

/// Longest time that a gateway may take until it is ready: much, because machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(20);

/// Masters of a fleet's cluster.
pub(crate) const MASTERS: usize = 3;
/// Gateways of a fleet.
pub const GATEWAYS: usize = 4;

/// A Redis Cluster of three masters with replicas, and four gateways over it, each a process of its own on loopback.
///
/// Everything ends when it is dropped, on a panic too; and if this process dies without dropping it, watching shells end
/// what it started.
pub struct Fleet {
    // In this order: gateways end, then the watch, then the servers, then the folder goes.
    pub(crate) gateways: Vec<Gateway>,
    watch: Watch,
    pub(crate) redis: RedisCluster,
    folder: Option<TempDir>,
}

impl Fleet {
    /// Starts everything, with the promise `durable` if servers sync always and otherwise `replicated`, and waits until it is ready. Blocks for some seconds.
    ///
    /// # Errors
    /// Where a binary is missing or something does not come up.
    pub fn start(binary: &Path, replicas: usize, fsync_always: bool, node_timeout: Duration) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("foremap-cluster-").tempdir().context("no temporary folder")?;
        let options = ClusterOptions { replicas, fsync_always, node_timeout, ..ClusterOptions::default() };
        let redis = RedisCluster::start_with(options)?;
        let store = format!("redis://{}", redis.addresses().join(","));
        let gateway = |node| Gateway::new(binary, folder.path(), node, &store, replicas);
        let gateways = (1..=GATEWAYS).map(gateway).collect::<Result<Vec<_>>>()?;
        let watch = Watch::start(folder.path())?;
        let mut fleet = Self { gateways, watch, redis, folder: Some(folder) };
        for nth in 0..GATEWAYS {
            fleet.start_gateway(nth)?;
        }
        fleet.wait_until_ready()?;
        Ok(fleet)
    }

    /// Addresses of the gateways.
    pub fn origins(&self) -> Vec<String> {
        self.gateways.iter().map(|gateway| gateway.origin.clone()).collect()
    }

    /// Starts gateway `nth`; it is ready later.
    pub(crate) fn start_gateway(&mut self, nth: usize) -> Result<()> {
        self.gateways[nth].start()?;
        self.tell_watch()
    }

    /// Tells the watch who runs, after a gateway was started or has ended.
    pub(crate) fn tell_watch(&mut self) -> Result<()> {
        let pids: Vec<u32> = self.gateways.iter().filter_map(Gateway::pid).collect();
        self.watch.servers(pids.into_iter())
    }

    /// Waits until every gateway that runs and is not paused says that it is ready.
    ///
    /// # Errors
    /// Where that takes longer than a minute, or one has ended by itself.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut waiting: Vec<usize> = (0..GATEWAYS).filter(|&nth| self.gateways[nth].answers()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
        let http = Http::new();
        while !waiting.is_empty() {
            for gateway in &mut self.gateways {
                gateway.check()?;
            }
            waiting.retain(|&nth| !runtime.block_on(http.is_ready(&self.gateways[nth].origin)));
            if Instant::now() > deadline {
                bail!("gateways {waiting:?} are not ready within {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Keeps the folder with the logs, and tells where it is.
    pub(crate) fn keep_logs(&mut self) -> Option<std::path::PathBuf> {
        self.folder.take().map(TempDir::keep)
    }
}
