//! Which rules a snapshot of a bounded size holds: those that gain most by the byte.

use fxhash::FxHashMap;

use super::merger::Way;
use crate::protocol::TemplateContext;

/// Context that a rule follows from; keys by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum RuleContext {
    /// The key before, if any, and the last one.
    Keys(u32, u32),
    /// A shape, and how it was come to.
    Template(TemplateContext, u64),
}

/// Successor that a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Choice {
    Key(u32),
    Template(u32),
}

/// One successor of one context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RankedRule {
    pub(super) context: RuleContext,
    pub(super) choice: Choice,
    /// Probability that it follows and was not known before.
    pub(super) share: f32,
    /// Visits of the context.
    pub(super) visits: f32,
    /// Requests that are met thanks to it.
    pub(super) gain: f32,
}

/// Bytes, compressed, of a successor, of a context beside its first one, of a key's text beside what it shares, and
/// part of that text that is left: fits over the development traces. Only their proportions matter, as the result is
/// measured.
const ENTRY: f32 = 1.8;
const CONTEXT: f32 = 2.2;
const SHAPE: f32 = 9.0;
const TEXT: f32 = 1.5;
const LETTER: f32 = 0.45;

/// Entries in the order of what they gain by the byte.
#[derive(Debug, Default)]
pub(super) struct Selection {
    entries: Vec<RankedRule>,
    /// Estimated bytes up to and with each entry.
    bytes: Vec<f32>,
    chosen: usize,
}

impl Selection {
    pub(super) fn offer(&mut self, entry: RankedRule) {
        self.entries.push(entry);
    }

    /// Puts what gains most by the byte first. A text is paid for by all that name it, a context by its successors.
    pub(super) fn order<'a>(&mut self, text: impl Fn(Choice) -> &'a [u8]) {
        let costs = self.text_costs(&text);
        let mut successors: FxHashMap<RuleContext, f32> = FxHashMap::default();
        for entry in &self.entries {
            *successors.entry(entry.context).or_default() += 1.0;
        }
        let cost = |entry: &RankedRule| {
            let texts: f32 = texts_of(entry).map(|choice| costs.get(&choice).copied().unwrap_or(0.0)).sum();
            let context = if matches!(entry.context, RuleContext::Keys(..)) { CONTEXT } else { SHAPE };
            ENTRY + context / successors[&entry.context] + texts
        };
        let priced = |entry: RankedRule| {
            let cost = cost(&entry);
            (entry.gain / cost, cost, entry)
        };
        let mut ordered: Vec<(f32, f32, RankedRule)> = self.entries.drain(..).map(priced).collect();
        // By text, as numbers follow the order of merging.
        let place = |entry: &RankedRule| {
            let kind = match entry.context {
                RuleContext::Keys(..) => None,
                RuleContext::Template(TemplateContext::Shape, shape) => Some((0, shape)),
                RuleContext::Template(TemplateContext::Step(_), shape) => Some((1, shape)),
                RuleContext::Template(TemplateContext::Far, shape) => Some((2, shape)),
            };
            (kind, texts_of(entry).map(&text).collect::<Vec<_>>())
        };
        ordered.sort_unstable_by(|a, b| {
            b.0.total_cmp(&a.0)
                .then_with(|| b.2.share.total_cmp(&a.2.share))
                .then_with(|| place(&a.2).cmp(&place(&b.2)))
        });
        let mut sum = 0.0;
        for (_, cost, entry) in ordered {
            sum += cost;
            self.bytes.push(sum);
            self.entries.push(entry);
        }
        self.chosen = self.entries.len();
    }

    /// Bytes that the text of each key or template costs each entry that names it.
    fn text_costs<'a>(&self, text: &impl Fn(Choice) -> &'a [u8]) -> FxHashMap<Choice, f32> {
        let mut uses: FxHashMap<Choice, f32> = FxHashMap::default();
        for choice in self.entries.iter().flat_map(texts_of) {
            *uses.entry(choice).or_default() += 1.0;
        }
        let mut sorted: Vec<Choice> = uses.keys().copied().collect();
        sorted.sort_unstable_by_key(|&choice| (matches!(choice, Choice::Template(_)), text(choice)));
        let mut before: &[u8] = &[];
        for choice in sorted {
            let own = text(choice);
            let shared = before.iter().zip(own).take_while(|(a, b)| a == b).count();
            let bytes = TEXT + LETTER * (own.len() - shared) as f32;
            if let Some(uses) = uses.get_mut(&choice) {
                *uses = bytes / *uses;
            }
            before = own;
        }
        uses
    }

    /// Chooses as many as fit, as `size` measures the first so many.
    pub(super) fn fit(&mut self, max_bytes: usize, size: impl Fn(&[RankedRule]) -> usize) {
        /// Most measurements.
        const TRIES: usize = 8;
        /// Part that may be left over: a 32nd. Half of it is what is aimed at.
        const SLACK: usize = 32;
        let (mut fits, mut fails) = (0, self.entries.len() + 1);
        let mut guess = self.reach(max_bytes as f32);
        for _ in 0..TRIES {
            let measured = size(&self.entries[..guess]);
            if measured <= max_bytes {
                fits = guess;
                if guess + 1 >= fails || measured + max_bytes / SLACK >= max_bytes {
                    break;
                }
            } else {
                fails = guess;
            }
            if fits + 1 >= fails {
                break;
            }
            // In proportion to what was measured, aiming at the middle of what is left over.
            let aim = (max_bytes - max_bytes / (2 * SLACK)) as f32 / measured.max(1) as f32;
            let scaled = self.reach(self.bytes.get(guess.max(1) - 1).copied().unwrap_or(0.0) * aim);
            guess = if scaled > fits && scaled < fails { scaled } else { usize::midpoint(fits, fails) };
        }
        self.chosen = fits;
    }

    /// Number of entries that have so many estimated bytes.
    fn reach(&self, bytes: f32) -> usize {
        self.bytes.partition_point(|&sum| sum <= bytes)
    }

    /// Tells whether nothing is left out.
    pub(super) fn is_whole(&self) -> bool {
        self.chosen == self.entries.len()
    }

    pub(super) fn chosen(&self) -> &[RankedRule] {
        &self.entries[..self.chosen]
    }
}

/// The texts that an entry names.
fn texts_of(entry: &RankedRule) -> impl Iterator<Item = Choice> {
    let context = match entry.context {
        RuleContext::Keys(Way::NONE, last) => [Some(Choice::Key(last)), None],
        RuleContext::Keys(before, last) => [Some(Choice::Key(before)), Some(Choice::Key(last))],
        RuleContext::Template(TemplateContext::Step(by), _) => [Some(Choice::Template(by)), None],
        RuleContext::Template(..) => [None, None],
    };
    context.into_iter().flatten().chain([entry.choice])
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "selection_tests.rs"]
mod tests;
