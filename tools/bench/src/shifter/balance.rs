//! A hot set that is replaced at random instants.

use anyhow::Result;
use foremap_bench::rows::{self, Better, Row};

use super::simulation::{Drift, Fleet, Simulation};
use crate::report::Report;

/// Bounds and wishes, by fleet: imbalance once settled.
fn settled(nodes: usize) -> (f64, f64) {
    if nodes >= 1_000 { (1.20, 1.10) } else { (1.15, 1.05) }
}

/// Measures each fleet with the shifter, and with moves alone.
pub(super) fn measure(simulation: &Simulation, fleets: &[(Fleet, usize)], report: &mut Report) -> Result<()> {
    let mut table = rows::table([
        "nodes",
        "settled, p99",
        "median",
        "whole key",
        "static prefix",
        "moves only",
        "counting floor",
        "to < 1.25 s, p99",
        "median",
        "changes",
    ]);
    let mut costs = rows::table([
        "nodes",
        "re-homed worst, %",
        "median, %",
        "delta, median B",
        "worst B",
        "map B",
        "rules",
        "exceptions",
        "hot keys",
        "replicas",
        "plans",
        "taken back",
        "report B",
        "merge ms",
    ]);
    let mut stores = rows::table(["nodes", "heaviest storage shard", "heaviest of 6 masters", "heaviest node"]);
    for &(fleet, changes) in fleets {
        let run: Drift = simulation.run("drift", fleet, &format!("count={changes}"))?;
        // Moves alone never recover, so a few changes tell all.
        let moves: Drift = simulation.run("moves", fleet, "count=2")?;
        table.add_row(balance(fleet, &run, &moves, report));
        costs.add_row(cost(fleet, &run, report));
        let row = |what: &str, value| information(fleet, &format!("imbalance over {what}"), value, "max/mean");
        stores.add_row([
            fleet.nodes.to_string(),
            report.add(row("256 storage shards", run.storage.0), 2),
            report.add(row("6 masters", run.storage.1), 2),
            format!("{:.3}", run.settled.median),
        ]);
    }
    let notes = "Zipf 1.2 over 20,000 prefixes, Zipf 0.9 over 200 keys of each; the 50 hottest prefixes are replaced at \
        random instants. 2,000 requests a second for each node, drawn by chance and counted by each node's collector; \
        reports every 2 s, one in 200 lost; a map reaches clients and nodes 0.1 to 1 s late. Imbalance is the expected \
        load of the heaviest node over the mean (no chance in it), from 10 s after a change on; counting the requests of \
        one round would show the floor for a perfectly even fleet. Time: from a change until the imbalance stays below \
        1.25. Moves only: partitions by load, without splits and replicas, as Slicer and Dicer move slices.";
    Report::print("Load of nodes", &table, notes);
    let notes = "Re-homed: share of all entries with another home, counted over all 4,000,000 of them. Required: 1 % worst, \
        0.1 % median. Delta and map uncompressed. Merge: taking in the reports of a round.";
    Report::print("What plans cost", &costs, notes);
    let notes = "Storage shards follow from the key alone and cannot be shifted: reads that memory answers do not reach \
        them, but writes, strong reads and lists of one first component use at most 16 shards.";
    Report::print("Load of the store below, were every request to reach it", &stores, notes);
    Ok(())
}

fn information(fleet: Fleet, measure: &str, value: f64, unit: &'static str) -> Row {
    Row::information(format!("{measure}, {} nodes", fleet.nodes), value, unit, Better::Lower)
}

fn balance(fleet: Fleet, run: &Drift, moves: &Drift, report: &mut Report) -> [String; 10] {
    let (required, aim) = settled(fleet.nodes);
    let mut add = |measure: &str, value, digits| report.add(information(fleet, measure, value, "max/mean"), digits);
    let others = [
        add("imbalance, whole key hashed", run.whole_key, 2),
        add("imbalance, prefix hashed, static", run.static_prefix, 2),
        add("imbalance, prefix hashed, weighted moves", moves.settled.median, 2),
        add("floor of counting one round", run.floor, 3),
    ];
    let imbalance = information(fleet, "imbalance once settled, p99", run.settled.p99, "max/mean");
    let time = information(fleet, "time to < 1.25 after a change, p99", run.recovery_s.p99, "s");
    let [whole, prefix, moved, floor] = others;
    [
        fleet.nodes.to_string(),
        report.add(imbalance.requires(required).aims(aim), 3),
        format!("{:.3}", run.settled.median),
        whole,
        prefix,
        moved,
        floor,
        report.add(time.requires(10.0).aims(4.0), 1),
        format!("{:.1}", run.recovery_s.median),
        run.changes.to_string(),
    ]
}

fn cost(fleet: Fleet, run: &Drift, report: &mut Report) -> [String; 14] {
    let percent = |value: f64| 100.0 * value;
    let worst = information(fleet, "entries re-homed per plan, worst", percent(run.entries.worst), "%");
    let median = information(fleet, "entries re-homed per plan, median", percent(run.entries.median), "%");
    let delta = information(fleet, "delta of a plan, median", run.delta.median, "bytes");
    [
        fleet.nodes.to_string(),
        report.add(worst.requires(1.0).aims(0.3), 3),
        report.add(median.requires(0.1), 3),
        report.add(delta.requires(1_024.0), 0),
        format!("{:.0}", run.delta.worst),
        run.map_bytes.to_string(),
        run.map[0].to_string(),
        run.map[1].to_string(),
        run.map[2].to_string(),
        run.map[3].to_string(),
        run.plans[1].to_string(),
        run.plans[2].to_string(),
        format!("{:.0}", run.report_bytes),
        format!("{:.1}", run.merge_ms.median),
    ]
}
