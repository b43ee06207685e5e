//! Candidates that the analyzer hands to the Confidence Map, and why they are proposed.

use serde::Serialize;

use super::KeyId;
use super::keys::{Known, Record};
use crate::protocol::ModelSnapshot;

/// Source of a prediction: a kind of context that learns, or the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Expert {
    /// Keys that followed the stream's last key.
    Order1,
    /// Keys that followed the stream's last two keys, where what follows the last one is ambiguous.
    Order2,
    /// The template that usually follows the shape of the last key.
    Template,
    /// The template that usually follows the last template and the shape it led to.
    Template2,
    /// The same after the last two of them.
    Template3,
    /// Keys that the stream asked for once an order made after the present key had arrived; learnt while orders take so long
    /// that the next request comes before them.
    Far,
    /// The same after the last two keys.
    Far2,
    /// The template of the same; while orders arrive before the next request, of the request after that.
    FarTemplate,
    /// The application, which named the key. Not one that learns, so not in [`Expert::ALL`].
    Hint,
}

impl Expert {
    /// Number of experts that learn.
    pub const COUNT: usize = 8;
    /// All of those.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Order1,
        Self::Order2,
        Self::Template,
        Self::Template2,
        Self::Template3,
        Self::Far,
        Self::Far2,
        Self::FarTemplate,
    ];

    /// Tells whether it learns how keys are made from each other, not which follow.
    pub(super) fn is_template(self) -> bool {
        matches!(self, Self::Template | Self::Template2 | Self::Template3 | Self::FarTemplate)
    }
}

/// Upper edges of the share count / total, in 64ths. Denser at the ends, where decisions differ.
const SHARES: [u16; 10] = [2, 4, 6, 11, 17, 26, 35, 45, 54, 62];
/// Upper edges of the support.
const SUPPORTS: [u16; 6] = [1, 2, 3, 5, 9, 15];

/// Rows of [`SHARES`] by share.
const SHARE_ROWS: [u8; 65] = {
    let (mut rows, mut share, mut row) = ([0; 65], 0, 0);
    while share <= 64 {
        while row < SHARES.len() && share > SHARES[row] as usize {
            row += 1;
        }
        rows[share] = row as u8;
        share += 1;
    }
    rows
};

/// The visits of a context, made ready to divide by: a division for each of its successors would cost more than all
/// else that is done with them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visits {
    support: u8,
    /// Reciprocals of the visits and of one more, rounded up, in 2^-30ths: exact for as many visits as a window has.
    total: u64,
    more: u64,
}

impl Visits {
    pub(super) fn of(total: u16) -> Self {
        let support = SUPPORTS.iter().position(|&edge| total <= edge).unwrap_or(SUPPORTS.len()) as u8;
        let reciprocal = |of: u32| u64::from((1_u32 << 30) / of + 1);
        Self { support, total: reciprocal(u32::from(total).max(1)), more: reciprocal(u32::from(total) + 1) }
    }

    /// The grade of a count in 64ths.
    pub(super) fn grade(&self, count: u32, latest: bool) -> Grade {
        let share = ((u64::from(count) * self.total) >> 30).min(64);
        let row = SHARE_ROWS[share as usize] * (SUPPORTS.len() as u8 + 1) + self.support;
        Grade(2 + row * 2 + u8::from(latest))
    }

    /// The share of one more than all visits, in 1,024ths, of a count in 64ths.
    pub(super) fn rank(&self, count: u32) -> u16 {
        ((u64::from(count) * 16 * self.more) >> 30) as u16
    }
}

/// Strength with which one expert proposes a candidate, in a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grade(u8);

impl Grade {
    /// Number of grades.
    pub const COUNT: usize = 2 + 2 * (SHARES.len() + 1) * (SUPPORTS.len() + 1);
    /// The expert does not know the context.
    pub const SILENT: Self = Self(0);
    /// The expert knows the context but not this candidate.
    pub const UNLISTED: Self = Self(1);

    /// The grade of `count` of `total` visits, the last one among them or not.
    pub fn of(count: u16, total: u16, latest: bool) -> Self {
        Visits::of(total).grade(u32::from(count) * 64, latest)
    }

    /// The grade of a number below [`Grade::COUNT`].
    pub fn from_index(index: usize) -> Self {
        Self(index as u8)
    }

