//! [`RedisCluster`].

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use redis::{FromRedisValue, Value};
use tempfile::TempDir;

use crate::options::ClusterOptions;
use crate::server::{Server, cli, started};
use crate::watch::Watch;

/// Longest time that the cluster may take to become whole: much, because machines that run tests are busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(50);
/// Slots of a cluster.
const SLOTS: u32 = 16_384;

/// A master with its slots and replicas, by the numbers of their servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The server that is master.
    pub master: usize,
    /// Ranges of slots, both ends included.
    pub slots: Vec<(u16, u16)>,
    /// The servers that are its replicas, ascending.
    pub replicas: Vec<usize>,
}

impl Shard {
    /// Tells whether it has `slot`.
    pub fn has(&self, slot: u16) -> bool {
        self.slots.iter().any(|&(first, last)| (first..=last).contains(&slot))
    }
}

/// A running cluster. Dropping it ends every server and removes all data.
pub struct RedisCluster {
    // In this order: servers end, then the watch, then the folder goes.
    pub(crate) servers: Vec<Server>,
    /// One that is not of the cluster.
    pub(crate) outside: Option<Server>,
    watch: Watch,
    pub(crate) options: ClusterOptions,
    pub(crate) folder: TempDir,
}

impl RedisCluster {
    /// Starts a cluster with the default options, and waits until it is whole. Blocks for some seconds.
    ///
    /// # Errors
    /// If `redis-server` or `redis-cli` is missing (with what to install), or the cluster does not come up.
    pub fn start(masters: usize, replicas_per_master: usize) -> Result<Self> {
        Self::start_with(ClusterOptions { masters, replicas: replicas_per_master, ..ClusterOptions::default() })
    }

    /// Starts a cluster, and waits until it is whole.
    ///
    /// # Errors
    /// As [`RedisCluster::start`].
    pub fn start_with(options: ClusterOptions) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("foremap-redis-").tempdir().context("no temporary folder")?;
        let watch = Watch::start(folder.path())?;
        let mut cluster = Self { servers: Vec::new(), outside: None, watch, options, folder };
        for _ in 0..cluster.options.masters * (1 + cluster.options.replicas) {
            cluster.add_server()?;
        }
        cluster.create()?;
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    /// Starts one that knows no other; returns its number.
    pub(crate) fn add_server(&mut self) -> Result<usize> {
        let port = self.servers.last().map_or_else(Server::first_port, |server| server.port + 1);
        let server = Server::start(&self.options, self.folder.path(), port)?;
        self.servers.push(server);
        self.tell_watch()?;
        Ok(self.servers.len() - 1)
    }

    fn create(&self) -> Result<()> {
        let (addresses, replicas) = (self.addresses(), self.options.replicas.to_string());
        let options = ["--cluster-replicas", &replicas, "--cluster-yes"];
        manage(["create"].into_iter().chain(addresses.iter().map(String::as_str)).chain(options))
    }

    /// Puts slots in order whose move was broken off, as `redis-cli --cluster fix` does.
    ///
    /// # Errors
    /// If it cannot.
    pub fn fix(&self) -> Result<()> {
        manage(["fix", &self.addresses()[0]].into_iter())
    }

    pub(crate) fn tell_watch(&mut self) -> Result<()> {
        let pids: Vec<u32> = self.servers.iter().chain(&self.outside).filter_map(Server::pid).collect();
        self.watch.servers(pids.into_iter())
    }

    /// `host:port` of every server, by its number.
    pub fn addresses(&self) -> Vec<String> {
        self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect()
    }

    pub(crate) fn port(&self, i: usize) -> u16 {
        self.servers[i].port
    }

    pub(crate) fn connection(&self, i: usize) -> Result<redis::Connection> {
        self.servers[i].connection()
    }

    /// Process id of every server; `None` where it does not run.
    pub fn pids(&self) -> Vec<Option<u32>> {
        self.servers.iter().map(Server::pid).collect()
    }

