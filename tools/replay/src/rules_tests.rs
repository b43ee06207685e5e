use std::collections::HashMap;

use super::*;
use crate::baseline::Lru;
use crate::clients::Clients;

const A: u32 = 0;
const B: u32 = 1;
const C: u32 = 2;
const D: u32 = 3;
const KEYS: [u32; 4] = [A, B, C, D];

/// Orders what the script says after each request, and notes what it is told.
#[derive(Default)]
struct Scripted {
    orders: HashMap<usize, Vec<u32>>,
    seen: Vec<Access>,
    outcomes: Vec<(u32, PrefetchOutcome)>,
    /// Caches opened and closed, and requests over: the cache or client, and what happened.
    course: Vec<(u32, &'static str)>,
}

impl Predictor<u32> for Scripted {
    fn observe(&mut self, observed: &Observed<'_, u32>, skip: &mut dyn FnMut(&u32) -> bool, orders: &mut Vec<u32>) {
        assert!(skip(observed.key), "what was just asked for is cached");
        self.seen.push(observed.access);
        orders.extend(self.orders.remove(&observed.at).unwrap_or_default());
    }

    fn outcome(&mut self, _: u64, _: u32, key: &u32, outcome: PrefetchOutcome) {
        self.outcomes.push((*key, outcome));
    }

    fn landed(&mut self, client: u32, _: &u32) {
        self.course.push((client, "landed"));
    }

    fn opened(&mut self, _: u64, client: u32) {
        self.course.push((client, "opened"));
    }

    fn asked(&mut self, _: u64, client: u32, _: &u32) {
        self.course.push((client, "asked"));
    }

