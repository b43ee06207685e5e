//! [`LocalClock`].

use crate::Millis;

/// Milliseconds that the two clocks may part between two readings before something must have happened to one of them. Below
/// a second there is no sleep worth the name, and a time server steps a clock that is further off than half of one.
const APART_MS: f64 = 1_000.0;
/// Share of the time passed that both may part besides, by running at different speeds: clocks are good to 500 in a million,
/// and a time server slews the wall clock by as much (RFC 5905).
const DRIFT: f64 = 0.001;

/// Result of a reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// Milliseconds that never go back, and never count less than the faster of the two clocks.
    pub now: Millis,
    /// The clocks disagree, or one went back: how long ago anything before was is not known.
    pub broke: bool,
}

/// One clock out of a host's monotonic clock and its wall clock.
///
/// The monotonic clock of browsers may stop while the machine sleeps, and `performance.now()` of workerd is the wall
/// clock, which may be set back and then stands still. So time advances by what the faster one says, and where
/// they part by more than a second, or the monotonic one goes back, whoever counts ages is told to forget them.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalClock {
    last: Option<(f64, f64)>,
    /// Kept with fractions, so that many small steps add up.
    elapsed: f64,
}

impl LocalClock {
    /// Takes a reading of both, in milliseconds from any origin. What is no number counts as no time.
    pub fn read(&mut self, monotonic: f64, wall: f64) -> Tick {
        let (monotonic, wall) = (finite(monotonic), finite(wall));
        let Some((last_monotonic, last_wall)) = self.last.replace((monotonic, wall)) else {
            self.elapsed = monotonic.max(0.0);
            return self.tick(false);
        };
        let (by_monotonic, by_wall) = (monotonic - last_monotonic, wall - last_wall);
        let most = by_monotonic.max(by_wall).max(0.0);
        let apart = (by_monotonic - by_wall).abs() > APART_MS + most * DRIFT;
        // Where they agree the monotonic clock is the finer one.
        self.elapsed += if apart { most } else { by_monotonic.max(0.0) };
        self.tick(apart || by_monotonic < 0.0)
    }

    fn tick(&self, broke: bool) -> Tick {
        Tick { now: self.elapsed as Millis, broke }
    }
}

fn finite(ms: f64) -> f64 {
    if ms.is_finite() { ms.clamp(-MAX_MS, MAX_MS) } else { 0.0 }
}

/// Beyond any date: 2^53, up to which whole milliseconds are exact.
const MAX_MS: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
