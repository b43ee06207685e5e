//! The epoch fence: which answers in flight were overtaken by an invalidation or an own write.

use std::collections::VecDeque;

use fxhash::FxHashMap;

use super::moment::{Moment, before};
use crate::Millis;

/// State of the cache when a request was sent. Taken by [`LocalCache::fence`](super::LocalCache::fence),
/// handed back with the answer. One per sending: a retry takes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    sequence: u64,
    pub(super) sent_at: Millis,
    linear: bool,
}

impl Fence {
    /// The same for an answer that was read from the store after the request was sent: it includes whatever was
    /// acknowledged by then, however long it took.
    pub fn linear(self) -> Self {
        Self { linear: true, ..self }
    }

    /// When an answer that came with `age_ms` was current as of, at the earliest.
    pub(super) fn as_of(self, age_ms: u32) -> Moment {
        if self.linear { self.sent_at as Moment } else { before(self.sent_at, age_ms) }
    }

    /// When the request was sent.
    pub fn sent_at(self) -> Millis {
        self.sent_at
    }

    /// As two numbers, to be kept by a host beside a request that it performs itself.
    pub fn to_parts(self) -> [u64; 2] {
        [self.sequence, self.sent_at]
    }

    /// Restores what [`Fence::to_parts`] gave; it is not [`linear`](Fence::linear).
    pub fn from_parts([sequence, sent_at]: [u64; 2]) -> Self {
        Self { sequence, sent_at, linear: false }
    }
}

/// Margin by which a read has to be newer than an invalidation, in milliseconds, whichever node answers it.
///
/// An answer says how old its knowledge is in whole milliseconds, and so does the clock of this client: what was
/// known two milliseconds after the moment of an invalidation was certainly known after it.
const ROUNDING_MS: Millis = 2;

/// Verdict on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    Open,
    /// In flight at an invalidation or own write of something that it belongs to.
    Fenced,
    /// Asked for after an own write or an invalidation, yet older than it.
    Outdated,
}

/// The newest events, by the id of what they concern (a key, a prefix or a tag).
///
/// Bounded: a fence from before the oldest event remembered counts as raised,
/// which costs one fetch and never serves what was invalidated. O(1) per
/// event; an answer costs a table look-up for each of its prefixes and tags, or one if nothing happened
/// since it was asked for.
#[derive(Debug)]
pub(super) struct Fences {
    sequence: u64,
    /// Events up to here are forgotten, or concerned everything.
    floor: u64,
    /// Time of the latest invalidation among them.
    floor_at: Millis,
    /// Latest invalidation of a tag: which keys it concerns is known of their answers only.
    tag: Raised,
    bound: usize,
    order: VecDeque<(u64, u64)>,
    newest: FxHashMap<u64, Raised>,
}

/// Event that raises a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// This client wrote the version.
    Wrote(u64),
    /// Invalidated at this moment.
    Invalidated(Millis),
}

#[derive(Debug, Clone, Copy, Default)]
struct Raised {
    sequence: u64,
    /// Newest version that this client wrote, 0 if none.
    wrote: u64,
    /// Latest invalidation, 0 if none.
    at: Millis,
}

impl Raised {
    fn join(self, sequence: u64, event: Event) -> Self {
        match event {
            Event::Wrote(version) => Self { sequence, wrote: self.wrote.max(version), ..self },
            Event::Invalidated(at) => Self { sequence, at: self.at.max(at), ..self },
        }
    }
}

