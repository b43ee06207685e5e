//! Wall clocks: which of them is wrong, and what a wrong one may do to versions and registrations.
//!
//! A version is `max(now, last + 1)`, so clocks order nothing, and one that is behind changes nothing: versions count on
//! from the newest, for as long as it takes. One that is ahead would burn numbers, of which there are 2^53 and no more.
//! So a writer says how late it can be at most, by the time that most clocks agree on, and a server that believes it is
//! later does not write.
//!
//! No age and no bound depends on any of this: those count on clocks that only run forward.

use crate::protocol::MAX_VERSION;

/// Lead of a clock over the others from which nothing is written by it, in microseconds: far more than any two that are set
/// over a network differ by, and what it costs is a minute of version numbers.
pub const MAX_AHEAD_US: u64 = 60_000_000;

/// Longest life of a registration and of the coordinator's lease, in microseconds. What says that it lives longer was
/// written by a clock that was ahead, and is over: otherwise a dead process would be registered until that time comes.
pub const MAX_LIFE_US: u64 = 60_000_000;

/// Why there is no version for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoVersion {
    /// The clock of who should write is ahead of the latest time that it can be.
    ClockAhead {
        /// By so many microseconds.
        by_us: u64,
    },
    /// The shard has had the last version that there is, 2^53 - 1.
    UsedUp,
}

/// The version of a write at `now_us`, in a shard whose newest version is `last`, where it is `latest_us` at most.
///
/// # Errors
/// [`NoVersion`]: then nothing may be written.
pub fn next_version(now_us: u64, last: u64, latest_us: u64) -> Result<u64, NoVersion> {
    let by_us = now_us.saturating_sub(latest_us.min(MAX_VERSION));
    if by_us > 0 {
        return Err(NoVersion::ClockAhead { by_us });
    }
    let version = now_us.max(last.saturating_add(1));
    if version <= MAX_VERSION { Ok(version) } else { Err(NoVersion::UsedUp) }
}

/// Tells whether something that ends at `expires_us`, at most [`MAX_LIFE_US`] ahead, is still alive at `now_us`.
pub fn is_alive(expires_us: u64, now_us: u64) -> bool {
    expires_us > now_us && expires_us - now_us <= MAX_LIFE_US
}

/// The time that most of `clocks` agree on: the one in the middle, the earlier of two. `None` where there are none.
///
/// Of an odd number any minority may be wrong by any amount. Of two nobody can tell which one is, and the later one is
/// taken for it: to wait costs less than to write by it.
pub fn agreed_time(clocks: &mut [u64]) -> Option<u64> {
    clocks.sort_unstable();
    clocks.get(clocks.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_on_from_the_newest_however_far_behind_a_clock_is() {
        let (now, year) = (1_790_000_000_000_000, 365 * 86_400_000_000);
        assert_eq!(next_version(now, now - 5, now), Ok(now));
        assert_eq!(next_version(now, now, now), Ok(now + 1));
        assert_eq!(next_version(now, now + 10 * year, now), Ok(now + 10 * year + 1));
        assert_eq!(next_version(0, MAX_VERSION - 1, 0), Ok(MAX_VERSION));
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_write_and_no_version_is_beyond_the_last_one() {
        assert_eq!(next_version(1_000, 5, 1_000), Ok(1_000));
        assert_eq!(next_version(1_001, 5, 1_000), Err(NoVersion::ClockAhead { by_us: 1 }));
        assert_eq!(next_version(MAX_VERSION, 5, u64::MAX), Ok(MAX_VERSION));
        assert_eq!(next_version(MAX_VERSION + 9, 5, u64::MAX), Err(NoVersion::ClockAhead { by_us: 9 }));
        assert_eq!(next_version(1, MAX_VERSION, u64::MAX), Err(NoVersion::UsedUp));
        assert_eq!(next_version(1, u64::MAX, u64::MAX), Err(NoVersion::UsedUp));
    }

    #[test]
    fn what_lives_longer_than_anything_does_is_dead() {
        assert!(!is_alive(100, 100) && is_alive(101, 100) && is_alive(100 + MAX_LIFE_US, 100));
        assert!(!is_alive(101 + MAX_LIFE_US, 100) && !is_alive(u64::MAX, 0));
    }

    #[test]
    fn the_middle_clock_is_right_whatever_a_minority_shows() {
        let agreed = |clocks: &[u64]| agreed_time(&mut clocks.to_vec());
        assert_eq!(agreed(&[]), None);
        assert_eq!(agreed(&[7]), Some(7));
        assert_eq!(agreed(&[900, 7]), Some(7), "which of two is wrong cannot be told");
        assert_eq!(agreed(&[7, 900, 8]), Some(8));
        assert_eq!(agreed(&[7, 0, 8]), Some(7));
        assert_eq!(agreed(&[900, 7, 8, 9]), Some(8));
        assert_eq!(agreed(&[0, 7, 8, 9]), Some(7));
    }
}
