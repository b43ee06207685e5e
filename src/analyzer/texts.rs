//! The bounded store that leads from an id back to the text and to what is known of it.

use super::keys::{KeyId, Known, Record};
use super::packing::{is_packed, pack, unpack};

/// Bytes before the text of an entry: its head, eight bits of check, `Known`.
const HEADER: usize = 9;
/// Entries start at multiples of this.
const ALIGN: usize = 2;
/// Slots of one bucket of the index: a cache line, and seldom full while a quarter of all slots is free.
const BUCKET: usize = 16;
/// A slot: 8 bits of tag above 24 bits of place, counted in units of `ALIGN` from 1; 0 is free.
const PLACE_BITS: u32 = 24;
/// Entries in use that one new entry moves at most before one has to leave all the same.
const MOVES: usize = 4;

/// The head of an entry: length as stored, flags.
const LEN: u16 = (1 << 11) - 1;
/// The text is packed.
const PACKED: u16 = 1 << 11;
/// Asked for since it was written or moved.
const TOUCHED: u16 = 1 << 12;
/// Nothing but what is left of a round.
const FILLER: u16 = 1 << 13;

/// Texts by id in one ring of bytes. New entries are written at its head; the oldest leave at its tail, but move to the
/// head once if they were asked for meanwhile (CLOCK; Corbató, 1968), so what is in use stays. Two digits of an ASCII
/// text take one byte, and an id is not stored: its text proves it. O(1), no allocation per access.
#[derive(Debug, Clone)]
pub(super) struct TextStore {
    seed: u64,
    ring: Box<[u8]>,
    index: Box<[u32]>,
    /// Place of the next entry, and of the oldest one, both counted without wrapping.
    head: u64,
    tail: u64,
    entries: usize,
    evicted: u64,
    /// The text just packed or unpacked; a buffer.
    text: Vec<u8>,
}

impl TextStore {
    /// A store of at most `bytes`, a quarter of them for the index: what short keys need. Ids are those under `seed`.
    pub(super) fn new(bytes: usize, seed: u64) -> Self {
        let bytes = bytes.clamp(4_096, ALIGN << PLACE_BITS);
        let buckets = (bytes / 4 / (BUCKET * size_of::<u32>())).max(1);
        let ring = (bytes - buckets * BUCKET * size_of::<u32>()) / ALIGN * ALIGN;
        Self {
            seed,
            ring: vec![0; ring].into(),
            index: vec![0; buckets * BUCKET].into(),
            head: 0,
            tail: 0,
            entries: 0,
            evicted: 0,
            text: Vec::new(),
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

    fn check(id: KeyId) -> u8 {
        id.bits() as u8
    }

    fn head_at(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.ring[at], self.ring[at + 1]])
    }

    fn set_head(&mut self, at: usize, head: u16) {
        self.ring[at..at + 2].copy_from_slice(&head.to_le_bytes());
    }

    fn size(len: usize) -> usize {
        (HEADER + len).next_multiple_of(ALIGN)
    }

    fn place(slot: u32) -> usize {
        (slot & ((1 << PLACE_BITS) - 1)) as usize * ALIGN - ALIGN
    }

    /// The text of an entry as it is stored.
    fn stored(&self, at: usize) -> &[u8] {
        &self.ring[at + HEADER..at + HEADER + usize::from(self.head_at(at) & LEN)]
    }

    /// Index slot and place of the first entry that looks like that of `id` and which `confirm` takes.
    fn find(&self, id: KeyId, mut confirm: impl FnMut(usize) -> bool) -> Option<(usize, usize)> {
        let (bucket, tag) = (self.bucket(id), Self::tag(id));
        // The slots in use come first.
        for (slot, &value) in
            self.index[bucket..bucket + BUCKET].iter().enumerate().take_while(|(_, value)| **value != 0)
        {
            if value >> PLACE_BITS == tag {
                let at = Self::place(value);
                if self.ring[at + 2] == Self::check(id) && confirm(at) {
                    return Some((bucket + slot, at));
                }
            }
        }
        None
    }

