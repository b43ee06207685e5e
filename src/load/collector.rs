//! [`LoadCollector`]: counts what a node serves, for its next report.

use fxhash::FxHashMap;

use super::report::{Count, LATE_SHARE, LoadReport, PrefixLoad, ROUND_MS, cell_of};
use super::sketch::{Distinct, Heavy};
use crate::Millis;
use crate::key::{CompositeKey, KeyPrefix};
use crate::partition::{NodeId, xxh3};

/// A request for a key, as the node placed it.
#[derive(Debug, Clone, Copy)]
pub struct ServedRequest<'a> {
    /// The key.
    pub key: &'a CompositeKey,
    /// Its virtual partition.
    pub partition: u32,
    /// Components hashed: the depth of its portion.
    pub depth: u8,
    /// `true` where the map names replicas of it.
    pub replicated: bool,
}

/// Fill and bounds, for statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CollectorFill {
    /// Partitions, of [`LoadReport::MAX_PARTITIONS`].
    pub partitions: usize,
    /// Prefixes, of [`LoadCollector::MAX_PREFIXES`].
    pub prefixes: usize,
    /// Cells, of [`LoadCollector::MAX_CELLS`].
    pub cells: usize,
    /// Keys, of [`LoadCollector::MAX_KEYS`].
    pub keys: usize,
    /// Pairs, of [`LoadCollector::MAX_PAIRS`].
    pub pairs: usize,
}

/// Counts what a node serves. O(1) a request, whatever it serves; at most about 600 KB.
///
/// Partitions are counted one by one. Prefixes, what is below them, and keys are in tables of the heaviest (hierarchical
/// heavy hitters by one summary of each level: Mitzenmacher, Steinke, Thaler, 2012). Of a prefix that may be split, its
/// cells tell what each number of spread bits would make of it. Beyond [`LoadCollector::SAMPLED_FROM`] requests in the
/// round before, a random sample of that size goes into the tables.
#[derive(Debug)]
pub struct LoadCollector {
    spread_seed: u64,
    since: Millis,
    number: u64,
    requests: Count,
    distinct: Distinct,
    partitions: FxHashMap<u32, Count>,
    prefixes: Heavy<Prefix>,
    cells: Heavy<LoadCell>,
    /// Keys, and whether they have replicas.
    keys: Heavy<(CompositeKey, bool)>,
    pairs: Heavy<(KeyPrefix, KeyPrefix)>,
    /// One request in so many is looked at.
    stride: u32,
    random: u64,
}

/// A prefix of a key that is kept: no text is copied.
#[derive(Debug)]
struct Prefix {
    key: CompositeKey,
    depth: usize,
    keys: Distinct,
}

#[derive(Debug, Clone, Copy)]
struct LoadCell {
    prefix: u64,
    at: u16,
}

impl LoadCollector {
    /// Most prefixes that are counted at once.
    pub const MAX_PREFIXES: usize = 2_048;
    /// Most cells that are counted at once.
    pub const MAX_CELLS: usize = 4_096;
    /// Most keys that are counted at once.
    pub const MAX_KEYS: usize = 2_048;
    /// Most pairs that are counted at once.
    pub const MAX_PAIRS: usize = 1_024;
    /// Requests in a round from which on they are sampled.
    pub const SAMPLED_FROM: u32 = 65_536;
    /// Components below the hashed ones that are looked at where there is nearly everything...
    const DEEPER: usize = 6;
    /// ...that is, more than this share of the requests...
    const HEAVY: u32 = 8;
    /// ...of at least so many.
    const TELLING: u32 = 512;
    /// The least share of the node's load that is reported, if it is asked for at least four times as well;
    /// but for keys with replicas, each of which serves little of what they add up to.
    const LEAST: u32 = 1_024;

