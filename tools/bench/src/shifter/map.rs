//! Size of a map, and times of a look-up and of planning.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use foremap::key::KeyPrefix;
use foremap::partition::{MapNode, PartitionMap, Portion, Rule, StorageLayout, xxh3};
use foremap_bench::rows::{self, Better, Row};
use xtask::workspace::Workspace;
use xtask::{build, process};

use super::simulation::{Fleet, Planning, Simulation};
use crate::report::Report;

const PACKAGE: &str = "foremap-timing";
/// Keys that are looked up, and how often all of them are.
const KEYS: u32 = 16_384;
const ROUNDS: usize = 300;

/// 1,000 nodes, 65,536 partitions, 200 rules, 2 % exceptions.
fn large_map() -> Result<PartitionMap> {
    let node = |id| MapNode { id, origin: format!("https://node-{id:04}.example.net"), weight: 1 };
    let mut map = PartitionMap::new(7, 65_536, StorageLayout::default(), (1..=1_000).map(node).collect());
    let random = |n: u32| xxh3(3, &n.to_le_bytes());
    let mut rules: BTreeMap<KeyPrefix, Portion> = BTreeMap::new();
    for n in 0.. {
        if rules.len() == 200 {
            break;
        }
        let prefix = KeyPrefix::parse(&format!("t{:05}/files", random(n) % 20_000))?;
        rules.insert(prefix, Portion { depth: 2, spread: 1 + (n % 10) as u8 });
    }
    map.rules = rules.into_iter().map(|(prefix, portion)| Rule { prefix, portion }).collect();
    for n in 0.. {
        if map.exceptions.len() == 65_536 / 50 {
            break;
        }
        map.exceptions.insert((random(n) >> 20) as u32 % 65_536, 1 + (random(n) >> 40) as u32 % 1_000);
    }
    map.validate()?;
    Ok(map)
}

/// Size of the map and time of a look-up, as WebAssembly in Node.js.
pub(super) fn measure(workspace: &Workspace, report: &mut Report) -> Result<()> {
    let map = Arc::new(large_map()?);
    let folder = tempfile::tempdir()?;
    let (map_file, key_file) = (folder.path().join("map"), folder.path().join("keys"));
    std::fs::write(&map_file, map.encode())?;
    // A third of the keys is below a rule.
    let mut keys = String::new();
    for n in 0..KEYS {
        let random = xxh3(9, &n.to_le_bytes());
        let prefix = if n % 3 == 0 {
            map.rules[random as usize % map.rules.len()].prefix.to_string()
        } else {
            format!("t{:05}/files", random % 20_000)
        };
        writeln!(keys, "{prefix}/o{:03}", random >> 32 & 0xff)?;
    }
    std::fs::write(&key_file, &keys)?;
    let glue = build::wasm_for_node(workspace, PACKAGE)?;
    eprintln!("bench: look-ups as WebAssembly");
    let mut command = build::node(workspace);
    command.arg("tools/bench/timing/locate.mjs").arg(&glue).arg(&map_file).arg(&key_file).arg(ROUNDS.to_string());
    let printed = process::run_quietly(&mut command)?;
    let numbers: Vec<f64> = printed.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    let [core, from_js, compressed] = numbers[..] else { bail!("not three numbers: {printed}") };
    let row = |measure: &str, value, unit| Row::information(measure, value, unit, Better::Lower);
    let mut table =
        rows::table(["map of 1,000 nodes, 65,536 partitions, 200 rules, 2 % exceptions", "", "required", "aim"]);
    let mut line = |name: &str, row: Row, digits| {
        let shown = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let (target, aim) = (shown(row.target), shown(row.aim));
        let value = report.add(row, digits);
        table.add_row([name.to_owned(), value, target, aim]);
    };
    let size = row("map of 1,000 nodes, brotli", compressed / 1_024.0, "KB").requires(20.0).aims(14.0);
    line("brotli, KB", size, 2);
    line("uncompressed, KB", row("map of 1,000 nodes, uncompressed", map.encode().len() as f64 / 1_024.0, "KB"), 2);
    line("look-up in the core, ns, median", row("locate in wasm, core, p50", core, "ns").requires(60.0).aims(40.0), 1);
    let crossing = row("locate from JS in batches of 64, per key", from_js, "ns").requires(150.0).aims(90.0);
    line("from JavaScript in batches of 64, ns a key", crossing, 1);
    let notes = "Keys of three components, a third of them below a rule. In the core: keys are there already, 16,384 in a \
        row. From JavaScript: 64 keys encoded as one text, parsed, placed, partition and node of each handed back.";
    Report::print("Map and look-up", &table, notes);
    Ok(())
}

/// Time to plan.
pub(super) fn planning(simulation: &Simulation, report: &mut Report) -> Result<()> {
    let mut table = rows::table([
        "partitions / nodes",
        "plan after a change, ms",
        "steady, ms",
        "taking in reports, ms",
        "owners, ms",
    ]);
    for (nodes, partitions, required, aim) in [(100, 16_384, 50.0, 10.0), (1_000, 65_536, 500.0, 100.0)] {
        let run: Planning = simulation.run("planning", Fleet { nodes, partitions }, "").context("planning")?;
        let name = format!("planning, {partitions} partitions / {nodes} nodes");
        let row = |measure: &str, value| Row::information(format!("{name}: {measure}"), value, "ms", Better::Lower);
        table.add_row([
            format!("{partitions} / {nodes}"),
            report.add(row("after a change of the hot set", run.first_ms).requires(required).aims(aim), 1),
            report.add(row("steady", run.steady_ms), 1),
            report.add(row("taking in the reports of a round", run.merge_ms), 1),
            report.add(row("owners of all partitions, when nodes change", run.owners_ms), 1),
        ]);
    }
    let notes = "The fastest of seven runs on the same input. Owners by rendezvous are worked out when nodes change, not for a \
        plan.";
    Report::print("Time to plan", &table, notes);
    Ok(())
}
