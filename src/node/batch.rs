//! Steps of a batch through a node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::maps::Epochs;
use super::memory::MemoryEntry;
use super::node::Node;
use super::pending::{
    Age, AnswerSource, Done, Forward, Pending, ReadTicket, Slot, SlotState, StoreAnswer, StoreFailure,
};
use super::places::Places;
use super::shard::Point;
use super::stats::NodeStats;
use crate::Millis;
use crate::partition::{NodeId, replica};
use crate::protocol::{
    BatchItem, BatchRequest, BatchResponse, Class, Consistency, ErrorCode, ItemResult, Outcome, Problem,
};

impl Node {
    /// Begins a batch. O(1) a key, plus O(log) for its floor.
    ///
    /// # Errors
    /// A [`Problem`] for a batch over its limits, or cursors and floors of shards that do not exist.
    pub fn begin(&self, now: Millis, request: &BatchRequest) -> Result<Pending, Problem> {
        self.check(request)?;
        let mut floors = request.floors.clone();
        // One per shard, the highest.
        floors.sort_unstable_by_key(|f| (f.shard, std::cmp::Reverse(f.position)));
        floors.dedup_by_key(|f| f.shard);
        // Before anything is looked up: what memory has is of this store or a later one.
        let epochs = self.maps.newest();
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
            incarnation: epochs.map().epoch.incarnation,
        };
        let keys = request.items.len() as u64;
        let mut counted = NodeStats { keys, ..NodeStats::default() };
        if request.forwarded {
            counted.received_forwards = keys;
        }
        let salt = if epochs.map().hot.is_empty() { 0 } else { self.salt.fetch_add(1, Ordering::Relaxed) };
        let mut places = Places::with_capacity(request.items.len());
        let mut served = Vec::with_capacity(request.items.len());
        let mut elsewhere: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        for (at, item) in request.items.iter().enumerate() {
            counted.prefetch_keys += u64::from(item.class == Class::Prefetch);
            let owner = self.place(&epochs, salt, &mut pending, &mut places, item);
            let recalled = self.recall(now, &mut pending, at, &mut counted);
            match owner {
                Some(owner) if !recalled && !request.forwarded && request.consistency != Consistency::Strong => {
                    elsewhere.entry(owner).or_default().push(at);
                    continue;
                }
                _ if !recalled => pending.read(at),
                _ => {}
            }
            served.push(at);
        }
        for (node, slots) in elsewhere {
            counted.forwarded += slots.len() as u64;
            let forward = forward(&epochs, request, &pending, node, slots);
            pending.forwards.push(forward);
        }
        self.count_hot(&pending, &served, &mut counted);
        self.count_load(now, &pending, &places, &served, !request.forwarded);
        self.counters.add(&counted);
        Ok(pending)
    }

    /// Adds the slot of `item`; returns the owner, or a replica, where that is another node.
    fn place(
        &self,
        epochs: &Epochs,
        salt: u64,
        pending: &mut Pending,
        places: &mut Places,
        item: &BatchItem,
    ) -> Option<NodeId> {
        let location = epochs.placement.locate(&item.key);
        let replicas = epochs.placement.replicas(&item.key);
        places.add(&location, replicas.is_some());
        let own = self.config.id;
        let owned = replicas.map_or(location.node == own, |nodes| nodes.contains(&own));
        let owner = replicas.map_or(location.node, |nodes| nodes[replica(salt, nodes.len())]);
        pending.slots.push(Slot {
            key: item.key.clone(),
            id: self.memory.id(&item.key),
            shard: epochs.map().storage.shard(&item.key),
            if_version: item.if_version,
            owned,
            state: SlotState::Waiting,
        });
        (!owned).then_some(owner)
    }

    /// Answers slot `at` from memory where the request allows it.
    fn recall(&self, now: Millis, pending: &mut Pending, at: usize, counted: &mut NodeStats) -> bool {
        if pending.consistency == Consistency::Strong {
            return false;
        }
        let slot = &pending.slots[at];
        let Some((point, entry)) = self.remembered(slot) else { return false };
        if point.age(now) > pending.max_staleness_ms || entry.reach(point.position) < pending.floor(slot.shard) {
            counted.memory_too_old += 1;
            return false;
        }
        counted.memory_hits += 1;
        let done = memory_answer(self.config.id, point, &entry, slot);
        pending.slots[at].state = SlotState::Done(done);
        true
    }

    /// The entry that memory has of the slot's key, and the point that it includes.
    fn remembered(&self, slot: &Slot) -> Option<(Point, Arc<MemoryEntry>)> {
        let (point, entry) = self.shards[usize::from(slot.shard)].recall(|| self.memory.get(slot.id, &slot.key));
        entry.filter(|entry| entry.generation == point.generation).map(|entry| (point, entry))
    }

    /// Hands back `reads`, sent at `sent_at`: one answer or failure each, in their order.
    pub fn finish_store(
        &self,
        now: Millis,
        pending: &mut Pending,
        reads: Vec<ReadTicket>,
        sent_at: Millis,
        answers: Vec<Result<StoreAnswer, StoreFailure>>,
    ) {
        let mut counted = NodeStats::default();
        for (read, answer) in answered(reads, answers) {
            counted.store_reads += 1;
            match answer {
                Ok(answer) => self.store_answer(pending, read, sent_at, answer, &mut counted),
                Err(failure) => {
                    counted.store_failures += 1;
                    self.store_failed(pending, &read, failure, &mut counted);
                }
            }
        }
        self.counters.add(&counted);
        pending.reread_outdated(now);
    }

    fn store_answer(
        &self,
        pending: &mut Pending,
        read: ReadTicket,
        sent_at: Millis,
        answer: StoreAnswer,
        counted: &mut NodeStats,
    ) {
        let slot = &mut pending.slots[read.slot];
        let outcome = slot.outcome(answer.value.as_ref());
        let (node, position) = (self.config.id, answer.position);
        slot.state =
            SlotState::Done(Done { outcome, node, position, age: Age::new(0, sent_at), source: AnswerSource::Store });
        if slot.owned {
            self.fill(read, answer, counted);
        }
    }

    /// Keeps what the store answered where no log entry can have overtaken it. Says whether it did.
    pub(super) fn fill(&self, read: ReadTicket, answer: StoreAnswer, counted: &mut NodeStats) -> bool {
        let ReadTicket { shard, key, incarnation, .. } = read;
        let StoreAnswer { value, position } = answer;
        let keep = |generation| self.memory.insert(key.clone(), value, position, generation);
        let filled = self.shards[usize::from(shard)].fill(&key, position, incarnation, keep);
        counted.fills += u64::from(filled);
        counted.fills_refused += u64::from(!filled);
        filled
    }

    /// `any` allows what memory has, however old, when nothing else answers; a session never goes backwards even so.
    fn store_failed(&self, pending: &mut Pending, read: &ReadTicket, failure: StoreFailure, counted: &mut NodeStats) {
        let slot = &pending.slots[read.slot];
        let remembered = (pending.consistency == Consistency::Any).then(|| self.remembered(slot)).flatten();
        let floor = pending.floor(read.shard);
        let done = match remembered.filter(|(point, entry)| entry.reach(point.position) >= floor) {
            Some((point, entry)) => {
                counted.stale_answers += 1;
                memory_answer(self.config.id, point, &entry, slot)
            }
            None => {
                let outcome = Outcome::Error { code: failure.code, detail: failure.detail };
                Done { outcome, node: self.config.id, position: 0, age: Age::UNKNOWN, source: AnswerSource::Store }
            }
        };
        pending.slots[read.slot].state = SlotState::Done(done);
    }

    /// Hands back `forward`, sent at `sent_at`. Keys that the owner could not answer well enough are
    /// read from the store: `pending` then has reads again.
    pub fn finish_forward(
        &self,
        now: Millis,
        pending: &mut Pending,
        forward: Forward,
        sent_at: Millis,
        response: Option<BatchResponse>,
    ) {
        // A peer that has not heard of a new store, or has before this node, answers for another one.
        let response = response.filter(|response| response.epoch.incarnation == pending.incarnation);
        let results = response.map(|r| r.results).filter(|results| results.len() == forward.slots.len());
        let mut results = results.unwrap_or_default().into_iter();
        let mut counted = NodeStats::default();
        for at in forward.slots {
            match results.next().and_then(|result| Self::accept(pending, at, sent_at, result)) {
                Some(done) => pending.slots[at].state = SlotState::Done(done),
                None => {
                    counted.forward_failures += 1;
                    pending.read(at);
                }
            }
        }
        self.counters.add(&counted);
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
        Some(Done { outcome, node, position, age, source: AnswerSource::Peer })
    }

    /// Ends the batch: results in input order, and what rides on the answer.
    pub fn finish(&self, now: Millis, pending: Pending) -> BatchResponse {
        let epochs = self.maps.newest();
        let mut pending = pending;
        if epochs.map().epoch.incarnation != pending.incarnation {
            pending.slots.iter_mut().for_each(|slot| slot.state = SlotState::Done(self.replaced()));
        }
        let map = if pending.wants_map { self.update_from(&epochs, pending.map) } else { None };
        let changes = self.changes(now, &pending.cursors);
        let node = self.config.id;
        BatchResponse {
            epoch: epochs.map().epoch,
            clock: Some(self.clock(now)),
            results: pending.slots.into_iter().map(|slot| slot.result(now, node)).collect(),
            positions: changes.positions,
            changes: changes.changes,
            resets: changes.resets,
            map,
        }
    }

    /// Answer for a key whose store was replaced while it was being read.
    fn replaced(&self) -> Done {
        let detail = "the store was replaced by another one".to_owned();
        let outcome = Outcome::Error { code: ErrorCode::Unavailable, detail };
        Done { outcome, node: self.config.id, position: 0, age: Age::UNKNOWN, source: AnswerSource::Store }
    }
}

