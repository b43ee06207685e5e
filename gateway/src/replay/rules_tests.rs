use std::collections::HashMap;

use super::*;
use crate::replay::baseline::Lru;

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
    fates: Vec<(u32, Fate)>,
}

impl Predictor<u32> for Scripted {
    fn observe(&mut self, observed: &Observed<'_, u32>, skip: &mut dyn FnMut(&u32) -> bool, orders: &mut Vec<u32>) {
        assert!(skip(observed.key), "what was just asked for is cached");
        self.seen.push(observed.access);
        orders.extend(self.orders.remove(&observed.at).unwrap_or_default());
    }

    fn fate(&mut self, _: u64, _: u32, key: &u32, fate: Fate) {
        self.fates.push((*key, fate));
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
    let caches = Caches::new(private, || Lru::new(entries));
    let tally =
        Player::new(&KEYS, caches, &mut scripted, latency, Tally::new(KEYS.len(), 0.25, None)).play(&requests, || {});
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
    assert_eq!(scripted.fates, [(B, Fate::Used), (C, Fate::Wasted)]);
    // B and C were asked for first at requests 1 and 5, D at 3, A at 0: one of four was a hit.
    assert_eq!((tally.novel, tally.novel_hits), (4, 1));
}

#[test]
fn what_is_unused_at_the_end_is_waste() {
    let (tally, scripted) = play(4, None, AT_ONCE, &[(0, &[B, C]), (1, &[D])], &[(0, 0, A), (1, 0, B)]);
    assert_eq!(counts(&tally), (1, 3, 1, 2));
    assert_eq!(scripted.fates, [(B, Fate::Used)], "nobody knows before the end");
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
    assert_eq!(scripted.fates, [(A, Fate::Refunded), (B, Fate::Refunded), (B, Fate::Refunded)]);
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
    assert_eq!(scripted.fates, [(B, Fate::Overtaken)]);
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
    assert_eq!(scripted.fates, [(B, Fate::Overtaken), (B, Fate::Used)]);
}

#[test]
fn private_caches_do_not_share() {
    let requests = [(0, 0, A), (1, 1, A), (2, 0, B), (3, 1, B)];
    let orders: [(usize, &[u32]); 1] = [(0, &[B])];
    assert_eq!(counts(&play(4, None, AT_ONCE, &orders, &requests).0), (3, 1, 1, 0));
    assert_eq!(counts(&play(4, Some(2), AT_ONCE, &orders, &requests).0), (1, 1, 1, 0));
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
    let caches = Caches::new(None, || Refusing(Lru::new(4)));
    let tally =
        Player::new(&KEYS, caches, &mut scripted, AT_ONCE, Tally::new(KEYS.len(), 0.25, None)).play(&requests, || {});
    assert_eq!((counts(&tally), scripted.fates), ((0, 1, 0, 1), vec![(B, Fate::Wasted)]));
}