impl Fences {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            sequence: 0,
            floor: 0,
            floor_at: 0,
            tag: Raised::default(),
            bound,
            order: VecDeque::new(),
            newest: FxHashMap::default(),
        }
    }

    pub(super) fn take(&self, sent_at: Millis) -> Fence {
        Fence { sequence: self.sequence, sent_at, linear: false }
    }

    /// Raises the fence around `scope`.
    pub(super) fn raise(&mut self, scope: u64, event: Event) {
        self.sequence += 1;
        let raised = self.newest.entry(scope).or_default();
        *raised = raised.join(self.sequence, event);
        self.order.push_back((scope, self.sequence));
        if self.order.len() > self.bound
            && let Some((oldest, sequence)) = self.order.pop_front()
        {
            self.floor = self.floor.max(sequence);
            if let Some(raised) = self.newest.get(&oldest).copied().filter(|raised| raised.sequence == sequence) {
                self.floor_at = self.floor_at.max(raised.at);
                self.newest.remove(&oldest);
            }
        }
    }

    /// Raises the fence around a tag.
    pub(super) fn raise_tag(&mut self, tag: u64, at: Millis) {
        self.raise(tag, Event::Invalidated(at));
        self.tag = self.tag.join(self.sequence, Event::Invalidated(at));
    }

    /// Raises the fence around everything. What this client wrote stays known.
    pub(super) fn raise_all(&mut self, at: Millis) {
        self.sequence += 1;
        self.floor = self.sequence;
        self.floor_at = self.floor_at.max(at);
    }

    /// Judges an answer that includes the log up to `reach` and was current as of `as_of`. `scopes` are its key's
    /// prefixes and its tags.
    pub(super) fn check(
        &self,
        fence: Fence,
        key: u64,
        reach: u64,
        as_of: Moment,
        mut scopes: impl Iterator<Item = u64>,
    ) -> Passage {
        // A fence from the future belongs to a cache before this one.
        if fence.sequence < self.floor || fence.sequence > self.sequence {
            return Passage::Fenced;
        }
        let known_at = |at: Millis| at == 0 || fence.linear || as_of >= (at + ROUNDING_MS) as Moment;
        let verdict = |raised: &Raised| {
            if raised.sequence > fence.sequence {
                Passage::Fenced
            } else if raised.wrote > reach || !known_at(raised.at) {
                Passage::Outdated
            } else {
                Passage::Open
            }
        };
        let of = |scope: u64| self.newest.get(&scope).map_or(Passage::Open, verdict);
        // Whether a key has a tag may have changed since what this answer knows.
        if !known_at(self.floor_at.max(self.tag.at)) {
            return Passage::Outdated;
        }
        let own = of(key);
        if own != Passage::Open || self.newest.is_empty() {
            return own;
        }
        scopes.find_map(|scope| Some(of(scope)).filter(|&of| of != Passage::Open)).unwrap_or(Passage::Open)
    }

    /// Tells whether what was asked for under `fence` left before an event that concerns a key, or may concern it: whether
    /// the answer has a tag is not known yet. `scopes` are the key's prefixes.
    pub(super) fn is_overtaken(&self, fence: Fence, key: u64, mut scopes: impl Iterator<Item = u64>) -> bool {
        let raised = |scope: u64| self.newest.get(&scope).is_some_and(|raised| raised.sequence > fence.sequence);
        fence.sequence < self.floor.max(self.tag.sequence)
            || fence.sequence > self.sequence
            || (fence.sequence < self.sequence && (raised(key) || scopes.any(raised)))
    }

    /// Tells whether any event so far concerned a key with these prefixes and tags.
    pub(super) fn has_raised(&self, key: u64, mut scopes: impl Iterator<Item = u64>) -> bool {
        self.floor > 0 || self.newest.contains_key(&key) || scopes.any(|scope| self.newest.contains_key(&scope))
    }

    /// The moment that knowledge about a key must be younger than; 0 where there is none.
    pub(super) fn needed_after(&self, key: u64, scopes: impl Iterator<Item = u64>) -> Millis {
        let at = |scope: u64| self.newest.get(&scope).map_or(0, |raised| raised.at);
        let named = std::iter::once(key).chain(scopes).map(at).max().unwrap_or(0);
        let needed = named.max(self.floor_at).max(self.tag.at);
        if needed == 0 { 0 } else { needed + ROUNDING_MS - 1 }
    }

    /// The clock broke: it may have counted more than has passed since what was invalidated, so that it counts as invalidated
    /// now. O(events).
    pub(super) fn clock_broke(&mut self, now: Millis) -> Millis {
        let raised = self.newest.values_mut().map(|raised| &mut raised.at);
        for at in raised.chain([&mut self.floor_at, &mut self.tag.at]).filter(|at| **at > 0) {
            *at = now;
        }
        now + ROUNDING_MS - 1
    }

    /// Forgets what this client wrote, too, and lets nothing in flight pass.
    pub(super) fn start_over(&mut self, at: Millis) {
        self.raise_all(at);
        self.order.clear();
        self.newest.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn bound(&self) -> usize {
        self.bound
    }
}
