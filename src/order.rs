//! One sort for what is sorted rarely.

use std::cmp::Ordering;

/// The indices below `count` in the order that `compare` gives them; the order of equals is not defined. O(n log n).
///
/// The standard library's sort is compiled anew for each type and each order, at 4 to 6 kB of the wasm module. Behind
/// `dyn` it is there once.
pub(crate) fn sorted(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_unstable_by(|&a, &b| compare(a, b));
    order
}