    /// The grade as a number below [`Grade::COUNT`].
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// Tells whether the expert proposes the candidate.
    pub fn is_listed(self) -> bool {
        self.0 >= 2
    }

    /// Probability to believe of a grade before anything is known of it: 1 of 1 is a third, 3 of 3 is 0.6.
    pub fn prior(self) -> f32 {
        if !self.is_listed() {
            return 0.05;
        }
        let row = usize::from(self.0 - 2) / 2;
        let (share, support) = (row / (SUPPORTS.len() + 1), row % (SUPPORTS.len() + 1));
        let share = f32::from(SHARES.get(share).copied().unwrap_or(64)) / 64.0;
        let support = f32::from(SUPPORTS.get(support).copied().unwrap_or(20));
        share * support / (support + 2.0)
    }
}

/// Why a candidate is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Grade given by each expert.
    pub grades: [Grade; Expert::COUNT],
    /// Class of how often and how long ago it was asked for, below [`Evidence::POPULARITIES`]; 0 if it is not known.
    pub popularity: u8,
    /// Class of how often earlier predictions of it came true, below [`Evidence::RECORDS`]; 0 without any.
    pub predicted: u8,
    /// The same of predictions made after the stream's last key.
    pub predicts: u8,
}

impl Evidence {
    /// Values of `popularity` of keys asked for here.
    const LOCAL_POPULARITIES: usize = 1 + 8 * 16;
    /// Values of `popularity`.
    pub const POPULARITIES: usize = Self::LOCAL_POPULARITIES + ModelSnapshot::MAX_POPULARITY as usize + 1;
    /// Values of `predicted` and of `predicts`.
    pub const RECORDS: usize = 1 + 4 * 8;

    pub(super) fn popularity(known: Option<Known>, now: u32) -> u8 {
        let Some(known) = known else { return 0 };
        let log2 = |n: u32, max: u32| (32 - n.leading_zeros()).min(max);
        let age = log2((now.wrapping_sub(known.seen) & 0xff_ffff) / 4, 15);
        (1 + log2(u32::from(known.count) / 2, 7) * 16 + age) as u8
    }

    /// The popularity of a key that others asked for so often, as a power of two.
    pub(super) fn popularity_elsewhere(log2: u8) -> u8 {
        Self::LOCAL_POPULARITIES as u8 + log2.min(ModelSnapshot::MAX_POPULARITY)
    }

    pub(super) fn record(record: Record) -> u8 {
        RECORDS[usize::from(record.pack())]
    }
}

/// Evidence of each packed record.
const RECORDS: [u8; 256] = {
    let (mut values, mut packed) = ([0; 256], 16);
    while packed < 256 {
        let (trials, successes) = (packed >> 4, packed & 15);
        let support = match trials {
            1 => 0,
            2..=3 => 1,
            4..=7 => 2,
            _ => 3,
        };
        let share = successes * 8 / (trials + 1);
        values[packed] = (1 + support * 8 + if share < 7 { share } else { 7 }) as u8;
        packed += 1;
    }
    values
};

/// A proposed next key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The key.
    pub id: KeyId,
    /// Why it is proposed.
    pub evidence: Evidence,
    /// The expert with the best word for it.
    pub expert: Expert,
    /// Byte range of its text in [`Proposals`], if a template made it.
    pub(super) text: (u32, u32),
}

/// Opinion of the experts on a key, until the best candidates are chosen.
#[derive(Debug, Clone, Copy)]
struct Word {
    grades: [Grade; Expert::COUNT],
    /// The expert with the best word, and its place.
    expert: Expert,
    place: u64,
    text: (u32, u32),
}

/// A template, and the key that it makes with the place of its text.
type MadeKey = (KeyId, Option<(KeyId, (u32, u32))>);

/// Candidates of one or several contexts, with the texts that templates made. Its buffers are reused.
#[derive(Debug, Default)]
pub struct Proposals {
    /// The latest context's candidates, best first.
    pub candidates: Vec<Candidate>,
    pub(super) texts: Vec<u8>,
    /// The template being applied; a buffer.
    pub(super) template: Vec<u8>,
    /// Templates applied for the latest context, and what they made.
    pub(super) made: Vec<MadeKey>,
    /// Keys proposed for the latest context, and apart from them, as those are searched, what is said of each.
    ids: Vec<KeyId>,
    words: Vec<Word>,
    /// The best few of them, best first: the share that the best word gives, in 1,024ths, above the key's complement, so
    /// that the smaller id comes first among equals, above where it is in the lists.
    best: [u64; SCORED],
}

