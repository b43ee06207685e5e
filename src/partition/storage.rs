//! [`StorageLayout`]: the place of a key in the store, independent of the map's epochs.

use serde::{Deserialize, Serialize};

use super::portion::MAX_DEPTH;
use super::xxh3;
use crate::key::{CompositeKey, KeyPrefix};

/// The store's fixed slicing: `shard = (XXH3(first D components) + XXH3(key) mod F) mod S`.
///
/// Keys that share their first `depth` components lie in at most `fan` shards,
/// so a list reads `fan` of them and a write-hot first component still spreads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageLayout {
    /// Number of storage shards, S.
    pub shards: u16,
    /// Leading components that choose the first shard, D.
    pub depth: u8,
    /// Shards per leading components, F.
    pub fan: u16,
}

impl Default for StorageLayout {
    fn default() -> Self {
        Self { shards: 256, depth: 1, fan: 16 }
    }
}

impl StorageLayout {
    /// Seed of the layout: fixed for ever, as stored data depends on it.
    const SEED: u64 = 0x666f_7265_6d61_7073; // "foremaps"

    /// Tells whether the numbers make sense together: `1 <= fan <= shards` and `depth <= 16`.
    pub fn is_valid(&self) -> bool {
        self.shards > 0 && self.fan > 0 && self.fan <= self.shards && self.depth <= MAX_DEPTH
    }

    /// The storage shard of `key`.
    pub fn shard(&self, key: &CompositeKey) -> u16 {
        let base = xxh3(Self::SEED, key.portion(usize::from(self.depth)).as_bytes());
        let slot = xxh3(Self::SEED, key.as_str().as_bytes()) % u64::from(self.fan);
        ((base % u64::from(self.shards) + slot) % u64::from(self.shards)) as u16
    }

    /// The shards that can hold keys below `prefix`, ascending: `fan` of them, or all where the prefix is
    /// shorter than `depth`.
    pub fn shards_of(&self, prefix: &KeyPrefix) -> Vec<u16> {
        if prefix.depth() < usize::from(self.depth) {
            return (0..self.shards).collect();
        }
        let end = prefix.slashed().match_indices('/').nth(usize::from(self.depth).wrapping_sub(1));
        let portion = end.map_or("", |(at, _)| prefix.slashed().get(..=at).unwrap_or_default());
        let base = xxh3(Self::SEED, portion.as_bytes()) % u64::from(self.shards);
        let mut shards: Vec<u16> =
            (0..u64::from(self.fan)).map(|slot| ((base + slot) % u64::from(self.shards)) as u16).collect();
        shards.sort_unstable();
        shards
    }
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
