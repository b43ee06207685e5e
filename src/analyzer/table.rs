//! The Prediction Table: contexts and what followed them, in a fixed number of cache lines.

use super::KeyId;

/// Successors that one context can hold: what fits a cache line.
pub const SUCCESSORS: usize = 7;

/// Lines per set.
const WAYS: usize = 2;
/// Singles per set: one cache line.
const SINGLES: usize = 8;

/// Visits of a key's context after which its counts are halved, so that a changed
/// pattern outweighs the old one after about this many visits. On the
/// development traces 32, 64 and 128 are level within half a point.
pub(super) const KEY_WINDOW: u16 = 64;
/// The same of a shape's context. Many keys share it, so it is visited often, and its successors are many and rare: a
/// window of 32 forgets half of them before they come back (block numbers: 64 % hits; 128: 69 %; 512: 72 %).
pub(super) const SHAPE_WINDOW: u16 = 512;

/// Contexts that a set turns away, at most, until a line no longer visited is replaced.
const MAX_KEEP: u8 = 15;

/// `Line::latest` where the most recent successor is not listed.
const NONE: u8 = u8::MAX;

/// One context with several successors: 64 bytes, aligned to a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line {
    tag: u32,
    total: u16,
    latest: u8,
    keep: u8,
    /// 44 bits of id, from bit 16, above 16 bits of count; 0 is free.
    slots: [u64; SUCCESSORS],
}

/// One successor of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Successor {
    pub(super) id: KeyId,
    pub(super) count: u16,
    pub(super) latest: bool,
}

/// A context's successors, copied out of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContextSuccessors {
    /// Visits of the context, decayed.
    pub(super) total: u16,
    latest: u8,
    slots: [u64; SUCCESSORS],
}

impl ContextSuccessors {
    pub(super) fn iter(&self) -> impl Iterator<Item = Successor> {
        let latest = usize::from(self.latest);
        self.slots.iter().enumerate().filter_map(move |(at, &slot)| {
            let id = KeyId::from_bits(slot >> 16)?;
            Some(Successor { id, count: slot as u16, latest: at == latest })
        })
    }
}

impl Line {
    const FREE: Self = Self { tag: 0, total: 0, latest: NONE, keep: 0, slots: [0; SUCCESSORS] };

