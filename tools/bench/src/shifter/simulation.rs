//! Runs scenarios of `tools/bench/shift`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;
use xtask::workspace::Workspace;
use xtask::{build, process};

/// Percentiles of a figure.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) p99: f64,
    pub(super) worst: f64,
}

/// Figures of `drift` and `moves`.
#[derive(Debug, Deserialize)]
pub(super) struct Drift {
    pub(super) changes: usize,
    pub(super) settled: Spread,
    pub(super) recovery_s: Spread,
    pub(super) entries: Spread,
    pub(super) delta: Spread,
    pub(super) map_bytes: usize,
    pub(super) map: [usize; 4],
    pub(super) merge_ms: Spread,
    pub(super) report_bytes: f64,
    pub(super) plans: [usize; 3],
    pub(super) floor: f64,
    pub(super) whole_key: f64,
    pub(super) static_prefix: f64,
    pub(super) storage: (f64, f64),
}

/// Figures of `clock` and `clock-blind`.
#[derive(Debug, Deserialize)]
pub(super) struct Clock {
    pub(super) before: f64,
    pub(super) after: Vec<f64>,
    pub(super) recovery_s: Vec<f64>,
    pub(super) entries: Spread,
}

/// Figures of `together`.
#[derive(Debug, Deserialize)]
pub(super) struct Together {
    pub(super) one_node: f64,
    pub(super) one_node_whole_key: f64,
    pub(super) fan_out: (f64, f64),
    pub(super) imbalance: Spread,
    pub(super) imbalance_whole_key: f64,
    pub(super) entries: Spread,
}

/// Figures of `trace`.
#[derive(Debug, Deserialize)]
pub(super) struct OfTrace {
    pub(super) keys: usize,
    pub(super) hottest: f64,
    pub(super) settled: Spread,
    pub(super) whole_key: f64,
    pub(super) static_prefix: f64,
    pub(super) moves: f64,
    pub(super) storage: (f64, f64),
    pub(super) map: [usize; 4],
}

/// Figures of `planning`.
#[derive(Debug, Deserialize)]
pub(super) struct Planning {
    pub(super) first_ms: f64,
    pub(super) steady_ms: f64,
    pub(super) merge_ms: f64,
    pub(super) owners_ms: f64,
}

/// The simulation, built optimised.
pub(super) struct Simulation {
    program: PathBuf,
}

impl Simulation {
    pub(super) fn build(workspace: &Workspace) -> Result<Self> {
        Ok(Self { program: build::optimised(workspace, "foremap-shift")? })
    }

    /// Runs a scenario; `options` are split at spaces.
    pub(super) fn run<T: for<'de> Deserialize<'de>>(&self, scenario: &str, fleet: Fleet, options: &str) -> Result<T> {
        let Fleet { nodes, partitions } = fleet;
        eprintln!("bench: {scenario}, {nodes} nodes, {partitions} partitions {options}");
        let mut command = Command::new(&self.program);
        command.args([scenario, &nodes.to_string(), &partitions.to_string()]).args(options.split_whitespace());
        let printed = process::run_quietly(&mut command)?;
        serde_json::from_str(&printed).with_context(|| format!("{scenario} printed no figures"))
    }
}

/// Nodes, and partitions of the map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fleet {
    pub(super) nodes: usize,
    pub(super) partitions: u32,
}
