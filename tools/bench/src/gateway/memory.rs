//! Bytes of a key: in Redis, and in a gateway.

use anyhow::{Context as _, Result};
use foremap_bench::rows;
use foremap_redis_cluster::RedisCluster;

use super::coefficients::{Report, costs};
use super::programs::Bench;

/// Keys of each kind.
const KEYS: usize = 20_000;

/// Bytes of keys and of locators; the second differs from the first in one, the third in the other.
const SHAPES: [(usize, usize); 3] = [(40, 128), (40, 640), (200, 128)];

pub(super) fn measure(bench: &Bench, cluster: &RedisCluster, report: &mut Report) -> Result<()> {
    let gateway = bench.over(cluster, 1)?;
    let mut table = rows::table(["a key", "bytes in Redis", "bytes in a gateway's memory"]);
    let mut redis = Vec::new();
    let mut own = Vec::new();
    for (at, (key, value)) in SHAPES.into_iter().enumerate() {
        let shape = format!("--prefix m{at}x --prefixes 64 --key-bytes {key} --value-bytes {value}");
        let write = format!("fill --gateway {} {shape} --keys {KEYS} --connections 48", gateway.address);
        let used = used_memory(cluster)?;
        bench.load(&write, &[])?;
        let stored = used_memory(cluster)?;
        bench.load(&write, &[])?;
        let (stored, version) = ((stored - used) / KEYS as f64, (used_memory(cluster)? - stored) / KEYS as f64);
        let held = bench.held(&format!("memory {shape}"))?;
        let name = format!("key of {key} bytes, locator of {value}");
        let cells = [
            report.add(costs(format!("{name}: Redis memory"), stored, "bytes")),
            report.add(costs(format!("{name}: gateway memory"), held, "bytes")),
        ];
        table.add_row([vec![name], cells.to_vec()].concat());
        redis.push(stored);
        own.push(held);
        if at == 0 {
            let row = costs("Redis memory of one more version of such a key, its log entry included", version, "bytes");
            let shown = report.add(row);
            table.add_row(["one more version of it".to_owned(), shown, String::new()]);
            let overhead = (version - (key + value) as f64).max(0.0);
            let row = costs("Redis memory of a version over its key and locator", overhead, "bytes");
            report.learn("version_bytes", row);
        }
    }
    let line = |bytes: &[f64]| {
        let per_value = ((bytes[1] - bytes[0]) / (SHAPES[1].1 - SHAPES[0].1) as f64).max(0.0);
        let per_key = ((bytes[2] - bytes[0]) / (SHAPES[2].0 - SHAPES[0].0) as f64).max(0.0);
        let fixed = bytes[0] - per_key * SHAPES[0].0 as f64 - per_value * SHAPES[0].1 as f64;
        [fixed.max(0.0), per_key, per_value]
    };
    let ([fixed, key, value], [own_fixed, own_key, own_value]) = (line(&redis), line(&own));
    report.learn("redis_fixed_bytes", costs("Redis memory of a key, its text and value apart", fixed, "bytes"));
    report.learn("redis_key_factor", costs("Redis memory for each byte of a key", key, "bytes"));
    report.learn("redis_value_factor", costs("Redis memory for each byte of a locator", value, "bytes"));
    report.learn("entry_fixed_bytes", costs("gateway memory of an entry, its text apart", own_fixed, "bytes"));
    report.learn("entry_key_factor", costs("gateway memory for each byte of a key", own_key, "bytes"));
    report.learn("entry_value_factor", costs("gateway memory for each byte of a locator", own_value, "bytes"));
    let notes = format!(
        "{KEYS} keys of each kind below 64 first components, one version each. Redis: `used_memory` of the masters, \
         index and change log included. Gateway: resident memory of a node \
         that is filled with 200,000. A straight line through the three gives \
         {fixed:.0} + {key:.2} x key + {value:.2} x locator in Redis, and \
         {own_fixed:.0} + {own_key:.2} x key + {own_value:.2} x locator in a gateway."
    );
    Report::print("Memory", &table, &notes);
    Ok(())
}

/// Of all masters together.
fn used_memory(cluster: &RedisCluster) -> Result<f64> {
    let mut bytes = 0.0;
    for shard in cluster.shards()? {
        let info: String = cluster.ask(shard.master, &["INFO", "memory"])?;
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("no used_memory")?;
        bytes += line.trim().parse::<f64>()?;
    }
    Ok(bytes)
}
