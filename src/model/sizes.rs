//! How much is told and read: what whoever serves a model agrees on.

use std::ops::RangeInclusive;

/// Largest compressed sizes that snapshots are made in, ascending.
pub const CLASSES: [usize; 4] = [4 << 10, 16 << 10, 64 << 10, 256 << 10];
/// Size of a model for callers that name none.
pub const DEFAULT_BYTES: u64 = 64 << 10;
/// Least and most that callers may name.
pub const NAMED_BYTES: RangeInclusive<u64> = 1_024..=1 << 20;
/// Bytes that an address may tell in a minute where callers show no token.
pub const MAX_TOLD_BYTES: u32 = 64 << 10;

/// The largest class that is not over `bytes`, or else the smallest.
pub fn class_of(bytes: usize) -> usize {
    CLASSES.partition_point(|&class| class <= bytes).saturating_sub(1)
}
