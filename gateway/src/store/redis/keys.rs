//! [`Keyspace`]: the names of what is stored, and the slot that each shard lies in.
//!
//! All keys of a shard begin with `NAMESPACE{TAG}`. Redis places a key by the CRC16 of what stands between the braces,
//! modulo 16,384 (Redis Cluster specification, "Keys distribution model"). The tag of shard i is the smallest number
//! whose slot is in the i-th of S equal parts, so shards are spread over masters as evenly as slots are.

use crc::{CRC_16_XMODEM, Crc};

/// Slots of a cluster.
pub(super) const SLOTS: u16 = 16_384;

/// Keys for fences of one master: as many slots must be on their way at once before none serves.
const FENCES: usize = 4;
/// Tags that are tried for them: a master with one slot in a thousand still has as many.
const TRIED_TAGS: u32 = 8_192;

const CRC16: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// The slot of what has this hash tag.
fn slot_of(tag: &str) -> u16 {
    CRC16.checksum(tag.as_bytes()) % SLOTS
}

/// Group of what belongs together in one slot: a shard, or what concerns the whole namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum KeyPlace {
    Shard(u16),
    Meta,
}

/// Name and slot of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    prefix: String,
    slot: u16,
}

/// The names of one namespace. Memory: some 40 bytes a shard.
#[derive(Debug)]
pub(super) struct Keyspace {
    namespace: String,
    shards: Vec<Named>,
    meta: Named,
}

impl Keyspace {
    /// The names for `shards` shards, at most [`SLOTS`]. Takes some hundred hashes a shard.
    pub(super) fn new(namespace: &str, shards: u16) -> Self {
        let shards = shards.min(SLOTS);
        let named = |tag: &str, slot| Named { prefix: format!("{namespace}{{{tag}}}"), slot };
        let part = |slot: u16| u32::from(slot) * u32::from(shards) / u32::from(SLOTS);
        let mut found: Vec<Option<Named>> = vec![None; usize::from(shards)];
        let mut left = shards;
        // Five decimal digits reach every slot, so this ends.
        for number in 0_u32.. {
            if left == 0 {
                break;
            }
            let tag = number.to_string();
            let slot = slot_of(&tag);
            // The part of a slot, rounded down: parts of unequal length where S does not divide 16,384.
            let place = &mut found[part(slot) as usize];
            if place.is_none() {
                *place = Some(named(&tag, slot));
                left -= 1;
            }
        }
        Self {
            namespace: namespace.into(),
            shards: found.into_iter().flatten().collect(),
            meta: named("meta", slot_of("meta")),
        }
    }

    /// Number of shards.
    pub(super) fn shards(&self) -> u16 {
        self.shards.len() as u16
    }

    fn named(&self, place: KeyPlace) -> &Named {
        match place {
            // A shard that does not exist has no master either: this name of its is never used.
            KeyPlace::Shard(shard) => self.shards.get(usize::from(shard)).unwrap_or(&self.meta),
            KeyPlace::Meta => &self.meta,
        }
    }

    /// The slot of `place`.
    pub(super) fn slot(&self, place: KeyPlace) -> u16 {
        self.named(place).slot
    }

    /// Keys for fences of a master that has `slots`: in up to [`FENCES`] of them, first those of shards. Takes some thousand
    /// hashes where few shards are there.
    pub(super) fn fences(&self, slots: &[(u16, u16)]) -> Vec<String> {
        let has = |slot: u16| slots.iter().any(|&(first, last)| (first..=last).contains(&slot));
        let shards: Vec<&Named> = self.shards.iter().filter(|shard| has(shard.slot)).collect();
        let every = shards.len().div_ceil(FENCES).max(1);
        let mut fences: Vec<String> =
            shards.iter().step_by(every).map(|shard| format!("{}{FENCE}", shard.prefix)).collect();
        let spare = |number: &u32| has(slot_of(&number.to_string()));
        let numbers = (0..TRIED_TAGS).filter(spare).take(FENCES.saturating_sub(fences.len()));
        if fences.len() < FENCES && !slots.is_empty() {
            let spares: Vec<String> = numbers.map(|number| format!("{}{{{number}}}{FENCE}", self.namespace)).collect();
            fences.extend(spares);
            let mut seen = std::collections::BTreeSet::new();
            fences.retain(|fence| seen.insert(fence.clone()));
        }
        fences
    }

    /// The key called `name` at `place`. No name begins with a slash.
    pub(super) fn key(&self, place: KeyPlace, name: &str) -> String {
        format!("{}{name}", self.named(place).prefix)
    }

    /// STRING: the newest version record of a key, be it the current one or the marker of its deletion.
    pub(super) fn newest(&self, shard: u16, key: &str) -> String {
        format!("{}/{key}", self.named(KeyPlace::Shard(shard)).prefix)
    }

    /// LIST: the other version records of a key, newest first.
    pub(super) fn older(&self, shard: u16, key: &str) -> String {
        format!("{}older/{key}", self.named(KeyPlace::Shard(shard)).prefix)
    }
}

/// Names at a shard. ZSET of live keys, all with score 0: so it is ordered by bytes, as keys are.
pub(super) const INDEX: &str = "index";
/// STREAM of writes, its ids `position-0`.
pub(super) const LOG: &str = "log";
/// HASH: `last` position, and the highest one trimmed from the log (`base`).
pub(super) const STATE: &str = "state";
/// Counter, raised by each fence.
pub(super) const FENCE: &str = "fence";

/// Names at [`KeyPlace::Meta`]. The format record.
pub(super) const FORMAT: &str = "format";
/// HASH: `epoch` of the partition map and its `bytes`.
pub(super) const MAP: &str = "map";
/// HASH: the coordinator's `term` and incarnation (`who`), and when the lease expires (`until`, microseconds). Its
/// name is that of before, for gateways of both versions.
pub(super) const LEASE: &str = "office";
/// HASH: node id to registration.
pub(super) const MEMBERS: &str = "members";

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
