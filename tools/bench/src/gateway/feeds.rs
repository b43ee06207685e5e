//! Change feeds: what one costs that nothing happens to, and what a change costs for each who hears of it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use foremap_bench::rows;
use serde::Deserialize;

use super::coefficients::{Report, costs};
use super::machine;
use super::programs::{Bench, Gateway};

/// Feeds that nothing happens to, and the bound of their readers.
const IDLE: usize = 10_000;
const BOUND_MS: u32 = 10_000;
const IDLE_SECONDS: f64 = 20.0;
/// Feeds that hear of every write.
const FEEDS: usize = 64;
const SECONDS: f64 = 4.0;
const ROUNDS: usize = 5;
/// Writes a second: so few that each has a frame of its own, and so many that some share one.
const RATES: [u32; 2] = [20, 1_000];
/// Longest time that listeners may take.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Debug, Clone, Copy, Deserialize)]
struct Heard {
    events: u64,
    changes: u64,
    bytes: u64,
}

/// Result of one round, for one subscriber.
#[derive(Debug, Clone, Copy)]
struct Cost {
    us_per_change: f64,
    us_per_frame: f64,
    bytes_per_change: f64,
    bytes_per_frame: f64,
}

/// Both tables. `against` is a gateway of an earlier build, whose server-sent events are measured in turn with this one's
/// frames; without it, the server-sent events of this build are.
pub(super) fn measure(bench: &Bench, report: &mut Report, against: Option<&Path>) -> Result<()> {
    idle(bench, report)?;
    changes(bench, report, against)
}

fn idle(bench: &Bench, report: &mut Report) -> Result<()> {
    let gateway = bench.alone("idle-feeds")?;
    std::thread::sleep(Duration::from_secs(1));
    let (before, held) = (machine::cpu_with_ended(gateway.pid)?, machine::resident_bytes(gateway.pid)?);
    std::thread::sleep(Duration::from_secs(3));
    let without = (machine::cpu_with_ended(gateway.pid)? - before) / 3.0;
    let seconds = IDLE_SECONDS + 4.0;
    let arguments = format!("--feeds {IDLE} --bound-ms {BOUND_MS} --seconds {seconds}");
    let listeners = listen(bench, &gateway, "idle-feeds-load", &arguments)?;
    std::thread::sleep(Duration::from_secs(2));
    let before = machine::cpu_with_ended(gateway.pid)?;
    std::thread::sleep(Duration::from_secs_f64(IDLE_SECONDS));
    let cpu = (machine::cpu_with_ended(gateway.pid)? - before) / IDLE_SECONDS;
    let bytes = machine::resident_bytes(gateway.pid)?.saturating_sub(held) as f64 / IDLE as f64;
    let heard = listeners.heard()?;
    let measure = |what: &str| format!("{what} of {IDLE} idle change feeds with a bound of {} s", BOUND_MS / 1_000);
    let busy = costs(measure("gateway CPU, % of a core,"), cpu * 100.0, "%").requires(10.0);
    let each = costs(measure("resident memory, for each"), bytes, "bytes").requires(8_192.0);
    let mut table =
        rows::table(["idle feeds", "frames a second", "gateway CPU, % of a core", "resident bytes of each"]);
    let frames = rows::figure(heard.events as f64 / seconds);
    table.add_row([IDLE.to_string(), frames, report.add(busy), report.add(each)]);
    let notes = format!(
        "Each follows the 16 shards of one first component over a connection of its own. Without feeds the gateway takes \
         {:.2} % of a core. What the system holds for connections is not in it.",
        without * 100.0
    );
    Report::print("Idle change feeds", &table, &notes);
    Ok(())
}

