//! The replay tool, from outside.
//!
//! It is run as a program and not called as a library: this one is compiled for quick builds, so that times measured
//! in it would mean nothing and replays would take minutes; and what is measured is then what a user can run.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::process::{self, Scratch};

/// Methods that every measurement is compared with: two caches, and two predictors over an LRU cache, of which the tool
/// takes the variant that does best within the waste budget.
pub(in crate::bench) const PEERS: [&str; 4] = ["lru", "s3fifo", "markov1", "ppm2"];
/// The engine's own method.
const OWN: &str = "foremap";

/// One object of the tool's JSON.
#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::bench) struct Outcome {
    pub(in crate::bench) trace: String,
    pub(in crate::bench) method: String,
    pub(in crate::bench) requests: u64,
    pub(in crate::bench) hit_ratio: f64,
    pub(in crate::bench) prefetches_per_request: f64,
    pub(in crate::bench) wasted_per_request: f64,
    pub(in crate::bench) precision: Option<f64>,
    pub(in crate::bench) novel_coverage: f64,
    pub(in crate::bench) calibration_error: Option<f64>,
    pub(in crate::bench) calibration_error_issued: Option<f64>,
    pub(in crate::bench) max_budget_excess: f64,
    pub(in crate::bench) ns_per_access: Option<f64>,
    pub(in crate::bench) p99_ns: Option<f64>,
    pub(in crate::bench) peak_bytes: Option<f64>,
    #[serde(default)]
    pub(in crate::bench) series: Vec<u32>,
    pub(in crate::bench) first_ten_hit_ratio: Option<f64>,
    pub(in crate::bench) calibration_error_first: Option<f64>,
    pub(in crate::bench) max_client_excess: Option<f64>,
    pub(in crate::bench) snapshot_bytes: Option<u64>,
    pub(in crate::bench) summary_bytes: Option<u64>,
}

impl Outcome {
    /// Hit ratio in percent.
    pub(in crate::bench) fn hits(&self) -> f64 {
        100.0 * self.hit_ratio
    }

    /// Hit ratio in percent of the first ten requests of each client, where caches are private.
    pub(in crate::bench) fn first_ten_hits(&self) -> Option<f64> {
        self.first_ten_hit_ratio.map(|ratio| 100.0 * ratio)
    }
}

/// The engine and the others on one trace.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Played {
    pub(in crate::bench) trace: String,
    pub(in crate::bench) own: Outcome,
    pub(in crate::bench) others: Vec<Outcome>,
}

impl Played {
    /// The method with most hits among the others that kept to the waste budget.
    pub(in crate::bench) fn best_other(&self, budget: f64) -> Option<&Outcome> {
        let within = self.others.iter().filter(|other| other.wasted_per_request <= budget);
        within.max_by(|a, b| a.hit_ratio.total_cmp(&b.hit_ratio))
    }
}

/// The tool.
pub(in crate::bench) struct Replay {
    program: PathBuf,
    scratch: Scratch,
}

impl Replay {
    pub(in crate::bench) fn new(program: PathBuf) -> Result<Self> {
        Ok(Self { program, scratch: Scratch::new()? })
    }

    /// A file that is removed in the end.
    pub(in crate::bench) fn file(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// Replays all traces with the tool's `arguments`, separated by spaces, and with baselines.
    pub(in crate::bench) fn run(&self, traces: &[&str], arguments: &str, baselines: &[&str]) -> Result<Vec<Played>> {
        eprintln!("bench: replay {arguments}");
        let json = self.file("replay.json");
        let mut command = std::process::Command::new(&self.program);
        command.args(traces).args(arguments.split_ascii_whitespace()).arg("--json").arg(&json);
        if !baselines.is_empty() {
            command.arg("--baseline").arg(baselines.join(","));
        }
        process::run_quietly(&mut command)?;
        let text = std::fs::read_to_string(&json).with_context(|| format!("cannot read {}", json.display()))?;
        let outcomes: Vec<Outcome> = serde_json::from_str(&text).context("the replay tool wrote something else")?;
        let mut all: Vec<Played> = Vec::with_capacity(traces.len());
        for outcome in outcomes {
            match all.last_mut() {
                _ if outcome.method == OWN => {
                    all.push(Played { trace: outcome.trace.clone(), own: outcome, others: Vec::new() });
                }
                Some(last) => last.others.push(outcome),
                None => {}
            }
        }
        ensure!(all.len() == traces.len(), "the replay tool reported {} of {} traces", all.len(), traces.len());
        Ok(all)
    }
}
