//! Key ids, and the bounded store that leads from an id back to the text and to what is known of it.

use std::num::NonZeroU64;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::key::CompositeKey;

/// Name of a key within one analyzer: 44 bits of its XXH3-64 hash under the analyzer's seed.
///
/// Among a hundred thousand keys two share an id with a probability of 0.03 %, among a million 3 %; the one
/// remembered last is then predicted for both, which costs a wasted prefetch and
/// never a wrong answer, as answers go by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(NonZeroU64);

impl KeyId {
    /// What leaves room for a tag and a count in eight bytes; see the Prediction Table.
    const BITS: u32 = 44;

    /// The id of a key under `seed`.
    pub fn of(seed: u64, key: &CompositeKey) -> Self {
        Self::of_bytes(seed, key.as_str().as_bytes())
    }

    /// Stands for no key where an id has to stand.
    pub(super) const NONE: Self = Self(NonZeroU64::MIN);

    pub(super) fn of_bytes(seed: u64, bytes: &[u8]) -> Self {
        let hash = xxh3_64_with_seed(bytes, seed) >> (64 - Self::BITS);
        Self(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }

    /// The id as a number below 2^44, never 0.
    pub fn bits(self) -> u64 {
        self.0.get()
    }

    /// Name of the key within a part of what shares the analyzer.
    pub(crate) fn within(self, part: u64) -> Self {
        let hash = (self.bits() ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::BITS);
        Self(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }

    pub(super) fn from_bits(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }
}

/// How often predictions came true. Halved when full, so that the recent past counts most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Record {
    pub(super) trials: u8,
    pub(super) successes: u8,
}

impl Record {
    /// Predictions after which a record is halved; so that a record fits a byte.
    const WINDOW: u8 = 15;

    fn pack(self) -> u8 {
        self.trials << 4 | self.successes
    }

    fn unpack(byte: u8) -> Self {
        Self { trials: byte >> 4, successes: byte & 15 }
    }

    fn book(&mut self) {
        self.trials += 1;
        if self.trials >= Self::WINDOW {
            self.trials /= 2;
            self.successes /= 2;
        }
    }

    fn pay_back(&mut self) {
        // A pay-back can meet a halved record.
        self.successes = self.successes.saturating_add(1).min(self.trials);
    }
}

/// What is known of a key besides its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Known {
    /// Number of the access that asked last.
    pub(super) seen: u32,
    /// Accesses, at most 255.
    pub(super) count: u8,
    /// Predictions of this key.
    pub(super) predicted: Record,
    /// Predictions made after this key.
    pub(super) predicts: Record,
}

/// Bytes before the text of an entry: id (with the text's length in the upper bits), `Known`.
const HEADER: usize = 15;
/// Entries start at multiples of this.
const ALIGN: usize = 4;
/// Slots of one bucket of the index: half a cache line.
const BUCKET: usize = 8;
/// A slot: 8 bits of tag above 24 bits of place, counted in units of `ALIGN` from 1; 0 is free.
const PLACE_BITS: u32 = 24;

/// Texts by id in one ring of bytes: the oldest leave as new ones are written. An entry asked for in
/// the older half of the ring is written anew, so what is in use stays. O(1), no allocation after construction.
#[derive(Debug, Clone)]
pub(super) struct TextStore {
    ring: Box<[u8]>,
    index: Box<[u32]>,
    /// Where the next entry goes, and the oldest one, both counted without wrapping.
    head: u64,
    tail: u64,
    entries: usize,
    evicted: u64,
}