fn forward(epochs: &Epochs, request: &BatchRequest, pending: &Pending, node: NodeId, slots: Vec<usize>) -> Forward {
    let mut shards: Vec<u16> = slots.iter().map(|&at| pending.slots[at].shard).collect();
    shards.sort_unstable();
    let request = BatchRequest {
        items: slots.iter().map(|&at| request.items[at].clone()).collect(),
        consistency: request.consistency,
        max_staleness_ms: request.max_staleness_ms,
        map: Some(epochs.knowledge()),
        floors: pending.floors.iter().filter(|f| shards.binary_search(&f.shard).is_ok()).copied().collect(),
        cursors: Vec::new(),
        stream: request.stream.clone(),
        feed: None,
        forwarded: true,
        rider: None,
        model: None,
    };
    Forward { node, request, slots }
}

fn memory_answer(node: NodeId, point: Point, entry: &MemoryEntry, slot: &Slot) -> Done {
    Done {
        outcome: slot.outcome(entry.value.as_ref()),
        node,
        position: entry.reach(point.position),
        age: point.sent_at.map_or(Age::UNKNOWN, |at| Age::new(0, at)),
        source: AnswerSource::Memory,
    }
}

/// Each read with its answer; those that the store left out have failed.
pub(super) fn answered(
    reads: Vec<ReadTicket>,
    answers: Vec<Result<StoreAnswer, StoreFailure>>,
) -> impl Iterator<Item = (ReadTicket, Result<StoreAnswer, StoreFailure>)> {
    let short = || StoreFailure { code: ErrorCode::Internal, detail: "the store left out a key".to_owned() };
    reads.into_iter().zip(answers.into_iter().chain(std::iter::repeat_with(move || Err(short()))))
}
