//! [`Prior`]: successors of contexts from a shared model, which local evidence overrides.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use fxhash::FxHashMap;

use super::classes::KnownClasses;
use super::context::{context_hash, pair, step_hash};
use super::evidence::Expert;
use super::keys::KeyId;
use super::table::{ContextSuccessors, SUCCESSORS};
use super::template::is_sound;
use crate::protocol::{self, ModelSnapshot, TemplateContext};

/// A part of one of the buffers, with a figure: the successors of a context, and the visits that they stand for; or the text of
/// an id, and one more than the popularity of a key, where that is known. One form of both makes one kind of hash table, which
/// the core has the code of once.
#[derive(Debug, Clone, Copy)]
struct BufferSlice {
    start: u32,
    len: u16,
    figure: u8,
}

/// Tables of a shared model under the ids of one analyzer. Read only: what is learnt here is kept apart, and both
/// are added up where something is predicted, so that a newer model can take the place of this one.
#[derive(Debug, Clone, Default)]
pub struct Prior {
    lines: FxHashMap<u64, BufferSlice>,
    /// 44 bits of id above the share, in its steps.
    next: Vec<u64>,
    /// Of keys and of templates.
    texts: FxHashMap<u64, BufferSlice>,
    bytes: Vec<u8>,
    places: Arc<KnownClasses>,
}

/// Most visits that a context stands for where something is known of it here as well.
const MOST_BESIDE_LOCAL: u8 = 14;
/// Bits of a share's step.
const STEP_BITS: u32 = 8;

impl Prior {
    /// Bytes that an entry of a hash table takes: itself and its share of what is free.
    const LINE_BYTES: usize = 32;
    const TEXT_BYTES: usize = 32;

    /// The tables of a snapshot for analyzers of a seed, of at most `limit` bytes: what does not fit is left out, templates
    /// last. O(bytes).
    pub fn new(seed: u64, limit: usize, snapshot: &ModelSnapshot) -> Self {
        let places = snapshot.places.iter().map(|place| (place.place, place.is_kind));
        let mut prior = Self { places: Arc::new(KnownClasses::new(places)), ..Self::default() };
        let texts: Vec<&[u8]> = snapshot.templates.iter().map(Vec::as_slice).collect();
        let templates = ids(seed, &texts, is_sound);
        for rule in &snapshot.template_rules {
            let context = match rule.context {
                TemplateContext::Shape => context_hash(Expert::Template, rule.shape),
                TemplateContext::Far => context_hash(Expert::FarTemplate, rule.shape),
                TemplateContext::Step(by) => match templates.get(by as usize) {
                    Some(Some(by)) => context_hash(Expert::Template2, step_hash(rule.shape, *by)),
                    _ => continue,
                },
            };
            prior.add_line(context, &rule.then, (&templates, &texts, &[]), limit);
        }
        let texts: Vec<&[u8]> = snapshot.keys.iter().map(String::as_bytes).collect();
        let keys = ids(seed, &texts, |_| true);
        let id = |number: u32| keys.get(number as usize).copied().flatten();
        for rule in &snapshot.rules {
            let context = match (rule.before.map(id), id(rule.last)) {
                (None, Some(last)) => context_hash(Expert::Order1, last.bits()),
                (Some(Some(before)), Some(last)) => context_hash(Expert::Order2, pair(before, last)),
                _ => continue,
            };
            prior.add_line(context, &rule.then, (&keys, &texts, &snapshot.popularity), limit);
        }
        prior.settle();
        prior
    }

    /// Classes of places.
    pub(super) fn places(&self) -> Arc<KnownClasses> {
        self.places.clone()
    }

    /// Adds the successors of a context, with their texts, where there is room for them within `limit` bytes.
    /// Texts of keys that are no successors are of no use.
    fn add_line(
        &mut self,
        context: u64,
        then: &protocol::Successors,
        (ids, texts, popularity): (&[Option<KeyId>], &[&[u8]], &[u8]),
        limit: usize,
    ) {
        let known = |(number, share): &(u32, protocol::QuantizedShare)| {
            let at = *number as usize;
            Some((ids.get(at).copied().flatten()?, *texts.get(at)?, *share, popularity.get(at)))
        };
        let next = || then.next.iter().take(SUCCESSORS).filter_map(known);
        let mut size = self.size() + Self::LINE_BYTES;
        for (id, text, ..) in next() {
            let is_new = !self.texts.contains_key(&id.bits());
            size += size_of::<u64>() + if is_new { Self::TEXT_BYTES + text.len() } else { 0 };
        }
        if size > limit {
            return;
        }
        let start = self.next.len();
        for (id, text, share, popularity) in next() {
            self.next.push(id.bits() << STEP_BITS | u64::from(share.step()));
            let at = self.bytes.len() as u32;
            if let Entry::Vacant(place) = self.texts.entry(id.bits()) {
                let figure = popularity.map_or(0, |&log2| log2.saturating_add(1));
                place.insert(BufferSlice { start: at, len: text.len() as u16, figure });
                self.bytes.extend_from_slice(text);
            }
        }
        let len = (self.next.len() - start) as u16;
        self.lines.insert(context, BufferSlice { start: start as u32, len, figure: 1 << then.visits });
    }

