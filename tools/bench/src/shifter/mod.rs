//! Worth of shifting: load of nodes, by the simulation of `tools/bench/shift`, and what the map costs.

mod balance;
mod check;
mod map;
mod simulation;
mod workloads;

use std::path::Path;

use anyhow::Result;
use foremap_bench::rows::Row;
use xtask::workspace::Workspace;

use self::simulation::{Fleet, Simulation};
use crate::report::Report;

pub(super) use self::check::run as check;

/// Fleets that are measured, and how many changes of the hot set.
const FLEETS: [(Fleet, usize); 3] = [
    (Fleet { nodes: 16, partitions: 16_384 }, 40),
    (Fleet { nodes: 100, partitions: 16_384 }, 40),
    (Fleet { nodes: 1_000, partitions: 65_536 }, 6),
];

/// Measures everything, printing each table as soon as it is there, what takes longest last.
pub(super) fn run(workspace: &Workspace, traces: Option<&Path>) -> Result<Vec<Row>> {
    let simulation = Simulation::build(workspace)?;
    let mut report = Report::default();
    map::measure(workspace, &mut report)?;
    map::planning(&simulation, &mut report)?;
    workloads::clock(&simulation, &mut report)?;
    workloads::together(&simulation, &mut report)?;
    workloads::traces(workspace, &simulation, traces, &mut report)?;
    balance::measure(&simulation, &FLEETS, &mut report)?;
    Ok(report.rows)
}
