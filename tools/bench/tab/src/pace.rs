//! From a trace to requests in simulated time.

use foremap::Millis;
use foremap::key::CompositeKey;
use foremap_replay::trace::Trace;

/// Simulated time of the first request, as far from 0 as times are today: positions take as many bytes as in life.
pub const START: Millis = 1_796_000_000_000;
/// Idle time after which a visit has ended: the tab is closed, and forgets.
pub const IDLE: Millis = 30 * 60_000;

/// One request of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Simulated time.
    pub at: Millis,
    /// Client that asks.
    pub client: u32,
    /// Index into [`Paced::keys`].
    pub key: u32,
}

/// Requests at the pace of those who made them.
#[derive(Debug, Clone)]
pub struct Paced {
    /// In the order of time; those of one moment in the order of the trace.
    pub requests: Vec<Request>,
    /// Every key of the trace.
    pub keys: Vec<CompositeKey>,
    /// Number of clients.
    pub clients: usize,
}

/// The first `limit` requests of `trace`.
///
/// A client's clock does not go back. Where the source has whole seconds, a client's requests of one second are spread
/// over it evenly.
///
/// # Panics
/// If a key of the trace is not canonical.
pub fn paced(trace: &Trace, limit: usize) -> Paced {
    let requests = &trace.requests[..limit.min(trace.requests.len())];
    let first = requests.iter().map(|request| request.at_ms).min().unwrap_or(0);
    let whole_seconds = trace.requests.iter().all(|request| request.at_ms % 1_000 == 0);
    let mut last = vec![START; trace.clients.len()];
    let mut paced: Vec<Request> = requests
        .iter()
        .map(|request| {
            let last = &mut last[request.client as usize];
            *last = (START + request.at_ms.abs_diff(first)).max(*last);
            Request { at: *last, client: request.client, key: request.key }
        })
        .collect();
    if whole_seconds {
        spread(&mut paced, trace.clients.len());
    }
    // Stable: the order of the trace stays.
    paced.sort_by_key(|request| request.at);
    let key = |text: &String| CompositeKey::parse(text).expect("keys of a trace are canonical");
    Paced { requests: paced, keys: trace.keys.iter().map(key).collect(), clients: trace.clients.len() }
}

/// Spreads each client's requests of one moment evenly over the second that follows.
fn spread(requests: &mut [Request], clients: usize) {
    // Of each client the places of its requests of the moment at hand.
    let mut moments: Vec<Vec<usize>> = vec![Vec::new(); clients];
    for at in 0..requests.len() {
        let client = requests[at].client as usize;
        if moments[client].first().is_some_and(|&first| requests[first].at != requests[at].at) {
            spread_moment(requests, &std::mem::take(&mut moments[client]));
        }
        moments[client].push(at);
    }
    for moment in moments {
        spread_moment(requests, &moment);
    }
}

fn spread_moment(requests: &mut [Request], moment: &[usize]) {
    for (nth, &at) in moment.iter().enumerate() {
        requests[at].at += (1_000 * nth / moment.len()) as Millis;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(requests: &[(i64, u32)]) -> Trace {
        let requests = requests.iter().map(|&(at_ms, client)| foremap_replay::trace::Request { at_ms, client, key: 0 });
        Trace {
            requests: requests.collect(),
            keys: vec!["a/b".into()],
            clients: vec!["c0".into(), "c1".into()],
            ..Trace::default()
        }
    }

    fn times(trace: &Trace) -> Vec<(Millis, u32)> {
        paced(trace, 100).requests.iter().map(|request| (request.at - START, request.client)).collect()
    }

    #[test]
    fn milliseconds_are_taken_as_they_are_and_clocks_do_not_go_back() {
        let trace = trace(&[(5_000, 0), (4_001, 1), (4_500, 0), (9_000, 1)]);
        assert_eq!(times(&trace), [(0, 1), (999, 0), (999, 0), (4_999, 1)]);
    }

    #[test]
    fn a_clients_requests_of_one_second_are_spread_over_it() {
        let trace = trace(&[(1_000, 0), (1_000, 1), (1_000, 0), (1_000, 0), (1_000, 0), (2_000, 0)]);
        assert_eq!(times(&trace), [(0, 0), (0, 1), (250, 0), (500, 0), (750, 0), (1_000, 0)]);
    }

    #[test]
    fn the_first_requests_are_those_of_the_first_lines() {
        assert_eq!(paced(&trace(&[(1_000, 0), (500, 1), (7, 0)]), 2).requests.len(), 2);
    }
}
