//! Gains of a lone browser tab at its user's own pace, by the simulation of `tools/bench/tab`.
//!
//! With `--traces DIR` the traces `*.csv.gz` of that folder are replayed; of those that prediction was developed on, only
//! the ones that were recorded with the times of people's requests. Without, it is the bundled trace, which runs at the
//! pace of a machine, and a synthetic one at that of people.

mod check;
mod lists;
mod sharing;
mod simulation;
mod summary;
mod tables;

use std::path::Path;

use anyhow::Result;
use foremap_bench::rows::Row;
use xtask::workspace::Workspace;

use self::simulation::{Figures, HUMAN, Simulation};
use crate::prediction::traces_of;
use crate::report::Report;

pub(super) use self::check::run as check;

/// Most requests of a trace, unless told otherwise.
const REQUESTS: usize = 60_000;

/// Names and paths of what is replayed.
fn sources(workspace: &Workspace, folder: Option<&Path>) -> Result<Vec<(String, String)>> {
    let mut sources = traces_of(workspace, folder)?;
    if folder.is_none() {
        sources.push((HUMAN.to_owned(), HUMAN.to_owned()));
    } else if sources.iter().any(|(name, _)| summary::is_known(name)) {
        let (known, others): (Vec<_>, Vec<_>) = sources.into_iter().partition(|(name, _)| summary::is_known(name));
        let others: Vec<String> = others.into_iter().map(|(name, _)| name).collect();
        if !others.is_empty() {
            eprintln!("bench: not at the pace of people, left out: {}", others.join(", "));
        }
        sources = known;
    }
    Ok(sources)
}

/// Measures everything, printing the tables of each trace as soon as they are there.
pub(super) fn run(workspace: &Workspace, traces: Option<&Path>, requests: Option<usize>) -> Result<Vec<Row>> {
    let sources = sources(workspace, traces)?;
    let simulation = Simulation::build(workspace)?;
    let mut report = Report::default();
    let mut measured: Vec<Figures> = Vec::new();
    for (name, path) in sources {
        let figures = simulation.run(&path, &format!("requests={}", requests.unwrap_or(REQUESTS)))?;
        tables::print(&name, &figures, &mut report);
        measured.extend(figures);
    }
    lists::print(&simulation, &mut report)?;
    summary::print(&measured, &mut report);
    sharing::print(&measured, &mut report);
    Ok(report.rows)
}
