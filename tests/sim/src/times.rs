//! Times of a history.

use foremap::Millis;

/// When callers stop, and faults with them.
pub(crate) const ACTIVE_UNTIL: Millis = 9_000;
/// When every key is read once more: all attempts of before are over.
pub(crate) const LAST_READS: Millis = ACTIVE_UNTIL + 12_000;
