//! The demonstration: a real trace replayed over HTTP through an edge worker to
//! three gateway nodes, without a cache, with one, and with prediction; and once
//! more with a client of its own for each session, without and with a model that
//! they share.
//!
//! Each mode starts with fresh nodes over the same store and a fresh worker, so
//! none profits from what the one before it has warmed up. Sessions with clients of
//! their own come first, over copies of the store.
//!
//! With `--shift`, another one: the Partition Shifter at work (`shift`).
#![allow(clippy::print_stdout, reason = "printing is what a command-line tool does")]

mod fleet;
mod load;
mod measure;
mod metrics;
mod options;
mod progress;
mod replay;
mod report;
mod shift;
mod tabs;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser as _;
use foremap_bench::rows;
use foremap_replay::trace::Trace;
use xtask::build;
use xtask::process::{self, Scratch};
use xtask::workspace::{BUNDLED_TRACE, Workspace};

use self::fleet::{Fleet, Mode, Nodes, Worker};
use self::measure::{Measured, ModeResult};
use self::options::Options;
use self::progress::progress;

/// Time for prefetches that are under way at the end to land before the counters are read.
const SETTLE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let options = Options::parse();
    let demonstrate = if options.shift { shift::run } else { replay_trace };
    xtask::run(|workspace| demonstrate(workspace, &options))
}

fn replay_trace(workspace: &Workspace, options: &Options) -> Result<()> {
    let start = Instant::now();
    let mut trace =
        foremap_replay::trace::read(&options.trace.clone().unwrap_or_else(|| workspace.path(BUNDLED_TRACE)))?;
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

    let bar = progress("new tabs", trace.requests.len() * Mode::TABS.len());
    let tabs = tabs::measure(&fleet, &trace, options, &bar);
    bar.finish_and_clear();
    let tabs = tabs?;
    tabs.iter().for_each(report::time);
    let mut results = Vec::with_capacity(Mode::ALL.len());
    let mut last = None;
    for mode in Mode::WORKER {
        drop(last.take());
        let (result, running) = measure_mode(&fleet, mode, &trace, options)?;
        report::time(&result);
        results.push(result);
        last = Some(running);
    }
    results.extend(tabs);

    let rows = report::rows(&results, &fleet, &trace);
    report::print(&results, &rows, &fleet, &trace, options);
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
    let measured = Measured { gateway_requests, prefetch, models: 0 };
    Ok((ModeResult { mode, replayed, measured, seconds }, (nodes, worker)))
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
