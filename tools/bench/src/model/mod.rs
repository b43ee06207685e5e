//! Worth of one model of all clients to clients that learn alone, by `foremap-replay`.
//!
//! Each client has a cache of 32 entries. `pooled` is one engine for all of them, the most that sharing could reach;
//! `held` the same where no client wastes more than its own budget allows, as none does whose engine is its own; `alone` one for each, which knows nothing at its first request; `shared` the same, which starts from the newest
//! snapshot of what others told.
//!
//! With `--traces DIR` the five traces of [`KNOWN`] are replayed as far as they are in that folder, as `NAME.csv.gz`; where
//! none is, all of the folder. Without, it is the bundled trace, which runs at the pace of a machine, and a synthetic one
//! of many clients at that of people. Something is asked of the five together only.
//!
//! A snapshot is made when a client opens and the last one is old: ten minutes, or a thousandth of the trace's time where
//! that is more. With one for each minute, as gateways make them, one run over the three years of `wikispeedia` takes more
//! than five minutes; hits of the other traces then differ by less than 0.2 points.

mod check;
mod drift;
mod harm;
mod hub;
mod instances;
mod runs;
mod summary;
mod tables;

use std::path::Path;

use anyhow::Result;
use foremap_bench::rows::Row;
use xtask::build;
use xtask::workspace::Workspace;

use self::runs::{Program, Sharing};
use crate::prediction::traces_of;
use crate::report::Report;

pub(super) use self::check::run as check;

/// Traces that something is asked of: those with clients, whose ways resemble one another.
const KNOWN: [&str; 5] = ["nasa-19950801", "yoochoose", "wikispeedia", "cbuild-opens", "erddap-gliders"];
/// Requests of the synthetic trace.
const REQUESTS: usize = 20_000;

/// Ways of sharing that are measured: the first three are those that something is asked of.
const SHARINGS: [Sharing; 4] = [Sharing::SMALL, Sharing::USUAL, Sharing::CAREFUL, Sharing { clients: 5, kib: 16 }];

/// Names and paths of what is replayed, and whether it is all that something is asked of.
fn sources(workspace: &Workspace, folder: Option<&Path>, program: &Program) -> Result<(Vec<(String, String)>, bool)> {
    let mut sources = traces_of(workspace, folder)?;
    if folder.is_none() {
        sources.push(program.synthetic(REQUESTS)?);
        return Ok((sources, false));
    }
    let missing: Vec<&str> = KNOWN.into_iter().filter(|known| sources.iter().all(|(name, _)| name != known)).collect();
    if missing.len() < KNOWN.len() {
        sources.retain(|(name, _)| KNOWN.contains(&name.as_str()));
        if !missing.is_empty() {
            eprintln!("bench: nothing is asked without {}", missing.join(", "));
        }
    }
    Ok((sources, missing.is_empty()))
}

/// Measures everything, printing the table of each trace as soon as it is there.
pub(super) fn run(workspace: &Workspace, traces: Option<&Path>) -> Result<Vec<Row>> {
    let program = Program::new(build::optimised(workspace, "foremap-replay")?)?;
    let (sources, asked) = sources(workspace, traces, &program)?;
    let mut report = Report::default();
    let mut measured = Vec::with_capacity(sources.len());
    for (name, path) in &sources {
        let figures = program.measure(name, path, &SHARINGS)?;
        tables::print(&figures, &mut report);
        measured.push(figures);
    }
    summary::print(&measured, asked, &mut report);
    instances::measure(&program, &sources, &mut report)?;
    harm::measure(&program, &sources, &mut report)?;
    drift::measure(&program, &mut report)?;
    hub::measure(workspace, &program, &mut report)?;
    Ok(report.rows)
}
