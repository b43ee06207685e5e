//! [`Allowances`]: how much each address may tell.

use fxhash::FxBuildHasher;
use lru::LruCache;

use super::clients::ClientId;
use crate::Millis;

/// Bytes that each client may tell in a minute: a token bucket each (Partridge, *Gigabit Networking*, 1994), full at first.
/// Of [`Allowances::MAX_CLIENTS`] clients the one that told nothing for longest is forgotten for a new one. O(1).
#[derive(Debug)]
pub struct Allowances {
    most: u64,
    left: LruCache<u64, Allowance, FxBuildHasher>,
}

#[derive(Debug, Clone, Copy)]
struct Allowance {
    /// Bytes in 60,000ths: what a millisecond adds is a whole number.
    left: u64,
    at: Millis,
}

const MINUTE: u64 = 60_000;

impl Allowances {
    /// Most clients that are remembered; about 60 bytes each.
    pub const MAX_CLIENTS: usize = 1 << 14;

    /// `bytes` a minute for each client.
    pub fn new(bytes: u32) -> Self {
        Self { most: u64::from(bytes) * MINUTE, left: LruCache::unbounded_with_hasher(FxBuildHasher::default()) }
    }

    /// Takes so many bytes. What is more than a whole minute's is never granted.
    ///
    /// # Errors
    /// The milliseconds until there is enough; nothing is taken then.
    pub fn take(&mut self, now: Millis, client: ClientId, bytes: usize) -> Result<(), Millis> {
        let wanted = (bytes as u64).saturating_mul(MINUTE);
        let known = self.left.pop(&client.0).unwrap_or(Allowance { left: self.most, at: now });
        let passed = now.saturating_sub(known.at).min(MINUTE);
        let rate = self.most / MINUTE;
        let mut left = (known.left + passed * rate).min(self.most);
        let granted = left >= wanted;
        let wait = wanted.saturating_sub(left).div_ceil(rate.max(1));
        if granted {
            left -= wanted;
        }
        while self.left.len() >= Self::MAX_CLIENTS && self.left.pop_lru().is_some() {}
        self.left.put(client.0, Allowance { left, at: now.max(known.at) });
        if granted { Ok(()) } else { Err(wait) }
    }

    /// Clients remembered.
    pub fn clients(&self) -> usize {
        self.left.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_at_once_and_more_as_time_goes_by() {
        let mut allowances = Allowances::new(600);
        let mut take = |now, client, bytes| allowances.take(now, ClientId(client), bytes);
        assert_eq!(take(0, 1, 400), Ok(()));
        assert_eq!(take(0, 1, 200), Ok(()));
        assert_eq!(take(0, 1, 100), Err(10_000));
        assert_eq!(take(0, 2, 100), Ok(()), "another client");
        assert_eq!(take(9_999, 1, 100), Err(1));
        assert_eq!(take(10_000, 1, 100), Ok(()));
        assert_eq!(take(1_000_000, 1, 601), Err(100), "never");
        assert_eq!(take(1_000_000, 1, 600), Ok(()));
        assert_eq!(take(999_000, 1, 1), Err(100), "a clock that went back gives nothing");
    }

    #[test]
    fn remembers_a_bounded_number() {
        let mut allowances = Allowances::new(10);
        for client in 0..2 * Allowances::MAX_CLIENTS as u64 {
            assert_eq!(allowances.take(0, ClientId(client), 10), Ok(()));
        }
        assert_eq!(allowances.clients(), Allowances::MAX_CLIENTS);
        assert_eq!(allowances.take(0, ClientId(0), 10), Ok(()), "forgotten");
        assert!(allowances.take(0, ClientId(2 * Allowances::MAX_CLIENTS as u64 - 1), 1).is_err());
    }
}
