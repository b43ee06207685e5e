//! The one clock of a run.

use std::time::Instant;

use foremap::Millis;
use foremap_check::Time;

/// Monotonic, from the start of the run on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Microseconds: the time of histories.
    pub(crate) fn now(self) -> Time {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(Time::MAX)
    }

    /// Milliseconds: the time of adapters.
    pub(crate) fn millis(self) -> Millis {
        self.now() / 1_000
    }
}

/// Seconds of a span.
pub(crate) fn seconds(span: Time) -> f64 {
    span as f64 / 1e6
}