    /// Counts from `now` on. `spread_seed` is the map's second seed, which never changes; `seed` decides which requests
    /// are sampled.
    pub fn new(spread_seed: u64, seed: u64, now: Millis) -> Self {
        Self {
            spread_seed,
            since: now,
            number: 0,
            requests: Count::default(),
            distinct: Distinct::default(),
            partitions: FxHashMap::default(),
            prefixes: Heavy::new(Self::MAX_PREFIXES),
            cells: Heavy::new(Self::MAX_CELLS),
            keys: Heavy::new(Self::MAX_KEYS),
            pairs: Heavy::new(Self::MAX_PAIRS),
            stride: 1,
            random: seed | 1,
        }
    }

    /// Counts a request for a key that the node served.
    pub fn observe(&mut self, now: Millis, served: ServedRequest<'_>) {
        let one = self.count(now, 1);
        self.requests.add(one);
        if !served.replicated && (self.partitions.len() < LoadReport::MAX_PARTITIONS || self.is_known(served.partition))
        {
            self.partitions.entry(served.partition).or_default().add(one);
        }
        if self.is_sampled() {
            let count = self.count(now, self.stride);
            let key = served.key;
            let hash = xxh3(0, key.as_str().as_bytes());
            self.distinct.see(hash);
            let (_, (_, replicated)) = self.keys.add(hash, count, || (key.clone(), false));
            *replicated |= served.replicated;
            if !served.replicated {
                let depth = usize::from(served.depth);
                self.below(key, depth, hash, count);
                // Where nearly all of a prefix is below one child, what matters is deeper.
                let mut deeper = depth + 1;
                while self.below(key, deeper, hash, count) && deeper < depth + Self::DEEPER {
                    deeper += 1;
                }
            }
        }
    }

