//! Quality of the predictions, their cost, and whether the budget held.

use foremap_bench::rows::{self, Better, Row};

use super::hits::Measured;
use super::reference::Reference;
use super::replay::Outcome;
use crate::report::{Report, mean, optional};

const TITLE: &str = "Coverage of new keys, calibration, budget, cost";
const NOTES: &str = "Cache of 5 % of the keys, waste budget 0.25; the excess is the largest of all runs above: wasted \
    prefetches less budget x requests, at any prefix of the run. Required: the share of first requests for a key that \
    hit as in the last two columns, calibration error at most 0.015 (issued: 0.05), excess at most 20, time at most \
    1,500 ns in the mean and 5,000 ns in 99 of 100. Aim: 0.01 (0.02), 800 ns and 2,000 ns. The time is that of learning \
    and predicting, outcomes included, without the cache's own work and without the clock's.";
const SUMMARY: &str = "Shared cache of 5 % of the keys and a waste budget of 0.25, unless the column says otherwise: \
    budget 0.10; cache of 1 %; a cache of 32 keys for each client; prefetches usable after 8 more requests. New keys: \
    hits in percent of the first requests for a key. Error: calibration error of all predictions. Waste: wasted \
    prefetches per request. us: learning and predicting, mean microseconds per request.";

/// Prints the table.
pub(super) fn print(all: &[Measured], report: &mut Report) {
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
    for measured in all {
        let (trace, first) = (&measured.trace, &measured.first.own);
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
            add(
                "waste over budget",
                measured.max_budget_excess,
                "prefetches",
                Better::Lower,
                (Some(20.0), Some(20.0)),
                1,
            ),
            add("time", first.ns_per_access.unwrap_or(0.0), "ns", Better::Lower, (Some(1_500.0), Some(800.0)), 0),
            add("time, p99", first.p99_ns.unwrap_or(0.0), "ns", Better::Lower, (Some(5_000.0), Some(2_000.0)), 0),
            optional(first.peak_bytes.map(|bytes| bytes / 1e6), 2),
            optional(required, 2),
            optional(aim, 2),
        ]);
    }
    let of = |figure: fn(&Measured) -> Option<f64>| mean(all.iter().filter_map(figure));
    let time = of(|measured| measured.first.own.ns_per_access);
    table.add_row([
        "mean".to_owned(),
        String::new(),
        String::new(),
        format!("{:.4}", of(|measured| measured.first.own.calibration_error)),
        format!("{:.4}", of(|measured| measured.first.own.calibration_error_issued)),
        String::new(),
        format!("{time:.0}"),
        format!("{:.0}", of(|measured| measured.first.own.p99_ns)),
    ]);
    report.rows.push(Row::information("mean time", time, "ns", Better::Lower));
    Report::print(TITLE, &table, NOTES);
}

/// One line for each trace, for a document.
pub(super) fn summary(all: &[Measured]) {
    let header = ["hit ratio, %", "LRU", "S3-FIFO", "best peer here", "foremap"];
    let others = ["waste 0.10", "1 % cache", "private 32", "8 late", "new keys", "error", "waste", "us"];
    let mut table = rows::table(header.into_iter().chain(others));
    for measured in all {
        let Measured { trace, first, hits, .. } = measured;
        let of = |name: &str| first.others.iter().find(|other| other.method == name).map(Outcome::hits);
        let best = measured.best_other().map(|best| format!("{:.1} {}", best.hits(), best.method));
        let mut line = vec![trace.clone(), optional(of("lru"), 1), optional(of("s3fifo"), 1), best.unwrap_or_default()];
        line.extend(hits.map(|hits| optional(hits, 1)));
        line.push(format!("{:.1}", 100.0 * first.own.novel_coverage));
        line.push(optional(first.own.calibration_error, 4));
        line.push(format!("{:.3}", first.own.wasted_per_request));
        line.push(optional(first.own.ns_per_access.map(|nanos| nanos / 1_000.0), 2));
        table.add_row(line);
    }
    Report::print("In short", &table, SUMMARY);
}
