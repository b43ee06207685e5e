//! Least recently used.

use std::num::NonZeroUsize;

use fxhash::FxBuildHasher;
use lru::LruCache;

use super::id::Id;
use crate::demand::Demand;
use crate::rules::Cache;

/// An LRU cache that knows which entries are prefetched and unused.
pub(crate) struct Lru {
    entries: LruCache<Id, bool, FxBuildHasher>,
    unused: Vec<Id>,
}

impl Lru {
    pub(crate) fn new(entries: usize) -> Self {
        let entries = NonZeroUsize::new(entries).unwrap_or(NonZeroUsize::MIN);
        // Resized, as `with_hasher` would allocate the whole table at once.
        let mut cache = LruCache::unbounded_with_hasher(FxBuildHasher::default());
        cache.resize(entries);
        Self { entries: cache, unused: Vec::new() }
    }

    fn insert(&mut self, key: Id, prefetched: bool) {
        if let Some((evicted, true)) = self.entries.push(key, prefetched) {
            self.unused.push(evicted);
        }
    }
}

impl Cache<Id> for Lru {
    fn demand(&mut self, _: usize, key: &Id) -> Demand {
        match self.entries.get_mut(key) {
            Some(prefetched) => {
                if std::mem::replace(prefetched, false) {
                    Demand::FirstUse
                } else {
                    Demand::Hit
                }
            }
            None => {
                self.insert(*key, false);
                Demand::Miss
            }
        }
    }

    fn contains(&self, key: &Id) -> bool {
        self.entries.contains(key)
    }

    fn land(&mut self, key: &Id) -> bool {
        self.insert(*key, true);
        true
    }

    fn take_unused(&mut self, unused: &mut Vec<Id>) {
        unused.append(&mut self.unused);
    }
}
