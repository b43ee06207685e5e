//! [`Breaker`]: keeps callers away from a peer that does not answer (the circuit breaker of Nygard, *Release It!*, 2007).
//!
//! ```
//! use foremap::breaker::{Breaker, BreakerConfig};
//!
//! let mut breaker = Breaker::new(BreakerConfig { failures: 2, first_ms: 100, most_ms: 5_000 });
//! breaker.failed(0);
//! assert!(breaker.enter(10));
//! breaker.failed(20);
//! assert!(!breaker.enter(119)); // open for 100 ms ...
//! assert!(breaker.enter(120) && !breaker.enter(120)); // ... and then one request tries
//! breaker.succeeded();
//! assert!(breaker.enter(130) && breaker.enter(130));
//! ```

use crate::Millis;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Time that it stays open first, in milliseconds; doubles with each further failure.
    pub first_ms: Millis,
    /// Longest time that it stays open.
    pub most_ms: Millis,
}

/// Counts failures in a row. O(1) in time and memory.
///
/// Closed, it lets everything pass. Open, it lets nothing pass. When its time is over it lets one request
/// [enter](Breaker::enter) to try; that one's outcome closes it or opens it for longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    config: BreakerConfig,
    failures: u32,
    open_until: Millis,
}

impl Breaker {
    /// A closed one.
    pub fn new(config: BreakerConfig) -> Self {
        Self { config, failures: 0, open_until: 0 }
    }

    /// When it lets something pass again; in the past where it does.
    pub fn open_until(&self) -> Millis {
        self.open_until
    }

    /// Tells whether it is open: nothing should be sent.
    pub fn is_open(&self, now: Millis) -> bool {
        self.open_until > now
    }

    /// Tells whether a request may be sent. Where it is the one that tries whether the peer is back, others are kept out for
    /// as long as the breaker was last open, or until its outcome is told.
    pub fn enter(&mut self, now: Millis) -> bool {
        if self.is_open(now) {
            return false;
        }
        if self.failures >= self.config.failures {
            self.open_until = now + self.pause();
        }
        true
    }

    /// The peer answered.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.open_until = 0;
    }

    /// The peer did not answer.
    pub fn failed(&mut self, now: Millis) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.config.failures {
            self.open_until = now + self.pause();
        }
    }

    fn pause(&self) -> Millis {
        let doublings = self.failures.saturating_sub(self.config.failures).min(16);
        (self.config.first_ms << doublings).min(self.config.most_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(BreakerConfig { failures: 2, first_ms: 100, most_ms: 350 })
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let mut breaker = breaker();
        breaker.failed(10);
        breaker.succeeded();
        breaker.failed(20);
        assert!(breaker.enter(20));
        breaker.failed(30);
        assert!(!breaker.enter(30) && !breaker.enter(129));
        assert!(breaker.is_open(129) && !breaker.is_open(130));
    }

    #[test]
    fn one_request_tries_and_its_outcome_decides() {
        let mut breaker = breaker();
        breaker.failed(0);
        breaker.failed(0);
        assert!(breaker.enter(100), "the one that tries");
        assert!(!breaker.enter(100), "the others wait");
        breaker.failed(150);
        assert!(!breaker.enter(349) && breaker.enter(350), "twice as long");
        breaker.succeeded();
        assert!(breaker.enter(351) && breaker.enter(351));
    }

    #[test]
    fn a_try_without_an_outcome_does_not_close_the_door_for_good() {
        let mut breaker = breaker();
        breaker.failed(0);
        breaker.failed(0);
        assert!(breaker.enter(100) && !breaker.enter(199) && breaker.enter(200));
    }

    #[test]
    fn the_pause_is_bounded() {
        let mut breaker = breaker();
        (0..100).for_each(|_| breaker.failed(1_000));
        assert_eq!(breaker.open_until(), 1_350);
    }
}
