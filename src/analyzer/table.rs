//! The Prediction Table: a fixed number of 64-byte lines, each one context and its successors.

use super::KeyId;

/// Successors that one context can hold: what fits a cache line.
pub const SUCCESSORS: usize = 7;

/// Lines per set. A look-up touches this many cache lines at most.
const WAYS: usize = 2;

/// Visits of a context after which its counts are halved, so that a changed
/// pattern outweighs the old one after about this many visits. On the
/// development traces 16, 32 and 64 are level within a point.
const WINDOW: u16 = 32;

/// Contexts that a set turns away, at most, until a line no longer visited is replaced.
const MAX_KEEP: u8 = 15;

/// `Line::latest` where the most recent successor is not listed.
const NONE: u8 = u8::MAX;

/// One context: 64 bytes, aligned to a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line {
    tag: u32,
    total: u16,
    latest: u8,
    keep: u8,
    /// 48 bits of key id above 16 bits of count; 0 is free.
    slots: [u64; SUCCESSORS],
}

/// One successor of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Successor {
    pub(super) id: KeyId,
    pub(super) count: u16,
    pub(super) latest: bool,
}

impl Line {
    const FREE: Self = Self { tag: 0, total: 0, latest: NONE, keep: 0, slots: [0; SUCCESSORS] };

    /// Visits since the context was created, decayed.
    pub(super) fn total(&self) -> u16 {
        self.total
    }

    pub(super) fn successors(&self) -> impl Iterator<Item = Successor> {
        let latest = usize::from(self.latest);
        self.slots.iter().enumerate().filter_map(move |(at, &slot)| {
            let id = KeyId::from_bits(slot >> 16)?;
            Some(Successor { id, count: slot as u16, latest: at == latest })
        })
    }

    fn is_ambiguous(&self) -> bool {
        self.slots.iter().filter(|&&slot| slot != 0).count() > 1
    }

    fn add(&mut self, id: KeyId) {
        self.keep = self.keep.saturating_add(1).min(MAX_KEEP);
        self.total += 1;
        let mut at = self.slots.iter().position(|&slot| slot >> 16 == id.bits());
        if at.is_none() {
            at = self.make_room();
        }
        if let Some(at) = at {
            self.slots[at] = (id.bits() << 16) | (self.slots[at] & 0xffff);
            self.slots[at] += 1;
        }
        self.latest = at.map_or(NONE, |at| at as u8);
        if self.total >= WINDOW {
            self.halve();
        }
    }

    /// A free slot, or the weakest successor's after it has lost one count and has none left (Misra and Gries,
    /// 1982): a frequent successor cannot be displaced by a run of rare ones.
    fn make_room(&mut self) -> Option<usize> {
        let (at, &slot) = self.slots.iter().enumerate().min_by_key(|&(_, &slot)| slot & 0xffff)?;
        if slot & 0xffff > 1 {
            self.slots[at] = slot - 1;
            return None;
        }
        self.slots[at] = 0;
        Some(at)
    }

    fn halve(&mut self) {
        self.total /= 2;
        for slot in &mut self.slots {
            let count = (*slot & 0xffff) / 2;
            *slot = if count == 0 { 0 } else { (*slot & !0xffff) | count };
        }
        if self.slots.get(usize::from(self.latest)).is_some_and(|&slot| slot == 0) {
            self.latest = NONE;
        }
    }
}

/// Set-associative table of contexts. Reads and writes are O(1); memory never changes.
#[derive(Debug, Clone)]
pub(super) struct PredictionTable {
    lines: Box<[Line]>,
    used: usize,
    replaced: u64,
}

impl PredictionTable {
    /// A table of at most `bytes`, at least one set.
    pub(super) fn new(bytes: usize) -> Self {
        let sets = (bytes / (WAYS * size_of::<Line>())).max(1);
        Self { lines: vec![Line::FREE; sets * WAYS].into(), used: 0, replaced: 0 }
    }

    pub(super) fn capacity(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn replaced(&self) -> u64 {
        self.replaced
    }

    pub(super) fn bytes(&self) -> usize {
        self.lines.len() * size_of::<Line>()
    }

    fn place(&self, context: u64) -> (usize, u32) {
        let sets = (self.lines.len() / WAYS) as u64;
        // The high half chooses the set (multiplication instead of remainder), the low half is the tag.
        let set = ((context >> 32) * sets) >> 32;
        (set as usize * WAYS, context as u32 | 1)
    }

    /// The line of a context, if it is held.
    pub(super) fn get(&self, context: u64) -> Option<&Line> {
        let (at, tag) = self.place(context);
        self.lines[at..at + WAYS].iter().find(|line| line.tag == tag)
    }

    /// Counts `id` as a successor of `context`; creates the context where it is missing and `create` says so.
    /// Returns whether the context now has more than one successor.
    pub(super) fn learn(&mut self, context: u64, id: KeyId, create: bool) -> bool {
        let (at, tag) = self.place(context);
        let set = &mut self.lines[at..at + WAYS];
        let mut found = set.iter().position(|line| line.tag == tag);
        if found.is_none() && create {
            found = Self::victim(set);
            if let Some(way) = found {
                if set[way].tag == 0 {
                    self.used += 1;
                } else {
                    self.replaced += 1;
                }
                set[way] = Line { tag, ..Line::FREE };
            }
        }
        let Some(way) = found else { return false };
        set[way].add(id);
        set[way].is_ambiguous()
    }

    /// The line visited least, after all lines of the set have aged by one.
    fn victim(set: &mut [Line]) -> Option<usize> {
        for line in set.iter_mut() {
            line.keep = line.keep.saturating_sub(1);
        }
        set.iter().enumerate().min_by_key(|(_, line)| (line.tag != 0, line.keep)).map(|(way, _)| way)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
