//! Key ids, and what is known of a key besides its text.

use std::num::NonZeroU64;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::key::CompositeKey;

/// Name of a key within one analyzer: 44 bits of its XXH3-64 hash under the analyzer's seed.
///
/// Among a hundred thousand keys two share an id with a probability of 0.03 %, among a million 3 %; the one
/// remembered last is then predicted for both, which costs a wasted prefetch and
/// never a wrong answer, as answers go by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(NonZeroU64);

impl KeyId {
    /// Bits of an id: they leave room for a tag and a count in eight bytes; see the Prediction Table.
    pub(super) const BITS: u32 = 44;

    /// The id of a key under `seed`.
    pub fn of(seed: u64, key: &CompositeKey) -> Self {
        Self::of_bytes(seed, key.as_str().as_bytes())
    }

    /// Stands for no key where an id has to stand.
    pub(super) const NONE: Self = Self(NonZeroU64::MIN);

    pub(super) fn of_bytes(seed: u64, bytes: &[u8]) -> Self {
        let hash = xxh3_64_with_seed(bytes, seed) >> (64 - Self::BITS);
        Self(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }

    /// The id as a number below 2^44, never 0.
    pub fn bits(self) -> u64 {
        self.0.get()
    }

    /// Name of the key within a part of what shares the analyzer.
    pub(crate) fn within(self, part: u64) -> Self {
        let hash = (self.bits() ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::BITS);
        Self(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }

    pub(super) fn from_bits(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }
}

/// Count of predictions and of those that came true. Halved when full, so that the recent past counts most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Record {
    pub(super) trials: u8,
    pub(super) successes: u8,
}

impl Record {
    /// Predictions after which a record is halved; so that a record fits a byte.
    const WINDOW: u8 = 15;

    pub(super) fn pack(self) -> u8 {
        self.trials << 4 | self.successes
    }

    pub(super) fn unpack(byte: u8) -> Self {
        Self { trials: byte >> 4, successes: byte & 15 }
    }

    pub(super) fn book(&mut self) {
        self.trials += 1;
        if self.trials >= Self::WINDOW {
            self.trials /= 2;
            self.successes /= 2;
        }
    }

    pub(super) fn pay_back(&mut self) {
        // A pay-back can meet a halved record.
        self.successes = self.successes.saturating_add(1).min(self.trials);
    }
}

/// Knowledge of a key besides its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Known {
    /// Number of the access that asked last, modulo 2^24.
    pub(super) seen: u32,
    /// Accesses, at most 255.
    pub(super) count: u8,
    /// Predictions of this key.
    pub(super) predicted: Record,
    /// Predictions made after this key.
    pub(super) predicts: Record,
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