    fn add(&mut self, id: KeyId, window: u16) {
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
        if self.total >= window {
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

/// A context with one successor so far, which followed every time: 44 bits of id, 16 of tag, 4 of count; 0 is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Single(u64);

impl Single {
    const FREE: Self = Self(0);
    const MAX_COUNT: u64 = 15;

    fn new(tag: u16, id: KeyId) -> Self {
        Self(id.bits() << 20 | u64::from(tag) << 4 | 1)
    }

    fn tag(self) -> u16 {
        (self.0 >> 4) as u16
    }

    fn id(self) -> u64 {
        self.0 >> 20
    }

    fn count(self) -> u16 {
        (self.0 & Self::MAX_COUNT) as u16
    }
}

/// Set-associative table of contexts. Most contexts have only ever one successor and take eight bytes; the second
/// one makes them a line. Reads and writes are O(1); memory never changes.
#[derive(Debug, Clone)]
pub(super) struct PredictionTable {
    lines: Box<[Line]>,
    singles: Box<[Single]>,
    used: usize,
    replaced: u64,
}

/// Place of a context.
enum ContextPlace {
    Line(usize),
    Single(usize),
    Nowhere,
}

impl PredictionTable {
    /// A table of at most `bytes`, at least one set of each kind; two fifths for lines, the rest for singles.
    pub(super) fn new(bytes: usize) -> Self {
        let lines = (bytes / 5 * 2 / (WAYS * size_of::<Line>())).max(1) * WAYS;
        let singles = (bytes / 5 * 3 / (SINGLES * size_of::<Single>())).max(1) * SINGLES;
        Self {
            lines: vec![Line::FREE; lines].into(),
            singles: vec![Single::FREE; singles].into(),
            used: 0,
            replaced: 0,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.lines.len() + self.singles.len()
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn replaced(&self) -> u64 {
        self.replaced
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.lines) + size_of_val(&*self.singles)
    }

    fn line_set(&self, context: u64) -> (usize, u32) {
        let sets = (self.lines.len() / WAYS) as u64;
        // The high half chooses the set (multiplication instead of remainder), the low half is the tag.
        ((((context >> 32) * sets) >> 32) as usize * WAYS, context as u32 | 1)
    }

    fn single_set(&self, context: u64) -> (usize, u16) {
        let sets = (self.singles.len() / SINGLES) as u64;
        ((((context >> 32) * sets) >> 32) as usize * SINGLES, (context & 0xffff) as u16)
    }

    fn find(&self, context: u64) -> ContextPlace {
        let (at, tag) = self.line_set(context);
        if let Some(way) = self.lines[at..at + WAYS].iter().position(|line| line.tag == tag) {
            return ContextPlace::Line(at + way);
        }
        let (at, tag) = self.single_set(context);
        let set = &self.singles[at..at + SINGLES];
        match set.iter().position(|single| *single != Single::FREE && single.tag() == tag) {
            Some(way) => ContextPlace::Single(at + way),
            None => ContextPlace::Nowhere,
        }
    }

    /// Successors of a context; `None` where it is not known.
    pub(super) fn get(&self, context: u64) -> Option<ContextSuccessors> {
        match self.find(context) {
            ContextPlace::Line(at) => {
                let line = &self.lines[at];
                Some(ContextSuccessors { total: line.total, latest: line.latest, slots: line.slots })
            }
            ContextPlace::Single(at) => {
                let single = self.singles[at];
                let mut slots = [0; SUCCESSORS];
                slots[0] = single.id() << 16 | u64::from(single.count());
                Some(ContextSuccessors { total: single.count(), latest: 0, slots })
            }
            ContextPlace::Nowhere => None,
        }
    }

    /// Counts `id` as a successor of `context`; creates the context where it is missing and `create` says so.
    /// Returns whether the context now has more than one successor, or is none. Counts are halved at `window` visits.
    pub(super) fn learn(&mut self, context: u64, id: KeyId, create: bool, window: u16) -> bool {
        match self.find(context) {
            ContextPlace::Line(at) => {
                self.lines[at].add(id, window);
                true
            }
            ContextPlace::Single(at) if self.singles[at].id() == id.bits() => {
                let set = at / SINGLES * SINGLES;
                let single = self.singles[at];
                // The most recently visited come first.
                self.singles.copy_within(set..at, set + 1);
                self.singles[set] = Single(single.0 + u64::from(u64::from(single.count()) < Single::MAX_COUNT));
                false
            }
            ContextPlace::Single(at) => {
                let single = std::mem::replace(&mut self.singles[at], Single::FREE);
                self.used -= 1;
                self.promote(context, single, id, window);
                true
            }
            ContextPlace::Nowhere if create => {
                self.add_single(context, id);
                false
            }
            ContextPlace::Nowhere => true,
        }
    }

    fn add_single(&mut self, context: u64, id: KeyId) {
        let (at, tag) = self.single_set(context);
        let set = &mut self.singles[at..at + SINGLES];
        let free = set.iter().position(|single| *single == Single::FREE);
        match free {
            Some(_) => self.used += 1,
            None => self.replaced += 1,
        }
        // Of the half visited longest ago the least visited one leaves, the oldest of several.
        let oldest = || (SINGLES / 2..SINGLES).rev().min_by_key(|&way| set[way].count()).unwrap_or(SINGLES - 1);
        let victim = free.unwrap_or_else(oldest);
        set.copy_within(0..victim, 1);
        set[0] = Single::new(tag, id);
    }

    fn promote(&mut self, context: u64, single: Single, id: KeyId, window: u16) {
        let (at, tag) = self.line_set(context);
        let set = &mut self.lines[at..at + WAYS];
        for line in set.iter_mut() {
            line.keep = line.keep.saturating_sub(1);
        }
        // The line visited least, after all lines of the set have aged by one.
        let Some(line) = set.iter_mut().min_by_key(|line| (line.tag != 0, line.keep)) else { return };
        if line.tag == 0 {
            self.used += 1;
        } else {
            self.replaced += 1;
        }
        *line = Line { tag, total: single.count(), keep: single.count().min(MAX_KEEP.into()) as u8, ..Line::FREE };
        line.slots[0] = single.id() << 16 | u64::from(single.count());
        line.add(id, window);
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
