//! Who contributed: how many clients at least, and how much each of them in an hour.

use fxhash::FxHashMap;

/// Whoever is counted as one client: the subject of a token or an address, hashed by whoever received the summary. What
/// the client says of itself decides only where nothing else is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);

/// Counts of one client that one rule takes in an hour: a robot, or a liar, weighs no more than two visits.
const MAX_COUNTS: u8 = 2;

/// Spreads the bits of a number (the finaliser of SplitMix64; Steele et al., 2014).
pub(super) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A set of clients of which a lower bound of the size is known: a bit for each of 64 parts of all clients. Merged by
/// `|`. It never counts more clients than there are; of 5 it misses one with a probability of 15 %, of 20 it counts 17
/// on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Clients(pub(super) u64);

impl Clients {
    pub(super) fn of(client: ClientId) -> Self {
        Self(1 << (mix(client.0) >> 58))
    }

    pub(super) fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// How many there are at least.
    pub(super) fn at_least(self) -> u32 {
        self.0.count_ones()
    }
}

/// What each client has contributed to each rule in the present hour.
#[derive(Debug, Default)]
pub(super) struct Shares {
    hour: u32,
    counts: FxHashMap<u64, u8>,
}

impl Shares {
    /// Counts that one more contribution of a client to a rule is worth, one or none. Where `max` pairs of client and
    /// rule are known, others are not counted in the rest of the hour.
    pub(super) fn take(&mut self, hour: u32, client: ClientId, rule: u64, max: usize) -> bool {
        if hour > self.hour {
            self.hour = hour;
            self.counts.clear();
        }
        let pair = mix(client.0 ^ mix(rule));
        if self.counts.len() >= max && !self.counts.contains_key(&pair) {
            return false;
        }
        let count = self.counts.entry(pair).or_default();
        *count += u8::from(*count <= MAX_COUNTS);
        *count <= MAX_COUNTS
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_clients_than_there_are() {
        let mut clients = Clients::default();
        for client in 0..40 {
            clients.join(Clients::of(ClientId(client % 4)));
            assert!(u64::from(clients.at_least()) <= client.min(3) + 1);
        }
        for client in 0..1_000 {
            clients.join(Clients::of(ClientId(client)));
        }
        assert_eq!(clients.at_least(), 64);
    }

    #[test]
    fn a_client_counts_twice_in_an_hour() {
        let mut shares = Shares::default();
        let takes = |shares: &mut Shares, hour, client| shares.take(hour, ClientId(client), 7, 100);
        assert_eq!([takes(&mut shares, 1, 1), takes(&mut shares, 1, 1), takes(&mut shares, 1, 1)], [true, true, false]);
        assert!(takes(&mut shares, 1, 2), "another client");
        assert!(shares.take(1, ClientId(1), 8, 100), "another rule");
        assert!(takes(&mut shares, 2, 1), "another hour");
        assert!(!shares.take(2, ClientId(9), 9, shares.len()), "no place left");
    }
}
