//! Memory that an entry takes in a node.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use foremap::node::{LogPage, Node, NodeConfig, StoreAnswer};
use foremap::partition::{DEFAULT_PARTITIONS, MapNode, PartitionMap, StorageLayout};
use foremap::protocol::{BatchItem, BatchRequest, Class, Keymap, MAX_BATCH_KEYS};
use serde::Serialize;

use crate::keys::Shape;

/// A node of its own, filled as a gateway fills it, without anything around it that takes memory too.
#[derive(clap::Args)]
pub(crate) struct Memory {
    /// Number of keys
    #[arg(long, default_value_t = 200_000)]
    keys: usize,
    #[command(flatten)]
    shape: Shape,
}

/// Memory that an entry takes.
#[derive(Serialize)]
pub(crate) struct Held {
    bytes: f64,
}

impl Memory {
    /// Resident memory of this process is looked at twice: with a tenth of the entries, when tables and buffers have
    /// grown that do not grow with them, and with all.
    pub(crate) fn run(&self) -> Result<Held> {
        let node = self.node()?;
        let first = self.keys / 10;
        self.fill(&node, 0, first)?;
        let before = resident_bytes()?;
        self.fill(&node, first, self.keys)?;
        let held = node.stats().memory_entries;
        ensure!(held == self.keys as u64, "the node holds {held} of {} entries", self.keys);
        Ok(Held { bytes: (resident_bytes()? - before) / (self.keys - first) as f64 })
    }

    fn node(&self) -> Result<Node> {
        let nodes = vec![MapNode { id: 1, origin: "http://localhost".to_owned(), weight: 1 }];
        let map = PartitionMap::new(7, DEFAULT_PARTITIONS, StorageLayout::default(), nodes);
        let room = self.keys * 2;
        let config = NodeConfig { memory_entries: room, memory_bytes: room * 8_192, ..NodeConfig::new(1, 7) };
        let shards = map.storage.shards;
        let node = Node::new(config, Arc::new(map)).map_err(|error| anyhow!("the map: {error:?}"))?;
        for shard in 0..shards {
            node.apply_log(0, &LogPage { shard, complete: true, ..LogPage::default() });
        }
        Ok(node)
    }

    fn fill(&self, node: &Node, from: usize, to: usize) -> Result<()> {
        for from in (from..to).step_by(MAX_BATCH_KEYS) {
            let numbers = from..to.min(from + MAX_BATCH_KEYS);
            let item = |at| Ok(BatchItem { key: self.shape.key(at)?, if_version: None, class: Class::Demand });
            let items = numbers.clone().map(item).collect::<Result<_>>()?;
            let request = BatchRequest { items, ..BatchRequest::default() };
            let mut pending = node.begin(0, &request).map_err(|problem| anyhow!("{problem:?}"))?;
            let reads = pending.take_reads();
            // Through the binary form, as a store hands it out: nothing is larger than it has to be.
            let answer = |at| {
                let value = Keymap::decode(&self.shape.value(at)?).ok();
                anyhow::Ok(Ok(StoreAnswer { value, position: 0 }))
            };
            let answers = numbers.map(answer).collect::<Result<_>>()?;
            node.finish_store(0, &mut pending, reads, 0, answers);
        }
        Ok(())
    }
}

fn resident_bytes() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1_024.0)
}
