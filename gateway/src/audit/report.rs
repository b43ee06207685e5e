//! Printed report of an audit, and its JSON form.

use serde_json::{Value, json};

use super::options::AuditPlan;
use super::tally::{PathTally, Quantiles};

/// The tables, and what was found.
pub(super) fn text(plan: &AuditPlan, tallies: &[PathTally], left: &[String]) -> String {
    let mut text = format!("{}\n\n{}\n", staleness(tallies), verdicts(tallies));
    text += &format!(
        "\nIn milliseconds. True staleness is the time for which a version was committed that an answer misses: at least that \
         long when it was asked for, at most that long when it was there. A lie misses one for longer than it claims to be \
         old; broken is what misses one for longer than {} ms. Time counts on this machine's clock, and that of the request \
         in favour of who answers.\n",
        plan.bound_ms
    );
    for example in tallies.iter().flat_map(|tally| &tally.examples) {
        text += &format!("FOUND {example}\n");
    }
    for tally in tallies.iter().filter(|tally| tally.failed + tally.skipped > 0) {
        let last = tally.last_failure.as_deref().unwrap_or("none failed");
        text += &format!("{}: {} failed, {} not sent; last: {last}\n", tally.name, tally.failed, tally.skipped);
    }
    for left in left {
        text += &format!("{left}\n");
    }
    text
}

/// Rows of Markdown under a header; columns are to the right from `right` on.
fn table<const N: usize>(header: [&str; N], rows: &[[String; N]], right: usize) -> String {
    let long = |text: &str| text.chars().count();
    let widths: [usize; N] = std::array::from_fn(|at| {
        rows.iter().map(|row| long(&row[at])).chain([long(header[at])]).max().unwrap_or_default()
    });
    let line = |cells: [&str; N]| {
        let cells = cells.iter().zip(widths).enumerate();
        let padded = cells.map(|(at, (cell, width))| match at < right {
            true => format!(" {cell:width$} |"),
            false => format!(" {cell:>width$} |"),
        });
        format!("|{}", padded.collect::<String>())
    };
    let rule = format!("|{}", widths.map(|width| "-".repeat(width + 2) + "|").concat());
    let rows = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    [line(header), rule].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

fn staleness(tallies: &[PathTally]) -> String {
    let mut lines = Vec::new();
    for tally in tallies {
        for (at, (name, Quantiles { p50, p90, p99, p999, max })) in rows(tally).into_iter().enumerate() {
            let path = if at == 0 { tally.name.clone() } else { String::new() };
            let [p50, p90, p99, p999, max] = [p50, p90, p99, p999, max].map(|ms| format!("{ms:.1}"));
            lines.push([path, name.to_owned(), p50, p90, p99, p999, max]);
        }
    }
    table(["path", "", "p50", "p90", "p99", "p99.9", "max"], &lines, 2)
}

fn rows(tally: &PathTally) -> Vec<(&'static str, Quantiles)> {
    let at_least = ("true staleness, at least", tally.at_least.quantiles());
    let claimed = ("claimed age", tally.claimed.quantiles());
    match tally.is_feed {
        true => vec![("write to frame", tally.delay.quantiles()), at_least, claimed],
        false => vec![at_least, ("true staleness, at most", tally.at_most.quantiles()), claimed],
    }
}

fn verdicts(tallies: &[PathTally]) -> String {
    let line = |tally: &PathTally| {
        let within = tally.within().map_or_else(|| "-".into(), |(good, all)| nines(good, all));
        let [judged, stale, lies, broken] =
            [tally.judged, tally.stale, tally.lies, tally.broken].map(|number| number.to_string());
        [tally.name.clone(), judged, stale, within, lies, broken]
    };
    let lines: Vec<_> = tallies.iter().map(line).collect();
    table(["path", "judged", "stale", "within the bound", "lies", "broken"], &lines, 1)
}

/// `good` of `all` in percent, with so many digits that it only reads 100 where all are; never more than was measured.
pub(super) fn nines(good: u64, all: u64) -> String {
    if good == all {
        return format!("100 % of {all}");
    }
    // One in `all` is the least that can show.
    let digits = all.max(100).ilog10() - 1;
    let scale = 10_u128.pow(digits);
    let percent = u128::from(good) * 100 * scale / u128::from(all);
    format!("{}.{:0width$} % of {all}", percent / scale, percent % scale, width = digits as usize)
}

/// The JSON form.
pub(super) fn json(plan: &AuditPlan, tallies: &[PathTally], left: &[String]) -> Value {
    let path = |tally: &PathTally| {
        let within = tally.within().map(|(good, all)| good as f64 / all as f64);
        json!({
            "path": tally.name,
            "kind": if tally.is_feed { "feed" } else { "reads" },
            "judged": tally.judged,
            "stale": tally.stale,
            "lies": tally.lies,
            "broken": tally.broken,
            "within_bound": within,
            "failed": tally.failed,
            "last_failure": tally.last_failure,
            "not_sent": tally.skipped,
            "gaps": tally.gaps,
            "changes": tally.changes,
            "write_to_frame_ms": tally.is_feed.then(|| tally.delay.quantiles()),
            "true_staleness_at_least_ms": tally.at_least.quantiles(),
            "true_staleness_at_most_ms": (!tally.is_feed).then(|| tally.at_most.quantiles()),
            "claimed_age_ms": tally.claimed.quantiles(),
            "examples": tally.examples,
        })
    };
    json!({
        "bound_ms": plan.bound_ms,
        "duration_s": plan.duration.as_secs(),
        "rate": plan.rate,
        "lies": tallies.iter().map(|tally| tally.lies).sum::<u64>(),
        "broken": tallies.iter().map(|tally| tally.broken).sum::<u64>(),
        "paths": tallies.iter().map(path).collect::<Vec<_>>(),
        "notes": left,
    })
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
