//! Sorting for what is sorted rarely.
//!
//! The standard library's sorts are compiled anew for each type and each order, at 4 to 6 kB of the wasm module each.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The indices below `count` in the order that `compare` gives them; the order of equals is not defined. O(n log n).
///
/// Behind `dyn`, so that the code is there once.
pub(crate) fn sorted(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_unstable_by(|&a, &b| compare(a, b));
    order
}

/// Ids in ascending order. O(n log n), by a heap: a tenth of the code of a sort.
pub(crate) fn ascending(ids: impl Iterator<Item = u32>) -> Vec<u32> {
    ids.collect::<BinaryHeap<_>>().into_sorted_vec()
}
