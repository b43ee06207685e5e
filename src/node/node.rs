//! [`Node`]: the state of one DHT node.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::feed_table::FeedTable;
use super::hot::HotSet;
use super::maps::{Epochs, Maps};
use super::memory::Memory;
use super::shard::{ChangeSet, LogPage, Shard};
use super::stats::{Counters, NodeStats};
use crate::Millis;
use crate::key::CompositeKey;
use crate::load::{LoadCollector, LoadReport};
use crate::partition::{Location, MapError, NodeId, PartitionMap, xxh3};
use crate::protocol::{
    BatchRequest, ClockReading, Cursor, ErrorCode, MAX_BATCH_KEYS, MAX_CHANGES, MapKnowledge, MapUpdate, Problem,
    ReadPoint, ShardPosition,
};

/// Identity and bounds of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeConfig {
    /// Its id in the map.
    pub id: NodeId,
    /// Most entries in memory.
    pub memory_entries: usize,
    /// Most bytes in memory.
    pub memory_bytes: usize,
    /// Recent changes kept per storage shard, for cursors and for fills.
    pub ring_entries: usize,
    /// Maps kept to base deltas on.
    pub map_history: usize,
    /// Most change feeds.
    pub feeds: usize,
    /// Seed of the in-process tables: differs per process, so that keys cannot be chosen to collide.
    pub seed: u64,
}

impl NodeConfig {
    /// Defaults for node `id`: 64 MiB of memory; 1,024 changes a shard, which also bounds a client's catch-up to a
    /// quarter of an answer; 16 maps, as many as a shifter that acts on every report of 2 s publishes in half a minute;
    /// 16,384 feeds, which is less than a system lets a process have files open.
    pub fn new(id: NodeId, seed: u64) -> Self {
        let (memory_entries, memory_bytes, ring_entries) = (100_000, 64 << 20, 1_024);
        Self { id, memory_entries, memory_bytes, ring_entries, map_history: 16, feeds: FeedTable::MAX, seed }
    }
}

/// One DHT node. See the module for how it is driven.
///
/// Memory is bounded by the configuration: entries and bytes of the memory
/// tier, `shards * ring_entries` recent changes, the map history, the
/// load counters, the hot set and the feeds; [`Node::stats`] shows each fill beside its bound.
pub struct Node {
    pub(super) config: NodeConfig,
    pub(super) maps: Maps,
    pub(super) memory: Memory,
    pub(super) shards: Vec<Shard>,
    pub(super) load: Mutex<LoadCollector>,
    /// Chooses among replicas of keys that it sends on; rises by one with every batch.
    pub(super) salt: AtomicU64,
    pub(super) hot: Mutex<HotSet>,
    pub(super) feeds: FeedTable,
    pub(super) counters: Counters,
}

impl Node {
    /// A node with nothing in memory, which knows no log position yet.
    ///
    /// # Errors
    /// [`MapError::Invalid`] where the map contradicts itself.
    pub fn new(config: NodeConfig, map: Arc<PartitionMap>) -> Result<Self, MapError> {
        map.validate()?;
        let shards: Vec<Shard> = (0..map.storage.shards).map(|_| Shard::new(map.epoch.incarnation)).collect();
        let feeds = FeedTable::new(shards.len(), config.feeds);
        let memory = Memory::new(config.seed, config.memory_entries, config.memory_bytes);
        let load = Mutex::new(LoadCollector::new(map.seeds[1], config.seed, 0));
        let salt = AtomicU64::new(xxh3(config.seed, &config.id.to_le_bytes()));
        let maps = Maps::new(map, config.map_history);
        let (hot, counters) = (Mutex::default(), Counters::default());
        Ok(Self { config, maps, memory, shards, load, salt, hot, feeds, counters })
    }

    /// Its id.
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// The newest map it knows.
    pub fn map(&self) -> Arc<PartitionMap> {
        self.maps.newest().map().clone()
    }

    /// Epoch and content hash of that map.
    pub fn map_knowledge(&self) -> MapKnowledge {
        self.maps.newest().knowledge()
    }

    /// The update that takes a caller with `known` to the newest map; `None` where it has it.
    pub fn map_update(&self, known: Option<MapKnowledge>) -> Option<MapUpdate> {
        self.update_from(&self.maps.newest(), known)
    }

    pub(super) fn update_from(&self, epochs: &Epochs, known: Option<MapKnowledge>) -> Option<MapUpdate> {
        let update = epochs.update(known);
        let maps_full = u64::from(matches!(update, Some(MapUpdate::Full(_))));
        let maps_delta = u64::from(matches!(update, Some(MapUpdate::Delta(_))));
        self.counters.add(&NodeStats { maps_full, maps_delta, ..NodeStats::default() });
        update
    }

    /// Takes over a newer map; `Ok(false)` where it is not newer.
    ///
    /// Entries of partitions it no longer owns stay correct, as it applies every log, and leave by disuse. With a map of
    /// another incarnation the store is another one: nothing of before is told any more.
    ///
    /// # Errors
    /// [`MapError::Invalid`] where the map contradicts itself, or what is fixed at creation differs.
    pub fn publish_map(&self, map: Arc<PartitionMap>) -> Result<bool, MapError> {
        let known = self.map();
        let (before, incarnation) = (known.epoch.incarnation, map.epoch.incarnation);
        map.validate()?;
        if incarnation > before && (map.partitions, map.storage) == (known.partitions, known.storage) {
            // First: an answer that names the new store has nothing of the one before.
            self.shards.iter().for_each(|shard| shard.begin_anew(incarnation));
        }
        let is_newer = self.maps.publish(map)?;
        if is_newer && incarnation != before {
            self.feeds().end_others(incarnation);
        }
        Ok(is_newer)
    }

