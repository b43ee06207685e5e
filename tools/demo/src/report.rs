//! Text that the demonstration prints, and rows that it writes.

use super::fleet::{Fleet, Mode};
use super::measure::ModeResult;
use super::options::Options;
use foremap_bench::rows::{Better, Row, figure, table};
use foremap_replay::trace::Trace;

/// Most wasted prefetches per request that prediction may cost.
const WASTE_TARGET: f64 = 0.35;

/// Describes the trace, bad lines included.
pub(super) fn trace(trace: &Trace, options: &Options) {
    let name = options.trace.as_ref().map_or_else(|| "the bundled trace".to_owned(), |path| path.display().to_string());
    let (requests, keys, clients) = (trace.requests.len(), trace.keys.len(), trace.clients.len());
    println!("demo: {name}: {requests} requests of {clients} clients for {keys} distinct keys");
    if trace.passed_over > 0 {
        println!("demo: {} lines passed over: not GET or HEAD, or not answered 200 or 304", trace.passed_over);
    }
    if trace.bad > 0 {
        println!("demo: {} bad lines left out, among them:", trace.bad);
        trace.bad_lines.iter().for_each(|(number, reason)| println!("demo:   line {number}: {reason}"));
    }
}

/// Tells how long the replay of a mode took.
pub(super) fn time(result: &ModeResult) {
    let (title, requests) = (result.mode.title(), result.replayed.requests());
    println!("demo: {title:<22} {requests} requests in {:.1} s", result.seconds);
}

/// One measure of every mode.
struct Measure {
    name: &'static str,
    unit: &'static str,
    better: Better,
    value: fn(&ModeResult) -> f64,
}

const MEASURES: [Measure; 12] = {
    use Better::{Higher, Lower};
    const fn measure(name: &'static str, unit: &'static str, better: Better, value: fn(&ModeResult) -> f64) -> Measure {
        Measure { name, unit, better, value }
    }
    [
        measure("hit ratio", "share", Higher, |mode| mode.replayed.hit_ratio()),
        measure("revalidated", "share", Lower, |mode| mode.replayed.revalidated_share()),
        measure("mean latency", "ms", Lower, |mode| mode.replayed.mean_ms()),
        measure("p50 latency", "ms", Lower, |mode| mode.replayed.percentile_ms(50)),
        measure("p95 latency", "ms", Lower, |mode| mode.replayed.percentile_ms(95)),
        measure("p99 latency", "ms", Lower, |mode| mode.replayed.percentile_ms(99)),
        measure("requests to gateways", "requests", Lower, |mode| mode.measured.gateway_requests as f64),
        measure("prefetches issued", "prefetches", Lower, |mode| mode.measured.prefetch.issued as f64),
        measure("prefetches used", "prefetches", Higher, |mode| mode.measured.prefetch.used as f64),
        measure("prefetches late", "prefetches", Lower, |mode| mode.measured.prefetch.late as f64),
        measure("prefetches wasted", "prefetches", Lower, wasted),
        measure("wasted per request", "prefetches/request", Lower, wasted_per_request),
    ]
};

fn wasted(mode: &ModeResult) -> f64 {
    mode.measured.prefetch.wasted() as f64
}

fn wasted_per_request(mode: &ModeResult) -> f64 {
    wasted(mode) / mode.replayed.requests().max(1) as f64
}

