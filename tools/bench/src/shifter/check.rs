//! A short version for every change: small fleets, looser bounds, no times.

use anyhow::Result;
use foremap_bench::rows::{self, Better, Row};
use xtask::workspace::Workspace;

use super::simulation::{Clock, Drift, Fleet, Simulation, Together};
use crate::report::Report;

/// Measures and prints what the bounds are about.
pub(crate) fn run(workspace: &Workspace) -> Result<Vec<Row>> {
    let simulation = Simulation::build(workspace)?;
    let fleet = Fleet { nodes: 16, partitions: 16_384 };
    let mut report = Report::default();
    let mut table = rows::table(["measure", "value", "bound"]);
    let mut add = |measure: &str, value: f64, unit, better, bound: f64| {
        let row = Row::information(measure, value, unit, better).requires(bound);
        let shown = report.add(row, 3);
        table.add_row([measure.to_owned(), shown, bound.to_string()]);
    };
    let drift: Drift = simulation.run("drift", fleet, "count=5")?;
    add("imbalance once settled, p99", drift.settled.p99, "max/mean", Better::Lower, 1.10);
    add("time to < 1.25 after a change, worst", drift.recovery_s.worst, "s", Better::Lower, 8.0);
    add("entries re-homed per plan, worst", 100.0 * drift.entries.worst, "%", Better::Lower, 1.0);
    add("entries re-homed per plan, median", 100.0 * drift.entries.median, "%", Better::Lower, 0.15);
    add("delta of a plan, median", drift.delta.median, "bytes", Better::Lower, 1_024.0);
    let clock: Clock = simulation.run("clock", fleet, "count=1")?;
    let worst = clock.after.iter().copied().fold(0.0, f64::max);
    add("imbalance as an hour begins", worst, "max/mean", Better::Lower, 1.25);
    let together: Together = simulation.run("together", fleet, "count=40")?;
    add("co-accessed batches by one node", 100.0 * together.one_node, "%", Better::Higher, 85.0);
    add("imbalance at the same time, p99", together.imbalance.p99, "max/mean", Better::Lower, 1.15);
    let notes = "A figure marked with ! is beyond its bound in tools/bench/src/shifter/check.rs.";
    Report::print("Short version: 16 nodes", &table, notes);
    Ok(report.rows)
}
