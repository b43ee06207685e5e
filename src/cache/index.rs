//! Finds entries by prefix and by tag.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::ops::Bound;

use crate::key::CompositeKey;

/// Cached keys in order of their text, and pairs of (tag id, entry id).
///
/// O(log n) per entry and per tag of it; a query costs O(log n + found). At most
/// one key per entry and one pair per tag of an entry, all counted in the entry's bytes.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: BTreeSet<ByText>,
    tags: BTreeSet<(u64, u64)>,
}

/// A key that can be looked up by text: `CompositeKey` itself hashes with a closing slash, so it cannot be a `str`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ByText(CompositeKey);

impl Borrow<str> for ByText {
    fn borrow(&self) -> &str {
        self.0.as_str()
    }
}

impl Index {
    pub(super) fn add(&mut self, key: &CompositeKey, id: u64, tags: impl Iterator<Item = u64>) {
        self.keys.insert(ByText(key.clone()));
        self.tags.extend(tags.map(|tag| (tag, id)));
    }

    pub(super) fn remove(&mut self, key: &CompositeKey, id: u64, tags: impl Iterator<Item = u64>) {
        self.keys.remove(key.as_str());
        for tag in tags {
            self.tags.remove(&(tag, id));
        }
    }

    /// Keys strictly below the prefix, whose text is given with its closing slash.
    pub(super) fn below(&self, slashed: &str) -> Vec<CompositeKey> {
        let from = (Bound::Included(slashed), Bound::Unbounded);
        let run = self.keys.range::<str, _>(from).take_while(|key| key.0.as_str().starts_with(slashed));
        run.map(|key| key.0.clone()).collect()
    }

    /// Ids of the entries with a tag.
    pub(super) fn tagged(&self, tag: u64) -> Vec<u64> {
        self.tags.range((tag, 0)..=(tag, u64::MAX)).map(|&(_, id)| id).collect()
    }

    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn tags(&self) -> usize {
        self.tags.len()
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.tags.clear();
    }
}
