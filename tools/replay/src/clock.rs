//! Timing what takes about as long as looking at the clock.

use super::host::Host;

/// Looks at the clock from which its own cost is told.
const LOOKS: usize = 4_096;

/// The clock of a host, which leaves its own cost out.
pub(super) struct Clock<'a> {
    host: &'a dyn Host,
    /// Set where the host has a clock.
    is_there: bool,
    /// Nanoseconds that timing nothing takes.
    own: u64,
}

impl<'a> Clock<'a> {
    /// Takes the median of timing nothing some thousand times: a tenth of a millisecond.
    pub(super) fn calibrated(host: &'a dyn Host) -> Self {
        let look = || Some(host.nanos()?.abs_diff(host.nanos()?));
        let mut nothing: Vec<u64> = (0..LOOKS).map_while(|_| look()).collect();
        nothing.sort_unstable();
        Self { host, is_there: host.nanos().is_some(), own: nothing.get(LOOKS / 2).copied().unwrap_or(0) }
    }

    /// Tells whether there is one.
    pub(super) fn is_there(&self) -> bool {
        self.is_there
    }

    /// Nanoseconds that `work` takes, without those of looking at the clock; 0 without one.
    pub(super) fn time(&self, work: impl FnOnce()) -> u64 {
        if !self.is_there {
            work();
            return 0;
        }
        let begun = self.host.nanos();
        work();
        let took = begun.and_then(|begun| Some(self.host.nanos()?.saturating_sub(begun)));
        took.unwrap_or(0).saturating_sub(self.own)
    }
}