    /// Ends server `i` without notice (SIGKILL). Its data stays.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&mut self, i: usize) -> Result<()> {
        self.servers[i].kill()?;
        self.tell_watch()
    }

    /// Stops server `i` in its tracks (SIGSTOP): it answers nothing, and its connections stay open.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&mut self, i: usize) -> Result<()> {
        self.servers[i].signal(Signal::SIGSTOP)?;
        self.servers[i].paused = true;
        Ok(())
    }

    /// Lets server `i` go on (SIGCONT).
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&mut self, i: usize) -> Result<()> {
        self.servers[i].signal(Signal::SIGCONT)?;
        self.servers[i].paused = false;
        Ok(())
    }

    /// Starts server `i` again with its data, and waits until it answers.
    ///
    /// # Errors
    /// If it runs, or does not come up.
    pub fn restart(&mut self, i: usize) -> Result<()> {
        self.servers[i].restart()?;
        self.tell_watch()
    }

    /// Sends one command to server `i` on a connection of its own.
    ///
    /// # Errors
    /// If it does not answer, or answers with an error.
    pub fn ask<T: FromRedisValue>(&self, i: usize, words: &[&str]) -> Result<T> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        self.servers[i].ask(&command)
    }

    /// Masters with their slots, as that server sees them whose view is the newest, by its first slot.
    ///
    /// # Errors
    /// If no server answers.
    pub fn shards(&self) -> Result<Vec<Shard>> {
        let mut newest: Option<(u64, Vec<Shard>)> = None;
        for server in self.servers.iter().filter(|server| server.answers()) {
            let epoch: u64 = server.field(redis::cmd("CLUSTER").arg("INFO"), "cluster_current_epoch")?.parse()?;
            if newest.as_ref().is_none_or(|(seen, _)| epoch > *seen) {
                newest = Some((epoch, self.view_of(server)?));
            }
        }
        Ok(newest.context("no server of the cluster answers")?.1)
    }

    /// The number of the master that has `slot`.
    ///
    /// # Errors
    /// If no server answers, or none has it.
    pub fn master_of(&self, slot: u16) -> Result<usize> {
        let shard = self.shards()?.into_iter().find(|shard| shard.has(slot));
        Ok(shard.with_context(|| format!("no master has slot {slot}"))?.master)
    }

    fn view_of(&self, server: &Server) -> Result<Vec<Shard>> {
        let ranges: Vec<Vec<Value>> = server.ask(redis::cmd("CLUSTER").arg("SLOTS"))?;
        let mut shards: Vec<Shard> = Vec::new();
        for range in ranges {
            let mut parts = range.into_iter();
            let (Some(first), Some(last)) = (parts.next(), parts.next()) else { bail!("a short range of slots") };
            let slots = (u16::from_redis_value(first)?, u16::from_redis_value(last)?);
            let mut nodes = parts.map(|node| self.number(node)).collect::<Result<Vec<usize>>>()?.into_iter();
            let Some(master) = nodes.next() else { bail!("slots without a master") };
            match shards.iter_mut().find(|shard| shard.master == master) {
                Some(shard) => shard.slots.push(slots),
                None => shards.push(Shard { master, slots: vec![slots], replicas: nodes.collect() }),
            }
        }
        // Each server tells them in an order of its own.
        for shard in &mut shards {
            shard.slots.sort_unstable();
            shard.replicas.sort_unstable();
        }
        shards.sort_unstable_by_key(|shard| shard.slots.first().copied());
        Ok(shards)
    }

    fn number(&self, node: Value) -> Result<usize> {
        let parts: Vec<Value> = FromRedisValue::from_redis_value(node)?;
        let port = parts.into_iter().nth(1).context("a node without a port")?;
        let port = u16::from_redis_value(port)?;
        self.servers.iter().position(|server| server.port == port).with_context(|| format!("an unknown port {port}"))
    }

    /// Waits until every server that runs and is not paused finds the cluster in order, all slots have a master, and
    /// each of those replicas has caught up with its master.
    ///
    /// # Errors
    /// If that takes more than a minute: with what is missing.
    pub fn wait_until_whole(&self) -> Result<()> {
        self.wait_for("the cluster is not whole", || self.check_whole())
    }

    /// Waits until `check` says yes.
    ///
    /// # Errors
    /// If that takes more than a minute: with `what` and its last error.
    pub fn wait_for(&self, what: &str, check: impl Fn() -> Result<()>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match check() {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error.context(what.to_owned())),
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    fn check_whole(&self) -> Result<()> {
        let shards = self.shards()?;
        let ranges = || shards.iter().flat_map(|shard| &shard.slots);
        let covered: u32 = ranges().map(|&(first, last)| u32::from(last) - u32::from(first) + 1).sum();
        if covered != SLOTS {
            bail!("{covered} of {SLOTS} slots have a master");
        }
        for (number, server) in self.servers.iter().enumerate().filter(|(_, server)| server.answers()) {
            let state = server.field(redis::cmd("CLUSTER").arg("INFO"), "cluster_state")?;
            if state != "ok" {
                bail!("server {number} finds the cluster in state {state}");
            }
            if self.view_of(server)? != shards {
                bail!("server {number} does not see the newest masters");
            }
            let shard = shards.iter().find(|shard| shard.master == number || shard.replicas.contains(&number));
            let replication = |field| server.field(redis::cmd("INFO").arg("replication"), field);
            match shard {
                None => bail!("server {number} is neither master nor replica"),
                Some(shard) if shard.master == number => {
                    let live = shard.replicas.iter().filter(|&&replica| self.servers[replica].answers()).count();
                    let connected: usize = replication("connected_slaves")?.parse()?;
                    if connected < live {
                        bail!("{connected} of {live} replicas of server {number} are connected");
                    }
                }
                Some(_) if replication("master_link_status")? != "up" => bail!("replica {number} has not caught up"),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// Runs `redis-cli --cluster`.
fn manage<'a>(words: impl Iterator<Item = &'a str>) -> Result<()> {
    let (program, variable) = cli();
    let mut command = Command::new(&program);
    command.arg("--cluster").args(words);
    let output = started(command.stdin(Stdio::null()).output(), &program, variable)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        bail!("`redis-cli --cluster` failed:\n{}", text.trim_end());
    }
    Ok(())
}
