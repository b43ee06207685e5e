//! Reads of what is in memory, beside Redis.

use anyhow::{Context as _, Result};
use foremap_bench::rows::{self, Better, Row};

use super::coefficients::{Report, costs, reaches};
use super::programs::{Bench, Measured, ROUNDS, quietest};

/// Numbers of connections that ask at once.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// Of a batch: each has a thread of its own.
const CLIENTS: [usize; 3] = [1, 8, 32];
/// Length of a round.
const SECONDS: f64 = 1.0;
/// Keys of a batch.
const KEYS: usize = 64;
/// The clients whose processor time the capacity model takes: busy, and not crowded.
const USUAL_CLIENTS: usize = 8;

/// One key, against GET of the same bytes.
pub(super) fn single(bench: &Bench, report: &mut Report) -> Result<()> {
    let gateway = bench.alone("single")?;
    let redis = bench.redis()?;
    let at = format!("--gateway {}", gateway.address);
    for mode in ["write", "read"] {
        bench.load(&format!("fill {at} --keys 1 --mode {mode}"), &[])?;
    }
    // The value is what the gateway sends: the load program checks its length.
    let key = "bench/".to_owned() + &"0".repeat(34);
    let value = "x".repeat(190);
    xtask::process::run_quietly(std::process::Command::new("redis-cli").args([
        "-p",
        &redis.port.to_string(),
        "SET",
        &key,
        &value,
    ]))?;
    let mut table = rows::table(["read of one key", "p50, us", "p99, us", "per second", "server CPU, us", "p50 ratio"]);
    for connections in CONNECTIONS {
        let mut rounds: [Vec<Measured>; 3] = Default::default();
        let options = format!("--connections {connections} --seconds {SECONDS}");
        for _ in 0..ROUNDS {
            rounds[0].push(bench.load(&format!("get --redis 127.0.0.1:{} {options}", redis.port), &[redis.pid])?);
            rounds[1].push(bench.load(&format!("get {at} {options}"), &[gateway.pid])?);
            rounds[2].push(bench.load(&format!("get {at} --batch {options}"), &[gateway.pid])?);
        }
        let peer = quietest(&rounds[0])?.clone();
        let names = ["Redis GET", "GET /v1/keymap", "batch of one"];
        for (rounds, name) in rounds.iter().zip(names) {
            let name = format!("{name}, {connections} connections");
            let best = quietest(rounds)?;
            let ratio = match name.starts_with("Redis") {
                true => String::new(),
                false => {
                    let row = Row::information(
                        format!("{name}: p50 as a multiple of a direct Redis GET"),
                        best.p50_us / peer.p50_us,
                        "x",
                        Better::Lower,
                    );
                    report.add(row.requires(2.0).aims(1.3))
                }
            };
            let cells = figures(report, &name, best);
            table.add_row([vec![name.clone()], cells, vec![ratio]].concat());
        }
    }
    let url = format!("http://{}/v1/keymap?key={key}", gateway.address);
    let wrk = bench.wrk(&url, 64, 2.0)?;
    report.add(reaches("wrk: GET /v1/keymap, 1 thread, 64 connections", wrk.rate(), "per second"));
    let peer = redis_benchmark(redis.port, &key)?;
    report.add(reaches("redis-benchmark: GET, 64 connections", peer, "per second"));
    let notes = format!(
        "The same loop asks both, all connections on one thread, {ROUNDS} rounds of {SECONDS} s in turn, of each the \
         quietest. Key of 40 bytes, keymap of 190 bytes in binary form, in the gateway's memory. Required: 2, aim: 1.3. \
         With the usual tools, 64 connections: wrk {:.0} a second (p50 {:.0} us, corrected for omission), \
         redis-benchmark {peer:.0} a second.",
        wrk.rate(),
        wrk.p50_us,
    );
    Report::print("Single-key bounded read", &table, &notes);
    Ok(())
}

fn redis_benchmark(port: u16, key: &str) -> Result<f64> {
    let mut command = std::process::Command::new("redis-benchmark");
    command.args(["-p", &port.to_string(), "-c", "64", "-n", "200000", "--csv", "GET", key]);
    let output = xtask::process::run_quietly(&mut command)?;
    let cell = output.lines().last().and_then(|line| line.split("\",\"").nth(1));
    cell.and_then(|cell| cell.parse().ok()).with_context(|| format!("redis-benchmark said: {output}"))
}