    /// The place of `key` in the newest map.
    pub fn locate(&self, key: &CompositeKey) -> Location {
        self.maps.newest().placement.locate(key)
    }

    pub(super) fn check(&self, request: &BatchRequest) -> Result<(), Problem> {
        if request.items.len() > MAX_BATCH_KEYS {
            let detail = format!("{} keys in one batch, the limit is {MAX_BATCH_KEYS}", request.items.len());
            return Err(Problem::new(ErrorCode::TooManyKeys, detail).with_limit(MAX_BATCH_KEYS as u64));
        }
        let shards = self.shards.len();
        for (field, cursors) in [("floors", &request.floors), ("cursors", &request.cursors)] {
            if cursors.len() > shards || cursors.iter().any(|c| usize::from(c.shard) >= shards) {
                let detail = format!("`{field}` has one entry per storage shard at most, of {shards} shards");
                return Err(Problem::new(ErrorCode::BadRequest, detail).with_limit(shards as u64));
            }
        }
        Ok(())
    }

    /// A reading of the clock that its times are on. Its id is another one for each seed, and tells nothing about it.
    pub fn clock(&self, now: Millis) -> ClockReading {
        ClockReading { id: xxh3(self.config.seed, b"clock") >> 11, ms: now }
    }

    /// The changes since `cursors`, at most [`MAX_CHANGES`] together. Cursors of unknown shards are left out.
    pub fn changes(&self, now: Millis, cursors: &[Cursor]) -> ChangeSet {
        let mut set = ChangeSet::default();
        for &cursor in cursors {
            let Some(shard) = self.shards.get(usize::from(cursor.shard)) else { continue };
            let room = MAX_CHANGES - set.changes.len();
            shard.changes(now, cursor, room, &mut set);
        }
        self.counters.add(&NodeStats { resets: set.resets.len() as u64, ..NodeStats::default() });
        set
    }

    /// Applies one page of a shard's log, polled at `sent_at`. Pages of a shard may
    /// overlap or arrive late; a gap voids what memory holds of the shard.
    pub fn apply_log(&self, sent_at: Millis, page: &LogPage) {
        self.apply_log_of(self.map_knowledge().epoch.incarnation, sent_at, page);
    }

    /// The same of a page that was asked of the store of `incarnation`: where that is not the one of the newest map, the page
    /// is passed over.
    pub fn apply_log_of(&self, incarnation: u32, sent_at: Millis, page: &LogPage) {
        let Some(shard) = self.shards.get(usize::from(page.shard)) else { return };
        let mut counted = NodeStats::default();
        let gap = shard.apply(incarnation, sent_at, page, self.config.ring_entries, |change| {
            counted.log_entries += 1;
            counted.invalidated += u64::from(self.memory.invalidate(&change.key, change.version));
        });
        counted.log_gaps = u64::from(gap);
        self.counters.add(&counted);
    }

    /// Position and age of every shard, in order of shards.
    pub fn positions(&self, now: Millis) -> Vec<ShardPosition> {
        let shown = |(at, shard): (usize, &Shard)| {
            let point = shard.point();
            ReadPoint { shard: at as u16, position: point.position, age_ms: point.age(now) }
        };
        self.shards.iter().enumerate().map(shown).collect()
    }

    /// Counters and fills. While other threads are at work, each figure is of its own moment.
    pub fn stats(&self) -> NodeStats {
        let load = self.collector().fill();
        let [feeds, feeds_max, feed_shards, feed_shards_max] = self.feeds.fill();
        NodeStats {
            evictions: self.memory.evictions(),
            memory_entries: self.memory.len() as u64,
            memory_entries_max: self.config.memory_entries as u64,
            memory_bytes: self.memory.bytes(),
            memory_bytes_max: self.config.memory_bytes as u64,
            ring_entries: self.shards.iter().map(|s| s.ring_len() as u64).sum(),
            ring_entries_max: (self.config.ring_entries * self.shards.len()) as u64,
            map_history: self.maps.newest().len() as u64,
            map_history_max: self.config.map_history.max(1) as u64,
            load_partitions: load.partitions as u64,
            load_partitions_max: LoadReport::MAX_PARTITIONS as u64,
            load_prefixes: load.prefixes as u64,
            load_prefixes_max: LoadCollector::MAX_PREFIXES as u64,
            load_cells: load.cells as u64,
            load_cells_max: LoadCollector::MAX_CELLS as u64,
            load_keys: load.keys as u64,
            load_keys_max: LoadCollector::MAX_KEYS as u64,
            load_pairs: load.pairs as u64,
            load_pairs_max: LoadCollector::MAX_PAIRS as u64,
            hot_keys: self.hot_set().len() as u64,
            hot_keys_max: HotSet::CAPACITY as u64,
            feeds,
            feeds_max,
            feed_shards,
            feed_shards_max,
            ..self.counters.sums()
        }
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