    /// The text of `id`, in `buffer` if it has to be unpacked.
    pub(super) fn text<'a>(&'a self, id: KeyId, buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let (_, at) = self.find(id, |at| KeyId::of_bytes(self.seed, self.unpacked(at, buffer)) == id)?;
        Some(if self.head_at(at) & PACKED == 0 { self.stored(at) } else { buffer })
    }

    /// As [`TextStore::text`], or with a probability of a millionth another text. For what is a guess anyway.
    pub(super) fn probable_text<'a>(&'a self, id: KeyId, buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let (_, at) = self.find(id, |_| true)?;
        Some(self.unpacked(at, buffer))
    }

    fn unpacked<'a>(&'a self, at: usize, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        if self.head_at(at) & PACKED == 0 {
            return self.stored(at);
        }
        unpack(self.stored(at), buffer);
        buffer
    }

    /// Knowledge of a key. Another key's with a probability of a millionth, which is as good as any sign of popularity that
    /// is not remembered.
    pub(super) fn known(&self, id: KeyId) -> Option<Known> {
        self.find(id, |_| true).map(|(_, at)| self.known_at(at))
    }

    fn known_at(&self, at: usize) -> Known {
        let b = &self.ring[at + 3..at + HEADER];
        Known {
            seen: u32::from_le_bytes([b[0], b[1], b[2], 0]),
            count: b[3],
            predicted: Record::unpack(b[4]),
            predicts: Record::unpack(b[5]),
        }
    }

    fn set_known(&mut self, at: usize, known: Known) {
        let b = &mut self.ring[at + 3..at + HEADER];
        b[..3].copy_from_slice(&known.seen.to_le_bytes()[..3]);
        b[3] = known.count;
        b[4] = known.predicted.pack();
        b[5] = known.predicts.pack();
    }

    fn update(&mut self, id: KeyId, change: impl FnOnce(&mut Known)) {
        if let Some((_, at)) = self.find(id, |_| true) {
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
        let is_text = |at: usize| match self.head_at(at) & PACKED {
            0 => self.stored(at) == text,
            _ => is_packed(self.stored(at), text),
        };
        if let Some((_, at)) = self.find(id, is_text) {
            let old = self.known_at(at);
            self.set_known(at, Known { seen, count: old.count.saturating_add(1), ..old });
            self.set_head(at, self.head_at(at) | TOUCHED);
            return;
        }
        let mut packed = std::mem::take(&mut self.text);
        let known = Known { seen, count: 1, ..Known::default() };
        if pack(text, &mut packed) {
            self.write(id, &packed, PACKED, known);
        } else {
            self.write(id, text, 0, known);
        }
        self.text = packed;
    }

    fn write(&mut self, id: KeyId, stored: &[u8], flags: u16, known: Known) {
        let (size, ring) = (Self::size(stored.len()), self.ring.len());
        if size > ring / 8 || stored.len() > LEN.into() {
            return;
        }
        let mut moves = 0;
        let at = loop {
            let at = (self.head % ring as u64) as usize;
            // An entry is never split; the rest of the round is skipped.
            let needed = if at + size > ring { ring - at } else { size };
            if self.used_bytes() + needed > ring {
                self.free_oldest(&mut moves);
            } else if at + size > ring {
                self.skip(at, ring - at);
            } else {
                break at;
            }
        };
        self.set_head(at, stored.len() as u16 | flags);
        self.ring[at + 2] = Self::check(id);
        self.set_known(at, known);
        self.ring[at + HEADER..at + HEADER + stored.len()].copy_from_slice(stored);
        self.head += size as u64;
        self.link(id, at);
    }

    fn skip(&mut self, at: usize, size: usize) {
        if size >= HEADER {
            self.set_head(at, FILLER | (size - HEADER) as u16);
        }
        self.head += size as u64;
    }

    /// Puts an entry into the index. A full bucket gives up its oldest one.
    fn link(&mut self, id: KeyId, at: usize) {
        let (bucket, ring) = (self.bucket(id), self.ring.len());
        let tail = (self.tail % ring as u64) as usize;
        let age = |slot: u32| if slot == 0 { 0 } else { 1 + (Self::place(slot) + ring - tail) % ring };
        let slots = &mut self.index[bucket..bucket + BUCKET];
        if let Some(slot) = slots.iter_mut().min_by_key(|slot| age(**slot)) {
            if *slot == 0 {
                self.entries += 1;
            } else {
                self.evicted += 1;
            }
            *slot = Self::tag(id) << PLACE_BITS | (at / ALIGN + 1) as u32;
        }
    }

    /// The index slot that leads to `at`.
    fn slot_of(&mut self, at: usize) -> Option<(KeyId, usize)> {
        let mut buffer = std::mem::take(&mut self.text);
        let id = KeyId::of_bytes(self.seed, self.unpacked(at, &mut buffer));
        self.text = buffer;
        self.find(id, |found| found == at).map(|(slot, _)| (id, slot))
    }

    /// Takes the oldest entry from the ring; one in use goes to the head again if that is possible at once.
    fn free_oldest(&mut self, moves: &mut usize) {
        let ring = self.ring.len();
        let at = (self.tail % ring as u64) as usize;
        if ring - at < HEADER {
            self.tail += (ring - at) as u64;
            return;
        }
        let head = self.head_at(at);
        let size = Self::size((head & LEN).into());
        self.tail += size as u64;
        if head & FILLER != 0 {
            return;
        }
        let Some((id, slot)) = self.slot_of(at) else { return };
        let to = (self.head % ring as u64) as usize;
        if head & TOUCHED != 0 && *moves < MOVES && to + size <= ring {
            *moves += 1;
            self.ring.copy_within(at..at + size, to);
            self.set_head(to, head & !TOUCHED);
            self.head += size as u64;
            self.index[slot] = Self::tag(id) << PLACE_BITS | (to / ALIGN + 1) as u32;
            return;
        }
        // The last slot in use fills the gap.
        let end = (slot / BUCKET + 1) * BUCKET;
        let last = (slot..end).rev().find(|&slot| self.index[slot] != 0).unwrap_or(slot);
        self.index[slot] = self.index[last];
        self.index[last] = 0;
        self.entries -= 1;
        self.evicted += 1;
    }
}

#[cfg(test)]
#[path = "texts_tests.rs"]
mod tests;