/// All rows: what is required of prediction and of the shared model first, then every figure of every mode.
pub(super) fn rows(results: &[ModeResult], fleet: &Fleet, trace: &Trace) -> Vec<Row> {
    let of = |mode: Mode| results.iter().find(|result| result.mode == mode);
    let mut rows = Vec::new();
    if let (Some(cache), Some(prediction)) = (of(Mode::Cache), of(Mode::Prediction)) {
        let ratio = |value: fn(&ModeResult) -> f64| value(prediction) / value(cache).max(f64::MIN_POSITIVE);
        let gain = prediction.replayed.hit_ratio() - cache.replayed.hit_ratio();
        let mean = ratio(|mode| mode.replayed.mean_ms());
        let p95 = ratio(|mode| mode.replayed.percentile_ms(95));
        let waste = wasted_per_request(prediction);
        rows.extend([
            Row::information("hit ratio gained by prediction over cache only", gain, "share", Better::Higher)
                .beats(0.0),
            Row::information("mean latency, prediction / cache only", mean, "ratio", Better::Lower).beats(1.0),
            Row::information("p95 latency, prediction / cache only", p95, "ratio", Better::Lower).beats(1.0),
            Row::information("wasted prefetches per request", waste, "prefetches/request", Better::Lower)
                .requires(WASTE_TARGET),
        ]);
    }
    if let (Some(lone), Some(sharing)) = (of(Mode::Tabs), of(Mode::SharingTabs)) {
        let gain = sharing.replayed.hit_ratio() - lone.replayed.hit_ratio();
        let mean = sharing.replayed.mean_ms() / lone.replayed.mean_ms().max(f64::MIN_POSITIVE);
        let (models, recorded) = (sharing.measured.models as f64, recorded_seconds(trace));
        rows.extend([
            Row::information("hit ratio gained by new tabs from the shared model", gain, "share", Better::Higher)
                .beats(0.0),
            Row::information("mean latency, new tabs with / without the shared model", mean, "ratio", Better::Lower)
                .beats(1.0),
            Row::information("new tabs that got a model", models, "tabs", Better::Higher),
            Row::information(
                "seconds recorded per second of the tabs' replay",
                recorded / sharing.seconds,
                "s",
                Better::Lower,
            ),
        ]);
    }
    for measure in &MEASURES {
        rows.extend(results.iter().map(|result| {
            let name = format!("{}, {}", measure.name, result.mode.title());
            Row::information(name, (measure.value)(result), measure.unit, measure.better)
        }));
    }
    let bound = f64::from(fleet.max_staleness);
    rows.push(Row::information("staleness bound used", bound, "ms", Better::Lower));
    rows.push(Row::information("cache of the worker", fleet.cache_entries as f64, "entries", Better::Lower));
    rows
}

/// Prints the table of the modes, what it was measured with, and what is required.
pub(super) fn print(results: &[ModeResult], rows: &[Row], fleet: &Fleet, trace: &Trace, options: &Options) {
    let mut modes = table(std::iter::once("").chain(Mode::ALL.map(Mode::title)));
    for measure in &MEASURES {
        let unit = if measure.unit == "ms" { " (ms)" } else { "" };
        let figures = results.iter().map(|result| figure((measure.value)(result)));
        modes.add_row(std::iter::once(format!("{}{unit}", measure.name)).chain(figures));
    }
    println!("\n{modes}\n");

    let latency = options.origin_latency;
    let (entries, bound) = (fleet.cache_entries, fleet.max_staleness);
    println!(
        "Every client is on this machine. In front of the gateways {latency} ms each way are injected, nothing else."
    );
    println!(
        "The worker caches {entries} keymaps ({}), which stands for a working set far larger than an isolate's memory.",
        options.cache
    );
    println!("A prefetch is late if it was asked for while under way, and wasted if it was not asked for by the end.");
    println!(
        "No answer is staler than {bound} ms. {} clients at once, gaps cut to {} ms. Requests are counted at the \
         gateways; latency is measured at the clients.",
        options.clients, options.gap_cap
    );
    results.iter().filter(|result| result.mode == Mode::SharingTabs).for_each(|tabs| print_tabs(tabs, trace, options));
    println!();
    let required: Vec<_> = rows.iter().filter(|row| row.target.is_some()).cloned().collect();
    foremap_bench::rows::print(&required);
}

/// Tells what tabs are here, and under what conditions their model was made.
fn print_tabs(tabs: &ModeResult, trace: &Trace, options: &Options) {
    let sessions = trace.clients.len();
    println!(
        "A new tab has the npm package's client to itself, with an empty cache and no worker in between: all {sessions} \
         clients of the trace have one, closed when the session ends. The core is compiled once for all of them, where a \
         browser would compile it for each. Without the shared model (`share: \"off\"`) and with it (`share: \"both\"`) are \
         measured at the same time, over gateways of their own."
    );
    println!(
        "All tabs have one address, so gateways tell them apart by the subject of a token; a new tab is told only \
         where at least {} sessions went. {} of {sessions} got a model.",
        options.share_clients, tabs.measured.models
    );
    let (recorded, seconds) = (recorded_seconds(trace), tabs.seconds);
    println!(
        "The tabs replayed in {seconds:.0} s what was recorded in {recorded:.0} s: the model had that long to be made."
    );
}

/// From the first request to the last one, as the trace was recorded.
fn recorded_seconds(trace: &Trace) -> f64 {
    let times = trace.requests.iter().map(|request| request.at_ms);
    times.clone().max().zip(times.min()).map_or(0.0, |(last, first)| last.saturating_sub(first) as f64 / 1e3)
}