fn figures(report: &mut Report, name: &str, measured: &Measured) -> Vec<String> {
    vec![
        report.add(costs(format!("{name}: p50"), measured.p50_us, "us")),
        report.add(costs(format!("{name}: p99"), measured.p99_us, "us")),
        report.add(reaches(format!("{name}: throughput"), measured.rate(), "per second")),
        report.add(costs(format!("{name}: server CPU"), measured.server_us(), "us")),
    ]
}

/// 64 keys below one prefix, against 64 GETs pipelined through a client of a Redis Cluster.
pub(super) fn batches(bench: &Bench, report: &mut Report) -> Result<()> {
    let gateway = bench.alone("batches")?;
    let at = format!("--gateway {}", gateway.address);
    for mode in ["write", "read"] {
        bench.load(&format!("fill {at} --keys {KEYS} --mode {mode}"), &[])?;
    }
    let cluster = bench.cluster(0)?;
    let servers: Vec<u32> = cluster.pids().into_iter().flatten().collect();
    let redis = format!("--redis {}", cluster.addresses()[0]);
    bench.load(&format!("fill {redis} --keys {KEYS}"), &[])?;
    let header = ["64 keys of one prefix", "p50, us", "p99, us", "per second", "server CPU, us", "all CPU, us"];
    let mut table = rows::table(header.into_iter().chain(["p50 ratio", "CPU ratio"]));
    for clients in CLIENTS {
        let mut rounds: [Vec<Measured>; 3] = Default::default();
        let options = format!("--connections {clients} --seconds {SECONDS}");
        for _ in 0..ROUNDS {
            rounds[0].push(bench.load(&format!("pipeline {redis} --keys {KEYS} {options}"), &servers)?);
            rounds[1].push(bench.load(&format!("batch {at} --keys {KEYS} {options}"), &[gateway.pid])?);
            rounds[2].push(bench.load(&format!("batch {at} --keys 1 {options}"), &[gateway.pid])?);
        }
        let peer = quietest(&rounds[0])?.clone();
        let best = quietest(&rounds[1])?.clone();
        for (name, measured) in [("64 GETs pipelined through a Redis Cluster client", &peer), ("batch of 64", &best)] {
            let name = format!("{name}, {clients} clients");
            let mut cells = figures(report, &name, measured);
            cells.push(report.add(costs(format!("{name}: CPU of servers and client"), measured.all_us(), "us")));
            if measured.count == best.count {
                let ratio = |what: &str, value| {
                    let measure = format!("{name}: {what} as a multiple of 64 GETs pipelined to a Redis Cluster");
                    Row::information(measure, value, "x", Better::Lower)
                };
                cells.push(report.add(ratio("p50", best.p50_us / peer.p50_us).requires(1.0)));
                cells.push(report.add(ratio("CPU of servers and client", best.all_us() / peer.all_us()).requires(1.0)));
            } else {
                cells.extend([String::new(), String::new()]);
            }
            table.add_row([vec![name], cells].concat());
        }
        if clients == USUAL_CLIENTS {
            let one = quietest(&rounds[2])?.server_us();
            let each = (best.server_us() - one) / (KEYS - 1) as f64;
            report.learn("batch_us", costs("gateway CPU for a batch of one key from memory", one, "us"));
            report.learn("key_us", costs("gateway CPU for each further key of a batch", each, "us"));
            let keys = KEYS as f64 * 1e6 / best.server_us();
            report.add(reaches("keys read in batches of 64, per second and core of a gateway", keys, "per second"));
        }
    }
    let notes = format!(
        "Every client is a thread with connections of its own, {ROUNDS} rounds of {SECONDS} s in turn, of each the \
         quietest. Three masters; the GETs go to each master as one pipeline, all are sent before the first answer is \
         read. The batch's answer is decoded, the values of the GETs are not. Required: 1."
    );
    Report::print("Batch of 64 clustered keys", &table, &notes);
    Ok(())
}
