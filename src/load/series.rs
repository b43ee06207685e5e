//! [`Series`]: requests in each of the last rounds, and the load that follows from them.

use super::report::{Count, LATE_SHARE};

/// Rounds that are remembered: 16 s.
pub(super) const ROUNDS: usize = 8;
/// Rounds after which a request counts half.
const HALF_LIFE: f64 = 4.0;
/// Standard deviations by which a change is told from chance.
const SIGMAS: f64 = 4.5;
/// The error of clocks and of the ends of rounds, as a share.
const TOLERANCE: f64 = 0.03;

/// Requests in the last rounds, newest first. Integers, so that reports add up to the same in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Series {
    counts: [u32; ROUNDS],
    /// Of the newest round, those in its last quarter.
    late: u32,
}

impl Series {
    /// Adds to the round `age` rounds before the newest.
    pub(super) fn add(&mut self, age: usize, count: Count) {
        if let Some(total) = self.counts.get_mut(age) {
            *total = total.saturating_add(count.all);
            if age == 0 {
                self.late = self.late.saturating_add(count.late);
            }
        }
    }

    /// Begins `rounds` new ones.
    pub(super) fn advance(&mut self, rounds: usize) {
        begin(&mut self.counts, rounds);
        self.late = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts == [0; ROUNDS]
    }

    /// All requests remembered.
    pub(super) fn total(&self) -> u64 {
        self.counts.iter().map(|&n| u64::from(n)).sum()
    }

    /// Requests a round, as it is now: over as many of the `known` rounds as agree with the end of the newest one (an
    /// adaptive window, as Bifet and Gavalda, 2007, in its simplest form), the older ones weighing less. So a steady
    /// load is known precisely, and a jump within half a second.
    pub(super) fn load(&self, known: usize) -> f64 {
        let (mut requests, mut rounds) = (f64::from(self.late), LATE_SHARE);
        let (mut raw, mut raw_rounds) = (requests, rounds);
        let early = [(self.counts[0].saturating_sub(self.late), 1.0 - LATE_SHARE)];
        let older = self.counts.iter().skip(1).take(known.saturating_sub(1)).map(|&n| (n, 1.0));
        for (at, (count, length)) in early.into_iter().chain(older).enumerate() {
            let count = f64::from(count);
            let expected = raw / raw_rounds * length;
            // Under "no change" both are Poisson with one rate, best estimated from both together.
            let rate = (raw + count) / (raw_rounds + length);
            let deviation = (rate * length * (1.0 + length / raw_rounds) + 1.0).sqrt();
            if (count - expected).abs() > SIGMAS * deviation + TOLERANCE * expected {
                break;
            }
            raw += count;
            raw_rounds += length;
            let weight = (-(at as f64) / HALF_LIFE).exp2();
            requests += count * weight;
            rounds += length * weight;
        }
        requests / rounds
    }
}

/// Begins `rounds` new rounds in what is kept by round, newest first.
pub(super) fn begin<T: Copy + Default>(by_round: &mut [T; ROUNDS], rounds: usize) {
    let rounds = rounds.min(ROUNDS);
    by_round.copy_within(..ROUNDS - rounds, rounds);
    by_round[..rounds].fill(T::default());
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
