//! Clients that contributed: how many at least, and how much each of them in an hour.

use std::net::IpAddr;

use fxhash::FxHashMap;

use crate::codec::{DecodeError, Reader, Writer};
use crate::partition::{mix, xxh3};

/// Whoever is counted as one client: the subject of a token or an address, hashed by whoever received the summary. What
/// the client says of itself decides only where nothing else is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);

impl ClientId {
    /// Client that a token names.
    pub fn of_subject(subject: u128) -> Self {
        Self(xxh3(1, &subject.to_le_bytes()))
    }

    /// Client that calls from an address. Of an IPv6 address the network counts: 64 bits, of which one household has all.
    pub fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(xxh3(2, &address.octets())),
            IpAddr::V6(address) => Self(xxh3(3, &address.octets()[..8])),
        }
    }
}

/// Counts of one client that one way takes in an hour: a robot, or a liar, weighs no more than two visits.
const MAX_COUNTS: u8 = 2;

const MAGIC: [u8; 4] = *b"FMMC";
const VERSION: u8 = 1;

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

    /// Least number of clients that there are.
    pub(super) fn at_least(self) -> u32 {
        self.0.count_ones()
    }
}

/// Contributions of each client to each way in the present hour.
#[derive(Debug, Default)]
pub(super) struct ClientContributions {
    hour: u32,
    /// Visits, and above them fresh ones.
    counts: FxHashMap<u64, u8>,
}

/// Worth of one more visit of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VisitWorth {
    /// It is one of the visits that count.
    pub(super) all: bool,
    /// It is one of the fresh visits that count.
    pub(super) fresh: bool,
}

impl ClientContributions {
    /// Counts one more visit of a client to a way. Fresh visits are counted apart, so that the sums do not depend on which
    /// visit was told first. Where `max` pairs of client and way are known, others are not counted in the rest of the
    /// hour.
    pub(super) fn take(&mut self, hour: u32, client: ClientId, way: u64, is_fresh: bool, max: usize) -> VisitWorth {
        if hour > self.hour {
            self.hour = hour;
            self.counts.clear();
        }
        let pair = mix(client.0 ^ mix(way));
        if self.counts.len() >= max && !self.counts.contains_key(&pair) {
            return VisitWorth { all: false, fresh: false };
        }
        let counts = self.counts.entry(pair).or_default();
        let (all, fresh) = (*counts & 15, *counts >> 4);
        let taken = VisitWorth { all: all < MAX_COUNTS, fresh: is_fresh && fresh < MAX_COUNTS };
        *counts += u8::from(taken.all) + (u8::from(taken.fresh) << 4);
        taken
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Writes what another one goes on from. O(pairs x log pairs).
    pub(super) fn export(&self) -> Vec<u8> {
        let mut counts: Vec<(u64, u8)> = self.counts.iter().map(|(pair, counts)| (*pair, *counts)).collect();
        counts.sort_unstable();
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.varint(self.hour.into());
        w.list(counts.iter(), |w, (pair, counts)| {
            w.u64_le(*pair);
            w.u8(*counts);
        });
        w.finish()
    }

    /// Goes on from what [`ClientContributions::export`] wrote.
    pub(super) fn import(bytes: &[u8], max: usize) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
        let hour = r.u32("hour")?;
        let counts = r.list(max, "counts", |r| {
            let (pair, counts) = (r.u64_le()?, r.u8()?);
            let is_bounded = counts & 15 <= MAX_COUNTS && counts >> 4 <= MAX_COUNTS;
            if is_bounded { Ok((pair, counts)) } else { Err(DecodeError::BadValue("counts")) }
        })?;
        r.finish()?;
        Ok(Self { hour, counts: counts.into_iter().collect() })
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
        let mut shares = ClientContributions::default();
        let mut take = |hour, client, way, max| shares.take(hour, ClientId(client), way, false, max).all;
        assert_eq!([take(1, 1, 7, 100), take(1, 1, 7, 100), take(1, 1, 7, 100)], [true, true, false]);
        assert!(take(1, 2, 7, 100), "another client");
        assert!(take(1, 1, 8, 100), "another way");
        assert!(take(2, 1, 7, 100), "another hour");
        assert!(!take(2, 9, 9, 1), "no place left");
    }

    #[test]
    fn what_was_contributed_goes_on_elsewhere() {
        let mut shares = ClientContributions::default();
        for client in 0..5 {
            shares.take(3, ClientId(client), 7, client % 2 == 0, 100);
        }
        let bytes = shares.export();
        let mut again = ClientContributions::import(&bytes, 100).expect("its own form");
        assert_eq!((again.export(), again.len()), (bytes.clone(), 5));
        assert!(again.take(3, ClientId(1), 7, false, 100).all);
        assert!(!again.take(3, ClientId(1), 7, false, 100).all, "a third one");
        assert!(ClientContributions::import(&bytes, 4).is_err(), "more than there is room for");
        for len in 0..bytes.len() {
            assert!(ClientContributions::import(&bytes[..len], 100).is_err(), "{len}");
        }
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let of = |text: &str| ClientId::of_address(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn fresh_visits_count_twice_wherever_they_come() {
        let total = |visits: [bool; 5]| {
            let mut shares = ClientContributions::default();
            let counts = visits.map(|is_fresh| shares.take(1, ClientId(1), 7, is_fresh, 100));
            let sum = |is: fn(&VisitWorth) -> bool| counts.iter().filter(|counts| is(counts)).count();
            (sum(|counts| counts.all), sum(|counts| counts.fresh))
        };
        assert_eq!(total([true, false, false, false, false]), (2, 1));
        assert_eq!(total([false, false, false, false, true]), (2, 1));
        assert_eq!(total([false, true, true, false, true]), (2, 2));
    }
}
