//! [`PeerTable`]: which nodes of other processes are asked, and what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Millis;
use crate::breaker::{Breaker, BreakerConfig};
use crate::partition::NodeId;

/// Two in a row may be chance. A peer that came back is noticed after two seconds at the latest.
const BREAKER: BreakerConfig = BreakerConfig { failures: 2, first_ms: 200, most_ms: 2_000 };

/// Outcome of a request to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerOutcome {
    /// It answered.
    Answered,
    /// It answered with a problem.
    Refused,
    /// No connection, or one that broke.
    Failed,
    /// No answer in time.
    TimedOut,
    /// Not sent: the peer has not answered lately.
    Open,
    /// Not sent: too many are under way.
    Busy,
    /// Not sent: the map does not name it, or by an origin that cannot be reached from here.
    Unreachable,
}

impl PeerOutcome {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::Answered, Self::Refused, Self::Failed, Self::TimedOut, Self::Open, Self::Busy, Self::Unreachable];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Open => "open",
            Self::Busy => "busy",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Counters since start, and fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerStats {
    /// Requests by [`PeerOutcome`], in its order.
    pub outcomes: [u64; PeerOutcome::ALL.len()],
    /// Times that a breaker opened.
    pub breaker_opens: u64,
    /// Peers whose breaker is open.
    pub open: u64,
    /// Forwards under way.
    pub in_flight: u64,
    /// Bound of `in_flight`.
    pub in_flight_max: u64,
}

/// A request that may be sent. It is to be ended with [`PeerTable::leave`], whatever comes of it.
#[derive(Debug)]
#[must_use]
pub struct PeerPass {
    node: NodeId,
    origin: Arc<str>,
}

impl PeerPass {
    /// Origin that it is to be sent to.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

/// Breakers and requests under way, by peer. One entry of some 100 bytes for each node of the map. May be used by many
/// threads at once; every operation is O(log peers).
#[derive(Debug, Default)]
pub struct PeerTable(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    peers: BTreeMap<NodeId, Peer>,
    outcomes: [u64; PeerOutcome::ALL.len()],
    breaker_opens: u64,
}

#[derive(Debug)]
struct Peer {
    origin: Arc<str>,
    breaker: Breaker,
    in_flight: usize,
}

impl PeerTable {
    /// Most forwards under way to one peer; the others go to the store.
    pub const MAX_IN_FLIGHT: usize = 64;

    /// Forgets all peers but those that `is_known`.
    pub fn retain(&self, is_known: impl Fn(NodeId) -> bool) {
        self.0.lock().peers.retain(|&id, _| is_known(id));
    }

    /// Begins a request to `node`, which is at `origin`.
    ///
    /// # Errors
    /// [`PeerOutcome::Busy`] and [`PeerOutcome::Open`]: it is not to be sent, and has been counted.
    pub fn enter(&self, now: Millis, node: NodeId, origin: &str) -> Result<PeerPass, PeerOutcome> {
        let mut state = self.0.lock();
        let fresh = || Peer { origin: origin.into(), breaker: Breaker::new(BREAKER), in_flight: 0 };
        let peer = state.peers.entry(node).or_insert_with(fresh);
        if *peer.origin != *origin {
            // It is elsewhere now: what is known of the old place says nothing.
            *peer = fresh();
        }
        let refused = if peer.in_flight >= Self::MAX_IN_FLIGHT {
            PeerOutcome::Busy
        } else if !peer.breaker.enter(now) {
            PeerOutcome::Open
        } else {
            peer.in_flight += 1;
            return Ok(PeerPass { node, origin: peer.origin.clone() });
        };
        state.outcomes[refused as usize] += 1;
        Err(refused)
    }

    /// Ends a request; without an outcome it was given up, which says nothing of the peer.
    pub fn leave(&self, now: Millis, pass: PeerPass, outcome: Option<PeerOutcome>) {
        let mut state = self.0.lock();
        let mut opened = false;
        // A peer that has moved meanwhile is another one.
        if let Some(peer) = state.peers.get_mut(&pass.node).filter(|peer| Arc::ptr_eq(&peer.origin, &pass.origin)) {
            peer.in_flight = peer.in_flight.saturating_sub(1);
            match outcome {
                // A problem is an answer too.
                Some(PeerOutcome::Answered | PeerOutcome::Refused) => peer.breaker.succeeded(),
                Some(_) => {
                    let before = peer.breaker.is_open(now);
                    peer.breaker.failed(now);
                    opened = !before && peer.breaker.is_open(now);
                }
                None => {}
            }
        }
        state.breaker_opens += u64::from(opened);
        if let Some(outcome) = outcome {
            state.outcomes[outcome as usize] += 1;
        }
    }

    /// Counts a request that could not be sent anywhere.
    pub fn unreachable(&self) {
        self.0.lock().outcomes[PeerOutcome::Unreachable as usize] += 1;
    }

    /// Counters and fills.
    pub fn stats(&self, now: Millis) -> PeerStats {
        let state = self.0.lock();
        PeerStats {
            outcomes: state.outcomes,
            breaker_opens: state.breaker_opens,
            open: state.peers.values().filter(|peer| peer.breaker.is_open(now)).count() as u64,
            in_flight: state.peers.values().map(|peer| peer.in_flight as u64).sum(),
            in_flight_max: (state.peers.len() * Self::MAX_IN_FLIGHT) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(table: &PeerTable, outcome: PeerOutcome) -> u64 {
        table.stats(0).outcomes[outcome as usize]
    }

    #[test]
    fn as_many_as_may_be_are_under_way_and_the_next_one_is_refused() {
        let table = PeerTable::default();
        let mut under_way: Vec<_> = (0..PeerTable::MAX_IN_FLIGHT).map(|_| table.enter(0, 1, "http://a")).collect();
        assert!(under_way.iter().all(Result::is_ok));
        assert_eq!(table.enter(0, 1, "http://a").err(), Some(PeerOutcome::Busy));
        assert!(table.enter(0, 2, "http://b").is_ok(), "another peer has places of its own");
        let first = under_way.remove(0).expect("entered");
        table.leave(0, first, None);
        assert!(table.enter(0, 1, "http://a").is_ok());
        assert_eq!(count(&table, PeerOutcome::Busy), 1);
    }

    #[test]
    fn two_failures_in_a_row_keep_requests_away_until_it_is_tried_again() {
        let table = PeerTable::default();
        for now in 0..2 {
            let pass = table.enter(now, 1, "http://a").expect("entered");
            table.leave(now, pass, Some(PeerOutcome::TimedOut));
        }
        assert_eq!(table.enter(2, 1, "http://a").err(), Some(PeerOutcome::Open));
        assert_eq!((table.stats(2).open, table.stats(2).breaker_opens), (1, 1));
        let trial = table.enter(2_500, 1, "http://a").expect("tried again");
        table.leave(2_500, trial, Some(PeerOutcome::Refused));
        assert_eq!(table.stats(2_500).open, 0, "a problem is an answer");
    }

    #[test]
    fn what_a_peer_did_elsewhere_says_nothing_of_where_it_is_now() {
        let table = PeerTable::default();
        let old = table.enter(0, 1, "http://a").expect("entered");
        let new = table.enter(0, 1, "http://b").expect("entered");
        table.leave(0, old, Some(PeerOutcome::Failed));
        assert_eq!(table.stats(0).in_flight, 1);
        table.leave(0, new, Some(PeerOutcome::Answered));
        assert_eq!(table.stats(0).in_flight, 0);
        table.retain(|_| false);
        assert_eq!(table.stats(0).in_flight_max, 0);
    }
}
