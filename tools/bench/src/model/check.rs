//! A short version: the bundled trace and a synthetic one of many clients, held to bounds.
//!
//! Nothing here depends on the speed of a machine. The bounds are a little worse than what has been reached, so that a
//! loss is noticed; to set them anew, copy the printed figures into [`BOUNDS`]. Clients that learn nothing from others
//! gain nothing on either trace, which is far below them.

use anyhow::{Context, Result};
use foremap_bench::rows::{self, Better, Row};
use xtask::build;
use xtask::workspace::Workspace;

use super::runs::{Figures, Program, Sharing};
use super::tables;
use crate::prediction::traces_of;
use crate::report::Report;

/// Requests of the synthetic trace.
const REQUESTS: usize = 20_000;
const SHARINGS: [Sharing; 2] = [Sharing::USUAL, Sharing::CAREFUL];

/// Of the pooled gain in percent at least, points of the first ten requests below pooled at most, calibration error of the
/// first twenty at most.
struct Bound {
    trace: &'static str,
    sharing: Sharing,
    gain: f64,
    below: f64,
    error: f64,
}

/// `figures` are those measured; five percent of the gain, two points and two hundredths of error are left for changes that
/// mean nothing.
const fn bound(trace: &'static str, sharing: Sharing, [gain, below, error]: [f64; 3]) -> Bound {
    Bound { trace, sharing, gain: gain - 5.0, below: below + 2.0, error: error + 0.02 }
}

const BUNDLED: &str = "npm-install";
const HUMAN: &str = "human";

/// Bounds by what the short version measured when they were last set.
const BOUNDS: [Bound; 4] = [
    bound(BUNDLED, Sharing::USUAL, [70.4, 10.67, 0.0692]),
    bound(BUNDLED, Sharing::CAREFUL, [38.2, 28.40, 0.0577]),
    bound(HUMAN, Sharing::USUAL, [102.3, -0.97, 0.0317]),
    bound(HUMAN, Sharing::CAREFUL, [75.3, 1.82, 0.0287]),
];

/// Measures and prints what the bounds are about.
pub(crate) fn run(workspace: &Workspace) -> Result<Vec<Row>> {
    let program = Program::new(build::quick(workspace, "foremap-replay")?)?;
    let mut sources = traces_of(workspace, None)?;
    sources.push(program.synthetic(REQUESTS)?);
    let mut report = Report::default();
    let mut table = rows::table([
        "trace and snapshot",
        "of the pooled gain, %",
        "first ten below pooled",
        "error, first 20",
        "a client's excess",
        "snapshot, bytes",
    ]);
    for (name, path) in sources {
        let figures = program.measure(&name, &path, &SHARINGS)?;
        for bound in BOUNDS.iter().filter(|bound| bound.trace == figures.trace) {
            table.add_row(line(bound, &figures, &mut report)?);
        }
    }
    let notes = "A figure marked with ! is beyond its bound in tools/bench/src/model/check.rs.";
    Report::print("Short version: the bundled trace and a synthetic one of many clients", &table, notes);
    Ok(report.rows)
}

fn line(bound: &Bound, figures: &Figures, report: &mut Report) -> Result<[String; 6]> {
    let outcome = figures.of(bound.sharing).context("a way of sharing that was not tried")?;
    let Bound { trace, sharing, .. } = bound;
    let mut add = |measure: &str, value: Option<f64>, unit, better, bound, digits| {
        let missing = if better == Better::Lower { f64::INFINITY } else { f64::NEG_INFINITY };
        let row =
            Row::information(format!("model, {trace}, {sharing}: {measure}"), value.unwrap_or(missing), unit, better);
        report.add(row.requires(bound), digits)
    };
    let gain = figures.share_of_gain(outcome);
    let below = figures.first_ten_below(outcome);
    let error = outcome.calibration_error_first;
    let snapshot = outcome.snapshot_bytes.map(|bytes| bytes as f64);
    Ok([
        format!("{trace}, {sharing}"),
        add("share of the pooled gain", gain, "%", Better::Higher, bound.gain, 1),
        add("first ten requests below pooled", below, "points", Better::Lower, bound.below, 2),
        add("calibration error of first requests", error, "", Better::Lower, bound.error, 4),
        add(
            "waste of a client over its budget",
            outcome.max_client_excess,
            "prefetches",
            Better::Lower,
            tables::CLIENT_EXCESS,
            2,
        ),
        add("snapshot", snapshot, "bytes", Better::Lower, sharing.bytes() as f64, 0),
    ])
}
