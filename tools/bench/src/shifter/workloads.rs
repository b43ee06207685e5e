//! A prefix that follows the clock, keys that are fetched together, and recorded traces.

use std::path::Path;

use anyhow::Result;
use foremap_bench::rows::{self, Better, Row};
use xtask::workspace::Workspace;

use super::simulation::{Clock, Fleet, OfTrace, Simulation, Together};
use crate::prediction::traces_of;
use crate::report::Report;

const FLEETS: [Fleet; 2] = [Fleet { nodes: 16, partitions: 16_384 }, Fleet { nodes: 100, partitions: 16_384 }];
/// Hours that begin.
const HOURS: usize = 4;
/// Rounds until what is fetched together is measured: each plan may re-home only so much for it.
const ROUNDS: usize = 150;

fn worst(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// `logs/<hour>/...`, with the forecast and without.
pub(super) fn clock(simulation: &Simulation, report: &mut Report) -> Result<()> {
    let mut table = rows::table([
        "nodes",
        "forecast on: first 5 s",
        "before",
        "to < 1.25, s",
        "re-homed worst, %",
        "forecast off: first 5 s",
        "to < 1.25, s",
    ]);
    for fleet in FLEETS {
        let nodes = fleet.nodes;
        let on: Clock = simulation.run("clock", fleet, &format!("count={HOURS}"))?;
        let off: Clock = simulation.run("clock-blind", fleet, "count=2")?;
        let row = |measure: &str, value, unit| {
            Row::information(
                format!("prefix that follows the clock, {measure}, {nodes} nodes"),
                value,
                unit,
                Better::Lower,
            )
        };
        let with = row("imbalance in the first 5 s of the hour, forecast on", worst(&on.after), "max/mean");
        table.add_row([
            nodes.to_string(),
            report.add(with.requires(1.25).aims(1.10), 3),
            format!("{:.3}", on.before),
            format!("{:.1}", worst(&on.recovery_s)),
            format!("{:.3}", 100.0 * on.entries.worst),
            report.add(row("imbalance in the first 5 s of the hour, forecast off", worst(&off.after), "max/mean"), 2),
            report.add(row("time to < 1.25, forecast off", worst(&off.recovery_s), "s"), 1),
        ]);
    }
    let notes = "30 % of all requests go to `logs/<hour>/...`, 200 keys by Zipf 0.9; the others as above. The worst of \
        four hours, of two without forecast.";
    Report::print("A hot prefix that follows the clock", &table, notes);
    Ok(())
}

/// Batches of four keys.
pub(super) fn together(simulation: &Simulation, report: &mut Report) -> Result<()> {
    let mut table = rows::table([
        "nodes",
        "by one node, %",
        "whole key, %",
        "nodes a batch",
        "whole key",
        "imbalance, p99",
        "whole key",
        "re-homed worst, %",
    ]);
    for fleet in FLEETS {
        let nodes = fleet.nodes;
        let run: Together = simulation.run("together", fleet, &format!("count={ROUNDS}"))?;
        let row = |measure: &str, value, unit, better| {
            Row::information(format!("co-accessed batches, {measure}, {nodes} nodes"), value, unit, better)
        };
        let one = row("served by one node", 100.0 * run.one_node, "%", Better::Higher).requires(90.0).aims(97.0);
        let whole = row("served by one node, whole key hashed", 100.0 * run.one_node_whole_key, "%", Better::Higher);
        let balance =
            row("imbalance at the same time, p99", run.imbalance.p99, "max/mean", Better::Lower).requires(1.15);
        table.add_row([
            nodes.to_string(),
            report.add(one, 1),
            report.add(whole, 1),
            format!("{:.2}", run.fan_out.0),
            format!("{:.2}", run.fan_out.1),
            report.add(balance, 3),
            format!("{:.2}", run.imbalance_whole_key),
            format!("{:.3}", 100.0 * run.entries.worst),
        ]);
    }
    let notes = "The prefixes of above, below each 50 folders by Zipf 0.9 of four keys. A batch is a folder; one in ten is two \
        keys of it and two of the folder of that name of a partner prefix. Nodes see together what one in four batches \
        asks for.";
    Report::print("Keys that are fetched together", &table, notes);
    Ok(())
}

/// Recorded traces.
pub(super) fn traces(
    workspace: &Workspace,
    simulation: &Simulation,
    folder: Option<&Path>,
    report: &mut Report,
) -> Result<()> {
    let mut table = rows::table([
        "trace",
        "nodes",
        "keys",
        "hottest key",
        "settled, p99",
        "whole key",
        "static prefix",
        "moves only",
        "storage shard",
        "master",
        "rules",
        "hot keys",
    ]);
    for (name, path) in traces_of(workspace, folder)? {
        for nodes in [6, 16] {
            let fleet = Fleet { nodes, partitions: 16_384 };
            let run: OfTrace = simulation.run("trace", fleet, &format!("count=40 file={path}"))?;
            let row = |measure: &str, value| {
                Row::information(format!("trace {name}, {measure}, {nodes} nodes"), value, "max/mean", Better::Lower)
            };
            table.add_row([
                name.clone(),
                nodes.to_string(),
                run.keys.to_string(),
                format!("{:.2}", run.hottest),
                report.add(row("imbalance once settled, p99", run.settled.p99).requires(1.15).aims(1.05), 3),
                report.add(row("whole key hashed", run.whole_key), 2),
                report.add(row("prefix hashed, static", run.static_prefix), 2),
                report.add(row("prefix hashed, weighted moves", run.moves), 2),
                report.add(row("storage shards", run.storage.0), 2),
                report.add(row("6 masters", run.storage.1), 2),
                run.map[0].to_string(),
                run.map[2].to_string(),
            ]);
        }
    }
    let notes = "Keys as they are, each asked for as often as in the trace, in random order. Hottest key: its load over that of \
        a node.";
    Report::print("Recorded traces", &table, notes);
    Ok(())
}
