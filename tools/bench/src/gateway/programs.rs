//! The programs that are measured, and those that measure.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use foremap_redis_cluster::{ClusterOptions, RedisCluster};
use serde::Deserialize;
use xtask::build;
use xtask::gateway::node_origins;
use xtask::process::{self, Scratch, Server};
use xtask::workspace::Workspace;

use super::machine;

/// Rounds of what is held against something else.
pub(super) const ROUNDS: usize = 5;
/// Longest time that a server may take to become ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// The built programs and a folder for what they write.
pub(super) struct Bench {
    pub(super) gateway: PathBuf,
    load: PathBuf,
    /// The Redis server, or what takes its place.
    server: PathBuf,
    pub(super) scratch: Scratch,
    /// Id of the next gateway on a Redis Cluster.
    next: AtomicU32,
}

/// Figures of a load program.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Measured {
    pub(super) count: u64,
    pub(super) seconds: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Processor time of the load program itself.
    #[serde(default)]
    pub(super) cpu_seconds: f64,
    /// Processor time of the servers meanwhile.
    #[serde(skip)]
    pub(super) servers: f64,
}

impl Measured {
    pub(super) fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// Processor time of the servers for one exchange, in microseconds.
    pub(super) fn server_us(&self) -> f64 {
        self.servers * 1e6 / self.count as f64
    }

    /// Processor time of servers and client for one exchange, in microseconds.
    pub(super) fn all_us(&self) -> f64 {
        (self.servers + self.cpu_seconds) * 1e6 / self.count as f64
    }
}

impl Bench {
    /// Builds what is measured as it is published.
    pub(super) fn prepare(workspace: &Workspace, server: Option<PathBuf>) -> Result<Self> {
        let gateway = build::optimised(workspace, "foremap-gateway")?;
        let load = build::optimised(workspace, "foremap-load")?;
        let server = server.unwrap_or_else(|| ClusterOptions::default().server);
        Ok(Self { gateway, load, server, scratch: Scratch::new()?, next: AtomicU32::new(1) })
    }

    /// Name and version, as the server says them.
    pub(super) fn engine(&self) -> Result<String> {
        let server = self.server.to_str().context("the path of the server is no text")?;
        let version = process::first_line(server, &["--version"]).context("the server tells no version")?;
        Ok(version.split(" sha=").next().unwrap_or_default().to_owned())
    }

    /// Starts a cluster of three masters with `replicas` each.
    pub(super) fn cluster(&self, replicas: usize) -> Result<RedisCluster> {
        RedisCluster::start_with(ClusterOptions { replicas, server: self.server.clone(), ..ClusterOptions::default() })
    }

    /// Runs the load program; the processor time of `servers` meanwhile is counted.
    pub(super) fn load(&self, arguments: &str, servers: &[u32]) -> Result<Measured> {
        let mut command = Command::new(&self.load);
        measured(command.args(arguments.split_whitespace()), servers)
    }

    /// Bytes that an entry takes in the memory of a node.
    pub(super) fn held(&self, arguments: &str) -> Result<f64> {
        #[derive(Deserialize)]
        struct Held {
            bytes: f64,
        }
        let mut command = Command::new(&self.load);
        let output = process::run_quietly(command.args(arguments.split_whitespace()))?;
        let held: Held = serde_json::from_str(output.trim()).with_context(|| output.clone())?;
        Ok(held.bytes)
    }

    /// Starts the load program in the background.
    pub(super) fn load_beside(&self, name: &str, arguments: &str) -> Result<Server> {
        let mut command = Command::new(&self.load);
        let log = self.scratch.path(&format!("{name}.log"));
        Server::start("the load", command.args(arguments.split_whitespace()), &log)
    }

