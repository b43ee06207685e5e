//! Costs of a gateway, beside Redis in the same run, all on loopback: reads from memory, writes with the fence, the
//! change log, memory. What the capacity model multiplies with comes from here.
//!
//! Whatever is held against something else is measured in turn with it, round by round, and each is taken from its
//! quietest round: other work on the machine only ever adds.

mod coefficients;
mod feeds;
mod logs;
mod machine;
mod map;
mod memory;
mod overload;
mod programs;
mod reads;
mod slots;
mod tools;
mod writes;

use std::path::Path;

use anyhow::Result;
use foremap_bench::rows::Row;
use xtask::engine::Engine;
use xtask::workspace::Workspace;

use self::coefficients::Report;
use self::programs::Bench;
use crate::capacity::Coefficients;

/// Measures the change feeds alone.
pub(super) fn run_feeds(workspace: &Workspace, against: Option<&Path>) -> Result<Vec<Row>> {
    let bench = Bench::prepare(workspace, None)?;
    let mut report = Report::default();
    println!("on {}", machine::words()?);
    feeds::measure(&bench, &mut report, against)?;
    Ok(report.rows)
}

/// Measures what it costs to move slots.
pub(super) fn run_slots(workspace: &Workspace, engine: Option<Engine>) -> Result<Vec<Row>> {
    let server = engine.map(|engine| engine.server(workspace)).transpose()?;
    let bench = Bench::prepare(workspace, server)?;
    let mut report = Report::default();
    println!("on {}, {}", machine::words()?, bench.engine()?);
    slots::measure(&bench, &bench.cluster(1)?, &mut report)?;
    Ok(report.rows)
}

/// Measures what becomes of a gateway that is kept from its work.
pub(super) fn run_overload(workspace: &Workspace) -> Result<Vec<Row>> {
    let bench = Bench::prepare(workspace, None)?;
    let mut report = super::report::Report::default();
    println!("on {}", machine::words()?);
    overload::measure(&bench, &mut report)?;
    Ok(report.rows)
}

/// Measures everything, printing each table as soon as it is there.
pub(super) fn run(
    workspace: &Workspace,
    engine: Option<Engine>,
    coefficients: Option<&Path>,
    against: Option<&Path>,
) -> Result<Vec<Row>> {
    tools::check()?;
    let server = engine.map(|engine| engine.server(workspace)).transpose()?;
    let bench = Bench::prepare(workspace, server)?;
    let mut report = Report::default();
    println!("on {}, {}", machine::words()?, bench.engine()?);
    reads::single(&bench, &mut report)?;
    reads::batches(&bench, &mut report)?;
    feeds::measure(&bench, &mut report, against)?;
    map::measure(&mut report);
    {
        let cluster = bench.cluster(1)?;
        logs::idle(&bench, &cluster, &mut report)?;
        writes::measure(&bench, &cluster, 1, &mut report)?;
        logs::follow(&bench, &cluster, &mut report)?;
        memory::measure(&bench, &cluster, &mut report)?;
    }
    let cluster = bench.cluster(2)?;
    writes::measure(&bench, &cluster, 2, &mut report)?;
    drop(cluster);
    if let Some(path) = coefficients {
        report.write(path)?;
        // The file is of use only if it can be read.
        Coefficients::read(path)?.costs()?;
    }
    Ok(report.rows)
}
