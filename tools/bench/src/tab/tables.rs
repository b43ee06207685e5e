//! Everything measured on one trace.

use foremap_bench::rows::{self, Better, Row};

use super::simulation::Figures;
use crate::report::Report;

/// The words of the tables for a mode of the simulation.
fn mode(name: &str) -> &str {
    match name {
        "no-cache" => "no cache",
        "ttl" => "TTL cache of 60 s",
        "cache-only" => "cache without prediction",
        "shared" => "default with a shared model",
        "pooled" => "default with one pooled model",
        other => other,
    }
}

/// Subject of a row.
pub(super) fn about(figures: &Figures, measure: &str) -> String {
    let writes = f64::from(figures.writes) / 10.0;
    format!("tab, {}, {}, {writes} % writes: {measure}", figures.trace, mode(&figures.mode))
}

/// Prints the tables of a trace, and keeps their rows.
pub(super) fn print(trace: &str, measured: &[Figures], report: &mut Report) {
    let mut answers = rows::table([
        "answers",
        "writes, %",
        "hit, %",
        "revalidated, %",
        "mean ms",
        "p50",
        "p95",
        "beyond the bound",
        "backwards",
        "wrong or failed",
        "prefetches used",
        "late",
        "outdated",
        "wasted",
    ]);
    let mut traffic = rows::table([
        "HTTP requests",
        "writes, %",
        "all but feeds",
        "demand",
        "ahead",
        "exchange",
        "feeds",
        "feeds a visit",
        "feed bytes",
        "all bytes",
    ]);
    for figures in measured {
        answers.add_row(answer_line(figures, report));
        traffic.add_row(traffic_line(figures, report));
    }
    let of = measured.first().map_or((0, 0), |figures| (figures.requests, figures.visits));
    let title = format!("{trace}: {} requests in {} visits", of.0, of.1);
    Report::print(&title, &answers, "");
    Report::print(&format!("{trace}: traffic"), &traffic, "Counts, bytes and prefetches are per request of the trace.");
}

fn answer_line(figures: &Figures, report: &mut Report) -> [String; 14] {
    let mut add = |measure: &str, value, unit, better, digits| {
        report.add(Row::information(about(figures, measure), value, unit, better), digits)
    };
    let first = [
        mode(&figures.mode).to_owned(),
        format!("{}", f64::from(figures.writes) / 10.0),
        add("hits", figures.hit, "%", Better::Higher, 2),
        add("revalidated", figures.revalidated, "%", Better::Lower, 2),
        add("mean latency", figures.mean_ms, "ms", Better::Lower, 1),
        add("p50 latency", figures.p50_ms, "ms", Better::Lower, 0),
        add("p95 latency", figures.p95_ms, "ms", Better::Lower, 0),
    ];
    // A plain cache promises nothing.
    let promised = (figures.mode != "ttl").then_some(0.0);
    let mut promise = |measure: &str, value| {
        let row = Row::information(about(figures, measure), value, "answers", Better::Lower);
        report.add(row.bounded(promised, None), 0)
    };
    let promises = [
        promise("answers beyond the bound", figures.beyond),
        promise("answers older than what was seen", figures.backwards),
        promise("answers wrong or failed", (figures.invented + figures.failed) as f64),
    ];
    let mut ahead = |measure: &str, value, better| {
        report.add(Row::information(about(figures, measure), value, "per request", better), 3)
    };
    let prefetches = [
        ahead("prefetches used", figures.used, Better::Higher),
        ahead("prefetches late", figures.late, Better::Lower),
        ahead("prefetches outdated at first use", figures.outdated, Better::Lower),
        ahead("prefetches wasted", figures.wasted, Better::Lower),
    ];
    let mut cells = first.into_iter().chain(promises).chain(prefetches);
    std::array::from_fn(|_| cells.next().unwrap_or_default())
}

fn traffic_line(figures: &Figures, report: &mut Report) -> [String; 10] {
    let mut add = |measure: &str, value, unit, digits| {
        report.add(Row::information(about(figures, measure), value, unit, Better::Lower), digits)
    };
    [
        mode(&figures.mode).to_owned(),
        format!("{}", f64::from(figures.writes) / 10.0),
        add("HTTP requests, feeds apart", figures.http(), "per request", 3),
        add("HTTP requests with demand", figures.http_demand, "per request", 3),
        add("HTTP requests with prefetches alone", figures.http_ahead, "per request", 3),
        add("HTTP requests without keys", figures.http_exchange, "per request", 3),
        add("feeds opened", figures.feeds_opened, "per request", 3),
        add("feeds opened, by visit", figures.feeds_per_visit, "per visit", 2),
        add("bytes of feeds", figures.feed_bytes, "bytes per request", 0),
        add("bytes of all bodies", figures.bytes, "bytes per request", 0),
    ]
}
