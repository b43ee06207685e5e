//! [`Ids`]: the numbers by which keys, prefixes and tags are known in process.

use crate::key::CompositeKey;
use crate::partition::xxh3;

/// Keep the ids of keys, prefixes and tags apart.
const PREFIX: u64 = 1;
const TAG: u64 = 2;

/// The numbers by which keys, prefixes and tags are known in process: XXH3-64 under a seed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    pub(super) seed: u64,
}

impl Ids {
    pub(super) fn key(self, key: &CompositeKey) -> u64 {
        self.text(key.as_str())
    }

    /// That of the key with this canonical text.
    pub(super) fn text(self, key: &str) -> u64 {
        xxh3(self.seed, key.as_bytes())
    }

    /// That of a prefix, with its `/` at the end.
    pub(super) fn prefix(self, slashed: &str) -> u64 {
        xxh3(self.seed ^ PREFIX, slashed.as_bytes())
    }

    pub(super) fn tag(self, tag: &str) -> u64 {
        xxh3(self.seed ^ TAG, tag.as_bytes())
    }

    /// Those that events about a keymap may be raised around, beside its key.
    pub(super) fn scopes<'a>(self, key: &'a CompositeKey, tags: &'a [String]) -> impl Iterator<Item = u64> + 'a {
        let prefixes = key.slashed_prefixes().map(move |prefix| self.prefix(prefix));
        prefixes.chain(tags.iter().map(move |tag| self.tag(tag)))
    }
}
