//! Bytes of the partition map.

use std::collections::BTreeMap;
use std::io::Write as _;

use foremap::key::KeyPrefix;
use foremap::partition::{DEFAULT_PARTITIONS, MapNode, PartitionMap, Portion, Rule, StorageLayout};
use foremap_bench::rows;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::coefficients::{Report, costs};

/// As large as real maps: names of hosts, and prefixes of two components.
fn map(nodes: u32, rules: usize, exceptions: u32) -> PartitionMap {
    let node = |id| MapNode { id, origin: format!("https://gateway-{id:04}.eu-central.example.com"), weight: 1 };
    let mut map = PartitionMap::new(7, DEFAULT_PARTITIONS, StorageLayout::default(), (1..=nodes).map(node).collect());
    let rule = |at: usize| {
        let prefix =
            KeyPrefix::parse(&format!("tenant-{:05}/collection-{}", at.wrapping_mul(7_919) % 100_000, at % 17));
        Some(Rule { prefix: prefix.ok()?, portion: Portion { depth: 3, spread: (at % 4) as u8 } })
    };
    map.rules.extend((0..rules).filter_map(rule));
    map.rules.sort();
    map.rules.dedup();
    // Anywhere, as moves are.
    let draw = |seed: u64, at: u32, below: u32| (xxh3_64_with_seed(&at.to_le_bytes(), seed) % u64::from(below)) as u32;
    let anywhere: BTreeMap<u32, u32> =
        (0..exceptions).map(|at| (draw(1, at, DEFAULT_PARTITIONS), 1 + draw(2, at, nodes))).collect();
    map.exceptions = anywhere.into_iter().collect();
    map
}

/// Bytes that a client has to take over, encoded and compressed as HTTP servers do.
fn brotli(bytes: &[u8]) -> f64 {
    let mut out = Vec::new();
    {
        let mut writer = brotli::CompressorWriter::new(&mut out, 4_096, 5, 22);
        // Writing to a vector cannot fail.
        let _ = writer.write_all(bytes);
    }
    out.len() as f64
}

/// Takes the differences of real maps.
pub(super) fn measure(report: &mut Report) {
    const MANY: u32 = 1_000;
    let sizes = |nodes, rules, exceptions| {
        let map = map(nodes, rules, exceptions);
        let bytes = map.encode();
        (bytes.len() as f64, brotli(&bytes), map.rules.len() + map.exceptions.len())
    };
    let base = sizes(2, 0, 0);
    let nodes = sizes(2 + MANY, 0, 0);
    let rules = sizes(2, MANY as usize, 0);
    let exceptions = sizes(2 + MANY, 0, MANY);
    let mut table = rows::table(["partition map", "bytes", "bytes, brotli"]);
    let many = f64::from(MANY);
    let (rules_count, exceptions_count) = ((rules.2 - base.2) as f64, (exceptions.2 - nodes.2) as f64);
    let parts = [
        ("map_bytes", "map of two nodes", base.0, base.1),
        ("map_node_bytes", "a node", (nodes.0 - base.0) / many, (nodes.1 - base.1) / many),
        ("map_rule_bytes", "a rule", (rules.0 - base.0) / rules_count, (rules.1 - base.1) / rules_count),
        (
            "map_exception_bytes",
            "an exception",
            (exceptions.0 - nodes.0) / exceptions_count,
            (exceptions.1 - nodes.1) / exceptions_count,
        ),
    ];
    for (name, what, plain, packed) in parts {
        let plain = report.learn(name, costs(format!("partition map: {what}"), plain, "bytes"));
        let packed = report.add(costs(format!("partition map: {what}, brotli"), packed, "bytes"));
        table.add_row([what.to_owned(), plain, packed]);
    }
    Report::print(
        "Partition map",
        &table,
        "Differences of maps with and without 1,000 of each, exceptions at partitions and nodes drawn at random; brotli at quality 5.",
    );
}
