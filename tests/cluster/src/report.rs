//! Lines and tables that are printed, and the file that is written.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, Table};
use foremap_check::Time;
use serde::Serialize;

use crate::clock::seconds;
use crate::outage::median;
use crate::round::RoundReport;

/// Time within which bounded reads must be back after a gateway's death, in milliseconds.
const RECOVERY_MS: f64 = 1_000.0;

/// One figure, in the form of every measurement of this repository.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) measure: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) target: Option<f64>,
    pub(crate) aim: Option<f64>,
    pub(crate) better: &'static str,
    pub(crate) met: bool,
}

impl Row {
    fn new(measure: &str, value: f64, unit: &'static str, better: &'static str) -> Self {
        Self { measure: measure.to_owned(), value, unit, target: None, aim: None, better, met: true }
    }

    fn at_most(self, target: f64) -> Self {
        Self { met: self.value <= target, target: Some(target), ..self }
    }
}

/// Standard output.
pub(crate) struct Printer;

impl Printer {
    pub(crate) fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // A reader that went away is no reason to stop.
        drop(writeln!(out, "{text}"));
        drop(out.flush());
    }
}

fn milliseconds(span: Time) -> f64 {
    span as f64 / 1_000.0
}

/// One round in one line.
pub(crate) fn line(report: &RoundReport) -> String {
    let sum = &report.summary;
    let [bounded, strong, write] = report.unavailable.map(seconds);
    let spans = |name: &str, spans: &[Time]| {
        let shown: Vec<String> = spans.iter().map(|&span| format!("{:.0}", milliseconds(span))).collect();
        if shown.is_empty() { String::new() } else { format!("; {name} {} ms", shown.join(", ")) }
    };
    format!(
        "seed {} (R={}, {}): {}: {} ops, {} acknowledged, {} refused, {} unknown, {} not done; {} calls failed; \
         unavailable s: bounded {bounded:.1}, strong {strong:.1}, write {write:.1}{}{}{}{}; \
         feed: {} changes, {} resumed, {} resets; {:.1} s faults, {:.1} s healing, {:.1} s ends",
        report.seed,
        report.replicas,
        if report.is_durable { "durable" } else { "replicated" },
        report.faults,
        report.operations,
        sum.acknowledged,
        sum.conflicts,
        sum.unknown,
        sum.failed,
        report.failed,
        spans("longest read after death", &report.killed),
        spans("after pause", &report.paused),
        spans("longest strong read while slots moved", &report.moved[0]),
        spans("longest write", &report.moved[1]),
        report.feed_changes,
        report.feed_resumed,
        report.feed_resets,
        report.seconds[0],
        report.seconds[1],
        report.seconds[2],
    )
}

/// The figures of all rounds.
pub(crate) fn rows(reports: &[RoundReport], starting: f64) -> Vec<Row> {
    let total = |figure: fn(&RoundReport) -> usize| reports.iter().map(figure).sum::<usize>() as f64;
    let count = |measure, figure| Row::new(measure, total(figure), "", "higher");
    let mut rows = vec![
        count("rounds without a broken promise", |_| 1),
        count("operations", |report| report.operations),
        count("acknowledged writes, none lost", |report| report.summary.acknowledged),
        count("strong reads, none stale", |report| report.summary.strong),
        count("bounded reads, none over their bound", |report| report.summary.bounded),
        Row::new("writes of unknown outcome", total(|report| report.summary.unknown), "", "lower"),
        count("changes told by feeds", |report| report.feed_changes),
        count("feeds resumed at another gateway", |report| report.feed_resumed),
        Row::new("shards reset in feeds", total(|report| report.feed_resets), "", "lower"),
    ];
    if reports.iter().any(|report| report.rolling) {
        let failed = reports.iter().filter(|report| report.rolling).map(|report| report.failed).sum::<usize>();
        rows.push(Row::new("failed calls in rolling restarts", failed as f64, "", "lower").at_most(0.0));
    }
    let worst = |spans: fn(&RoundReport) -> &Vec<Time>| -> Vec<Time> {
        reports.iter().filter_map(|report| spans(report).iter().max().copied()).collect()
    };
    let (killed, paused) = (worst(|report| &report.killed), worst(|report| &report.paused));
    let figure = |name: &str, value: Time| Row::new(name, milliseconds(value), "ms", "lower");
    if let (Some(median), Some(&worst)) = (median(killed.clone()), killed.iter().max()) {
        let name = "longest bounded read after a gateway's death";
        rows.push(figure(&format!("{name}, median of rounds"), median).at_most(RECOVERY_MS));
        rows.push(figure(&format!("{name}, worst round"), worst));
    }
    if let (Some(median), Some(&worst)) = (median(paused.clone()), paused.iter().max()) {
        let name = "longest bounded read after a gateway froze";
        rows.push(figure(&format!("{name}, median of rounds"), median));
        rows.push(figure(&format!("{name}, worst round"), worst));
    }
    for (nth, name) in ["strong read", "write"].into_iter().enumerate() {
        let spans = reports.iter().flat_map(|report| report.moved[nth].iter().copied());
        if let Some(longest) = spans.max() {
            rows.push(figure(&format!("longest {name} while slots moved, worst round"), longest));
        }
    }
    let mean = |nth: usize| reports.iter().map(|report| report.seconds[nth]).sum::<f64>() / reports.len().max(1) as f64;
    rows.push(Row::new("starting fleets, in all", starting, "s", "lower"));
    rows.push(Row::new("faults, per round", mean(0), "s", "lower"));
    rows.push(Row::new("healing, per round", mean(1), "s", "lower"));
    rows.push(Row::new("reading and checking the ends, per round", mean(2), "s", "lower"));
    rows
}

/// The same as a table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN).set_header(["measure", "value", "unit", "target", "met"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for row in rows {
        let met = match (row.target, row.met) {
            (None, _) => "",
            (Some(_), true) => "yes",
            (Some(_), false) => "NO",
        };
        let digits = usize::from(row.value.fract() != 0.0 && row.value < 100.0);
        let target = row.target.map_or_else(String::new, |target| format!("{target}"));
        table.add_row([row.measure.clone(), format!("{:.digits$}", row.value), row.unit.into(), target, met.into()]);
    }
    table.to_string()
}

/// Writes rows as a JSON array.
pub(crate) fn write_json(rows: &[Row], path: &Path) -> Result<()> {
    let mut text = serde_json::to_string_pretty(rows)?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
