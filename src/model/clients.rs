//! Who contributed: how many clients at least, and how much each of them in an hour.

use fxhash::FxHashMap;

use crate::partition::mix;

/// Whoever is counted as one client: the subject of a token or an address, hashed by whoever received the summary. What
/// the client says of itself decides only where nothing else is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);

/// Counts of one client that one way takes in an hour: a robot, or a liar, weighs no more than two visits.
const MAX_COUNTS: u8 = 2;

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

/// What each client has contributed to each way in the present hour.
#[derive(Debug, Default)]
pub(super) struct Shares {
    hour: u32,
    /// Visits, and above them fresh ones.
    counts: FxHashMap<u64, u8>,
}

/// What one more visit of a client is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// It is one of the visits that count.
    pub(super) all: bool,
    /// It is one of the fresh visits that count.
    pub(super) fresh: bool,
}

impl Shares {
    /// Counts one more visit of a client to a way. Fresh visits are counted apart, so that the sums do not depend on which
    /// visit was told first. Where `max` pairs of client and way are known, others are not counted in the rest of the
    /// hour.
    pub(super) fn take(&mut self, hour: u32, client: ClientId, way: u64, is_fresh: bool, max: usize) -> Counts {
        if hour > self.hour {
            self.hour = hour;
            self.counts.clear();
        }
        let pair = mix(client.0 ^ mix(way));
        if self.counts.len() >= max && !self.counts.contains_key(&pair) {
            return Counts { all: false, fresh: false };
        }
        let counts = self.counts.entry(pair).or_default();
        let (all, fresh) = (*counts & 15, *counts >> 4);
        let taken = Counts { all: all < MAX_COUNTS, fresh: is_fresh && fresh < MAX_COUNTS };
        *counts += u8::from(taken.all) + (u8::from(taken.fresh) << 4);
        taken
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
        let mut take = |hour, client, way, max| shares.take(hour, ClientId(client), way, false, max).all;
        assert_eq!([take(1, 1, 7, 100), take(1, 1, 7, 100), take(1, 1, 7, 100)], [true, true, false]);
        assert!(take(1, 2, 7, 100), "another client");
        assert!(take(1, 1, 8, 100), "another way");
        assert!(take(2, 1, 7, 100), "another hour");
        assert!(!take(2, 9, 9, 1), "no place left");
    }

    #[test]
    fn fresh_visits_count_twice_wherever_they_come() {
        let total = |visits: [bool; 5]| {
            let mut shares = Shares::default();
            let counts = visits.map(|is_fresh| shares.take(1, ClientId(1), 7, is_fresh, 100));
            let sum = |is: fn(&Counts) -> bool| counts.iter().filter(|counts| is(counts)).count();
            (sum(|counts| counts.all), sum(|counts| counts.fresh))
        };
        assert_eq!(total([true, false, false, false, false]), (2, 1));
        assert_eq!(total([false, false, false, false, true]), (2, 1));
        assert_eq!(total([false, true, true, false, true]), (2, 2));
    }
}
