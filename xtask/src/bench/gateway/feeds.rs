//! Change feeds.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::coefficients::{Report, costs};
use super::machine::cpu_seconds;
use super::programs::Bench;
use crate::rows;

const FEEDS: usize = 64;
const SECONDS: f64 = 3.0;

#[derive(Deserialize)]
struct Heard {
    events: u64,
    bytes: u64,
}

/// What one event costs the gateway for one subscriber.
pub(super) fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let gateway = bench.alone("feeds")?;
    let put = format!("put --gateway {} --connections 2 --seconds {SECONDS} --keys 1000", gateway.address);
    let before = cpu_seconds(gateway.pid)?;
    let alone = bench.load(&put, &[])?;
    let write = (cpu_seconds(gateway.pid)? - before) / alone.count as f64;

    let listen = format!("feeds --gateway {} --feeds {FEEDS} --seconds {}", gateway.address, SECONDS + 2.0);
    let mut listeners = bench.load_beside("feeds", &listen)?;
    std::thread::sleep(Duration::from_secs(1));
    let before = cpu_seconds(gateway.pid)?;
    let beside = bench.load(&put, &[])?;
    let heard: String = listeners
        .wait_for(Duration::from_secs(30), |log| log.lines().find(|line| line.starts_with('{')).map(str::to_owned))?;
    let heard: Heard = serde_json::from_str(&heard).context("the listeners said something else")?;
    let used = cpu_seconds(gateway.pid)? - before - write * beside.count as f64;
    let event = used.max(0.0) * 1e6 / heard.events as f64;
    let mut table = rows::table(["feeds", "events", "bytes of an event", "gateway CPU per event, us"]);
    let shown = report.learn("event_us", costs("gateway CPU for one change-feed event to one subscriber", event, "us"));
    let bytes = costs("bytes of a change-feed event", heard.bytes as f64 / heard.events as f64, "bytes");
    table.add_row([FEEDS.to_string(), heard.events.to_string(), report.learn("event_bytes", bytes), shown]);
    let notes = format!(
        "{FEEDS} subscribers to one prefix, beside {:.0} writes a second below it. Writes between two polls of the log \
         share an event. What the writes themselves cost was measured without subscribers, and taken off.",
        beside.rate()
    );
    Report::print("Change feed", &table, &notes);
    Ok(())
}
