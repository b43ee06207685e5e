//! Table of one trace.

use comfy_table::Table;
use foremap_bench::rows::{self, Better, Row};

use super::runs::{Figures, Sharing};
use crate::prediction::Outcome;
use crate::report::{Report, optional};

/// Prefetches that a client may waste beyond its budget at any moment.
pub(super) const CLIENT_EXCESS: f64 = 1.0;

const HEADER: [&str; 10] = [
    "model",
    "hit, %",
    "of the pooled gain, %",
    "of the held gain, %",
    "first ten, %",
    "error, first 20",
    "wasted",
    "a client's excess",
    "snapshot, bytes",
    "summaries, bytes",
];

/// Columns of figures that something is asked of.
pub(super) const ASKED: [&str; 4] = ["measure", "reached", "required", "aim"];

/// Adds a figure to a table of [`ASKED`].
pub(super) fn add(table: &mut Table, report: &mut Report, row: Row, digits: usize) {
    let bound = |value: Option<f64>| value.map_or_else(String::new, rows::figure);
    let (required, aim, unit) = (bound(row.target), bound(row.aim), row.unit);
    let measure = row.measure.trim_start_matches("model, ").to_owned();
    let shown = report.add(row, digits);
    table.add_row([if unit.is_empty() { measure } else { format!("{measure}, {unit}") }, shown, required, aim]);
}

/// Prints the table of a trace, a line for each model.
pub(super) fn print(figures: &Figures, report: &mut Report) {
    let mut table = rows::table(HEADER);
    let plain =
        [("LRU", &figures.lru), ("alone", &figures.alone), ("held", &figures.held), ("pooled", &figures.pooled)];
    for (model, outcome) in plain {
        table.add_row(line(model.to_owned(), figures, outcome, optional(outcome.max_client_excess, 2)));
    }
    for (sharing, outcome) in &figures.shared {
        let excess = excess(&figures.trace, *sharing, outcome, report);
        table.add_row(line(format!("shared, {sharing}"), figures, outcome, excess));
    }
    let notes = format!(
        "A cache of 32 entries for each client. Of the pooled gain: (hits - LRU) / (pooled - LRU). Held: a pooled model with \
        the waste budget of each client by itself, as all clients have it but those of `pooled`. First ten: hits among the \
        first ten requests of each client. Error: calibration error of what was prefetched in the first 20. Wasted: \
        prefetches per request. A figure marked with ! misses what is required. Measured in {:.0} s.",
        figures.seconds
    );
    Report::print(&format!("{}: {} requests", figures.trace, figures.pooled.requests), &table, &notes);
}

fn line(model: String, figures: &Figures, outcome: &Outcome, excess: String) -> [String; 10] {
    let count = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    [
        model,
        format!("{:.2}", outcome.hits()),
        optional(figures.share_of_gain(outcome), 1),
        optional(figures.share_of_held(outcome), 1),
        optional(outcome.first_ten_hits(), 2),
        optional(outcome.calibration_error_first, 4),
        format!("{:.3}", outcome.wasted_per_request),
        excess,
        count(outcome.snapshot_bytes),
        count(outcome.summary_bytes),
    ]
}

/// Keeps the largest excess of any client, of which something is asked with every trace.
pub(super) fn excess(trace: &str, sharing: Sharing, outcome: &Outcome, report: &mut Report) -> String {
    let value = outcome.max_client_excess.unwrap_or(f64::INFINITY);
    let measure = format!("model, {trace}, {sharing}: waste of a client over its budget");
    report.add(Row::information(measure, value, "prefetches", Better::Lower).requires(CLIENT_EXCESS), 2)
}
