//! Sizes of what is told and read, which whoever serves a model agrees on.

use std::ops::RangeInclusive;

use crate::key::KeyPrefix;
use crate::protocol::{ErrorCode, MAX_MODEL_BYTES, MIN_MODEL_BYTES, ModelSnapshot, Problem};

/// Largest compressed sizes that snapshots are made in, ascending.
pub const CLASSES: [usize; 4] = [4 << 10, 16 << 10, 64 << 10, 256 << 10];
/// Size of a model for callers that name none.
pub const DEFAULT_BYTES: u64 = 64 << 10;
/// Least and most that callers may name.
pub const NAMED_BYTES: RangeInclusive<u64> = MIN_MODEL_BYTES..=MAX_MODEL_BYTES;
/// Bytes that an address may tell in a minute where callers show no token.
pub const MAX_TOLD_BYTES: u32 = 64 << 10;

/// The largest class that is not over `bytes`, or else the smallest.
pub fn class_of(bytes: usize) -> usize {
    CLASSES.partition_point(|&class| class <= bytes).saturating_sub(1)
}

/// The class for callers that name so many bytes, or none.
///
/// # Errors
/// `BAD_REQUEST` where it is more or less than they may name.
pub fn class_named(bytes: Option<u64>) -> Result<usize, Problem> {
    let bytes = bytes.unwrap_or(DEFAULT_BYTES);
    if NAMED_BYTES.contains(&bytes) {
        return Ok(class_of(bytes as usize));
    }
    let detail = format!("`bytes` is {bytes}, it must be {} to {}", NAMED_BYTES.start(), NAMED_BYTES.end());
    Err(Problem::new(ErrorCode::BadRequest, detail).with_limit(*NAMED_BYTES.end()))
}

/// Of a snapshot in several sizes, ascending and in binary form, the largest that `fits` once nothing is left of it but what
/// lies below `prefixes`: what is left of a larger size is as useful to whom it is for. Where none fits it is the smallest;
/// `None` of no sizes.
pub fn restricted<'a, T>(
    sizes: impl DoubleEndedIterator<Item = &'a [u8]>,
    prefixes: &[KeyPrefix],
    make: impl Fn(&ModelSnapshot) -> T,
    fits: impl Fn(&T) -> bool,
) -> Option<T> {
    let may_read = |text: &str| prefixes.iter().any(|prefix| prefix.covers_text(text));
    let mut made = None;
    for size in sizes.rev() {
        // It was read when it came.
        let snapshot = ModelSnapshot::decode(size).unwrap_or_default();
        let restricted = make(&snapshot.restricted(may_read));
        let is_small = fits(&restricted);
        made = Some(restricted);
        if is_small {
            break;
        }
    }
    made
}

/// Prefixes in order and each once: the same for whoever may read the same.
pub fn distinct(prefixes: &[KeyPrefix]) -> Vec<KeyPrefix> {
    let mut prefixes = prefixes.to_vec();
    prefixes.sort();
    prefixes.dedup();
    prefixes
}
