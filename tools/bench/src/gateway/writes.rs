//! Writes with the fence.

use anyhow::Result;
use foremap_bench::rows;
use foremap_redis_cluster::RedisCluster;

use super::coefficients::{Report, costs, reaches};
use super::programs::{Bench, Measured, ROUNDS, quietest};

const CONNECTIONS: [usize; 2] = [1, 32];
const SECONDS: f64 = 2.0;

/// Process ids of masters, or of replicas.
pub(super) fn servers(cluster: &RedisCluster, masters: bool) -> Result<Vec<u32>> {
    let shards = cluster.shards()?;
    let pids = cluster.pids();
    let numbers = shards.iter().flat_map(|shard| match masters {
        true => vec![shard.master],
        false => shard.replicas.clone(),
    });
    Ok(numbers.filter_map(|number| pids[number]).collect())
}

/// Acknowledged by a master and all its replicas.
pub(super) fn measure(bench: &Bench, cluster: &RedisCluster, replicas: usize, report: &mut Report) -> Result<()> {
    let gateway = bench.over(cluster, replicas)?;
    let masters = servers(cluster, true)?;
    let mut table = rows::table(["write", "p50, us", "p99, us", "per second", "gateway CPU, us", "masters CPU, us"]);
    for connections in CONNECTIONS {
        let mut rounds: Vec<(Measured, f64)> = Vec::new();
        for _ in 0..ROUNDS {
            let before = super::machine::cpu_seconds(gateway.pid)?;
            let arguments = format!(
                "put --gateway {} --connections {connections} --seconds {SECONDS} --prefixes 256",
                gateway.address
            );
            let measured = bench.load(&arguments, &masters)?;
            let own = super::machine::cpu_seconds(gateway.pid)? - before;
            let us = own * 1e6 / measured.count as f64;
            rounds.push((measured, us));
        }
        let all: Vec<Measured> = rounds.iter().map(|(measured, _)| measured.clone()).collect();
        let best = quietest(&all)?;
        let us = rounds.iter().find(|(m, _)| m.p50_us == best.p50_us).map_or(0.0, |(_, us)| *us);
        let name = format!("write, 3 masters with {replicas} replicas each, {connections} at once");
        let mut cells = vec![
            report.add(costs(format!("{name}: p50"), best.p50_us, "us")),
            report.add(costs(format!("{name}: p99"), best.p99_us, "us")),
            report.add(reaches(format!("{name}: throughput"), best.rate(), "per second")),
        ];
        let own = costs(format!("{name}: gateway CPU"), us, "us");
        let store = costs(format!("{name}: CPU of the masters"), best.server_us(), "us");
        if replicas == 1 && connections == 32 {
            cells.push(report.learn("write_us", own));
            cells.push(report.learn("master_write_us", store));
        } else {
            cells.push(report.add(own));
            cells.push(report.add(store));
        }
        table.add_row([vec![format!("{connections} at once")], cells].concat());
    }
    let notes = format!(
        "PUT of keymaps with 128-byte locators to 10,000 keys below 256 first components, one gateway, {ROUNDS} rounds \
         of {SECONDS} s, of which the quietest. Acknowledged means: by the master and all {replicas} of its replicas, \
         append-only file synced once a second."
    );
    Report::print(&format!("Writes with the fence, 3 masters with {replicas} replicas each"), &table, &notes);
    Ok(())
}
