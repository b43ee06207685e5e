//! The replay tool, from outside.
//!
//! It is run as a program and not called as a library: this one is compiled for quick builds, so that times measured
//! in it would mean nothing and replays would take minutes; and what is measured is then what a user can run.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use xtask::process::{self, Scratch};

/// Methods that every measurement is compared with: two caches, and two predictors over an LRU cache, of which the tool
/// takes the variant that does best within the waste budget.
pub(crate) const PEERS: [&str; 4] = ["lru", "s3fifo", "markov1", "ppm2"];
/// The engine's own method.
const OWN: &str = "foremap";

/// One object of the tool's JSON.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) trace: String,
    pub(crate) method: String,
    pub(crate) requests: u64,
    pub(crate) hit_ratio: f64,
    pub(crate) prefetches_per_request: f64,
    pub(crate) wasted_per_request: f64,
    pub(crate) precision: Option<f64>,
    pub(crate) novel_coverage: f64,
    pub(crate) calibration_error: Option<f64>,
    pub(crate) calibration_error_issued: Option<f64>,
    pub(crate) max_budget_excess: f64,
    pub(crate) ns_per_access: Option<f64>,
    pub(crate) p99_ns: Option<f64>,
    pub(crate) peak_bytes: Option<f64>,
    #[serde(default)]
    pub(crate) series: Vec<u32>,
    pub(crate) first_ten_hit_ratio: Option<f64>,
    pub(crate) calibration_error_first: Option<f64>,
    pub(crate) max_client_excess: Option<f64>,
    pub(crate) snapshot_bytes: Option<u64>,
    pub(crate) summary_bytes: Option<u64>,
}

impl Outcome {
    /// Hit ratio in percent.
    pub(crate) fn hits(&self) -> f64 {
        100.0 * self.hit_ratio
    }

    /// Hit ratio in percent of the first ten requests of each client, where caches are private.
    pub(crate) fn first_ten_hits(&self) -> Option<f64> {
        self.first_ten_hit_ratio.map(|ratio| 100.0 * ratio)
    }
}

/// The engine and the others on one trace.
#[derive(Debug, Clone)]
pub(crate) struct Played {
    pub(crate) trace: String,
    pub(crate) own: Outcome,
    pub(crate) others: Vec<Outcome>,
}

impl Played {
    /// The method with most hits among the others that kept to the waste budget.
    pub(crate) fn best_other(&self, budget: f64) -> Option<&Outcome> {
        let within = self.others.iter().filter(|other| other.wasted_per_request <= budget);
        within.max_by(|a, b| a.hit_ratio.total_cmp(&b.hit_ratio))
    }
}

/// The tool.
pub(crate) struct Replay {
    program: PathBuf,
    scratch: Scratch,
}

impl Replay {
    pub(crate) fn new(program: PathBuf) -> Result<Self> {
        Ok(Self { program, scratch: Scratch::new()? })
    }

    /// A file that is removed in the end.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// Replays all traces with the tool's `arguments`, separated by spaces, and with baselines.
    pub(crate) fn run(&self, traces: &[&str], arguments: &str, baselines: &[&str]) -> Result<Vec<Played>> {
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
