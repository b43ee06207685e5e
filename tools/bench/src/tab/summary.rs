//! Bounds of a lone tab, and what was reached.

use foremap_bench::rows::{self, Better, Row};

use super::simulation::Figures;
use crate::report::Report;

/// Hits in percent on a trace that prediction was developed on: required, aim.
struct Asked {
    trace: &'static str,
    lone: (f64, f64),
    pooled: (f64, f64),
}

const ASKED: [Asked; 4] = [
    Asked { trace: "nasa-19950801", lone: (14.7, 15.5), pooled: (61.0, 65.0) },
    Asked { trace: "yoochoose", lone: (25.0, 26.4), pooled: (30.0, 32.0) },
    Asked { trace: "wikispeedia", lone: (13.4, 14.1), pooled: (19.5, 20.7) },
    Asked { trace: "erddap-gliders", lone: (14.0, 15.0), pooled: (31.0, 33.0) },
];
/// HTTP requests are at most so many times those that must wait for the network anyway.
const HTTP_OF_MISSES: f64 = 1.02;

/// Tells whether something is asked of the trace of this name.
pub(super) fn is_known(trace: &str) -> bool {
    ASKED.iter().any(|asked| asked.trace == trace)
}

/// Prints what is asked for, each figure the worse of those of the rates of writes.
pub(super) fn print(measured: &[Figures], report: &mut Report) {
    let mut table = rows::table([
        "lone tab",
        "hit, %",
        "pooled model, hit, %",
        "HTTP of misses",
        "feeds a visit",
        "HTTP and feeds",
        "HTTP, prediction on / off",
    ]);
    let mut traces: Vec<&str> = measured.iter().map(|figures| figures.trace.as_str()).collect();
    traces.dedup();
    for trace in traces {
        table.add_row(line(trace, measured, report));
    }
    let notes = "The worse of the figures without and with writes. HTTP of misses: HTTP requests, feeds apart, over the requests \
        that are no hits. HTTP and feeds: HTTP requests per request, those that open feeds included. A figure marked with ! \
        misses what is required.";
    Report::print("What is asked of a lone tab", &table, notes);
}

fn line(trace: &str, measured: &[Figures], report: &mut Report) -> [String; 7] {
    let of = |mode: &'static str| measured.iter().filter(move |f| f.trace == trace && f.mode == mode);
    let highest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let lowest = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let asked = ASKED.iter().find(|asked| asked.trace == trace);
    let mut add = |measure: &str, value, unit, better, target: Option<f64>, aim: Option<f64>, digits| {
        // Nothing is asked of other traces.
        let bounded = |row: Row| if asked.is_some() { row.bounded(target, aim) } else { row };
        report.add(bounded(Row::information(format!("tab, {trace}: {measure}"), value, unit, better)), digits)
    };
    let off = |writes| of("cache-only").find(|f| f.writes == writes).map_or(f64::NAN, Figures::http_and_feeds);
    let mut of_misses = of("default").map(|f| f.http() / (1.0 - f.hit / 100.0));
    let mut on_off = of("default").map(|f| f.http_and_feeds() / off(f.writes));
    let (lone, pooled) = (asked.map(|a| a.lone).unzip(), asked.map(|a| a.pooled).unzip());
    [
        trace.to_owned(),
        add("hits, lone", lowest(&mut of("default").map(|f| f.hit)), "%", Better::Higher, lone.0, lone.1, 2),
        add("hits, pooled model", lowest(&mut of("pooled").map(|f| f.hit)), "%", Better::Higher, pooled.0, pooled.1, 2),
        add(
            "HTTP requests, of those that are no hits",
            highest(&mut of_misses),
            "ratio",
            Better::Lower,
            Some(HTTP_OF_MISSES),
            None,
            3,
        ),
        add(
            "feeds opened",
            highest(&mut of("default").map(|f| f.feeds_per_visit)),
            "per visit",
            Better::Lower,
            Some(1.0),
            None,
            4,
        ),
        add(
            "HTTP requests, feeds included",
            highest(&mut of("default").map(Figures::http_and_feeds)),
            "per request",
            Better::Lower,
            None,
            Some(1.0),
            3,
        ),
        add(
            "HTTP requests, with prediction over without",
            highest(&mut on_off),
            "ratio",
            Better::Lower,
            Some(1.0),
            None,
            4,
        ),
    ]
}
