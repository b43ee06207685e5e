//! Workloads whose rules are known.

use anyhow::{Context, Result};
use foremap_bench::rows::{self, Better, Row};

use super::replay::{Played, Replay};
use crate::report::{Report, optional};

/// Those with keys that follow from others by a rule, so that a key can be foreseen before it was ever asked for.
const TEMPLATED: [&str; 6] = ["profiles", "series", "walks", "tiles", "scan", "tenants"];
/// The one whose pattern changes, and the one without any.
const OTHERS: [&str; 2] = ["phase", "noise"];

/// Names in the replay tool.
pub(super) fn names(requests: usize) -> Vec<String> {
    let all = TEMPLATED.iter().chain(&OTHERS);
    all.map(|workload| format!("synthetic:{workload}?requests={requests}")).collect()
}

/// `synthetic:noise?requests=5` is `noise`.
fn short(trace: &str) -> &str {
    let name = trace.split_once(':').map_or(trace, |(_, name)| name);
    name.split('?').next().unwrap_or(name)
}

/// Replays all of them with so many requests.
pub(super) fn measure(replay: &Replay, requests: usize, report: &mut Report) -> Result<Vec<Played>> {
    let names = names(requests);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = replay.run(&names, "--cache 5% --waste-budget 0.25", &["s3fifo", "oracle"])?;
    let header = ["workload", "hit ratio, %", "oracle", "new keys", "oracle", "share of oracle", "precision", "waste"];
    let mut table = rows::table(header);
    for played in &all {
        let workload = short(&played.trace);
        let oracle = played.others.iter().find(|other| other.method == "oracle").context("the oracle is missing")?;
        let precision = played.own.precision;
        let (mut share, mut shown) = (String::new(), optional(precision, 3));
        if TEMPLATED.contains(&workload) {
            let row = |measure: &str, value| {
                Row::information(format!("synthetic {workload}: {measure}"), value, "share", Better::Higher)
            };
            let covered = played.own.novel_coverage / oracle.novel_coverage;
            share =
                report.add(row("new keys hit, of those that the oracle hits", covered).requires(0.85).aims(0.95), 3);
            shown = report.add(row("precision", precision.unwrap_or(0.0)).requires(0.75), 3);
        }
        table.add_row([
            workload.to_owned(),
            format!("{:.1}", played.own.hits()),
            format!("{:.1}", oracle.hits()),
            format!("{:.3}", played.own.novel_coverage),
            format!("{:.3}", oracle.novel_coverage),
            share,
            shown,
            format!("{:.3}", played.own.wasted_per_request),
        ]);
    }
    let notes = "Cache of 5 % of the keys, waste budget 0.25. New keys: share of the first requests for a key that \
        hit. The oracle prefetches the next key of the same client wherever the workload's rules determine it. \
        Required: 0.85 of what it covers, at a precision of 0.75; aim: 0.95.";
    Report::print("Synthetic workloads", &table, notes);
    noise(replay, &all, requests, report)?;
    Ok(all)
}

/// Measures uniform noise: where nothing can be learnt, nothing should change.
fn noise(replay: &Replay, all: &[Played], requests: usize, report: &mut Report) -> Result<()> {
    let with = &all.iter().find(|played| short(&played.trace) == "noise").context("noise is missing")?.own;
    let name = format!("synthetic:noise?requests={requests}");
    let plain = replay.run(&[&name], "--cache 5% --waste-budget 0", &[])?;
    let without = plain.first().context("noise is missing")?.own.hits();
    let row =
        |measure: &str, value, unit| Row::information(format!("uniform noise: {measure}"), value, unit, Better::Lower);
    let difference = row("hit ratio, distance to no prefetch", (with.hits() - without).abs(), "points").requires(0.2);
    let prefetches = with.prefetches_per_request * with.requests as f64;
    let mut table = rows::table(["uniform noise", "with prefetch", "without", "required", "aim"]);
    table.add_row([
        "hit ratio, %".to_owned(),
        format!("{:.2}", with.hits()),
        format!("{without:.2}"),
        format!("within 0.2: {}", report.add(difference, 2)),
        String::new(),
    ]);
    let waste = report.add(row("waste", with.wasted_per_request, "per request").requires(0.01), 4);
    table.add_row(["waste per request".to_owned(), waste, "0".to_owned(), "0.01".to_owned(), String::new()]);
    let orders = report.add(row("prefetches", prefetches.round(), "").aims(0.0), 0);
    table.add_row(["prefetches".to_owned(), orders, "0".to_owned(), String::new(), "0".to_owned()]);
    Report::print("Uniform noise", &table, "");
    Ok(())
}
