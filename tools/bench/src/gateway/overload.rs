//! A gateway under everything that keeps it from its work: silent crowds, requests that do not end, and three times as many
//! batches as it can answer.

use std::time::Duration;

use anyhow::{Context as _, Result};
use foremap_bench::rows::{self, Better, Row};

use self::survived::Survived;
use super::programs::{Bench, Gateway};
use crate::report::Report;

// The load's own definition of its line: a dependency on the load would build its Redis client for every task.
#[path = "../../load/src/overload/survived.rs"]
mod survived;

/// Longest time that all of it may take.
const PATIENCE: Duration = Duration::from_secs(300);
const MIB: f64 = (1 << 20) as f64;

/// All rows.
pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let gateway = bench.alone("overload")?;
    let survived = survive(bench, &gateway)?;
    crowds(report, &survived);
    flood(report, &survived);
    Ok(())
}

fn survive(bench: &Bench, gateway: &Gateway) -> Result<Survived> {
    let arguments = format!("overload --gateway {} --pid {}", gateway.address, gateway.pid);
    let mut load = bench.load_beside("overload-load", &arguments)?;
    let line = load.wait_for(PATIENCE, |log| {
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().find(|line| line.starts_with('{')).map(ToOwned::to_owned)
    })?;
    serde_json::from_str(&line).with_context(|| line.clone())
}

fn row(measure: &str, value: f64, unit: &'static str) -> Row {
    Row::information(measure, value, unit, Better::Lower)
}

fn crowds(report: &mut Report, survived: &Survived) {
    let mut table = rows::table(["beside", "open", "`/healthz` p99, ms", "batch p99, ms", "over unloaded"]);
    let unloaded = [survived.unloaded_health_p99, survived.unloaded_p99].map(rows::figure);
    table.add_row(["nothing".to_owned(), String::new(), unloaded[0].clone(), unloaded[1].clone(), String::new()]);
    let kinds = [("silent connections", &survived.silent), ("connections that send a byte a second", &survived.slow)];
    for (kind, beside) in kinds {
        let of = |what: &str| format!("{what} beside 10,000 {kind}");
        let health = row(&of("`/healthz` p99"), beside.health_p99, "ms").requires(50.0).aims(10.0);
        let times = row(&of("p99 of a client, over unloaded,"), beside.p99 / survived.unloaded_p99, "times");
        let open = format!("{} to {}", beside.open, beside.open_after);
        let cells = [kind.to_owned(), open, report.add(health, 1), rows::figure(beside.p99)];
        table.add_row(cells.into_iter().chain([report.add(times.requires(3.0).aims(1.5), 2)]));
    }
    let unfinished =
        row("memory for 2,000 unfinished heads and 2,000 unfinished bodies", survived.unfinished_bytes / MIB, "MiB");
    let unfinished = report.add(unfinished.requires(64.0).aims(32.0), 1);
    let notes = format!(
        "A client asks for a batch 200 times a second, and how the node is 100 times. 2,000 heads and 2,000 bodies that do \
         not end, of 390 kB each, and once more as large as they may be, take {unfinished} MiB at most."
    );
    Report::print("Crowds", &table, &notes);
}

fn flood(report: &mut Report, survived: &Survived) {
    let mut table = rows::table(["three times capacity for 60 s", "figure", "unit"]);
    let admitted =
        row("demand p95 of admitted requests, over unloaded,", survived.admitted_p95 / survived.unloaded_p95, "times");
    let shed = Row::information("prefetch shed while demand is", survived.prefetch_shed * 100.0, "%", Better::Higher);
    let memory = 100.0 * (survived.memory_after / survived.memory_before - 1.0);
    let required = [
        (admitted.requires(3.0).aims(1.5), 2),
        (shed.requires(95.0).aims(100.0), 2),
        (row("back to unloaded p95 within", survived.recovered_after_s, "s").requires(5.0).aims(1.0), 1),
        (row("memory over that before", memory, "%").requires(10.0).aims(2.0), 1),
        (row("acknowledged writes lost in all of it", survived.lost as f64, "writes").requires(0.0).aims(0.0), 0),
    ];
    for (row, digits) in required {
        let (measure, unit) = (row.measure.clone(), row.unit.to_owned());
        table.add_row([measure, report.add(row, digits), unit]);
    }
    let told = [
        ("unloaded demand p95", survived.unloaded_p95, "ms"),
        ("demand p95 of admitted requests", survived.admitted_p95, "ms"),
        ("`/healthz` p99 meanwhile", survived.health_p99, "ms"),
        ("capacity", survived.capacity, "batches/s"),
        ("asked for", survived.offered, "batches/s"),
        ("answered", survived.admitted_per_second, "batches/s"),
        ("not sent, as all connections of the load were busy", survived.unsent as f64, "batches"),
        ("demand shed", survived.demand_shed * 100.0, "%"),
        ("time in which demand was shed", survived.shedding as f64 / 10.0, "s"),
        ("writes acknowledged", survived.written as f64, "writes"),
    ];
    for (measure, value, unit) in told {
        table.add_row([measure.to_owned(), rows::figure(value), unit.to_owned()]);
    }
    let notes = "Half of the batches are waited for, half are fetched ahead, each of 256 keys read from the store file. \
                 Whoever measures is a client of its own, on the same processors as the load and the gateway. Back to \
                 unloaded are two halves of a second in a row with a p95 of at most 1.5 times the unloaded one, and none \
                 refused.";
    Report::print("Overload", &table, notes);
}
