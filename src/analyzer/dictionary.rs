//! Key ids, and the bounded dictionary that leads from an id back to the key.

use std::num::NonZeroU64;

use fxhash::FxBuildHasher;
use lru::LruCache;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::key::CompositeKey;

/// Name of a key within one analyzer: 48 bits of its XXH3-64 hash under the analyzer's seed.
///
/// Two of a million keys share an id with a probability below 0.2 %; the one
/// remembered last is then predicted for both, which costs a wasted prefetch and
/// never a wrong answer, as answers go by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(NonZeroU64);

impl KeyId {
    const BITS: u32 = 48;

    /// The id of a key under `seed`.
    pub fn of(seed: u64, key: &CompositeKey) -> Self {
        let hash = xxh3_64_with_seed(key.as_str().as_bytes(), seed) >> (64 - Self::BITS);
        Self(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }

    /// The id as a number below 2^48, never 0.
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

/// Bytes that one entry costs besides its text: the queue's node (48), its share of the hash table (32) and
/// the counts and allocator's share of the text (32).
const ENTRY_BYTES: usize = 112;

/// Least recently asked keys leave when the byte bound is reached.
#[derive(Debug)]
pub(super) struct Dictionary {
    keys: LruCache<KeyId, CompositeKey, FxBuildHasher>,
    bytes: usize,
    bound: usize,
    evicted: u64,
}

impl Dictionary {
    pub(super) fn new(bound: usize) -> Self {
        Self { keys: LruCache::unbounded_with_hasher(FxBuildHasher::default()), bytes: 0, bound, evicted: 0 }
    }

    fn cost(key: &CompositeKey) -> usize {
        key.as_str().len() + ENTRY_BYTES
    }

    /// Remembers the key as the one asked last.
    pub(super) fn touch(&mut self, id: KeyId, key: &CompositeKey) {
        if self.keys.promote(&id) {
            return;
        }
        self.bytes += Self::cost(key);
        self.keys.put(id, key.clone());
        while self.bytes > self.bound {
            let Some((_, gone)) = self.keys.pop_lru() else { break };
            self.bytes -= Self::cost(&gone);
            self.evicted += 1;
        }
    }

    pub(super) fn get(&self, id: KeyId) -> Option<&CompositeKey> {
        self.keys.peek(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn bound(&self) -> usize {
        self.bound
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }
}
