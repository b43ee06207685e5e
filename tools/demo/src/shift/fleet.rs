//! The nodes of an act.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use foremap_bench::http;
use foremap_redis_cluster::RedisCluster;
use xtask::gateway::node_origins;
use xtask::process::{Scratch, Server};

use super::route::map;

/// Beginning, in the text of a coordinator, of the last plan in force.
pub(super) const LAST_PLAN: &str = "\nlast: ";
/// Nodes that run.
pub(super) const NODES: u16 = 6;
/// Masters of the Redis Cluster, and replicas of each.
const MASTERS: usize = 3;
const REPLICAS: usize = 1;
/// Longest time that something may take to become ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts.
const LOOK: Duration = Duration::from_millis(200);

/// Running nodes and what they stand on. Dropping it ends everything.
pub(super) struct Fleet {
    // In this order: gateways end before the store that they use.
    servers: Vec<Server>,
    _redis: Option<RedisCluster>,
    /// Addresses of the nodes, by id.
    pub(super) origins: Vec<String>,
}

impl Fleet {
    /// All nodes in one process, over a file.
    pub(super) fn in_one_process(gateway: &std::path::Path, scratch: &Scratch) -> Result<Self> {
        let mut command = Command::new(gateway);
        command.args(["dev", "--nodes", &NODES.to_string(), "--port", "0", "--store"]).arg(scratch.path("shift.redb"));
        let mut server = Server::start("the gateway", &mut command, &scratch.path("shift.log"))?;
        let origins = server.wait_for(PATIENCE, |log| node_origins(log, NODES))?;
        Ok(Self { servers: vec![server], _redis: None, origins })
    }

    /// A process for each node, over a Redis Cluster.
    pub(super) fn over_redis(gateway: &std::path::Path, scratch: &Scratch) -> Result<Self> {
        let redis = RedisCluster::start(MASTERS, REPLICAS)?;
        let store = format!("redis://{}", redis.addresses().join(","));
        let start = |node: u16| {
            let (node, replicas) = (node.to_string(), REPLICAS.to_string());
            let mut command = Command::new(gateway);
            command.args(["serve", "--listen", "127.0.0.1:0", "--node", &node, "--store", &store]);
            command.args(["--replicas", &replicas]);
            Server::start(&format!("gateway {node}"), &mut command, &scratch.path(&format!("shift-{node}.log")))
        };
        let mut servers = (1..=NODES).map(start).collect::<Result<Vec<_>>>()?;
        let ready = |server: &mut Server| server.wait_for(PATIENCE, |log| node_origins(log, 1)?.pop());
        let origins = servers.iter_mut().map(ready).collect::<Result<_>>()?;
        let mut fleet = Self { servers, _redis: Some(redis), origins };
        fleet.wait_for("the map names every node", |fleet| {
            let members = fleet.origins.iter().map(|origin| Ok(map(origin)?.nodes.len()));
            Ok(members.collect::<Result<Vec<_>>>()?.into_iter().all(|count| count == usize::from(NODES)).then_some(()))
        })?;
        Ok(fleet)
    }

    /// Fails if a process has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.servers.iter_mut().try_for_each(Server::check)
    }

    /// Keys that each node has been asked for so far, as it counts them.
    pub(super) fn keys(&self) -> Result<Vec<u64>> {
        let count = |origin: &String| {
            let metrics = http::text(&format!("{origin}/metrics"))?;
            crate::metrics::keys(&metrics).with_context(|| format!("GET {origin}/metrics"))
        };
        self.origins.iter().map(count).collect()
    }

    /// Turns the freeze switch, through the last node: whoever coordinates.
    pub(super) fn freeze(&mut self, frozen: bool) -> Result<()> {
        self.wait_for("a coordinator", |fleet| {
            let url = format!("{}/v1/shifter/freeze", fleet.last());
            let body = serde_json::json!({ "frozen": frozen }).to_string();
            let request = http::agent().post(&url).header("content-type", "application/json");
            let mut answer = request.send(body).with_context(|| format!("POST {url}"))?;
            match answer.status().as_u16() {
                200 => Ok(Some(())),
                503 => Ok(None),
                status => bail!("POST {url}: {status} {}", answer.body_mut().read_to_string().unwrap_or_default()),
            }
        })
    }

    /// Account of the coordinator, of itself and its plans, for people, asked through the last node; `None` where nobody
    /// coordinates at the moment, or no plan has come in force.
    pub(super) fn plan(&self) -> Result<Option<String>> {
        let url = format!("{}/v1/plan", self.last());
        let request = http::agent().get(&url).header("accept", "text/plain");
        let mut answer = request.call().with_context(|| format!("GET {url}"))?;
        let text = answer.body_mut().read_to_string().with_context(|| format!("GET {url}"))?;
        match answer.status().as_u16() {
            200 => Ok(Some(text).filter(|text| text.contains(LAST_PLAN))),
            503 => Ok(None),
            status => bail!("GET {url}: {status} {text}"),
        }
    }

    /// The same, once a plan has come in force.
    pub(super) fn wait_for_plan(&mut self) -> Result<String> {
        self.wait_for("a plan in force", Self::plan)
    }

    fn last(&self) -> &str {
        self.origins.last().map_or("", String::as_str)
    }

    fn wait_for<T>(&mut self, what: &str, look: impl Fn(&Self) -> Result<Option<T>>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.check()?;
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                bail!("waited {} s in vain: {what}", PATIENCE.as_secs());
            }
            std::thread::sleep(LOOK);
        }
    }
}
