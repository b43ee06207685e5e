//! [`Clock`]: the wall clock, which tests replace.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time in microseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// This machine's clock; 0 where that is before 1970.
pub(super) fn system_clock() -> Clock {
    Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64))
}
