//! Timing what takes about as long as looking at the clock.

use std::time::Instant;

/// Looks at the clock from which its own cost is told.
const LOOKS: usize = 4_096;

/// A clock that leaves its own cost out.
pub(super) struct Clock {
    /// Nanoseconds that timing nothing takes.
    own: u64,
}

impl Clock {
    /// Takes the median of timing nothing some thousand times: a tenth of a millisecond.
    pub(super) fn calibrated() -> Self {
        let mut nothing: Vec<u64> = (0..LOOKS).map(|_| nanos(Instant::now())).collect();
        nothing.sort_unstable();
        Self { own: nothing.get(LOOKS / 2).copied().unwrap_or(0) }
    }

    /// Nanoseconds that `work` takes, without those of looking at the clock.
    pub(super) fn time(&self, work: impl FnOnce()) -> u64 {
        let begun = Instant::now();
        work();
        nanos(begun).saturating_sub(self.own)
    }
}

fn nanos(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
