//! The clocks of a process: nothing else in this folder reads one.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use foremap::Millis;
use foremap::load::ROUND_MS;
use foremap::node::Micros;

/// Milliseconds since the process began to count.
#[derive(Debug, Clone, Copy)]
pub struct ProcessClock(Instant);

impl ProcessClock {
    /// Begins to count now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Now.
    pub fn now(&self) -> Millis {
        self.0.elapsed().as_millis() as Millis
    }

    /// Now, in microseconds.
    pub(super) fn now_us(&self) -> Micros {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}

/// Time left until the next round of two seconds begins.
pub(super) fn until_round() -> Duration {
    Duration::from_millis(ROUND_MS - unix_ms() % ROUND_MS)
}