/// Most candidates of one context that are scored. Five or eight replay level.
const SCORED: usize = 6;
/// Bits of an index into the lists, and below the rank of a place.
const INDEX: u32 = 6;
const RANK: u32 = KeyId::BITS + INDEX;

impl Proposals {
    /// Most candidates that one context leads to, before the best are chosen.
    const MAX: usize = Expert::COUNT * super::SUCCESSORS;
    /// Bytes that the candidates of one context take at most.
    pub(crate) const BYTES: usize = Self::MAX * (size_of::<MadeKey>() + size_of::<KeyId>() + size_of::<Word>());

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.candidates.clear();
        self.texts.clear();
    }

    /// Bytes of texts that templates made since the last [`Proposals::clear`].
    pub fn texts_len(&self) -> usize {
        self.texts.len()
    }

    /// The text that a template made for a candidate; empty if none did.
    pub fn text(&self, at: (u32, u32)) -> &[u8] {
        self.texts.get(at.0 as usize..at.1 as usize).unwrap_or_default()
    }

    /// Starts with a context.
    pub(super) fn begin(&mut self) {
        self.candidates.clear();
        self.made.clear();
        self.ids.clear();
        self.words.clear();
        self.best = [0; SCORED];
    }

    /// Adds what an expert says of a key.
    pub(super) fn propose(&mut self, id: KeyId, expert: Expert, rank: u16, grade: Grade, text: (u32, u32)) {
        let at = self.ids.iter().position(|known| *known == id).unwrap_or(self.ids.len());
        if at == Self::MAX {
            return;
        }
        if at == self.ids.len() {
            self.ids.push(id);
            self.words.push(Word { grades: [Grade::SILENT; Expert::COUNT], expert, place: 0, text });
        }
        let place = u64::from(rank) << RANK | (id.bits() ^ ((1 << KeyId::BITS) - 1)) << INDEX | at as u64;
        let word = &mut self.words[at];
        // Two templates can make the same key; the better word counts.
        if !word.grades[expert as usize].is_listed() || place > word.place {
            word.grades[expert as usize] = grade;
        }
        if word.text.0 == word.text.1 {
            word.text = text;
        }
        if place > word.place {
            (word.place, word.expert) = (place, expert);
            self.place(place);
        }
    }

    /// Puts a place where it belongs among the best; the former one of the same key goes.
    fn place(&mut self, place: u64) {
        if place < self.best[SCORED - 1] {
            return;
        }
        let same = |other: u64| (other ^ place) & ((1 << RANK) - 1) == 0;
        let mut at = self.best.iter().position(|&other| same(other)).unwrap_or(SCORED - 1);
        while at > 0 && self.best[at - 1] < place {
            self.best[at] = self.best[at - 1];
            at -= 1;
        }
        self.best[at] = place;
    }

    /// Tells whether a new key with a word of this rank would not be chosen.
    pub(super) fn is_vain(&self, rank: u16) -> bool {
        self.best[SCORED - 1] >> RANK > rank.into()
    }

    /// Makes the best few of what was proposed the candidates; `unlisted` is what each expert says of a key that it
    /// does not propose.
    pub(super) fn choose(&mut self, unlisted: &[Grade; Expert::COUNT]) {
        for &place in self.best.iter().take(self.ids.len()) {
            let at = (place & ((1 << INDEX) - 1)) as usize;
            let Word { mut grades, expert, text, .. } = self.words[at];
            for (grade, unlisted) in grades.iter_mut().zip(unlisted) {
                if *grade == Grade::SILENT {
                    *grade = *unlisted;
                }
            }
            let evidence = Evidence { grades, ..Evidence::default() };
            self.candidates.push(Candidate { id: self.ids[at], evidence, expert, text });
        }
    }
}

impl Candidate {
    /// Byte range of its text in the [`Proposals`] that it came from.
    pub fn text(&self) -> (u32, u32) {
        self.text
    }
}