    /// Gives back what the buffers have grown beyond what is in them.
    fn settle(&mut self) {
        self.next.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    /// The text of an id.
    pub(super) fn text(&self, id: KeyId) -> Option<&[u8]> {
        let BufferSlice { start, len, .. } = *self.texts.get(&id.bits())?;
        self.bytes.get(start as usize..start as usize + usize::from(len))
    }

    /// Popularity of a key elsewhere, as a power of two.
    pub(super) fn popularity(&self, id: KeyId) -> Option<u8> {
        if self.texts.is_empty() {
            return None;
        }
        self.texts.get(&id.bits())?.figure.checked_sub(1)
    }

    /// Bytes of all of it, hash tables at most twice as large as what is in them.
    pub(super) fn size(&self) -> usize {
        self.lines.len() * Self::LINE_BYTES
            + self.next.len() * size_of::<u64>()
            + self.texts.len() * Self::TEXT_BYTES
            + self.bytes.len()
    }

    /// Contexts.
    pub(super) fn lines(&self) -> usize {
        self.lines.len()
    }

    /// Successors of a context, here and elsewhere; `None` if nothing is known of it.
    pub(super) fn mix(&self, context: u64, local: Option<ContextSuccessors>) -> Option<Mix> {
        let prior = if self.lines.is_empty() { None } else { self.lines.get(&context) };
        if local.is_none() && prior.is_none() {
            return None;
        }
        let mut mix = Mix::default();
        if let Some(local) = local {
            mix.total = local.total;
            for next in local.iter() {
                mix.push(next.id.bits(), u32::from(next.count) * 64, next.latest);
            }
        }
        if let Some(&BufferSlice { start, len, figure: visits }) = prior {
            // Where one key has followed, its count ends at 15: it has to outweigh what is known from elsewhere.
            let visits = if local.is_some() { visits.min(MOST_BESIDE_LOCAL) } else { visits };
            mix.total += u16::from(visits);
            for &next in &self.next[start as usize..start as usize + usize::from(len)] {
                let share = (next & ((1 << STEP_BITS) - 1)) as u32;
                mix.add(next >> STEP_BITS, u32::from(visits) * share * share / 16);
            }
        }
        Some(mix)
    }
}

/// One successor out of both.
#[derive(Debug, Clone, Copy, Default)]
struct Mixed {
    id: u64,
    /// In 64ths of a visit.
    count: u32,
    latest: bool,
}

/// Successors of a context, here and elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mix {
    pub(super) total: u16,
    len: usize,
    next: [Mixed; 2 * SUCCESSORS],
}

impl Mix {
    fn push(&mut self, id: u64, count: u32, latest: bool) {
        if let Some(next) = self.next.get_mut(self.len) {
            *next = Mixed { id, count, latest };
            self.len += 1;
        }
    }

    fn add(&mut self, id: u64, count: u32) {
        match self.next[..self.len].iter_mut().find(|next| next.id == id) {
            Some(next) => next.count += count,
            None => self.push(id, count, false),
        }
    }

    /// Each successor with its count in 64ths of a visit, and whether it followed last.
    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyId, u32, bool)> {
        self.next[..self.len].iter().filter_map(|next| Some((KeyId::from_bits(next.id)?, next.count, next.latest)))
    }
}

/// The ids of a snapshot's keys or templates, of those that `is_sound` holds of.
fn ids(seed: u64, texts: &[&[u8]], is_sound: fn(&[u8]) -> bool) -> Vec<Option<KeyId>> {
    texts.iter().map(|text| is_sound(text).then(|| KeyId::of_bytes(seed, text))).collect()
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "prior_tests.rs"]
mod tests;
