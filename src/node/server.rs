//! [`Node`]: the state of one DHT node and the steps of a batch through it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::load::{LoadCounters, LoadReport};
use super::maps::Maps;
use super::memory::{Entry, Memory};
use super::pending::{Age, Done, Forward, Pending, ReadTicket, Slot, Source, State, StoreAnswer, StoreFailure};
use super::shard::{ChangeSet, LogPage, Shard};
use super::stats::NodeStats;
use crate::Millis;
use crate::key::CompositeKey;
use crate::partition::{Location, MapError, NodeId, PartitionMap};
use crate::protocol::{
    BatchItem, BatchRequest, BatchResponse, Class, Consistency, Cursor, ErrorCode, ItemResult, MAX_BATCH_KEYS,
    MAX_CHANGES, MapKnowledge, MapUpdate, Outcome, Problem,
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
    /// Seed of the in-process tables: differs per process, so that keys cannot be chosen to collide.
    pub seed: u64,
}

impl NodeConfig {
    /// Defaults for node `id`: 64 MiB of memory; 1,024 changes a shard, which also bounds a client's catch-up to a
    /// quarter of an answer; 16 maps, as many as a shifter that acts on every report of 2 s publishes in half a minute.
    pub fn new(id: NodeId, seed: u64) -> Self {
        Self { id, memory_entries: 100_000, memory_bytes: 64 << 20, ring_entries: 1_024, map_history: 16, seed }
    }
}

/// One DHT node. See the module for how it is driven.
///
/// Memory is bounded by the configuration: entries and bytes of the memory
/// tier, `shards * ring_entries` recent changes, the map history, and the
/// load counters; [`Node::stats`] shows each fill beside its bound.
pub struct Node {
    config: NodeConfig,
    maps: Maps,
    memory: Memory,
    shards: Vec<Shard>,
    load: LoadCounters,
    stats: NodeStats,
}

impl Node {
    /// A node with nothing in memory, which knows no log position yet.
    ///
    /// # Errors
    /// [`MapError::Invalid`] where the map contradicts itself.
    pub fn new(config: NodeConfig, map: Arc<PartitionMap>) -> Result<Self, MapError> {
        map.validate()?;
        let shards = (0..map.storage.shards).map(|_| Shard::default()).collect();
        let memory = Memory::new(config.seed, config.memory_entries, config.memory_bytes);
        let maps = Maps::new(map, config.map_history);
        Ok(Self { config, maps, memory, shards, load: LoadCounters::default(), stats: NodeStats::default() })
    }

    /// Its id.
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// The newest map it knows.
    pub fn map(&self) -> &Arc<PartitionMap> {
        self.maps.map()
    }

    /// Epoch and content hash of that map.
    pub fn map_knowledge(&self) -> MapKnowledge {
        self.maps.knowledge()
    }

    /// What takes a caller with `known` to the newest map; `None` where it has it.
    pub fn map_update(&mut self, known: Option<MapKnowledge>) -> Option<MapUpdate> {
        let update = self.maps.update(known);
        match update {
            Some(MapUpdate::Full(_)) => self.stats.maps_full += 1,
            Some(MapUpdate::Delta(_)) => self.stats.maps_delta += 1,
            None => {}
        }
        update
    }

    /// Takes over a newer map; `Ok(false)` where it is not newer.
    ///
    /// Entries of partitions it no longer owns stay correct, as it applies every log, and leave by disuse.
    ///
    /// # Errors
    /// [`MapError::Invalid`] where the map contradicts itself, or what is fixed at creation differs.
    pub fn publish_map(&mut self, map: Arc<PartitionMap>) -> Result<bool, MapError> {
        self.maps.publish(map)
    }

    /// Where `key` belongs in the newest map.
    pub fn locate(&mut self, key: &CompositeKey) -> Location {
        self.maps.placement.locate(key)
    }

