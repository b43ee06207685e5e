//! The servers of the demonstration: gateway nodes and the edge worker.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use foremap_bench::http;
use xtask::build;
use xtask::gateway::node_origins;
use xtask::process::{self, Scratch, Server};
use xtask::workspace::Workspace;

use super::metrics;
use super::options::Options;

/// Number of nodes.
const NODES: u16 = 3;
/// Longest time that a server may take to become ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Clients that answer the sessions of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// One edge worker for all of them, which asks a gateway every time.
    NoCache,
    /// One that keeps answers.
    Cache,
    /// One that keeps answers and fetches the next ones ahead.
    Prediction,
    /// A client of its own for each session, as in a new browser tab, which learns by itself only.
    Tabs,
    /// The same, but what each tells the gateways is in the model that the next ones start from.
    SharingTabs,
}

impl Mode {
    /// In the order in which they are shown.
    pub(super) const ALL: [Self; 5] = [Self::NoCache, Self::Cache, Self::Prediction, Self::Tabs, Self::SharingTabs];
    /// Those with an edge worker, in the order in which they are measured.
    pub(super) const WORKER: [Self; 3] = [Self::NoCache, Self::Cache, Self::Prediction];
    /// Those with a client for each session; they are measured at the same time.
    pub(super) const TABS: [Self; 2] = [Self::Tabs, Self::SharingTabs];

    /// Name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::NoCache => "no cache",
            Self::Cache => "cache only",
            Self::Prediction => "cache + prediction",
            Self::Tabs => "a new tab each session",
            Self::SharingTabs => "new tabs, shared model",
        }
    }

    /// As the worker's option `--mode` or the client's option `share` names it.
    pub(super) fn argument(self) -> &'static str {
        match self {
            Self::NoCache => "none",
            Self::Cache => "cache",
            Self::Prediction => "predict",
            Self::Tabs => "off",
            Self::SharingTabs => "both",
        }
    }
}

/// State that all nodes and workers of one run share.
pub(super) struct Fleet<'a> {
    /// Workspace in which scripts are.
    pub(super) workspace: &'a Workspace,
    /// The gateway's program.
    pub(super) gateway: PathBuf,
    /// Folder of stores and logs.
    pub(super) scratch: &'a Scratch,
    origin_latency: u32,
    /// The worker's cache, in entries.
    pub(super) cache_entries: usize,
    /// Staleness bound of reads in milliseconds.
    pub(super) max_staleness: u32,
}

impl<'a> Fleet<'a> {
    /// File of the store that holds a keymap for every key of the trace.
    pub(super) const STORE: &'static str = "demo.redb";

    /// Notes how to start things; starts nothing.
    pub(super) fn new(
        workspace: &'a Workspace,
        gateway: PathBuf,
        scratch: &'a Scratch,
        options: &Options,
        distinct_keys: usize,
    ) -> Result<Self> {
        let cache_entries = options.cache.entries(distinct_keys);
        let (origin_latency, max_staleness) = (options.origin_latency, options.max_staleness);
        Ok(Self { workspace, gateway, scratch, origin_latency, cache_entries, max_staleness })
    }
}

/// The running nodes: one process, one port each.
pub(super) struct Nodes {
    server: Server,
    /// Token of an operator, where they check tokens.
    operator: Option<String>,
    /// Addresses of the nodes.
    pub(super) origins: Vec<String>,
}

impl Nodes {
    /// Starts them over the run's store and waits until every one is ready.
    pub(super) fn start(fleet: &Fleet) -> Result<Self> {
        Self::run(fleet, Fleet::STORE, &[], None)
    }

    /// Starts some that check tokens and share a model among whoever has one, over a store of their own.
    pub(super) fn start_sharing(fleet: &Fleet, store: &str, key: &Path, share_clients: u32) -> Result<Self> {
        let share_clients = share_clients.to_string();
        let key_text = key.to_string_lossy();
        let mut command = Command::new(&fleet.gateway);
        command.args(["token", "--verbs", "admin", "--prefix", "", "--ttl", "1d", "--key"]).arg(key);
        let operator = process::run_quietly(&mut command)?.trim().to_owned();
        let options = ["--token-key", &key_text, "--share-clients", &share_clients];
        Self::run(fleet, store, &options, Some(operator))
    }

    fn run(fleet: &Fleet, store: &str, options: &[&str], operator: Option<String>) -> Result<Self> {
        let mut command = Command::new(&fleet.gateway);
        command.arg("dev").args(["--nodes", &NODES.to_string(), "--port", "0", "--store"]);
        command.arg(fleet.scratch.path(store)).args(["--origin-latency", &fleet.origin_latency.to_string()]);
        let log = fleet.scratch.path(&format!("{store}.log"));
        let mut server = Server::start("the gateway", command.args(options), &log)?;
        let origins = server.wait_for(PATIENCE, |log| node_origins(log, NODES))?;
        Ok(Self { server, operator, origins })
    }

    /// Fails if the nodes have ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.server.check()
    }

    /// Requests of clients that the nodes have answered so far, as they count them.
    pub(super) fn requests(&self) -> Result<u64> {
        let token = self.operator.as_deref();
        let text = |origin: &String| http::text_as(&format!("{origin}/metrics"), token);
        self.origins.iter().map(|origin| metrics::client_requests(&text(origin)?)).sum()
    }
}

/// The running edge worker.
pub(super) struct Worker {
    server: Server,
    /// Its address.
    pub(super) origin: String,
}

impl Worker {
    /// Starts it in front of the nodes and waits until it is ready.
    pub(super) fn start(fleet: &Fleet, nodes: &Nodes, mode: Mode) -> Result<Self> {
        let mut command = build::node(fleet.workspace);
        command.args(["js/demo/serve.mjs", "--port", "0", "--origins", &nodes.origins.join(",")]);
        command.args(["--mode", mode.argument(), "--cache-entries", &fleet.cache_entries.to_string()]);
        command.args(["--max-staleness", &fleet.max_staleness.to_string()]);
        let log = fleet.scratch.path(&format!("worker-{}.log", mode.argument()));
        let mut server = Server::start("the edge worker", &mut command, &log)?;
        let origin = server.wait_for(PATIENCE, worker_origin)?;
        Ok(Self { server, origin })
    }

    /// Fails if the worker has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.server.check()
    }

    /// The last lines of its log.
    pub(super) fn log_tail(&self) -> String {
        self.server.log_tail()
    }

    /// Counts of its prefetches, as it tells them.
    pub(super) fn prefetch_counters(&self) -> Result<metrics::Prefetch> {
        let url = format!("{}/v1/stats", self.origin);
        metrics::prefetch(&http::text(&url)?).with_context(|| format!("GET {url}"))
    }
}

/// Address in the line `ready: http://… (mode)`.
fn worker_origin(log: &str) -> Option<String> {
    let line = log.lines().find_map(|line| line.strip_prefix("ready: "))?;
    Some(line.split_once(" (")?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_once_its_line_is_whole() {
        assert_eq!(worker_origin("ready: http://127.0.0.1:8787 (cache)\n").as_deref(), Some("http://127.0.0.1:8787"));
        assert_eq!(worker_origin("building\nready: http://127.0.0.1:87"), None);
    }
}
