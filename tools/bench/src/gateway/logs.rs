//! Following the change logs: at rest, beside a writer, and after a pause.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use foremap_bench::rows;
use foremap_redis_cluster::RedisCluster;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::coefficients::{Report, costs, reaches};
use super::machine::{cpu_of, cpu_seconds};
use super::programs::{Bench, Gateway, ROUNDS};
use super::writes::servers;

/// Time that something at rest is watched.
const REST: Duration = Duration::from_secs(5);
/// Entries that a gateway that was paused finds.
const BACKLOG: u64 = 50_000;
/// Longest time that it may take to apply them.
const PATIENCE: Duration = Duration::from_secs(60);
const LOG_ENTRIES: &str = "foremap_log_entries_total";

/// Cost of polling where nothing is written.
pub(super) fn idle(bench: &Bench, cluster: &RedisCluster, report: &mut Report) -> Result<()> {
    let masters = servers(cluster, true)?;
    let share = |pids: &[u32]| -> Result<f64> {
        let before = cpu_of(pids)?;
        let begun = Instant::now();
        std::thread::sleep(REST);
        Ok((cpu_of(pids)? - before) / begun.elapsed().as_secs_f64() / pids.len() as f64)
    };
    let without = share(&masters)?;
    let gateways = [bench.over(cluster, 1)?, bench.over(cluster, 1)?];
    std::thread::sleep(Duration::from_secs(1));
    let own = share(&[gateways[0].pid, gateways[1].pid])?;
    let with = share(&masters)?;
    let mut table = rows::table(["at rest", "share of a core, %"]);
    let mut row = |name: &'static str, measure: &str, value: f64, report: &mut Report| {
        let shown = report.learn(name, costs(measure, value * 100.0, "% of a core"));
        table.add_row([measure.to_owned(), shown]);
    };
    let masters = masters.len() as f64;
    row("idle_gateway", "idle gateway, for each master it polls", own / masters, report);
    row("idle_master", "idle master, for each gateway that polls it", (with - without) / 2.0, report);
    let notes = format!("Three masters with a replica each, two gateways, {} s without requests.", REST.as_secs());
    Report::print("Idle polling", &table, &notes);
    Ok(())
}

/// Three gateways: one writes, the others follow.
pub(super) fn follow(bench: &Bench, cluster: &RedisCluster, report: &mut Report) -> Result<()> {
    let writer = bench.over(cluster, 1)?;
    let mut reader = bench.over(cluster, 1)?;
    let another = bench.over(cluster, 1)?;
    let masters = servers(cluster, true)?;
    let mut table = rows::table(["following the logs", "entries per second", "CPU per entry, us"]);

    let (before, own) = (reader.metric(LOG_ENTRIES)?, cpu_seconds(reader.pid)?);
    let arguments = format!("put --gateway {} --connections 32 --seconds 4 --prefixes 256", writer.address);
    let written = bench.load(&arguments, &masters)?;
    let own = cpu_seconds(reader.pid)? - own;
    let entries = reader.metric(LOG_ENTRIES)? - before;
    ensure!(entries > 0.0, "the second gateway saw none of {} writes", written.count);
    let idle = report.known("idle_gateway")? / 100.0 * masters.len() as f64 * written.seconds;
    let steady = (own - idle).max(0.0) * 1e6 / entries;
    let rate = reaches("log entries followed beside a writer", entries / written.seconds, "per second");
    let cost = costs("gateway CPU for each log entry it follows, beside a writer", steady, "us");
    table.add_row(["beside a writer".to_owned(), report.add(rate), report.learn("tail_us", cost)]);

    let further = further(bench, &writer, &[reader.pid, another.pid], &masters)?;
    let further = costs("CPU of the masters for each log entry and further gateway that follows", further, "us");
    let further = report.learn("master_tail_us", further);
    drop(another);

    let (rate, cost) = backlog(bench, &writer, &mut reader)?;
    let rate = reaches("log entries of a backlog that one process applies", rate, "per second");
    let cost = costs("gateway CPU for each log entry of a backlog", cost, "us");
    table.add_row(["a backlog".to_owned(), report.learn("tail_rate", rate), report.add(cost)]);

    let store = strong(bench, &writer, &masters, report)?;
    let notes = format!(
        "One gateway takes 32 writes at once, two others follow: {further} us of the masters for each entry and each of \
         them. For the backlog one is stopped while {BACKLOG} entries are written, and let go. {store}"
    );
    Report::print("Change logs", &table, &notes);
    Ok(())
}