    /// Runs `wrk` with one thread on single reads of `url`.
    pub(super) fn wrk(&self, url: &str, connections: usize, seconds: f64) -> Result<Measured> {
        const SCRIPT: &str = r#"
done = function(summary, latency)
  local line = '{"count":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d}\n'
  local us = summary.duration / 1e6
  io.write(string.format(line, summary.requests, us, latency:percentile(50), latency:percentile(99)))
end
"#;
        let script = self.scratch.path("wrk.lua");
        std::fs::write(&script, SCRIPT).context("cannot write the script of wrk")?;
        let mut command = Command::new("wrk");
        command.args(["-t1", &format!("-c{connections}"), &format!("-d{}s", seconds.max(1.0).round()), "-s"]);
        measured(command.arg(script).arg(url), &[])
    }

    /// Starts a gateway on a store of its own.
    pub(super) fn alone(&self, name: &str) -> Result<Gateway> {
        self.alone_of(None, name)
    }

    /// The same of another build, if there is one.
    pub(super) fn alone_of(&self, build: Option<&Path>, name: &str) -> Result<Gateway> {
        let store = self.scratch.path(&format!("{name}.redb"));
        let store = store.to_str().context("the temporary folder is no text")?;
        self.start(build.unwrap_or(&self.gateway), name, store, &[])
    }

    /// Starts a gateway on a Redis Cluster, under an id of its own: what an earlier one registered may still be there.
    pub(super) fn over(&self, cluster: &RedisCluster, replicas: usize) -> Result<Gateway> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("gateway-{id}");
        let store = format!("redis://{}", cluster.addresses().join(","));
        self.start(&self.gateway, &name, &store, &["--replicas", &replicas.to_string(), "--node", &id.to_string()])
    }

    fn start(&self, build: &Path, name: &str, store: &str, more: &[&str]) -> Result<Gateway> {
        let mut command = Command::new(build);
        command.args(["serve", "--listen", "127.0.0.1:0", "--memory-entries", "400000", "--store", store]).args(more);
        let mut server = Server::start("the gateway", &mut command, &self.scratch.path(&format!("{name}.log")))?;
        let origin = server.wait_for(PATIENCE, |log| node_origins(log, 1)?.pop())?;
        let address = origin.strip_prefix("http://").unwrap_or(&origin).to_owned();
        Ok(Gateway { address, pid: server.pid(), server })
    }

    /// Starts a Redis server that keeps nothing on disk.
    pub(super) fn redis(&self) -> Result<Redis> {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").context("no free port")?;
        let port = socket.local_addr()?.port();
        drop(socket);
        let mut command = Command::new(&self.server);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let mut server = Server::start("redis-server", &mut command, &self.scratch.path("redis.log"))?;
        server.wait_for(PATIENCE, |log| log.contains("Ready to accept connections").then_some(()))?;
        Ok(Redis { port, pid: server.pid(), _server: server })
    }
}

/// A running gateway.
pub(super) struct Gateway {
    /// `host:port`
    pub(super) address: String,
    pub(super) pid: u32,
    server: Server,
}

impl Gateway {
    /// One of the counters or gauges that it shows.
    pub(super) fn metric(&mut self, name: &str) -> Result<f64> {
        self.server.check()?;
        let text = foremap_bench::http::text(&format!("http://{}/metrics", self.address))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once(' '));
        let (_, value) = line.with_context(|| format!("the gateway shows no {name}"))?;
        value.parse().with_context(|| format!("{name} is {value}"))
    }
}

/// A running Redis server.
pub(super) struct Redis {
    pub(super) port: u16,
    pub(super) pid: u32,
    _server: Server,
}

fn measured(command: &mut Command, servers: &[u32]) -> Result<Measured> {
    let before = machine::cpu_of(servers)?;
    let output = process::run_quietly(command)?;
    let after = machine::cpu_of(servers)?;
    let line = output.lines().rev().find(|line| line.starts_with('{'));
    let line = line.with_context(|| format!("`{}` said: {output}", process::shown(command)))?;
    let measured: Measured = serde_json::from_str(line).with_context(|| line.to_owned())?;
    Ok(Measured { servers: after - before, ..measured })
}

/// The round with the smallest median.
pub(super) fn quietest(rounds: &[Measured]) -> Result<&Measured> {
    rounds.iter().min_by(|a, b| a.p50_us.total_cmp(&b.p50_us)).context("there was no round")
}
