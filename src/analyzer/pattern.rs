//! [`Analyzer`]: observes accesses, proposes successors.

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::dictionary::{Dictionary, KeyId};
use super::streams::{STREAM_BYTES, Stream, Streams};
use super::table::{Line, PredictionTable, Successor};
use crate::key::CompositeKey;

/// Bounds of an [`Analyzer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalyzerConfig {
    /// Hard cap on all that is kept, in bytes; at least [`AnalyzerConfig::MIN_MEMORY`].
    pub memory_bytes: usize,
    /// Most streams told apart; fewer where an eighth of the memory does not hold them.
    pub max_streams: usize,
    /// Seed of the in-process key ids.
    pub seed: u64,
}

impl AnalyzerConfig {
    /// Default memory cap: 4 MiB.
    pub const DEFAULT_MEMORY: usize = 4 << 20;
    /// Smallest memory cap, below which the tables hold too little to predict from: 256 KiB.
    pub const MIN_MEMORY: usize = 256 << 10;
}

impl Default for AnalyzerConfig {
    fn default() -> Self {
        Self { memory_bytes: Self::DEFAULT_MEMORY, max_streams: 4_096, seed: 0 }
    }
}

/// How a demand request was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// From the cache, and not for the first time.
    Hit,
    /// First demand hit of a prefetched entry.
    FirstUse,
    /// Asked while its prefetch was in flight.
    Late,
    /// Neither cached nor on its way.
    Miss,
}

/// Demand requests by how they were met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessCounts {
    /// [`Access::Hit`].
    pub hits: u64,
    /// [`Access::FirstUse`].
    pub first_uses: u64,
    /// [`Access::Late`].
    pub late: u64,
    /// [`Access::Miss`].
    pub misses: u64,
}

impl AccessCounts {
    fn of(&mut self, access: Access) -> &mut u64 {
        match access {
            Access::Hit => &mut self.hits,
            Access::FirstUse => &mut self.first_uses,
            Access::Late => &mut self.late,
            Access::Miss => &mut self.misses,
        }
    }
}

/// What made a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Expert {
    /// The stream's last two keys.
    Order2,
    /// The stream's last key, where its last two are unknown.
    Order1,
    /// The stream's last key, where its last two are known but do not list the candidate.
    Backoff,
}

impl Expert {
    /// Number of experts.
    pub const COUNT: usize = 3;
}

/// The keys that a prediction starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// The key before the last one.
    pub before: Option<KeyId>,
    /// The last key.
    pub last: Option<KeyId>,
}

impl Context {
    /// The context after `next` followed.
    pub fn then(self, next: KeyId) -> Self {
        Self { before: self.last, last: Some(next) }
    }
}

/// Why a candidate is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// The context it was found in.
    pub expert: Expert,
    /// Decayed visits of the context that this key followed.
    pub count: u16,
    /// Decayed visits of the context: the support.
    pub total: u16,
    /// Whether it followed at the last visit.
    pub latest: bool,
}

/// A proposed next key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The key; its text may have left the dictionary.
    pub id: KeyId,
    /// Why it is proposed.
    pub evidence: Evidence,
}

/// Where a stream is after an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRef {
    /// The key just observed.
    pub id: KeyId,
    /// Its stream's context.
    pub context: Context,
}

/// Fill and bounds of an analyzer's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalyzerStats {
    /// Requests observed.
    pub accesses: AccessCounts,
    /// Contexts held.
    pub lines: usize,
    /// Most contexts.
    pub lines_max: usize,
    /// Contexts replaced so far.
    pub lines_replaced: u64,
    /// Keys in the dictionary.
    pub keys: usize,
    /// Bytes of the dictionary.
    pub key_bytes: usize,
    /// Most bytes of the dictionary.
    pub key_bytes_max: usize,
    /// Keys that left the dictionary so far.
    pub keys_evicted: u64,
    /// Streams told apart.
    pub streams: usize,
    /// Most streams told apart.
    pub streams_max: usize,
    /// Streams forgotten so far.
    pub streams_evicted: u64,
    /// Bytes of all of it, fixed tables at their full size.
    pub memory_bytes: usize,
}

/// Learns which key follows which. See the [module](super) for the method.
#[derive(Debug)]
pub struct Analyzer {
    seed: u64,
    table: PredictionTable,
    dictionary: Dictionary,
    streams: Streams,
    accesses: AccessCounts,
}

/// Kinds of context, kept apart in one table by different multipliers (odd constants from SplitMix64, Steele
/// et al., 2014).
const ORDER1: u64 = 0x9e37_79b9_7f4a_7c15;
const ORDER2: u64 = 0xbf58_476d_1ce4_e5b9;
const MIX: u64 = 0x94d0_49bb_1331_11eb;