fn changes(bench: &Bench, report: &mut Report, against: Option<&Path>) -> Result<()> {
    let peer = if against.is_some() { "the earlier build, events" } else { "this build, events" };
    let mut table = rows::table([
        "64 feeds",
        "writes a second",
        "CPU of a change, us",
        "bytes of it",
        "CPU of a frame, us",
        "bytes of it",
    ]);
    for rate in RATES {
        let (mut frames, mut events) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            events.push(one(bench, against, &format!("events-{rate}-{round}"), rate, true)?);
            frames.push(one(bench, None, &format!("frames-{rate}-{round}"), rate, false)?);
        }
        let (frames, events) = (median(frames)?, median(events)?);
        for (name, cost) in [("frames", frames), (peer, events)] {
            let figures = [cost.us_per_change, cost.bytes_per_change, cost.us_per_frame, cost.bytes_per_frame];
            let figures = figures.map(rows::figure);
            table.add_row([name.to_owned(), rate.to_string()].into_iter().chain(figures));
        }
        let measure = format!("gateway CPU for a change to one of {FEEDS} subscribers at {rate} writes a second");
        report.add(costs(measure.clone(), frames.us_per_change, "us"));
        let ratio = costs(format!("{measure}, over that of {peer}"), frames.us_per_change / events.us_per_change, "");
        // Where each change has a frame of its own, nearly all of it is the system's work to send something at all.
        let ratio = if rate == RATES[1] { ratio.requires(0.2) } else { ratio };
        report.add(ratio);
        report.add(costs(format!("bytes of a change at {rate} writes a second"), frames.bytes_per_change, "bytes"));
        if rate == RATES[0] {
            let event = costs("gateway CPU for one change-feed frame to one subscriber", frames.us_per_frame, "us");
            report.learn("event_us", event);
            report.learn("event_bytes", costs("bytes of a change-feed frame", frames.bytes_per_frame, "bytes"));
        }
    }
    let notes = format!(
        "{FEEDS} subscribers to the 16 shards of one prefix, all of whose keys are written to at a fixed rate. The median of \
         {ROUNDS} rounds, each build in turn. What the writes cost was measured without subscribers, and taken off."
    );
    Report::print("Changes to subscribers", &table, &notes);
    Ok(())
}

/// A difference of two measurements errs to both sides, so the least of them would be the one that erred most.
fn median(mut rounds: Vec<Cost>) -> Result<Cost> {
    rounds.sort_by(|a, b| a.us_per_change.total_cmp(&b.us_per_change));
    rounds.get(rounds.len() / 2).copied().context("there was no round")
}

fn one(bench: &Bench, build: Option<&Path>, name: &str, rate: u32, as_events: bool) -> Result<Cost> {
    let gateway = bench.alone_of(build, name)?;
    let put =
        format!("put --gateway {} --connections 2 --seconds {SECONDS} --keys 1000 --rate {rate}", gateway.address);
    bench.load(&format!("put --gateway {} --connections 2 --seconds 1 --keys 1000", gateway.address), &[])?;
    let before = machine::cpu_with_ended(gateway.pid)?;
    let alone = bench.load(&put, &[])?;
    let write = (machine::cpu_with_ended(gateway.pid)? - before) / alone.count as f64;
    let form = if as_events { "--events" } else { "" };
    let arguments = format!("--feeds {FEEDS} --seconds {} {form}", SECONDS + 1.0);
    let listeners = listen(bench, &gateway, &format!("{name}-load"), &arguments)?;
    let before = machine::cpu_with_ended(gateway.pid)?;
    let beside = bench.load(&put, &[])?;
    let heard = listeners.heard()?;
    let used = machine::cpu_with_ended(gateway.pid)? - before - write * beside.count as f64;
    let us = used.max(0.0) * 1e6;
    let (changes, frames, bytes) = (heard.changes as f64, heard.events as f64, heard.bytes as f64);
    Ok(Cost {
        us_per_change: us / changes,
        us_per_frame: us / frames,
        bytes_per_change: bytes / changes,
        bytes_per_frame: bytes / frames,
    })
}

/// Feeds being listened to, all of which have begun.
struct Listeners(xtask::process::Server);

fn listen(bench: &Bench, gateway: &Gateway, name: &str, arguments: &str) -> Result<Listeners> {
    let mut load = bench.load_beside(name, &format!("feeds --gateway {} {arguments}", gateway.address))?;
    load.wait_for(PATIENCE, |log| log.lines().any(|line| line == "ready").then_some(()))?;
    Ok(Listeners(load))
}

impl Listeners {
    /// Waits for their end.
    fn heard(mut self) -> Result<Heard> {
        let line = |log: &str| log.lines().find(|line| line.starts_with('{')).map(str::to_owned);
        let heard = self.0.wait_for(PATIENCE, line)?;
        serde_json::from_str(&heard).context("the listeners said something else")
    }
}
