//! Sorting for what is sorted rarely.
//!
//! The standard library's sorts are compiled anew for each type and each order, at 4 to 6 kB of the wasm module each.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The indices below `count` in the order that `compare` gives them; the order of equals is not defined. O(n log n).
///
/// By a heap, a fifth of the code of a sort, and behind `dyn`, so that it is there once.
pub(crate) fn sorted(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let order: BinaryHeap<Place<'_>> = (0..count).map(|at| Place { at, compare }).collect();
    order.into_sorted_vec().into_iter().map(|place| place.at).collect()
}

/// An index that compares as what it stands for.
struct Place<'a> {
    at: usize,
    compare: &'a dyn Fn(usize, usize) -> Ordering,
}

impl Ord for Place<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.compare)(self.at, other.at)
    }
}

impl PartialOrd for Place<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Place<'_> {}

/// Ids in ascending order. O(n log n), by a heap: a tenth of the code of a sort.
pub(crate) fn ascending(ids: impl Iterator<Item = u32>) -> Vec<u32> {
    ids.collect::<BinaryHeap<_>>().into_sorted_vec()
}
