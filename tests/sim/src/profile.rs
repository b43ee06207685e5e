//! Profile of a history, the kind of day that it is: each exercises other corners.

use super::rng::Rng;

pub(crate) struct Profile {
    /// Longest usual pause between two log polls of a node, in milliseconds.
    pub(crate) poll_ms: u64,
    /// Share of accesses that go to a few keys, in percent.
    pub(crate) hot: u64,
    /// Share of actions that write, in percent.
    pub(crate) writes: u64,
    /// Share of reads that ask past the cache, in percent.
    pub(crate) bypass: u64,
    /// Factor of all faults.
    pub(crate) faults: u64,
    /// Longest time between two troubles with machines, in milliseconds.
    pub(crate) trouble_ms: u64,
    /// Share of slow messages, in percent.
    pub(crate) slow: u64,
    pub(crate) staleness_ms: &'static [u32],
    pub(crate) timeouts_ms: &'static [u32],
}

impl Profile {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            poll_ms: rng.pick(&[40, 200, 1_200]),
            hot: rng.pick(&[0, 40, 80]),
            writes: rng.pick(&[3, 12, 30]),
            bypass: rng.pick(&[1, 5, 40]),
            faults: rng.pick(&[0, 1, 1, 2]),
            trouble_ms: rng.pick(&[700, 2_000, 6_000]),
            slow: rng.pick(&[0, 5, 5, 25]),
            staleness_ms: rng.pick(&[&[0, 60, 200, 500, 1_000, 2_000], &[500, 2_000, 5_000], &[2_000]]),
            timeouts_ms: rng.pick(&[&[60, 500, 2_000, 10_000], &[2_000, 10_000]]),
        }
    }

    /// Draws the time that a network takes one way: mostly little, sometimes much.
    pub(crate) fn delay(&self, rng: &mut Rng) -> u64 {
        if rng.chance(self.slow) { rng.range(0, 1_500) } else { rng.range(1, 40) }
    }

    /// Inside a data centre.
    pub(crate) fn short_delay(&self, rng: &mut Rng) -> u64 {
        if rng.chance(self.slow) { rng.range(0, 400) } else { rng.range(0, 12) }
    }
}