    /// Counts that the first of `depth` components of these keys were asked for together, in one batch or one after the other
    /// in a stream. O(keys), of which at most 64 are looked at.
    pub fn together<'a>(&mut self, now: Millis, keys: impl Iterator<Item = (&'a CompositeKey, u8)>) {
        if !self.is_sampled() {
            return;
        }
        let prefixes = keys.take(64).map(|(key, depth)| (key, key.portion(depth.into())));
        let mut first: Option<&str> = None;
        let mut last = "";
        for (_, prefix) in prefixes {
            let Some(first) = first else {
                (first, last) = (Some(prefix), prefix);
                continue;
            };
            if prefix != first && prefix != last {
                let (one, other) = if trimmed(first) < trimmed(prefix) { (first, prefix) } else { (prefix, first) };
                let id = xxh3(xxh3(1, one.as_bytes()), other.as_bytes());
                let count = self.count(now, self.stride);
                self.pairs.add(id, count, || (KeyPrefix::of_portion(one), KeyPrefix::of_portion(other)));
            }
            last = prefix;
        }
    }

    /// The report of all that was served since the one before; begins the next round. `round` is the time of day in rounds.
    pub fn take(&mut self, now: Millis, node: NodeId, incarnation: u64, round: u64) -> LoadReport {
        let length = now.saturating_sub(self.since).max(1);
        let requests = std::mem::take(&mut self.requests);
        let distinct = std::mem::take(&mut self.distinct).estimate();
        let least = (requests.all / Self::LEAST).max(4 * self.stride);
        // What was counted in a round that came early or late is stated as of a whole one.
        let late_from = (ROUND_MS as f64 * (1.0 - LATE_SHARE)) as u64;
        let scaled = |count: Count| {
            let early = u64::from(count.all - count.late) * late_from / length.min(late_from);
            let late = u64::from(count.late) * (ROUND_MS - late_from) / length.saturating_sub(late_from).max(1);
            let capped = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            Count { all: capped(early + late), late: capped(late) }
        };
        let mut partitions: Vec<_> = self.partitions.drain().map(|(at, count)| (at, scaled(count))).collect();
        partitions.sort_unstable_by_key(|&(at, _)| at);
        let mut keys: Vec<_> = self
            .keys
            .take_if(LoadReport::MAX_KEYS, |count, (_, replicated)| count.all >= least || *replicated)
            .into_iter()
            .map(|(_, count, (key, _))| (key, scaled(count)))
            .collect();
        keys.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let pairs = self.pairs.take(1, LoadReport::MAX_PAIRS).into_iter();
        let mut together: Vec<_> = pairs.map(|(_, count, (one, other))| (one, other, scaled(count).all)).collect();
        together.sort_unstable();
        let prefixes = self.take_prefixes(least, scaled);
        self.number += 1;
        self.since = now;
        self.stride = (requests.all / Self::SAMPLED_FROM).max(1);
        LoadReport {
            node,
            incarnation,
            number: self.number,
            round,
            requests: scaled(requests),
            distinct,
            partitions,
            prefixes,
            keys,
            together,
        }
    }

    /// The fill of the tables.
    pub fn fill(&self) -> CollectorFill {
        CollectorFill {
            partitions: self.partitions.len(),
            prefixes: self.prefixes.len(),
            cells: self.cells.len(),
            keys: self.keys.len(),
            pairs: self.pairs.len(),
        }
    }

    fn take_prefixes(&mut self, least: u32, scaled: impl Fn(Count) -> Count) -> Vec<PrefixLoad> {
        let mut cells: FxHashMap<u64, Vec<(u16, Count)>> = FxHashMap::default();
        for (_, count, cell) in self.cells.take(least.div_ceil(2), LoadReport::MAX_CELLS) {
            cells.entry(cell.prefix).or_default().push((cell.at, scaled(count)));
        }
        let heavy = self.prefixes.take(least, LoadReport::MAX_PREFIXES).into_iter();
        let mut loads: Vec<_> = heavy
            .map(|(id, count, prefix)| {
                let mut cells = cells.remove(&id).unwrap_or_default();
                cells.sort_unstable_by_key(|&(at, _)| at);
                let keys = prefix.keys.estimate();
                let prefix = KeyPrefix::of_portion(prefix.key.portion(prefix.depth));
                PrefixLoad { prefix, count: scaled(count), keys, cells }
            })
            .collect();
        loads.sort_unstable_by(|a, b| a.prefix.cmp(&b.prefix));
        loads
    }

    fn is_known(&self, partition: u32) -> bool {
        self.partitions.contains_key(&partition)
    }

    fn count(&self, now: Millis, n: u32) -> Count {
        let late = now.saturating_sub(self.since) as f64 >= ROUND_MS as f64 * (1.0 - LATE_SHARE);
        Count { all: n, late: if late { n } else { 0 } }
    }

    /// One in `stride`, at random, so that no pattern of requests falls through.
    fn is_sampled(&mut self) -> bool {
        if self.stride == 1 {
            return true;
        }
        // xorshift (Marsaglia, 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32).wrapping_mul(u64::from(self.stride)) >> 32 == 0
    }

    /// Counts the prefix of `depth` components, and the cell below it. Returns whether it is so heavy that what is below it
    /// matters as well.
    fn below(&mut self, key: &CompositeKey, depth: usize, hash: u64, count: Count) -> bool {
        // A whole key is no prefix of others: it is among the keys.
        let Some(next) = key.component_after(depth) else { return false };
        if next.is_empty() {
            return false;
        }
        let prefix = xxh3(0, key.portion(depth).as_bytes());
        let (total, known) =
            self.prefixes.add(prefix, count, || Prefix { key: key.clone(), depth, keys: Distinct::default() });
        known.keys.see(hash);
        let is_heavy = self.requests.all >= Self::TELLING && total.all >= self.requests.all / Self::HEAVY;
        let at = cell_of(self.spread_seed, next);
        let id = (prefix ^ u64::from(at)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.cells.add(id, count, || LoadCell { prefix, at });
        is_heavy
    }
}

fn trimmed(slashed: &str) -> &str {
    slashed.strip_suffix('/').unwrap_or(slashed)
}

#[cfg(test)]
#[path = "collector_tests.rs"]
mod tests;
