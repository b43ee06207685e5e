//! Times of attempts: how long each may take, and how long to wait before the next one.
//!
//! Full jitter (M. Brooker, "Exponential Backoff and Jitter", 2015) and a retry budget as in Finagle
//! (`token_bucket.rs`), so that a failing gateway sees at most about a tenth more load.

use crate::Millis;
use crate::partition::mix;

/// First upper bound of the delay; a little above a fast gateway's answer time.
const BASE_MS: u64 = 50;
/// Highest upper bound: beyond it a user has given up.
const CAP_MS: u64 = 2_000;
/// Attempts at one thing, the first included.
pub(in crate::adapter) const MAX_ATTEMPTS: u8 = 4;
/// Longest time one attempt may take: short enough that another gateway can still answer within the usual time-out.
pub(in crate::adapter) const ATTEMPT_MS: u32 = 4_000;
/// Time that a first attempt at a bounded read may take on top of a multiple of the origin's usual answer time. A gateway that
/// lives answers within this, if only with an error: its own waits for peers and for the store are shorter.
const FIRST_ATTEMPT_MS: u32 = 700;
/// The multiple, as of a retransmission timer (RFC 6298), which also keeps a slow network from looking like a frozen peer.
const USUAL_TIMES: f32 = 4.0;
/// SplitMix64 (Steele, Lea and Flood, 2014): enough for jitter, and replayable.
#[derive(Debug, Clone)]
pub(in crate::adapter) struct Jitter(u64);

impl Jitter {
    pub(in crate::adapter) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Delay before attempt number `attempts` + 1: uniform below the exponential bound, never below `retry_after`.
    pub(in crate::adapter) fn delay(&mut self, attempts: u8, retry_after: Option<Millis>) -> Millis {
        let bound = (BASE_MS << attempts.min(10)).min(CAP_MS);
        retry_after.unwrap_or(0).min(30_000) + self.within(bound)
    }

    /// Uniform from 0 to `most`.
    pub(in crate::adapter) fn within(&mut self, most: Millis) -> Millis {
        self.next() % (most + 1)
    }
}

/// Time to wait for an origin that may have frozen, while another could answer; `latency_ms` is what it usually takes.
/// A frozen process, unlike a dead one, refuses nothing, so only time can tell.
pub(in crate::adapter) fn first_attempt_ms(latency_ms: f32) -> u32 {
    ((USUAL_TIMES * latency_ms) as u32).saturating_add(FIRST_ATTEMPT_MS).min(ATTEMPT_MS)
}

/// Time that a gateway with too much to do is left alone where it does not say, and at most.
const PAUSE_MS: Millis = 1_000;
const LONGEST_PAUSE_MS: Millis = 30_000;

/// End of the pause that a gateway asks for, which has more to do than it can.
pub(in crate::adapter) fn pause_until(now: Millis, retry_after: Option<Millis>) -> Millis {
    now + retry_after.unwrap_or(PAUSE_MS).min(LONGEST_PAUSE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

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
