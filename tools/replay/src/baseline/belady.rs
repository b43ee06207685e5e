//! The optimum of caching without prefetching.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::trace::Trace;
use fxhash::FxHashMap;

use super::id::Id;
use crate::demand::Demand;
use crate::rules::Cache;

/// For each request, the next one for the same key (of the same client with `private`); `usize::MAX` for none.
pub(crate) fn next_uses(trace: &Trace, private: bool) -> Rc<[usize]> {
    let mut seen: FxHashMap<(u32, Id), usize> = FxHashMap::default();
    let mut next = vec![usize::MAX; trace.requests.len()];
    for (at, request) in trace.requests.iter().enumerate().rev() {
        let client = if private { request.client } else { 0 };
        next[at] = seen.insert((client, request.key), at).unwrap_or(usize::MAX);
    }
    next.into()
}

/// Belady's MIN with bypass: what is needed farthest in the future gives way, which may be the missed key itself.
pub(crate) struct Belady {
    entries: usize,
    next: Rc<[usize]>,
    /// Next use of each resident key, and the residents by it.
    at: FxHashMap<Id, usize>,
    by_use: BTreeSet<(usize, Id)>,
}

impl Belady {
    pub(crate) fn new(entries: usize, next: Rc<[usize]>) -> Self {
        Self { entries, next, at: FxHashMap::default(), by_use: BTreeSet::new() }
    }

    fn keep(&mut self, key: Id, next: usize) {
        self.at.insert(key, next);
        self.by_use.insert((next, key));
    }
}

impl Cache<Id> for Belady {
    fn demand(&mut self, at: usize, key: &Id) -> Demand {
        let next = self.next[at];
        if let Some(used) = self.at.remove(key) {
            self.by_use.remove(&(used, *key));
            self.keep(*key, next);
            return Demand::Hit;
        }
        if self.at.len() < self.entries {
            self.keep(*key, next);
        } else if let Some(&(farthest, evicted)) = self.by_use.last()
            && next < farthest
        {
            self.by_use.remove(&(farthest, evicted));
            self.at.remove(&evicted);
            self.keep(*key, next);
        }
        Demand::Miss
    }

    fn contains(&self, key: &Id) -> bool {
        self.at.contains_key(key)
    }

    fn land(&mut self, _: &Id) -> bool {
        false
    }

    fn take_unused(&mut self, _: &mut Vec<Id>) {}
}
