//! A short version for every change: the bundled trace and short synthetic workloads, held to bounds.
//!
//! The bounds are a little worse than what has been reached, so that a loss is noticed. Nothing here depends on the
//! speed of a machine: the replay tool of the development build is taken, which the tests have built before, and no
//! time is looked at. To set the bounds anew, copy the printed figures into [`BOUNDS`].

use anyhow::{Context, Result};
use foremap_bench::rows::{self, Better, Row};
use xtask::build;
use xtask::workspace::Workspace;

use super::replay::{Outcome, Replay};
use super::sources;
use crate::report::Report;

/// The bundled trace, in a bound.
const BUNDLED: &str = "bundled";
/// Prefetches by which the engine may be ahead of its budget at any moment, its allowance for the start.
const EXCESS: f64 = 20.0;

/// Hit ratio and coverage of new keys at least, calibration errors at most, in percent.
struct Bound {
    trace: &'static str,
    arguments: &'static str,
    hits: f64,
    new_keys: f64,
    error: f64,
    issued: f64,
}

/// `figures` are those measured, in the order of the table; a point of hits, two of new keys and half a point of
/// error are left for changes that mean nothing.
const fn bound(trace: &'static str, arguments: &'static str, figures: [f64; 4]) -> Bound {
    let [hits, new_keys, error, issued] = figures;
    Bound { trace, arguments, hits: hits - 1.0, new_keys: new_keys - 2.0, error: error + 0.5, issued: issued + 0.5 }
}

const USUAL: &str = "--cache 5% --waste-budget 0.25";

/// Bounds by what the short version measured when they were last set.
const BOUNDS: [Bound; 12] = [
    bound(BUNDLED, USUAL, [62.9, 0.0, 2.80, 3.76]),
    bound(BUNDLED, "--cache 5% --waste-budget 0.10", [55.8, 0.1, 2.68, 3.38]),
    bound(BUNDLED, "--private 32 --waste-budget 0.25", [56.3, 0.1, 2.25, 8.69]),
    bound(BUNDLED, "--cache 5% --latency-requests 8", [33.7, 0.0, 2.53, 2.53]),
    bound("synthetic:profiles?requests=20000", USUAL, [78.5, 77.8, 2.47, 2.34]),
    bound("synthetic:series?requests=20000", USUAL, [93.8, 93.7, 1.85, 2.14]),
    bound("synthetic:walks?requests=20000", USUAL, [92.2, 92.3, 2.17, 3.73]),
    bound("synthetic:tiles?requests=20000", USUAL, [88.6, 87.8, 2.10, 2.50]),
    bound("synthetic:scan?requests=20000", USUAL, [59.4, 71.8, 1.64, 1.43]),
    bound("synthetic:phase?requests=20000", USUAL, [68.5, 0.0, 0.94, 1.53]),
    bound("synthetic:noise?requests=20000", USUAL, [4.5, 0.0, 0.02, 19.01]),
    bound("synthetic:tenants?requests=20000", USUAL, [86.8, 87.4, 1.77, 2.43]),
];

/// Measures and prints what the bounds are about.
pub(crate) fn run(workspace: &Workspace) -> Result<Vec<Row>> {
    let replay = Replay::new(build::quick(workspace, "foremap-replay")?)?;
    let bundled = sources::sources(workspace, None)?.remove(0).path;
    let mut report = Report::default();
    let mut table = rows::table(["trace", "hit ratio, %", "new keys, %", "error, %", "issued, %", "waste", "excess"]);
    for bound in &BOUNDS {
        let path = if bound.trace == BUNDLED { &bundled } else { bound.trace };
        let own = replay.run(&[path], bound.arguments, &[])?.pop().context("the replay is missing")?.own;
        table.add_row(line(bound, &own, &mut report));
    }
    let notes = "A figure marked with ! is beyond its bound in tools/bench/src/prediction/check.rs.";
    Report::print("Short version: the bundled trace and the synthetic workloads", &table, notes);
    Ok(report.rows)
}

fn line(bound: &Bound, own: &Outcome, report: &mut Report) -> [String; 7] {
    let name = format!("{} {}", bound.trace, bound.arguments);
    let mut add = |measure: &str, value: f64, unit, better, bound, digits| {
        report.add(Row::information(format!("{name}: {measure}"), value, unit, better).requires(bound), digits)
    };
    let percent = |error: Option<f64>| 100.0 * error.unwrap_or(1.0);
    let (error, issued) = (percent(own.calibration_error), percent(own.calibration_error_issued));
    let budget = if bound.arguments.contains("0.10") { 0.10 } else { 0.25 };
    // Noise is to be left alone.
    let waste = if bound.trace.contains("noise") { 0.01 } else { budget + EXCESS / own.requests as f64 };
    [
        name.clone(),
        add("hit ratio", own.hits(), "%", Better::Higher, bound.hits, 1),
        add("first requests for a key that hit", 100.0 * own.novel_coverage, "%", Better::Higher, bound.new_keys, 1),
        add("calibration error", error, "%", Better::Lower, bound.error, 2),
        add("calibration error, issued", issued, "%", Better::Lower, bound.issued, 2),
        add("waste", own.wasted_per_request, "per request", Better::Lower, waste, 3),
        add("waste over budget", own.max_budget_excess, "prefetches", Better::Lower, EXCESS, 1),
    ]
}
