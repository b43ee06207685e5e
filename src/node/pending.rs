//! [`Pending`]: a batch on its way through a node.

use crate::Millis;
use crate::key::CompositeKey;
use crate::partition::NodeId;
use crate::protocol::{BatchRequest, Consistency, Cursor, ErrorCode, ItemResult, Keymap, MapKnowledge, Outcome};

/// One key to read from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadTicket {
    /// Place in the batch, or in the list of keys to warm up with.
    pub(super) slot: usize,
    /// The storage shard.
    pub shard: u16,
    /// The key.
    pub key: CompositeKey,
    /// The store that it is to be read from: what another one answered does not enter memory.
    pub(super) incarnation: u32,
}

/// Answer of the store for one key, both parts from one consistent view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreAnswer {
    /// The keymap, if there is one.
    pub value: Option<Keymap>,
    /// Position of the shard's log.
    pub position: u64,
}

/// Why a store read failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFailure {
    /// The code that callers see.
    pub code: ErrorCode,
    /// In words.
    pub detail: String,
}

/// Keys to ask their owner for, in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The owner.
    pub node: NodeId,
    /// Request to send it; marked, so that it is not forwarded again.
    pub request: BatchRequest,
    pub(super) slots: Vec<usize>,
}

/// A batch on its way: what is answered, and what the host has still to fetch.
///
/// Held by the host, so a request that is dropped half-way leaves nothing
/// behind in the node. Bounded by the batch: at most
/// [`MAX_BATCH_KEYS`](crate::protocol::MAX_BATCH_KEYS) slots.
#[derive(Debug)]
pub struct Pending {
    pub(super) slots: Vec<Slot>,
    pub(super) reads: Vec<ReadTicket>,
    pub(super) forwards: Vec<Forward>,
    pub(super) consistency: Consistency,
    pub(super) max_staleness_ms: u32,
    /// One per shard, ascending.
    pub(super) floors: Vec<Cursor>,
    pub(super) cursors: Vec<Cursor>,
    pub(super) map: Option<MapKnowledge>,
    pub(super) wants_map: bool,
    /// The store that it is answered from.
    pub(super) incarnation: u32,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: CompositeKey,
    /// Id that the memory tier knows the key by.
    pub(super) id: u64,
    pub(super) shard: u16,
    pub(super) if_version: Option<u64>,
    pub(super) owned: bool,
    pub(super) state: SlotState,
}

#[derive(Debug)]
pub(super) enum SlotState {
    /// The host fetches it.
    Waiting,
    Done(Done),
}

#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) node: NodeId,
    pub(super) position: u64,
    pub(super) age: Age,
    pub(super) source: AnswerSource,
}

/// An age that goes on counting. Kept as it was told, not as a moment: that
/// moment may lie before this node's clock began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age {
    ms: u32,
    told_at: Millis,
}

impl Age {
    /// `ms` old at the moment `told_at`; `u32::MAX` is not known, and stays so.
    pub(super) fn new(ms: u32, told_at: Millis) -> Self {
        Self { ms, told_at }
    }

    /// Of something not known to be current as of any moment.
    pub(super) const UNKNOWN: Self = Self { ms: u32::MAX, told_at: 0 };

    pub(super) fn at(self, now: Millis) -> u32 {
        self.ms.saturating_add(super::shard::age_ms(now, self.told_at))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerSource {
    Memory,
    Peer,
    Store,
}

impl Pending {
    /// The store reads that wait to be performed; they are the host's from now on.
    pub fn take_reads(&mut self) -> Vec<ReadTicket> {
        std::mem::take(&mut self.reads)
    }

    /// The forwards that wait to be performed; they are the host's from now on.
    pub fn take_forwards(&mut self) -> Vec<Forward> {
        std::mem::take(&mut self.forwards)
    }

    /// Tells whether nothing is left to perform.
    pub fn is_ready(&self) -> bool {
        self.reads.is_empty() && self.forwards.is_empty()
    }

    /// The position that an answer from `shard` must not be older than.
    pub(super) fn floor(&self, shard: u16) -> u64 {
        self.floors.binary_search_by_key(&shard, |f| f.shard).map_or(0, |at| self.floors[at].position)
    }

    pub(super) fn read(&mut self, slot: usize) {
        let Slot { shard, key, .. } = &self.slots[slot];
        let incarnation = self.incarnation;
        self.reads.push(ReadTicket { slot, shard: *shard, key: key.clone(), incarnation });
        self.slots[slot].state = SlotState::Waiting;
    }

    /// Reads again what has aged too much while it waited for the store or a peer: whatever is now over the caller's bound
    /// is read from the store, whose answers are exempt, so this ends.
    pub(super) fn reread_outdated(&mut self, now: Millis) {
        if self.consistency == Consistency::Any {
            return;
        }
        for at in 0..self.slots.len() {
            let SlotState::Done(done) = &self.slots[at].state else { continue };
            if done.source != AnswerSource::Store && done.age.at(now) > self.max_staleness_ms {
                self.read(at);
            }
        }
    }
}

impl Slot {
    /// `value` as the answer, or `unchanged` where the caller has it.
    pub(super) fn outcome(&self, value: Option<&Keymap>) -> Outcome {
        match value {
            None => Outcome::Missing,
            Some(keymap) if self.if_version == Some(keymap.version) => Outcome::Unchanged { version: keymap.version },
            Some(keymap) => Outcome::Found { keymap: keymap.clone() },
        }
    }

    pub(super) fn result(self, now: Millis, node: NodeId) -> ItemResult {
        let mut at = crate::protocol::ReadPoint { shard: self.shard, position: 0, age_ms: u32::MAX };
        match self.state {
            SlotState::Done(done) => {
                at.position = done.position;
                at.age_ms = done.age.at(now);
                ItemResult { outcome: done.outcome, at, node: done.node }
            }
            SlotState::Waiting => {
                let detail = "the host did not complete the read".to_owned();
                ItemResult { outcome: Outcome::Error { code: ErrorCode::Internal, detail }, at, node }
            }
        }
    }
}
