//! The epoch fence: which answers in flight were overtaken by an invalidation or an own write.

use std::collections::VecDeque;

use fxhash::FxHashMap;

use crate::Millis;

/// State of the cache when a request was sent. Taken by [`LocalCache::fence`](super::LocalCache::fence),
/// handed back with the answer. One per sending: a retry takes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    sequence: u64,
    pub(super) sent_at: Millis,
}

/// Verdict on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    Open,
    /// In flight at an invalidation or own write of something that it belongs to.
    Fenced,
    /// Asked for after an own write, yet older than it.
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
    bound: usize,
    order: VecDeque<(u64, u64)>,
    newest: FxHashMap<u64, Raised>,
}

#[derive(Debug, Clone, Copy)]
struct Raised {
    sequence: u64,
    /// Newest version that this client wrote, 0 if none.
    wrote: u64,
}

impl Fences {
    pub(super) fn new(bound: usize) -> Self {
        Self { sequence: 0, floor: 0, bound, order: VecDeque::new(), newest: FxHashMap::default() }
    }

    pub(super) fn take(&self, sent_at: Millis) -> Fence {
        Fence { sequence: self.sequence, sent_at }
    }

    /// Raises the fence around `scope`; `wrote` is the version of an own write, 0 for an invalidation.
    pub(super) fn raise(&mut self, scope: u64, wrote: u64) {
        self.sequence += 1;
        let before = self.newest.get(&scope).map_or(0, |raised| raised.wrote);
        self.newest.insert(scope, Raised { sequence: self.sequence, wrote: wrote.max(before) });
        self.order.push_back((scope, self.sequence));
        if self.order.len() > self.bound
            && let Some((oldest, sequence)) = self.order.pop_front()
        {
            self.floor = self.floor.max(sequence);
            if self.newest.get(&oldest).is_some_and(|raised| raised.sequence == sequence) {
                self.newest.remove(&oldest);
            }
        }
    }

    /// Raises the fence around everything. What this client wrote stays known.
    pub(super) fn raise_all(&mut self) {
        self.sequence += 1;
        self.floor = self.sequence;
    }

    /// Judges an answer that includes the log up to `reach`. `scopes` are its key's prefixes and its tags.
    pub(super) fn check(&self, fence: Fence, key: u64, reach: u64, mut scopes: impl Iterator<Item = u64>) -> Passage {
        // A fence from the future belongs to a cache before this one.
        if fence.sequence < self.floor || fence.sequence > self.sequence {
            return Passage::Fenced;
        }
        let raised = self.newest.get(&key);
        if raised.is_some_and(|raised| raised.sequence > fence.sequence) {
            return Passage::Fenced;
        }
        if raised.is_some_and(|raised| raised.wrote > reach) {
            return Passage::Outdated;
        }
        let overtaken = |scope: u64| self.newest.get(&scope).is_some_and(|r| r.sequence > fence.sequence);
        if fence.sequence < self.sequence && scopes.any(overtaken) { Passage::Fenced } else { Passage::Open }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn bound(&self) -> usize {
        self.bound
    }
}
