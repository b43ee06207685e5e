//! [`Heavy`]: the heaviest items of a stream in a table of a fixed size.

use fxhash::FxHashMap;

use super::report::Count;

/// Counts the heaviest items of a stream.
///
/// Misra-Gries counters with bulk decrements (Anderson, Bevin, Lang, Liberty, Rhodes, Thaler: A High-Performance
/// Algorithm for Identifying Frequent Items in Data Streams, 2017): what Space-Saving (Metwally, Agrawal, El Abbadi,
/// 2005) keeps with one counter more, less its smallest counter (Agarwal et al., Mergeable Summaries, 2012). An item of
/// more than twice the stream's length divided by the capacity is in the table, and no count is too high. O(1) an item,
/// amortised.
#[derive(Debug)]
pub(super) struct Heavy<T> {
    capacity: usize,
    items: FxHashMap<u64, (Count, T)>,
    counts: Vec<u32>,
}

impl<T> Heavy<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(2), items: FxHashMap::default(), counts: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Counts an item known by a hash; `make` is asked for the item itself when it is new.
    pub(super) fn add(&mut self, id: u64, count: Count, make: impl FnOnce() -> T) -> (Count, &mut T) {
        if self.items.len() >= self.capacity && !self.items.contains_key(&id) {
            self.purge();
        }
        let (total, item) = self.items.entry(id).or_insert_with(|| (Count::default(), make()));
        total.add(count);
        (*total, item)
    }

    /// Takes the median off every count, which lets go of half of the items.
    fn purge(&mut self) {
        self.counts.clear();
        self.counts.extend(self.items.values().map(|(count, _)| count.all));
        let middle = self.counts.len() / 2;
        let median = *self.counts.select_nth_unstable(middle).1;
        self.items.retain(|_, (count, _)| {
            count.all = count.all.saturating_sub(median);
            count.late = count.late.min(count.all);
            count.all > 0
        });
    }

    /// The items of at least `least`, heaviest first, at most `most` of them; equals in the order of their hashes.
    pub(super) fn take(&mut self, least: u32, most: usize) -> Vec<(u64, Count, T)> {
        self.take_if(most, |count, _| count.all >= least)
    }

    /// The items that `is_wanted`, in that order.
    pub(super) fn take_if(&mut self, most: usize, is_wanted: impl Fn(Count, &T) -> bool) -> Vec<(u64, Count, T)> {
        let all = self.items.drain().filter(|(_, (count, item))| is_wanted(*count, item));
        let mut all: Vec<_> = all.map(|(id, (count, item))| (id, count, item)).collect();
        all.sort_unstable_by_key(|&(id, count, _)| (std::cmp::Reverse(count.all), id));
        all.truncate(most);
        all
    }
}

/// Number of distinct hashes seen: HyperLogLog (Flajolet et al., 2007) with 64 registers, off by 13 % (one standard
/// deviation); small numbers by linear counting. 64 bytes.
#[derive(Debug, Clone)]
pub(super) struct Distinct {
    registers: [u8; 64],
}

impl Default for Distinct {
    fn default() -> Self {
        Self { registers: [0; 64] }
    }
}

impl Distinct {
    pub(super) fn see(&mut self, hash: u64) {
        let register = &mut self.registers[(hash >> 58) as usize];
        // Of 58 bits; the guard keeps an all-zero rest within them.
        *register = (*register).max(((hash << 6) | 1 << 5).leading_zeros() as u8 + 1);
    }

    pub(super) fn estimate(&self) -> u32 {
        let empty = self.registers.iter().filter(|&&rank| rank == 0).count();
        let harmonic: f64 = self.registers.iter().map(|&rank| 1.0 / (1_u64 << rank) as f64).sum();
        let raw = 0.709 * 64.0 * 64.0 / harmonic;
        if raw <= 160.0 && empty > 0 {
            return (64.0 * (64.0 / empty as f64).ln()).round() as u32;
        }
        raw.round() as u32
    }
}

#[cfg(test)]
#[path = "sketch_tests.rs"]
mod tests;
