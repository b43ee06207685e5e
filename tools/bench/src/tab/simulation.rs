//! Runs the simulation of `tools/bench/tab`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use xtask::workspace::Workspace;
use xtask::{build, process};

/// The figures of one trace, mode and rate of writes. Rates are per demand request.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Figures {
    pub(super) trace: String,
    pub(super) mode: String,
    /// Permille of the requests that a foreign write precedes.
    pub(super) writes: u32,
    pub(super) requests: u64,
    pub(super) visits: u64,
    pub(super) failed: u64,
    pub(super) hit: f64,
    pub(super) revalidated: f64,
    pub(super) mean_ms: f64,
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) http_demand: f64,
    pub(super) http_ahead: f64,
    pub(super) http_exchange: f64,
    pub(super) feeds_opened: f64,
    pub(super) feeds_per_visit: f64,
    pub(super) feed_bytes: f64,
    pub(super) models_read: f64,
    pub(super) model_bytes: f64,
    pub(super) summaries_told: f64,
    pub(super) summary_bytes: f64,
    pub(super) bytes: f64,
    pub(super) used: f64,
    pub(super) late: f64,
    pub(super) outdated: f64,
    pub(super) wasted: f64,
    pub(super) beyond: f64,
    pub(super) backwards: f64,
    pub(super) invented: u64,
}

/// Fate of the items of lists that were asked for.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ListFigures {
    pub(super) lists: u64,
    pub(super) gets: u64,
    pub(super) hits: u64,
    pub(super) requests: u64,
    pub(super) ahead: u64,
    pub(super) exchanges: u64,
}

impl Figures {
    /// HTTP requests, but for those that open feeds.
    pub(super) fn http(&self) -> f64 {
        self.http_demand + self.http_ahead + self.http_exchange
    }

    /// The same with those that read a shared model or tell a summary.
    pub(super) fn http_and_sharing(&self) -> f64 {
        self.http() + self.summaries_told
    }

    /// Bytes of all that is neither a feed nor the sharing of a model.
    pub(super) fn demand_bytes(&self) -> f64 {
        self.bytes - self.feed_bytes - self.model_bytes - self.summary_bytes
    }

    /// All HTTP requests, but for those of sharing.
    pub(super) fn http_and_feeds(&self) -> f64 {
        self.http() + self.feeds_opened
    }
}

/// The synthetic trace of the simulation.
pub(super) const HUMAN: &str = "human";

/// The simulation, built optimised.
pub(super) struct Simulation {
    program: PathBuf,
}

impl Simulation {
    pub(super) fn build(workspace: &Workspace) -> Result<Self> {
        Ok(Self { program: build::optimised(workspace, "foremap-tab")? })
    }

    /// Replays a trace; `options` are split at spaces.
    pub(super) fn run(&self, trace: &str, options: &str) -> Result<Vec<Figures>> {
        self.figures(trace, options)
    }

    /// Lists so many prefixes, and asks for what is on them.
    pub(super) fn lists(&self, count: u32) -> Result<ListFigures> {
        self.figures(&format!("lists={count}"), "")
    }

    fn figures<F: DeserializeOwned>(&self, what: &str, options: &str) -> Result<F> {
        eprintln!("bench: tab {what} {options}");
        let mut command = Command::new(&self.program);
        command.arg(what).args(options.split_whitespace());
        let printed = process::run_quietly(&mut command)?;
        serde_json::from_str(&printed).context("the simulation printed no figures")
    }
}
