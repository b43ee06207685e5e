//! Measurements: `cargo xtask bench NAME`.
#![allow(clippy::print_stdout, reason = "printing is what a command-line tool does")]

mod capacity;
mod gateway;
mod model;
mod prediction;
mod report;
mod shifter;
mod size;
mod tab;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::builder::StyledStr;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use foremap_bench::rows::{self, Row};
use xtask::engine::Engine;
use xtask::workspace::Workspace;

use self::capacity::Capacity;

/// The command line of `cargo xtask bench`.
#[derive(Parser)]
#[command(
    bin_name = "cargo xtask bench",
    about = "Measure; without a name, list what can be measured",
    disable_version_flag = true,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    computed: Option<Computed>,
    #[command(flatten)]
    options: Options,
}

/// Figures that are computed from what was measured.
#[derive(Subcommand)]
enum Computed {
    /// Number of machines that a workload takes, and where this design ends: arithmetic on what `gateway` measured
    Capacity(Capacity),
}

/// Options of measurements.
#[derive(clap::Args)]
struct Options {
    /// Measurement to make; without it, the names are listed
    #[arg(value_enum)]
    name: Option<Bench>,
    /// Write the measured rows as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder of traces `*.csv.gz` to measure with, instead of the bundled one
    #[arg(long, value_name = "DIR")]
    traces: Option<PathBuf>,
    /// `prediction`: vary what can be set, and tell whether one trace decides on it
    #[arg(long, requires = "traces", conflicts_with = "check")]
    leave_one_out: bool,
    /// `gateway`: write what the capacity model multiplies with
    #[arg(long, value_name = "FILE")]
    coefficients: Option<PathBuf>,
    /// `tab`: most requests of each trace, 60,000 unless told otherwise
    #[arg(long, value_name = "N", conflicts_with = "check")]
    requests: Option<usize>,
    /// `gateway` and `feeds`: a gateway of an earlier build to hold the change feed against, such as one of `f92bee4`
    /// (`git worktree add OLD f92bee4`, and there `cargo build --release -p foremap-gateway`)
    #[arg(long, value_name = "GATEWAY")]
    against: Option<PathBuf>,
    /// `gateway` and `slots`: the engine beside and below it, Debian's Redis unless told otherwise
    #[arg(long, value_name = "ENGINE", value_enum)]
    engine: Option<Engine>,
    /// Fail if a target is not met; `model`, `prediction`, `shifter` and `tab` then measure a short version against bounds
    /// of their own
    #[arg(long)]
    check: bool,
}

/// Measurements that can be made.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Bench {
    /// Change feeds of a gateway alone: what idle ones cost, and what a change costs for each subscriber
    Feeds,
    /// Reads, writes, change logs and memory of a gateway, beside Redis and over a Redis Cluster
    Gateway,
    /// Worth of sharing one model among lone tabs: hits, first requests, calibration and bytes, beside what is asked
    Model,
    /// A gateway kept from its work: silent crowds, requests that do not end, and three times what it can answer
    Overload,
    /// Hits, waste, calibration, budget, time, drift and the cost as WebAssembly, beside peers and what is asked
    Prediction,
    /// Load of nodes under a shifting hot set, what plans cost, the map's size and time, beside peers and what is asked
    Shifter,
    /// Time that keys of a gateway over a Redis Cluster wait while their slot moves to another master
    Slots,
    /// Bytes of the core, of each entry, of the worker and of the packed package
    Size,
    /// Hits, waiting time and requests of a lone browser tab at its user's own pace, beside other ways and what is asked
    Tab,
}

impl Bench {
    /// Measures, and prints what it measured.
    fn run(self, workspace: &Workspace, options: &Options) -> Result<Vec<Row>> {
        match self {
            Self::Feeds => gateway::run_feeds(workspace, options.against.as_deref()),
            Self::Gateway => {
                let (coefficients, against) = (options.coefficients.as_deref(), options.against.as_deref());
                gateway::run(workspace, options.engine, coefficients, against)
            }
            Self::Model if options.check => model::check(workspace),
            Self::Model => model::run(workspace, options.traces.as_deref()),
            Self::Overload => gateway::run_overload(workspace),
            Self::Prediction if options.check => prediction::check(workspace),
            Self::Prediction if options.leave_one_out => {
                prediction::leave_one_out(workspace, options.traces.as_deref())
            }
            Self::Prediction => prediction::run(workspace, options.traces.as_deref()),
            Self::Shifter if options.check => shifter::check(workspace),
            Self::Shifter => shifter::run(workspace, options.traces.as_deref()),
            Self::Slots => gateway::run_slots(workspace, options.engine),
            Self::Size => {
                let rows = size::run(workspace)?;
                rows::print(&rows);
                Ok(rows)
            }
            Self::Tab if options.check => tab::check(workspace),
            Self::Tab => tab::run(workspace, options.traces.as_deref(), options.requests),
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    xtask::run(|workspace| match &cli.computed {
        Some(Computed::Capacity(options)) => capacity::run(options),
        None => run(workspace, &cli.options),
    })
}

/// Prints what there is.
fn list() {
    let say = |name: &str, about: Option<&StyledStr>| println!("{name:<12}{}", about.cloned().unwrap_or_default());
    for value in Bench::value_variants().iter().filter_map(ValueEnum::to_possible_value) {
        say(value.get_name(), value.get_help());
    }
    for command in Cli::command().get_subcommands() {
        say(command.get_name(), command.get_about());
    }
}

/// Measures, prints the rows, and writes them if asked to.
fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let Some(bench) = options.name else {
        list();
        return Ok(());
    };
    let rows = bench.run(workspace, options)?;
    if let Some(path) = &options.json {
        rows::write_json(&rows, path)?;
    }
    let missed = rows.iter().filter(|row| !row.met).count();
    ensure!(!options.check || missed == 0, "{missed} of {} targets are not met", rows.len());
    Ok(())
}