/// Time that the masters spend on an entry for each of `followers`: with them, less without them while they are stopped.
fn further(bench: &Bench, writer: &Gateway, followers: &[u32], masters: &[u32]) -> Result<f64> {
    let arguments = format!("put --gateway {} --connections 32 --seconds 1.5 --prefixes 256", writer.address);
    let each = |sign| -> Result<f64> {
        followers.iter().try_for_each(|&pid| signal(pid, sign))?;
        let written = bench.load(&arguments, masters);
        // Whatever happened: one that is stopped would not end.
        followers.iter().try_for_each(|&pid| signal(pid, Signal::SIGCONT))?;
        Ok(written?.server_us())
    };
    let mut sum = 0.0;
    for _ in 0..ROUNDS {
        sum += each(Signal::SIGCONT)? - each(Signal::SIGSTOP)?;
    }
    Ok((sum / ROUNDS as f64 / followers.len() as f64).max(0.0))
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid).context("process id out of range")?);
    kill(pid, signal).with_context(|| format!("cannot send {signal}"))
}

/// Entries a second, and microseconds of processor time for each.
fn backlog(bench: &Bench, writer: &Gateway, reader: &mut Gateway) -> Result<(f64, f64)> {
    let before = reader.metric(LOG_ENTRIES)?;
    signal(reader.pid, Signal::SIGSTOP)?;
    let arguments =
        format!("fill --gateway {} --keys {BACKLOG} --connections 48 --prefix log --prefixes 256", writer.address);
    let filled = bench.load(&arguments, &[]);
    let own = cpu_seconds(reader.pid)?;
    signal(reader.pid, Signal::SIGCONT)?;
    filled?;
    let begun = Instant::now();
    while reader.metric(LOG_ENTRIES)? - before < BACKLOG as f64 {
        ensure!(begun.elapsed() < PATIENCE, "the backlog was not applied within {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(5));
    }
    let seconds = begun.elapsed().as_secs_f64();
    Ok((BACKLOG as f64 / seconds, (cpu_seconds(reader.pid)? - own) * 1e6 / BACKLOG as f64))
}

/// Cost of a key that is read from the store, over one from memory.
fn strong(bench: &Bench, gateway: &Gateway, masters: &[u32], report: &mut Report) -> Result<String> {
    const KEYS: f64 = 64.0;
    let at = format!("--gateway {} --keys 64 --connections 8 --seconds 2", gateway.address);
    bench.load(&format!("fill --gateway {} --keys 64", gateway.address), &[])?;
    let own = cpu_seconds(gateway.pid)?;
    let measured = bench.load(&format!("batch {at} --strong"), masters)?;
    let own = (cpu_seconds(gateway.pid)? - own) * 1e6 / measured.count as f64;
    let memory = report.known("batch_us")? + (KEYS - 1.0) * report.known("key_us")?;
    let miss = costs("gateway CPU for a key read from the store, over one from memory", (own - memory) / KEYS, "us");
    let read = costs("CPU of the masters for a key read from the store", measured.server_us() / KEYS, "us");
    let (miss, read) = (report.learn("miss_us", miss), report.learn("master_read_us", read));
    Ok(format!(
        "A key read from the store through the fence, in batches of 64: {miss} us of the gateway over one from memory, \
         {read} us of the masters."
    ))
}
