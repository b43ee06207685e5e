//! The demonstration: a real trace replayed over HTTP through an edge worker to
//! three gateway nodes, without a cache, with one, and with prediction.
//!
//! Each mode starts with fresh nodes over the same store and a fresh worker, so
//! none profits from what the one before it has warmed up.
//!
//! With `--shift`, another one: the Partition Shifter at work (`shift`).

mod fleet;
mod load;
mod measure;
mod metrics;
mod options;
mod replay;
mod report;
mod shift;

pub(crate) use fleet::node_origins;
pub(crate) use options::Options;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use foremap_trace::Trace;
use indicatif::{ProgressBar, ProgressStyle};

use self::fleet::{Fleet, Mode, Nodes, Worker};
use self::measure::{Measured, ModeResult};
use crate::process::{self, Scratch};
use crate::workspace::Workspace;
use crate::{build, rows};

/// The trace that is used without `--trace`.
pub(crate) const BUNDLED_TRACE: &str = "tests/traces/npm-install.csv.gz";
/// How long prefetches that are under way at the end may take to land before the counters are read.
const SETTLE: Duration = Duration::from_millis(500);

/// Runs the demonstration.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.shift { shift::run(workspace, options) } else { replay_trace(workspace, options) }
}

fn replay_trace(workspace: &Workspace, options: &Options) -> Result<()> {
    let start = Instant::now();
    let mut trace = foremap_trace::read(&options.trace.clone().unwrap_or_else(|| workspace.path(BUNDLED_TRACE)))?;
    options.shorten(&mut trace);
    report::trace(&trace, options);
    build::all(workspace)?;
    let gateway = build::gateway(workspace)?;

    let scratch = Scratch::new()?;
    let fleet = Fleet::new(workspace, gateway, &scratch, options, trace.keys.len())?;
    {
        let mut nodes = Nodes::start(&fleet)?;
        let bar = progress("loading keymaps", trace.keys.len());
        let loaded = load::load(&nodes.origins, &trace.keys, &bar);
        bar.finish_and_clear();
        nodes.check()?;
        loaded?;
    }
    println!("demo: loaded {} keymaps into the store", trace.keys.len());

    let mut results = Vec::with_capacity(Mode::ALL.len());
    let mut last = None;
    for mode in Mode::ALL {
        drop(last.take());
        let (result, running) = measure_mode(&fleet, mode, &trace, options)?;
        println!("demo: {:<18} {} requests in {:.1} s", mode.title(), result.replayed.requests(), result.seconds);
        results.push(result);
        last = Some(running);
    }

    let rows = report::rows(&results, &fleet);
    report::print(&results, &rows, &fleet, options);
    if let Some(path) = &options.json {
        rows::write_json(&rows, path)?;
    }
    println!("demo: {:.0} s in all", start.elapsed().as_secs_f64());
    match (options.once, last) {
        (false, Some((nodes, worker))) => serve(nodes, worker),
        _ => Ok(()),
    }
}

fn measure_mode(fleet: &Fleet, mode: Mode, trace: &Trace, options: &Options) -> Result<(ModeResult, (Nodes, Worker))> {
    let mut nodes = Nodes::start(fleet)?;
    let mut worker = Worker::start(fleet, &nodes, mode)?;
    let before = nodes.requests()?;
    let bar = progress(mode.title(), trace.requests.len());
    let start = Instant::now();
    let replayed = replay::replay(&worker.origin, trace, options, &bar);
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    nodes.check()?;
    worker.check()?;
    let replayed =
        replayed.with_context(|| format!("{}: the worker's log ends:\n{}", mode.title(), worker.log_tail()))?;

    std::thread::sleep(SETTLE);
    let prefetch = worker.prefetch_counters()?;
    let gateway_requests = nodes.requests()?.saturating_sub(before);
    // The first request of a run misses every cache.
    ensure!(gateway_requests > 0, "{}: the gateways counted no request", mode.title());
    let measured = Measured { gateway_requests, prefetch };
    Ok((ModeResult { mode, replayed, measured, seconds }, (nodes, worker)))
}

fn progress(title: &'static str, steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<18} {bar:40} {human_pos}/{human_len}  {elapsed} (left: {eta})");
    let bar = ProgressBar::new(steps as u64).with_message(title);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Leaves everything running until Ctrl-C.
fn serve(mut nodes: Nodes, mut worker: Worker) -> Result<()> {
    ensure!(!nodes.origins.is_empty(), "no node is running");
    println!("\nLook keys up in a browser: {}/", worker.origin);
    println!("Nodes: {}", nodes.origins.join("  "));
    println!("Ctrl-C ends everything.");
    process::serving();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        nodes.check()?;
        worker.check()?;
    }
}
