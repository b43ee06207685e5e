//! The process's monotonic clock.

use std::time::Instant;

use foremap::Millis;

/// Milliseconds since the process began to count.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Begins to count now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Now.
    pub fn now(&self) -> Millis {
        self.0.elapsed().as_millis() as Millis
    }
}
