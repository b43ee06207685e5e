use super::*;
use crate::analyzer::Evidence;
use crate::key::CompositeKey;

fn id(n: u32) -> KeyId {
    KeyId::of(1, &CompositeKey::parse(&format!("k/{n}")).expect("valid"))
}

const STEP: Step = Step::Direct(Evidence { expert: Expert::Order1, count: 3, total: 4, latest: true });
const CHAIN: Step = Step::Chained { path: 0.5, depth: 3 };

#[test]
fn a_prediction_counts_as_failed_until_its_key_is_asked_in_time() {
    let mut map = ConfidenceMap::new(1 << 14);
    let before = map.probability(&STEP);
    map.book(0, id(1), &STEP, 0.5, Expert::Order1);
    assert!(map.probability(&STEP) < before);
    assert!(map.settle(FIRST_WINDOW, id(1)));
    assert!(map.probability(&STEP) > before);
    assert!(!map.settle(FIRST_WINDOW, id(1)), "settled once");

    map.book(1_000, id(1), &STEP, 0.5, Expert::Order1);
    assert!(!map.settle(1_001 + FIRST_WINDOW, id(1)), "too late");
    assert!(!map.settle(1_000, id(2)), "never predicted");
}

#[test]
fn a_waiting_prediction_is_not_booked_twice_but_a_chained_one_beside_it() {
    let mut map = ConfidenceMap::new(1 << 14);
    map.book(0, id(1), &STEP, 0.5, Expert::Order1);
    map.book(1, id(1), &STEP, 0.5, Expert::Order1);
    assert_eq!(map.stats().predictions, 1);
    map.book(2, id(1), &CHAIN, 0.5, Expert::Order2);
    assert_eq!(map.stats().predictions, 2);
    map.book(FIRST_WINDOW + 1, id(1), &STEP, 0.5, Expert::Order1);
    assert_eq!(map.stats().predictions, 3);
}

#[test]
fn tells_the_current_assessment_until_it_ends() {
    let mut map = ConfidenceMap::new(1 << 14);
    assert_eq!(map.assessment(0, id(1)), None);
    map.book(10, id(1), &CHAIN, 0.5, Expert::Backoff);
    let until = 10 + FIRST_WINDOW;
    assert_eq!(map.assessment(11, id(1)), Some(Assessment { confidence: 0.5, expert: Expert::Backoff, until }));
    assert_eq!(map.assessment(until + 1, id(1)), None);
}

#[test]
fn the_window_follows_the_stay_within_bounds() {
    let mut map = ConfidenceMap::new(1 << 14);
    for (stay, window) in [(100.0, 50), (0.0, WINDOWS.0), (1e12, WINDOWS.1), (f64::NAN, WINDOWS.0)] {
        map.set_stay(stay);
        assert_eq!(map.stats().window, window);
    }
}

#[test]
fn the_table_is_bounded_and_drops_what_ends_first() {
    let mut map = ConfidenceMap::new(1 << 14);
    let bytes = map.stats().memory_bytes;
    for n in 0..10_000 {
        map.book(u64::from(n), id(n), &STEP, 0.5, Expert::Order1);
    }
    let stats = map.stats();
    assert_eq!((stats.entries, stats.memory_bytes), (stats.entries_max, bytes));
    assert!(stats.memory_bytes < (1 << 14) + 8_192);
    assert!(map.assessment(10_000, id(9_999)).is_some());
    assert!(map.assessment(100, id(0)).is_none());
}
