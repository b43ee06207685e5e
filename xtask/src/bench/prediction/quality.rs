//! How good the predictions are, what they cost, and whether the budget held.

use super::hits::Own;
use super::reference::Reference;
use super::report::{Report, mean, optional};
use crate::rows::{self, Better, Row};

const TITLE: &str = "Coverage of new keys, calibration, budget, cost";
const NOTES: &str = "Cache of 5 % of the keys, waste budget 0.25; the excess is the largest of all runs above: wasted \
    prefetches less budget x requests, at any prefix of the run. Required: the share of first requests for a key that \
    hit as in the last two columns, calibration error at most 0.015 (issued: 0.05), excess at most 20, time at most \
    1,500 ns in the mean and 5,000 ns in 99 of 100. Aim: 0.01 (0.02), 800 ns and 2,000 ns. The time is that of learning \
    and predicting, outcomes included, without the cache's own work and without the clock's.";

/// Prints the table.
pub(super) fn print(all: &[Own], report: &mut Report) {
    let header = [
        "trace",
        "precision",
        "new keys",
        "error",
        "issued",
        "excess",
        "mean ns",
        "p99 ns",
        "MB",
        "new keys required",
        "aim",
    ];
    let mut table = rows::table(header);
    for own in all {
        let (trace, first) = (&own.trace, &own.first);
        let (required, aim) = Reference::of(trace).and_then(|reference| reference.novel).unzip();
        let mut add = |measure: &str, value: f64, unit, better, (required, aim), digits| {
            report.add(
                Row::information(format!("{trace}: {measure}"), value, unit, better).bounded(required, aim),
                digits,
            )
        };
        let (error, issued) = (first.calibration_error.unwrap_or(1.0), first.calibration_error_issued.unwrap_or(1.0));
        table.add_row([
            trace.clone(),
            optional(first.precision, 2),
            add("first requests for a key that hit", first.novel_coverage, "share", Better::Higher, (required, aim), 3),
            add("calibration error", error, "", Better::Lower, (Some(0.015), Some(0.01)), 4),
            add("calibration error, issued", issued, "", Better::Lower, (Some(0.05), Some(0.02)), 4),
            add("waste over budget", own.max_budget_excess, "prefetches", Better::Lower, (Some(20.0), Some(20.0)), 1),
            add("time", first.ns_per_access.unwrap_or(0.0), "ns", Better::Lower, (Some(1_500.0), Some(800.0)), 0),
            add("time, p99", first.p99_ns.unwrap_or(0.0), "ns", Better::Lower, (Some(5_000.0), Some(2_000.0)), 0),
            optional(first.peak_bytes.map(|bytes| bytes / 1e6), 2),
            optional(required, 2),
            optional(aim, 2),
        ]);
    }
    let of = |figure: fn(&Own) -> Option<f64>| mean(all.iter().filter_map(figure));
    let time = of(|own| own.first.ns_per_access);
    table.add_row([
        "mean".to_owned(),
        String::new(),
        String::new(),
        format!("{:.4}", of(|own| own.first.calibration_error)),
        format!("{:.4}", of(|own| own.first.calibration_error_issued)),
        String::new(),
        format!("{time:.0}"),
        format!("{:.0}", of(|own| own.first.p99_ns)),
    ]);
    report.rows.push(Row::information("mean time", time, "ns", Better::Lower));
    Report::print(TITLE, &table, NOTES);
}
