//! When to try again.
//!
//! Full jitter (M. Brooker, "Exponential Backoff and Jitter", 2015) and a
//! retry budget as in Finagle: retries are paid from a bucket that fresh
//! requests fill, so that a failing gateway sees at most about a tenth more load.

use crate::Millis;
use crate::partition::mix;

/// First upper bound of the delay; a little above a fast gateway's answer time.
const BASE_MS: u64 = 50;
/// Highest upper bound: beyond it a user has given up.
const CAP_MS: u64 = 2_000;
/// Attempts at one thing, the first included.
pub(super) const MAX_ATTEMPTS: u8 = 4;
/// Longest time one attempt may take: short enough that another gateway can still answer within the usual time-out.
pub(super) const ATTEMPT_MS: u32 = 4_000;
/// What a first attempt at a bounded read may take on top of a multiple of the origin's usual answer time. A gateway that
/// lives answers within this, if only with an error: its own waits for peers and for the store are shorter.
const FIRST_ATTEMPT_MS: u32 = 700;
/// That multiple, as of a retransmission timer (RFC 6298), which also keeps a slow network from looking like a frozen peer.
const USUAL_TIMES: f32 = 4.0;
/// Tokens a fresh request brings, in hundredths: a tenth of a retry.
const DEPOSIT: u32 = 10;
/// Tokens a retry costs.
const COST: u32 = 100;
/// Most tokens: ten retries may come at once, which also serves a client that has just started.
const FULL: u32 = 10 * COST;

/// SplitMix64 (Steele, Lea and Flood, 2014): enough for jitter, and replayable.
#[derive(Debug, Clone)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Delay before attempt number `attempts` + 1: uniform below the exponential bound, never below `retry_after`.
    pub(super) fn delay(&mut self, attempts: u8, retry_after: Option<Millis>) -> Millis {
        let bound = (BASE_MS << attempts.min(10)).min(CAP_MS);
        retry_after.unwrap_or(0).min(30_000) + self.within(bound)
    }

    /// Uniform from 0 to `most`.
    pub(super) fn within(&mut self, most: Millis) -> Millis {
        self.next() % (most + 1)
    }
}

/// How long to wait for an origin that may have frozen, while another could answer; `latency_ms` is what it usually takes.
/// A frozen process, unlike a dead one, refuses nothing, so only time can tell.
pub(super) fn first_attempt_ms(latency_ms: f32) -> u32 {
    ((USUAL_TIMES * latency_ms) as u32).saturating_add(FIRST_ATTEMPT_MS).min(ATTEMPT_MS)
}

/// The retry budget.
#[derive(Debug, Clone)]
pub(super) struct RetryBudget {
    tokens: u32,
}

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self { tokens: FULL }
    }

    pub(super) fn deposit(&mut self) {
        self.tokens = (self.tokens + DEPOSIT).min(FULL);
    }

    /// Whether a retry may be made; takes its cost.
    pub(super) fn withdraw(&mut self) -> bool {
        if self.tokens < COST {
            return false;
        }
        self.tokens -= COST;
        true
    }

    /// Retries that may still be made at once.
    pub(super) fn available(&self) -> u32 {
        self.tokens / COST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_stay_within_a_tenth_of_the_requests() {
        let mut budget = RetryBudget::new();
        let mut retries = 0;
        for _ in 0..1_000 {
            budget.deposit();
            retries += u32::from(budget.withdraw());
        }
        assert!((100..=110).contains(&retries), "{retries}");
    }

    #[test]
    fn delays_are_spread_below_the_bound_and_honour_retry_after() {
        let mut jitter = Jitter::new(7);
        let delays: Vec<_> = (0..200).map(|_| jitter.delay(1, None)).collect();
        assert!(delays.iter().all(|&d| d <= 100));
        assert!(delays.iter().any(|&d| d < 30) && delays.iter().any(|&d| d > 70));
        assert!((0..50).all(|_| jitter.delay(9, Some(1_000)) >= 1_000));
    }

    #[test]
    fn a_first_attempt_follows_what_is_usual() {
        assert_eq!([0.0, 10.0, 200.0, 5_000.0].map(first_attempt_ms), [700, 740, 1_500, ATTEMPT_MS]);
    }
}
