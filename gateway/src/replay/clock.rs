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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_cost_is_left_out() {
        let clock = Clock::calibrated();
        let mut nothing: Vec<u64> = (0..LOOKS).map(|_| clock.time(|| ())).collect();
        nothing.sort_unstable();
        // The median of a fifth of a microsecond would be ten times what any clock takes.
        // Half of it, as a clock may change its pace meanwhile.
        assert!(nothing[LOOKS / 2] <= (clock.own / 2).max(20), "{} {}", nothing[LOOKS / 2], clock.own);
        assert!(clock.time(|| std::thread::sleep(std::time::Duration::from_millis(2))) >= 1_000_000);
    }
}
