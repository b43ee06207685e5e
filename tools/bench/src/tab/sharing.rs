//! Bounds of tabs that share a model, and what was reached.

use foremap_bench::rows::{self, Better, Row};

use super::simulation::Figures;
use crate::report::Report;

/// Hits in percent, and mean latency as a share of that without any cache: required, aim.
struct Asked {
    trace: &'static str,
    hits: (f64, f64),
    latency: (f64, f64),
}

const ASKED: [Asked; 4] = [
    Asked { trace: "nasa-19950801", hits: (58.0, 65.0), latency: (0.45, 0.36) },
    Asked { trace: "yoochoose", hits: (29.0, 32.0), latency: (0.73, 0.69) },
    Asked { trace: "wikispeedia", hits: (18.5, 21.0), latency: (0.83, 0.80) },
    Asked { trace: "erddap-gliders", hits: (30.0, 34.0), latency: (0.71, 0.68) },
];
/// Most bytes of summaries for each byte of demand.
const TOLD: f64 = 0.01;

/// Prints what is asked for, each figure the worse of those of the rates of writes.
pub(super) fn print(measured: &[Figures], report: &mut Report) {
    let mut table = rows::table([
        "shared model",
        "hit, %",
        "mean latency of no cache",
        "HTTP of cache alone",
        "models read",
        "bytes of models",
        "summaries told",
        "bytes of summaries of demand, %",
    ]);
    let mut traces: Vec<&str> = measured.iter().map(|figures| figures.trace.as_str()).collect();
    traces.dedup();
    for trace in traces {
        table.add_row(line(trace, measured, report));
    }
    let notes = "Each visit reads the newest model of at most 64 KiB, of what 5 clients did, behind the answer to its first request, and \
        tells what it may with its batches and when it ends. HTTP of cache alone: HTTP requests, those that share included and feeds apart, over those of \
        the cache without prediction. Counts and bytes are per request of the trace. A figure marked with ! misses what is \
        required.";
    Report::print("What is asked of tabs that share a model", &table, notes);
}

fn line(trace: &str, measured: &[Figures], report: &mut Report) -> [String; 8] {
    let of = |mode: &'static str| measured.iter().filter(move |f| f.trace == trace && f.mode == mode);
    let highest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let asked = ASKED.iter().find(|asked| asked.trace == trace);
    let mut add = |measure: &str, value, unit, better, bounds: Option<(f64, f64)>, digits| {
        let row = Row::information(format!("tab, {trace}, shared model: {measure}"), value, unit, better);
        let (target, aim) = bounds.unzip();
        report.add(if asked.is_some() { row.bounded(target, aim) } else { row }, digits)
    };
    let base = |mode, writes| of(mode).find(|f| f.writes == writes);
    let latency = |f: &Figures| f.mean_ms / base("no-cache", f.writes).map_or(f64::NAN, |base| base.mean_ms);
    let http = |f: &Figures| f.http_and_sharing() / base("cache-only", f.writes).map_or(f64::NAN, Figures::http);
    let hits = of("shared").map(|f| f.hit).fold(f64::INFINITY, f64::min);
    let told = |f: &Figures| 100.0 * f.summary_bytes / f.demand_bytes();
    let most = |figure: &dyn Fn(&Figures) -> f64| highest(&mut of("shared").map(figure));
    let percent = Some((100.0 * TOLD, 100.0 * TOLD));
    [
        trace.to_owned(),
        add("hits", hits, "%", Better::Higher, asked.map(|a| a.hits), 2),
        add("mean latency, of no cache", most(&latency), "ratio", Better::Lower, asked.map(|a| a.latency), 3),
        add("HTTP requests, of cache alone", most(&http), "ratio", Better::Lower, Some((1.0, 1.0)), 3),
        add("models read", most(&|f| f.models_read), "per request", Better::Lower, None, 3),
        add("bytes of models", most(&|f| f.model_bytes), "bytes per request", Better::Lower, None, 0),
        add("summaries told", most(&|f| f.summaries_told), "per request", Better::Lower, None, 4),
        add("bytes of summaries, of those of demand", most(&told), "%", Better::Lower, percent, 2),
    ]
}