fn context_hash(kind: u64, first: u64, second: u64) -> u64 {
    let mut hash = (first ^ second.rotate_left(29).wrapping_mul(ORDER1)).wrapping_mul(kind);
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(MIX);
    hash ^ (hash >> 29)
}

fn order1(last: KeyId) -> u64 {
    context_hash(ORDER1, last.bits(), 0)
}

fn order2(before: KeyId, last: KeyId) -> u64 {
    context_hash(ORDER2, last.bits(), before.bits())
}

impl Analyzer {
    /// An empty analyzer within the bounds of `config`: half of the memory for contexts, at most an eighth for
    /// streams, the rest for the dictionary.
    pub fn new(config: AnalyzerConfig) -> Self {
        let memory = config.memory_bytes.max(AnalyzerConfig::MIN_MEMORY);
        let table = PredictionTable::new(memory / 2);
        let streams = Streams::new(config.max_streams.min(memory / 8 / STREAM_BYTES));
        let dictionary = Dictionary::new(memory - table.bytes() - streams.capacity() * STREAM_BYTES);
        Self { seed: config.seed, table, dictionary, streams, accesses: AccessCounts::default() }
    }

    /// The id of a key.
    pub fn id(&self, key: &CompositeKey) -> KeyId {
        KeyId::of(self.seed, key)
    }

    /// The key of an id, unless it was not asked for so long that its text was dropped.
    pub fn key(&self, id: KeyId) -> Option<&CompositeKey> {
        self.dictionary.get(id)
    }

    /// The id of a stream.
    pub(crate) fn stream_id(&self, stream: &str) -> u64 {
        xxh3_64_with_seed(stream.as_bytes(), self.seed)
    }

    /// Learns from one demand request. O(1): at most two lines change.
    ///
    /// A key asked twice in a row changes nothing: it is cached, and would hide what follows it.
    pub fn observe(&mut self, stream: &str, key: &CompositeKey, access: Access) -> StreamRef {
        let id = self.id(key);
        self.dictionary.touch(id, key);
        let stream = self.stream_id(stream);
        *self.accesses.of(access) += 1;
        let mut state = self.streams.get(stream).copied().unwrap_or_default();
        if state.last != Some(id) {
            self.learn(&state, id);
            state = Stream { before: state.last, last: Some(id) };
        }
        self.streams.put(stream, state);
        StreamRef { id, context: state.context() }
    }

    fn learn(&mut self, state: &Stream, id: KeyId) {
        let Some(last) = state.last else { return };
        let ambiguous = self.table.learn(order1(last), id, true);
        if let Some(before) = state.before {
            // While the last key alone decides what follows, a longer context would say the same for more memory.
            self.table.learn(order2(before, last), id, ambiguous);
        }
    }

    /// Appends the known successors of a context to `out`, each key once, those of the longer context first.
    /// At most 2 x [`SUCCESSORS`](super::SUCCESSORS), in an order that depends on the observations alone. O(1).
    pub fn predict(&self, context: &Context, out: &mut Vec<Candidate>) {
        let Some(last) = context.last else { return };
        let longer = context.before.and_then(|before| self.table.get(order2(before, last)));
        if let Some(line) = longer {
            out.extend(line.successors().map(|next| candidate(line, next, Expert::Order2)));
        }
        if let Some(line) = self.table.get(order1(last)) {
            // The longer context's word on a key replaces the shorter one's.
            let said = |id: KeyId| longer.is_some_and(|line| line.successors().any(|known| known.id == id));
            let expert = if longer.is_some() { Expert::Backoff } else { Expert::Order1 };
            let rest = line.successors().filter(|next| !said(next.id));
            out.extend(rest.map(|next| candidate(line, next, expert)));
        }
    }

    /// The present context of a stream.
    pub fn context(&self, stream: &str) -> Option<Context> {
        self.streams.get(self.stream_id(stream)).map(Stream::context)
    }

    /// Fill and bounds.
    pub fn stats(&self) -> AnalyzerStats {
        AnalyzerStats {
            accesses: self.accesses,
            lines: self.table.used(),
            lines_max: self.table.capacity(),
            lines_replaced: self.table.replaced(),
            keys: self.dictionary.len(),
            key_bytes: self.dictionary.bytes(),
            key_bytes_max: self.dictionary.bound(),
            keys_evicted: self.dictionary.evicted(),
            streams: self.streams.len(),
            streams_max: self.streams.capacity(),
            streams_evicted: self.streams.evicted(),
            memory_bytes: self.table.bytes() + self.dictionary.bytes() + self.streams.len() * STREAM_BYTES,
        }
    }
}

fn candidate(line: &Line, next: Successor, expert: Expert) -> Candidate {
    let evidence = Evidence { expert, count: next.count, total: line.total(), latest: next.latest };
    Candidate { id: next.id, evidence }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
