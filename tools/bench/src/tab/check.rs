//! A short version for every change: the bundled trace and the synthetic one, held to bounds, under many writes.
//!
//! Nothing here depends on the speed of a machine. The bounds are a little worse than what has been reached, so that a
//! loss is noticed; to set them anew, copy the printed figures into [`BOUNDS`].

use anyhow::{Context, Result};
use foremap_bench::rows::{self, Better, Row};
use xtask::workspace::BUNDLED_TRACE;
use xtask::workspace::Workspace;

use super::simulation::{Figures, HUMAN, Simulation};
use super::tables;
use crate::report::Report;

const REQUESTS: usize = 6_000;
/// In permille of the requests: none, and so many that an answer too old would be noticed.
const WRITES: &str = "0,900";
/// Bound of the waste, ahead of the budget of 0.25: the allowance for the start.
const WASTE: f64 = 0.25 + 20.0 / REQUESTS as f64;

/// Hits in percent at least, HTTP requests per request at most, feeds included.
struct Bound {
    trace: &'static str,
    /// The staleness bound; the default where it is empty.
    staleness: &'static str,
    mode: &'static str,
    hits: f64,
    http: f64,
}

/// `figures` are those measured; a point of hits and two hundredths of a request are left for changes that mean nothing.
const fn bound(trace: &'static str, staleness: &'static str, mode: &'static str, figures: [f64; 2]) -> Bound {
    Bound { trace, staleness, mode, hits: figures[0] - 1.0, http: figures[1] + 0.02 }
}

const MINUTE: &str = "bound=60000";

/// Figures of the short version when these were last set.
const BOUNDS: [Bound; 8] = [
    bound(BUNDLED_TRACE, "", "cache-only", [0.38, 0.995]),
    bound(BUNDLED_TRACE, "", "default", [0.38, 0.995]),
    bound(BUNDLED_TRACE, "", "pooled", [28.2, 0.760]),
    bound(HUMAN, "", "default", [19.4, 0.955]),
    bound(HUMAN, "", "pooled", [27.0, 0.930]),
    bound(HUMAN, MINUTE, "cache-only", [19.5, 0.955]),
    bound(HUMAN, MINUTE, "default", [19.5, 0.955]),
    bound(HUMAN, MINUTE, "pooled", [27.1, 0.930]),
];

/// Measures and prints what the bounds are about.
pub(crate) fn run(workspace: &Workspace) -> Result<Vec<Row>> {
    let simulation = Simulation::build(workspace)?;
    let mut report = Report::default();
    let mut table = rows::table([
        "trace and mode",
        "hit, %",
        "HTTP",
        "feeds a visit",
        "wasted",
        "beyond the bound",
        "backwards",
        "wrong",
    ]);
    for group in BOUNDS.chunk_by(|a, b| (a.trace, a.staleness) == (b.trace, b.staleness)) {
        let Bound { trace, staleness, .. } = group[0];
        let modes: Vec<&str> = group.iter().map(|bound| bound.mode).collect();
        let options = format!("requests={REQUESTS} writes={WRITES} modes={} {staleness}", modes.join(","));
        let path = if trace == HUMAN { HUMAN.to_owned() } else { workspace.path(trace).to_string_lossy().into_owned() };
        let measured = simulation.run(&path, &options)?;
        for figures in &measured {
            let bound = group.iter().find(|bound| bound.mode == figures.mode).context("a mode not asked for")?;
            table.add_row(line(bound, figures, &mut report));
        }
    }
    let notes = "A figure marked with ! is beyond its bound in tools/bench/src/tab/check.rs.";
    Report::print("Short version: the bundled trace and a synthetic one at human pace", &table, notes);
    Ok(report.rows)
}

fn line(bound: &Bound, figures: &Figures, report: &mut Report) -> [String; 8] {
    let name = |measure: &str| format!("{} {}", tables::about(figures, measure), bound.staleness).trim_end().to_owned();
    let mut add = |measure: &str, value, unit, better, bound, digits| {
        report.add(Row::information(name(measure), value, unit, better).requires(bound), digits)
    };
    let wrong = (figures.invented + figures.failed) as f64;
    [
        format!("{} {} {} {}", figures.trace, figures.mode, figures.writes, bound.staleness).trim_end().to_owned(),
        add("hits", figures.hit, "%", Better::Higher, bound.hits, 2),
        add("HTTP requests, feeds included", figures.http_and_feeds(), "per request", Better::Lower, bound.http, 3),
        add("feeds opened", figures.feeds_per_visit, "per visit", Better::Lower, 1.0, 4),
        add("prefetches wasted", figures.wasted, "per request", Better::Lower, WASTE, 3),
        add("answers beyond the bound", figures.beyond, "answers", Better::Lower, 0.0, 0),
        add("answers older than what was seen", figures.backwards, "answers", Better::Lower, 0.0, 0),
        add("answers wrong or failed", wrong, "answers", Better::Lower, 0.0, 0),
    ]
}