    /// Begins a batch. O(1) a key, plus O(log) for its floor.
    ///
    /// # Errors
    /// A [`Problem`] for a batch over its limits, or cursors and floors of shards that do not exist.
    pub fn begin(&mut self, now: Millis, request: &BatchRequest) -> Result<Pending, Problem> {
        self.check(request)?;
        let mut floors = request.floors.clone();
        // One per shard, the highest.
        floors.sort_unstable_by_key(|f| (f.shard, std::cmp::Reverse(f.position)));
        floors.dedup_by_key(|f| f.shard);
        let mut pending = Pending {
            slots: Vec::with_capacity(request.items.len()),
            reads: Vec::new(),
            forwards: Vec::new(),
            consistency: request.consistency,
            max_staleness_ms: request.max_staleness_ms,
            floors,
            cursors: request.cursors.clone(),
            map: request.map,
            wants_map: !request.forwarded,
        };
        self.stats.keys += request.items.len() as u64;
        if request.forwarded {
            self.stats.received_forwards += request.items.len() as u64;
        }
        let mut elsewhere: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        for (at, item) in request.items.iter().enumerate() {
            let owner = self.place(&mut pending, item);
            if self.recall(now, &mut pending, at) {
                continue;
            }
            match owner {
                Some(owner) if !request.forwarded && request.consistency != Consistency::Strong => {
                    elsewhere.entry(owner).or_default().push(at);
                }
                _ => pending.read(at),
            }
        }
        for (node, slots) in elsewhere {
            self.stats.forwarded += slots.len() as u64;
            let forward = self.forward(request, &pending, node, slots);
            pending.forwards.push(forward);
        }
        Ok(pending)
    }

