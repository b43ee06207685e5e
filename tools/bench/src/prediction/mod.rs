//! Worth of prediction: one table for each question, all from the one replay tool.
//!
//! With `--traces DIR` the traces `*.csv.gz` of that folder are replayed; figures that are known for a trace of that
//! name stand beside. Without, it is the bundled trace. The synthetic workloads are measured in both cases.

mod check;
mod drift;
mod hits;
mod quality;
mod reference;
mod replay;
mod sources;
mod sweep;
mod synthetic;
mod wasm;

use std::path::Path;

use anyhow::Result;
use foremap_bench::rows::Row;
use xtask::build;
use xtask::workspace::Workspace;

use crate::report::Report;

pub(super) use self::check::run as check;
pub(super) use self::drift::{back, exchange_keys, relevant, steady, write_trace};
pub(super) use self::replay::{Outcome, Replay};

/// Requests of each synthetic workload.
const REQUESTS: usize = 100_000;

/// Sweeps the settings instead.
pub(super) fn leave_one_out(workspace: &Workspace, traces: Option<&Path>) -> Result<Vec<Row>> {
    let sources = sources::sources(workspace, traces)?;
    let replay = Replay::new(build::optimised(workspace, "foremap-replay")?)?;
    let mut report = Report::default();
    sweep::measure(&replay, &sources, &mut report)?;
    Ok(report.rows)
}

/// Measures everything, printing each table as soon as it is there.
pub(super) fn run(workspace: &Workspace, traces: Option<&Path>) -> Result<Vec<Row>> {
    let sources = sources::sources(workspace, traces)?;
    let replay = Replay::new(build::optimised(workspace, "foremap-replay")?)?;
    let mut report = Report::default();
    let measured = hits::measure(&replay, &sources, &mut report)?;
    quality::print(&measured, &mut report);
    synthetic::measure(&replay, REQUESTS, &mut report)?;
    drift::measure(&replay, &sources, &mut report)?;
    wasm::measure(workspace, &replay, &mut report)?;
    quality::summary(&measured);
    Ok(report.rows)
}

/// Names and paths of the traces of a folder, or of the bundled one.
pub(super) fn traces_of(workspace: &Workspace, folder: Option<&Path>) -> Result<Vec<(String, String)>> {
    let sources = sources::sources(workspace, folder)?;
    Ok(sources.into_iter().map(|source| (source.name, source.path)).collect())
}