    fn closed(&mut self, client: u32) {
        self.course.push((client, "closed"));
    }
}

/// Requests by (millisecond, client, key) through LRU caches of `entries`.
fn play(
    entries: usize,
    private: Option<usize>,
    latency: Latency,
    orders: &[(usize, &[u32])],
    requests: &[(i64, u32, u32)],
) -> (Tally, Scripted) {
    let orders = orders.iter().map(|(at, keys)| (*at, keys.to_vec())).collect();
    let mut scripted = Scripted { orders, ..Scripted::default() };
    let requests: Vec<_> = requests.iter().map(|&(at_ms, client, key)| Request { at_ms, client, key }).collect();
    let caches = Caches::new(private.is_some(), || Lru::new(entries));
    let tally = Player::new(
        &KEYS,
        caches,
        &mut scripted,
        latency,
        Tally::new(KEYS.len(), private, 0.25, None),
        Clock::calibrated(&()),
    )
    .play(&requests, || {});
    (tally, scripted)
}

fn counts(tally: &Tally) -> (u64, u64, u64, u64) {
    (tally.hits, tally.issued, tally.used, tally.wasted)
}

const AT_ONCE: Latency = Latency::Requests(0);

#[test]
fn the_first_event_decides_whether_a_prefetch_was_used() {
    // B is used at once and hit again; C is evicted by the misses of D and A.
    let requests = [(0, 0, A), (1, 0, B), (2, 0, B), (3, 0, D), (4, 0, A), (5, 0, C)];
    let (tally, scripted) = play(2, None, AT_ONCE, &[(0, &[B]), (2, &[C])], &requests);
    assert_eq!(counts(&tally), (2, 2, 1, 1));
    let seen = [Access::Miss, Access::FirstUse, Access::Hit, Access::Miss, Access::Miss, Access::Miss];
    assert_eq!(scripted.seen, seen);
    assert_eq!(scripted.outcomes, [(B, PrefetchOutcome::Used), (C, PrefetchOutcome::Wasted)]);
    // B and C were asked for first at requests 1 and 5, D at 3, A at 0: one of four was a hit.
    assert_eq!((tally.novel, tally.novel_hits), (4, 1));
}

#[test]
fn what_is_unused_at_the_end_is_waste() {
    let (tally, scripted) = play(4, None, AT_ONCE, &[(0, &[B, C]), (1, &[D])], &[(0, 0, A), (1, 0, B)]);
    assert_eq!(counts(&tally), (1, 3, 1, 2));
    assert_eq!(scripted.outcomes, [(B, PrefetchOutcome::Used)], "nobody knows before the end");
    // Two wasted after two requests.
    assert_eq!(tally.max_budget_excess, 2.0 - 0.25 * 2.0);
}

#[test]
fn the_excess_is_the_largest_after_any_request() {
    // With one entry, the order after request 0 evicts A and is evicted by request 1.
    let requests = [(0, 0, A), (1, 0, C), (2, 0, C), (3, 0, C), (4, 0, C), (5, 0, C)];
    let (tally, _) = play(1, None, AT_ONCE, &[(0, &[B])], &requests);
    assert_eq!((counts(&tally), tally.max_budget_excess), ((4, 1, 0, 1), 1.0 - 0.25 * 2.0));
    let (tally, _) = play(1, None, AT_ONCE, &[], &requests);
    assert_eq!(tally.max_budget_excess, -0.25, "never any waste: least after the first request");
}

#[test]
fn keys_that_are_cached_or_in_flight_are_not_fetched_again() {
    let orders: [(usize, &[u32]); 2] = [(0, &[A, B, B]), (1, &[B])];
    let (tally, scripted) = play(4, None, Latency::Requests(2), &orders, &[(0, 0, A), (1, 0, A), (2, 0, A)]);
    assert_eq!(counts(&tally), (2, 1, 0, 1));
    assert_eq!(
        scripted.outcomes,
        [(A, PrefetchOutcome::Refunded), (B, PrefetchOutcome::Refunded), (B, PrefetchOutcome::Refunded)]
    );
}

#[test]
fn a_latency_in_requests_passes_before_landing() {
    // Ordered after request 0, with two more requests to pass: 1 and 2.
    let orders: [(usize, &[u32]); 1] = [(0, &[B])];
    let in_time = play(4, None, Latency::Requests(2), &orders, &[(0, 0, A), (0, 0, A), (0, 0, A), (0, 0, B)]);
    assert_eq!(counts(&in_time.0), (3, 1, 1, 0));
    let early = [(0, 0, A), (0, 0, A), (0, 0, B), (0, 0, B), (0, 0, B)];
    let (tally, scripted) = play(4, None, Latency::Requests(2), &orders, &early);
    // A demand that overtakes is a miss, the prefetch waste, and it does not land afterwards.
    assert_eq!(counts(&tally), (3, 1, 0, 1));
    assert_eq!(scripted.seen[2..4], [Access::Late, Access::Hit]);
    assert_eq!(scripted.outcomes, [(B, PrefetchOutcome::Overtaken)]);
}

#[test]
fn a_latency_in_milliseconds_follows_a_clock_that_never_steps_back() {
    let orders: [(usize, &[u32]); 1] = [(1, &[B])];
    let landed = |at| {
        let requests = [(100, 0, A), (150, 0, A), (120, 0, A), (at, 0, B)];
        play(4, None, Latency::Millis(30), &orders, &requests).1.seen[3]
    };
    assert_eq!(landed(179), Access::Late);
    assert_eq!(landed(180), Access::FirstUse);
    let zero = play(4, None, Latency::Millis(0), &orders, &[(5, 0, A), (5, 0, A), (5, 0, B)]);
    assert_eq!(counts(&zero.0), (2, 1, 1, 0));
}

#[test]
fn a_key_that_joined_and_departed_again_lands_once() {
    let orders: [(usize, &[u32]); 2] = [(0, &[B]), (3, &[B])];
    // One entry: B is overtaken at 1, is evicted by C at 2, ordered again at 3; the first flight would land before 4.
    let requests = [(0, 0, A), (0, 0, B), (0, 0, C), (0, 0, C), (0, 0, C), (0, 0, C), (0, 0, C), (0, 0, B)];
    let (tally, scripted) = play(1, None, Latency::Requests(3), &orders, &requests);
    assert_eq!(counts(&tally), (5, 2, 1, 1));
    assert_eq!(scripted.outcomes, [(B, PrefetchOutcome::Overtaken), (B, PrefetchOutcome::Used)]);
}

#[test]
fn private_caches_do_not_share() {
    let requests = [(0, 0, A), (1, 1, A), (2, 0, B), (3, 1, B)];
    let orders: [(usize, &[u32]); 1] = [(0, &[B])];
    assert_eq!(counts(&play(4, None, AT_ONCE, &orders, &requests).0), (3, 1, 1, 0));
    assert_eq!(counts(&play(4, Some(2), AT_ONCE, &orders, &requests).0), (1, 1, 1, 0));
}

#[test]
fn a_private_cache_is_there_from_its_first_request_to_its_last() {
    let requests = [(0, 0, A), (1, 0, B), (2, 1, A), (3, 0, A), (4, 1, B)];
    let (_, scripted) = play(4, Some(2), AT_ONCE, &[], &requests);
    let of_first =
        [(0, "opened"), (0, "asked"), (0, "asked"), (1, "opened"), (1, "asked"), (0, "asked"), (0, "closed")];
    assert_eq!(scripted.course, [&of_first[..], &[(1, "asked"), (1, "closed")]].concat());
    let (_, shared) = play(4, None, AT_ONCE, &[], &requests[..3]);
    assert_eq!(shared.course, [(0, "opened"), (0, "asked"), (0, "asked"), (1, "asked"), (0, "closed")]);
}

#[test]
fn a_cache_stays_until_the_last_prefetch_has_landed() {
    // C, ordered by the only request of client 0, lands before request 3 and evicts B, which landed before request 2.
    let requests = [(0, 0, A), (1, 1, A), (2, 1, A), (3, 1, A), (4, 1, A)];
    let late = Latency::Requests(1);
    let (_, scripted) = play(1, Some(2), late, &[(0, &[B, C])], &requests);
    let closed = scripted.course.iter().position(|event| *event == (0, "closed")).expect("closed");
    assert_eq!(scripted.course[..closed].iter().filter(|event| **event == (0, "landed")).count(), 2);
    assert_eq!(scripted.outcomes, [(B, PrefetchOutcome::Wasted)], "told while it was there");
    assert!(scripted.course[closed..].contains(&(1, "asked")), "long before the end");
    // What is joined does not land; the cache goes with the request that joined it.
    let (_, scripted) = play(1, Some(2), Latency::Requests(9), &[(0, &[B])], &[(0, 0, A), (1, 0, B), (2, 1, A)]);
    assert_eq!(scripted.course[..4], [(0, "opened"), (0, "asked"), (0, "asked"), (0, "closed")]);
    // What is still in flight at the end keeps it.
    let (tally, scripted) = play(1, Some(2), Latency::Requests(9), &[(0, &[B])], &requests);
    assert!(!scripted.course.contains(&(0, "closed")));
    assert_eq!(counts(&tally), (3, 1, 0, 1));
}

fn max_client_excess(tally: &Tally) -> Option<f64> {
    tally.clients.as_ref().map(Clients::max_excess)
}

#[test]
fn the_excess_of_a_client_is_that_of_its_own_waste_and_requests() {
    // One entry: request 2 of client 0 evicts B unused; the requests of client 1 earn it nothing.
    let requests = [(0, 1, A), (1, 1, A), (2, 1, A), (3, 0, A), (4, 0, C), (5, 0, C), (6, 0, C)];
    let orders: [(usize, &[u32]); 1] = [(3, &[B])];
    let (tally, _) = play(1, Some(2), AT_ONCE, &orders, &requests);
    assert_eq!((tally.max_budget_excess, max_client_excess(&tally)), (1.0 - 0.25 * 5.0, Some(1.0 - 0.25 * 2.0)));
    // What is unused when a client is gone is its waste as well, whoever comes after it.
    let (tally, _) = play(4, Some(2), AT_ONCE, &[(0, &[B, C])], &[(0, 0, A), (1, 1, A), (2, 1, A), (3, 1, A)]);
    assert_eq!((tally.max_budget_excess, max_client_excess(&tally)), (2.0 - 0.25 * 4.0, Some(2.0 - 0.25)));
    // What it uses is none.
    let (tally, _) = play(4, Some(2), AT_ONCE, &[(0, &[B])], &[(0, 0, A), (1, 0, B)]);
    assert_eq!(max_client_excess(&tally), Some(-0.25));
    assert_eq!(max_client_excess(&play(4, None, AT_ONCE, &[], &[(0, 0, A)]).0), None, "of a shared cache");
}

#[test]
fn the_first_ten_requests_of_each_client_have_a_hit_ratio_of_their_own() {
    // Client 0: a miss and 19 hits. Client 1: a miss and a hit.
    let requests: Vec<_> = (0..20).map(|at| (at, 0, A)).chain([(20, 1, A), (21, 1, A)]).collect();
    let (tally, _) = play(4, Some(2), AT_ONCE, &[], &requests);
    assert_eq!(tally.hits, 20);
    assert_eq!(tally.clients.as_ref().map(Clients::first_hit_ratio), Some(10.0 / 12.0));
}

/// Takes nothing in ahead.
struct Refusing(Lru);

impl Cache<u32> for Refusing {
    fn demand(&mut self, at: usize, key: &u32) -> Demand {
        self.0.demand(at, key)
    }

    fn contains(&self, key: &u32) -> bool {
        self.0.contains(key)
    }

    fn land(&mut self, _: &u32) -> bool {
        false
    }

    fn take_unused(&mut self, _: &mut Vec<u32>) {}
}

#[test]
fn what_the_cache_refuses_is_waste() {
    let mut scripted = Scripted { orders: HashMap::from([(0, vec![B])]), ..Scripted::default() };
    let requests = [A, B].map(|key| Request { at_ms: 0, client: 0, key });
    let caches = Caches::new(false, || Refusing(Lru::new(4)));
    let tally = Player::new(
        &KEYS,
        caches,
        &mut scripted,
        AT_ONCE,
        Tally::new(KEYS.len(), None, 0.25, None),
        Clock::calibrated(&()),
    )
    .play(&requests, || {});
    assert_eq!((counts(&tally), scripted.outcomes), ((0, 1, 0, 1), vec![(B, PrefetchOutcome::Wasted)]));
}