    fn check(&self, request: &BatchRequest) -> Result<(), Problem> {
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

    /// Adds the slot of `item`; returns the owner where that is another node.
    fn place(&mut self, pending: &mut Pending, item: &BatchItem) -> Option<NodeId> {
        if item.class == Class::Prefetch {
            self.stats.prefetch_keys += 1;
        }
        let location = self.maps.placement.locate(&item.key);
        self.load.count(location.partition);
        let map = self.maps.map();
        let hot = map.hot.binary_search_by(|hot| hot.key.cmp(&item.key)).ok().map(|at| &map.hot[at].nodes);
        let owned = hot.map_or(location.node == self.config.id, |nodes| nodes.contains(&self.config.id));
        let owner = hot.and_then(|nodes| nodes.first().copied()).unwrap_or(location.node);
        pending.slots.push(Slot {
            key: item.key.clone(),
            shard: map.storage.shard(&item.key),
            if_version: item.if_version,
            owned,
            state: State::Waiting,
        });
        (!owned).then_some(owner)
    }

    /// Answers slot `at` from memory where the request allows it.
    fn recall(&mut self, now: Millis, pending: &mut Pending, at: usize) -> bool {
        if pending.consistency == Consistency::Strong {
            return false;
        }
        let slot = &pending.slots[at];
        let shard = &self.shards[usize::from(slot.shard)];
        let Some(entry) = self.memory.get(&slot.key).filter(|e| e.generation == shard.generation) else { return false };
        if shard.age(now) > pending.max_staleness_ms || entry.reach(shard.position) < pending.floor(slot.shard) {
            self.stats.memory_too_old += 1;
            return false;
        }
        self.stats.memory_hits += 1;
        let done = memory_answer(self.config.id, shard, entry, slot);
        pending.slots[at].state = State::Done(done);
        true
    }

    fn forward(&self, request: &BatchRequest, pending: &Pending, node: NodeId, slots: Vec<usize>) -> Forward {
        let mut shards: Vec<u16> = slots.iter().map(|&at| pending.slots[at].shard).collect();
        shards.sort_unstable();
        let request = BatchRequest {
            items: slots.iter().map(|&at| request.items[at].clone()).collect(),
            consistency: request.consistency,
            max_staleness_ms: request.max_staleness_ms,
            map: Some(self.maps.knowledge()),
            floors: pending.floors.iter().filter(|f| shards.binary_search(&f.shard).is_ok()).copied().collect(),
            cursors: Vec::new(),
            stream: request.stream.clone(),
            forwarded: true,
        };
        Forward { node, request, slots }
    }

    /// Hands back `reads`, sent at `sent_at`: one answer or failure each, in their order.
    pub fn finish_store(
        &mut self,
        now: Millis,
        pending: &mut Pending,
        reads: Vec<ReadTicket>,
        sent_at: Millis,
        answers: Vec<Result<StoreAnswer, StoreFailure>>,
    ) {
        self.stats.store_reads += reads.len() as u64;
        let short = || StoreFailure { code: ErrorCode::Internal, detail: "the store left out a key".to_owned() };
        let answers = answers.into_iter().chain(std::iter::repeat_with(|| Err(short())));
        for (read, answer) in reads.into_iter().zip(answers) {
            match answer {
                Ok(answer) => self.store_answer(pending, read, sent_at, answer),
                Err(failure) => {
                    self.stats.store_failures += 1;
                    self.store_failed(pending, &read, &failure);
                }
            }
        }
        pending.reread_outdated(now);
    }

    fn store_answer(&mut self, pending: &mut Pending, read: ReadTicket, sent_at: Millis, answer: StoreAnswer) {
        let slot = &mut pending.slots[read.slot];
        let outcome = slot.outcome(answer.value.as_ref());
        let (node, position) = (self.config.id, answer.position);
        slot.state = State::Done(Done { outcome, node, position, age: Age::new(0, sent_at), source: Source::Store });
        if !slot.owned {
            return;
        }
        let shard = &self.shards[usize::from(read.shard)];
        if shard.may_fill(&read.key, answer.position) {
            self.stats.fills += 1;
            self.memory.insert(read.key, answer.value, answer.position, shard.generation);
        } else {
            self.stats.fills_refused += 1;
        }
    }

    /// `any` allows what memory has, however old, when nothing else answers; a session never goes backwards even so.
    fn store_failed(&mut self, pending: &mut Pending, read: &ReadTicket, failure: &StoreFailure) {
        let shard = &self.shards[usize::from(read.shard)];
        let slot = &pending.slots[read.slot];
        let entry = (pending.consistency == Consistency::Any).then(|| self.memory.get(&read.key)).flatten();
        let allowed = |entry: &&Entry| {
            entry.generation == shard.generation && entry.reach(shard.position) >= pending.floor(read.shard)
        };
        let done = match entry.filter(allowed) {
            Some(entry) => {
                self.stats.stale_answers += 1;
                memory_answer(self.config.id, shard, entry, slot)
            }
            None => {
                let outcome = Outcome::Error { code: failure.code, detail: failure.detail.clone() };
                Done { outcome, node: self.config.id, position: 0, age: Age::UNKNOWN, source: Source::Store }
            }
        };
        pending.slots[read.slot].state = State::Done(done);
    }

    /// Hands back `forward`, sent at `sent_at`. Keys that the owner could not answer well enough are
    /// read from the store: `pending` then has reads again.
    pub fn finish_forward(
        &mut self,
        now: Millis,
        pending: &mut Pending,
        forward: Forward,
        sent_at: Millis,
        response: Option<BatchResponse>,
    ) {
        let results = response.map(|r| r.results).filter(|results| results.len() == forward.slots.len());
        let mut results = results.unwrap_or_default().into_iter();
        for at in forward.slots {
            match results.next().and_then(|result| Self::accept(pending, at, sent_at, result)) {
                Some(done) => pending.slots[at].state = State::Done(done),
                None => {
                    self.stats.forward_failures += 1;
                    pending.read(at);
                }
            }
        }
        pending.reread_outdated(now);
    }

    fn accept(pending: &Pending, at: usize, sent_at: Millis, result: ItemResult) -> Option<Done> {
        let slot = &pending.slots[at];
        let answers = match &result.outcome {
            Outcome::Found { keymap } => keymap.key == slot.key,
            Outcome::Unchanged { version } => slot.if_version == Some(*version),
            Outcome::Missing => true,
            Outcome::Error { .. } => false,
        };
        if !answers || result.at.position < pending.floor(slot.shard) {
            return None;
        }
        // The clock runs from the sending of this hop, on top of the age it had at the owner.
        let age = Age::new(result.at.age_ms, sent_at);
        let (outcome, position, node) = (result.outcome, result.at.position, result.node);
        Some(Done { outcome, node, position, age, source: Source::Peer })
    }

    /// Ends the batch: results in input order, and what rides on the answer.
    pub fn finish(&mut self, now: Millis, pending: Pending) -> BatchResponse {
        let map = if pending.wants_map { self.map_update(pending.map) } else { None };
        let changes = self.changes(now, &pending.cursors);
        let node = self.config.id;
        BatchResponse {
            epoch: self.maps.map().epoch,
            results: pending.slots.into_iter().map(|slot| slot.result(now, node)).collect(),
            positions: changes.positions,
            changes: changes.changes,
            resets: changes.resets,
            map,
        }
    }

    /// The changes since `cursors`, at most [`MAX_CHANGES`] together. Cursors of unknown shards are left out.
    pub fn changes(&mut self, now: Millis, cursors: &[Cursor]) -> ChangeSet {
        let mut set = ChangeSet::default();
        for &cursor in cursors {
            let Some(shard) = self.shards.get(usize::from(cursor.shard)) else { continue };
            let room = MAX_CHANGES - set.changes.len();
            shard.changes(now, cursor, room, &mut set);
        }
        self.stats.resets += set.resets.len() as u64;
        set
    }

    /// Applies one page of a shard's log, polled at `sent_at`. Pages of a shard may
    /// overlap or arrive late; a gap voids what memory holds of the shard.
    pub fn apply_log(&mut self, sent_at: Millis, page: &LogPage) {
        let Some(shard) = self.shards.get_mut(usize::from(page.shard)) else { return };
        let (memory, stats) = (&mut self.memory, &mut self.stats);
        let gap = shard.apply(sent_at, page, self.config.ring_entries, |change| {
            stats.log_entries += 1;
            stats.invalidated += u64::from(memory.invalidate(&change.key, change.version));
        });
        stats.log_gaps += u64::from(gap);
    }

    /// Position and age of every shard, in order of shards.
    pub fn positions(&self, now: Millis) -> Vec<crate::protocol::ShardPosition> {
        let point = |(at, shard): (usize, &Shard)| crate::protocol::ReadPoint {
            shard: at as u16,
            position: shard.position,
            age_ms: shard.age(now),
        };
        self.shards.iter().enumerate().map(point).collect()
    }

    /// The load since the report before, and starts counting anew.
    pub fn take_load(&mut self, now: Millis) -> LoadReport {
        self.load.take(now)
    }

    /// Counters and fills.
    pub fn stats(&self) -> NodeStats {
        NodeStats {
            evictions: self.memory.evictions,
            memory_entries: self.memory.len() as u64,
            memory_entries_max: self.config.memory_entries as u64,
            memory_bytes: self.memory.bytes() as u64,
            memory_bytes_max: self.config.memory_bytes as u64,
            ring_entries: self.shards.iter().map(|s| s.ring_len() as u64).sum(),
            ring_entries_max: (self.config.ring_entries * self.shards.len()) as u64,
            map_history: self.maps.len() as u64,
            map_history_max: self.config.map_history.max(1) as u64,
            load_partitions: self.load.len() as u64,
            load_partitions_max: LoadCounters::MAX_PARTITIONS as u64,
            ..self.stats
        }
    }
}

fn memory_answer(node: NodeId, shard: &Shard, entry: &Entry, slot: &Slot) -> Done {
    Done {
        outcome: slot.outcome(entry.value.as_ref()),
        node,
        position: entry.reach(shard.position),
        age: shard.sent_at.map_or(Age::UNKNOWN, |at| Age::new(0, at)),
        source: Source::Memory,
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