impl TextStore {
    /// A store of at most `bytes`, four fifths of them for texts.
    pub(super) fn new(bytes: usize) -> Self {
        let bytes = bytes.clamp(4_096, ALIGN << PLACE_BITS);
        let buckets = (bytes / 5 / (BUCKET * size_of::<u32>())).max(1);
        let ring = (bytes - buckets * BUCKET * size_of::<u32>()) / ALIGN * ALIGN;
        Self {
            ring: vec![0; ring].into(),
            index: vec![0; buckets * BUCKET].into(),
            head: 0,
            tail: 0,
            entries: 0,
            evicted: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(super) fn used_bytes(&self) -> usize {
        (self.head - self.tail) as usize
    }

    pub(super) fn bound(&self) -> usize {
        self.ring.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.ring.len() + size_of_val(&*self.index)
    }

    fn bucket(&self, id: KeyId) -> usize {
        let buckets = (self.index.len() / BUCKET) as u64;
        (((id.bits() & 0xffff_ffff) * buckets) >> 32) as usize * BUCKET
    }

    fn tag(id: KeyId) -> u32 {
        (id.bits() >> 34) as u32 & 0xff
    }

    fn word(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.ring[at..at + 8]);
        u64::from_le_bytes(bytes)
    }

    /// Length of the text of the entry at `at`.
    fn text_len(&self, at: usize) -> usize {
        (self.word(at) >> KeyId::BITS) as usize
    }

    fn size(text: usize) -> usize {
        (HEADER + text).next_multiple_of(ALIGN)
    }

    /// Index slot and place of an id.
    fn find(&self, id: KeyId) -> Option<(usize, usize)> {
        let (bucket, tag) = (self.bucket(id), Self::tag(id));
        for slot in bucket..bucket + BUCKET {
            let value = self.index[slot];
            if value != 0 && value >> PLACE_BITS == tag {
                let at = Self::place(value);
                if self.word(at) & ((1 << KeyId::BITS) - 1) == id.bits() {
                    return Some((slot, at));
                }
            }
        }
        None
    }

    fn place(slot: u32) -> usize {
        (slot & ((1 << PLACE_BITS) - 1)) as usize * ALIGN - ALIGN
    }

    pub(super) fn text(&self, id: KeyId) -> Option<&[u8]> {
        let (_, at) = self.find(id)?;
        Some(&self.ring[at + HEADER..at + HEADER + self.text_len(at)])
    }

    pub(super) fn known(&self, id: KeyId) -> Option<Known> {
        self.find(id).map(|(_, at)| self.known_at(at))
    }

    fn known_at(&self, at: usize) -> Known {
        let b = &self.ring[at + 8..at + HEADER];
        Known {
            seen: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            count: b[4],
            predicted: Record::unpack(b[5]),
            predicts: Record::unpack(b[6]),
        }
    }

    fn set_known(&mut self, at: usize, known: Known) {
        let b = &mut self.ring[at + 8..at + HEADER];
        b[..4].copy_from_slice(&known.seen.to_le_bytes());
        b[4] = known.count;
        b[5] = known.predicted.pack();
        b[6] = known.predicts.pack();
    }

    fn update(&mut self, id: KeyId, change: impl FnOnce(&mut Known)) {
        if let Some((_, at)) = self.find(id) {
            let mut known = self.known_at(at);
            change(&mut known);
            self.set_known(at, known);
        }
    }

    /// A prediction of `id`, made after `context`: failed so far.
    pub(super) fn book(&mut self, id: KeyId, context: KeyId) {
        self.update(id, |known| known.predicted.book());
        self.update(context, |known| known.predicts.book());
    }

    /// It came true.
    pub(super) fn pay_back(&mut self, id: KeyId, context: KeyId) {
        self.update(id, |known| known.predicted.pay_back());
        self.update(context, |known| known.predicts.pay_back());
    }

    /// Remembers `text` as asked for by access number `seen`. A text above an eighth of the store is not kept.
    pub(super) fn touch(&mut self, id: KeyId, text: &[u8], seen: u32) {
        let mut known = Known { seen, count: 1, ..Known::default() };
        if let Some((slot, at)) = self.find(id) {
            let old = self.known_at(at);
            known = Known { seen, count: old.count.saturating_add(1), ..old };
            let newest = self.head % self.ring.len() as u64;
            let behind = (newest + self.ring.len() as u64 - at as u64) % self.ring.len() as u64;
            if behind < self.ring.len() as u64 / 2 {
                self.set_known(at, known);
                return;
            }
            self.index[slot] = 0;
            self.entries -= 1;
        }
        self.write(id, text, known);
    }

    fn write(&mut self, id: KeyId, text: &[u8], known: Known) {
        let (size, ring) = (Self::size(text.len()), self.ring.len());
        if size > ring / 8 {
            return;
        }
        let at = (self.head % ring as u64) as usize;
        if at + size > ring {
            // An entry is never split; the rest of the round is skipped.
            self.make_room(ring - at);
            self.skip(at, ring - at);
        }
        self.make_room(size);
        let at = (self.head % ring as u64) as usize;
        self.ring[at..at + 8].copy_from_slice(&(id.bits() | (text.len() as u64) << KeyId::BITS).to_le_bytes());
        self.set_known(at, known);
        self.ring[at + HEADER..at + HEADER + text.len()].copy_from_slice(text);
        self.head += size as u64;
        self.entries += 1;
        self.link(id, at);
    }

    /// Fills the end of the ring with an entry of id 0, which nothing finds.
    fn skip(&mut self, at: usize, size: usize) {
        if size >= HEADER {
            let text = (size - HEADER) as u64;
            self.ring[at..at + 8].copy_from_slice(&(text << KeyId::BITS).to_le_bytes());
        }
        self.head += size as u64;
    }

    fn link(&mut self, id: KeyId, at: usize) {
        let bucket = self.bucket(id);
        let value = Self::tag(id) << PLACE_BITS | (at / ALIGN + 1) as u32;
        // A full bucket gives up the entry at the lowest place: some entry of the bucket, and always the same one.
        let slots = &self.index[bucket..bucket + BUCKET];
        let chosen = slots.iter().enumerate().min_by_key(|&(_, &slot)| slot & ((1 << PLACE_BITS) - 1));
        let at = chosen.map_or(0, |(at, _)| at);
        if slots[at] != 0 {
            self.entries -= 1;
            self.evicted += 1;
        }
        self.index[bucket + at] = value;
    }

    fn make_room(&mut self, size: usize) {
        let ring = self.ring.len() as u64;
        while self.head + size as u64 - self.tail > ring {
            let at = (self.tail % ring) as usize;
            let rest = self.ring.len() - at;
            if rest < HEADER {
                self.tail += rest as u64;
                continue;
            }
            if let Some(id) = KeyId::from_bits(self.word(at) & ((1 << KeyId::BITS) - 1))
                && let Some((slot, found)) = self.find(id)
                && found == at
            {
                self.index[slot] = 0;
                self.entries -= 1;
                self.evicted += 1;
            }
            self.tail += (Self::size(self.text_len(at)).min(rest)) as u64;
        }
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
