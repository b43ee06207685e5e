use super::*;
use crate::analyzer::Grade;
use crate::key::CompositeKey;

fn id(n: u32) -> KeyId {
    KeyId::of(1, &CompositeKey::parse(&format!("k/{n}")).expect("valid"))
}

fn evidence() -> Evidence {
    let mut evidence = Evidence::default();
    evidence.grades[0] = Grade::of(3, 4, true);
    evidence
}

const CHAIN: PredictionStep = PredictionStep::Chained { path: 0.5, depth: 3 };

/// A request whose orders arrive before the next one.
fn at(seq: u64) -> LogicalTime {
    LogicalTime { seq, of_all: seq }
}

fn book(map: &mut ConfidenceMap, seq: u64, id: KeyId, step: Option<&PredictionStep>) -> bool {
    let direct = PredictionStep::Direct(map.score(&evidence()));
    let step = step.unwrap_or(&direct);
    map.book(at(seq), &Booking { id, after: id, step, expert: Expert::Order1, confidence: 0.5 })
}

#[test]
fn a_prediction_counts_as_failed_until_its_key_is_asked_in_time() {
    let mut map = ConfidenceMap::new(1 << 14);
    let before = map.score(&evidence()).probability;
    assert!(book(&mut map, 0, id(1), None));
    let failed = map.score(&evidence()).probability;
    assert!(failed < before);
    assert_eq!(map.settle(at(FIRST_WINDOW), id(1)), Settled { after: Some(id(1)), predicted: true });
    assert!(map.score(&evidence()).probability > failed);
    assert_eq!(map.settle(at(FIRST_WINDOW), id(1)), Settled::default(), "settled once");

    book(&mut map, 1_000, id(1), None);
    assert_eq!(map.settle(at(1_001 + FIRST_WINDOW), id(1)), Settled::default(), "too late");
    assert_eq!(map.settle(at(1_000), id(2)), Settled::default(), "never predicted");
}

#[test]
fn a_waiting_prediction_is_not_booked_twice_but_a_chained_one_beside_it() {
    let mut map = ConfidenceMap::new(1 << 14);
    assert!(book(&mut map, 0, id(1), None));
    assert!(!book(&mut map, 1, id(1), None));
    assert_eq!(map.stats().predictions, 1);
    assert!(!book(&mut map, 2, id(1), Some(&CHAIN)));
    assert_eq!(map.stats().predictions, 2);
    assert!(book(&mut map, FIRST_WINDOW + 1, id(1), None));
    assert_eq!(map.stats().predictions, 3);
    assert_eq!(map.settle(at(FIRST_WINDOW + 2), id(1)), Settled { after: Some(id(1)), predicted: true });
}

#[test]
fn what_comes_true_before_an_order_would_have_arrived_has_failed() {
    let mut map = ConfidenceMap::new(1 << 14);
    assert!(book(&mut map, 10, id(1), None));
    assert_eq!(map.settle(LogicalTime { seq: 12, of_all: 9 }, id(1)), Settled::default());
    assert!(book(&mut map, 13, id(1), None), "settled");
    let in_time = Settled { after: Some(id(1)), predicted: true };
    assert_eq!(map.settle(LogicalTime { seq: 16, of_all: 13 }, id(1)), in_time);
    assert!((map.reliability().bins().map(|bin| bin.observed).sum::<f64>() - 0.5).abs() < 1e-9);
}

#[test]
fn tells_the_current_assessment_until_it_ends() {
    let mut map = ConfidenceMap::new(1 << 14);
    assert_eq!(map.assessment(0, id(1)), None);
    book(&mut map, 10, id(1), Some(&CHAIN));
    let until = 10 + FIRST_WINDOW;
    assert_eq!(map.assessment(11, id(1)), Some(Assessment { confidence: 0.5, expert: Expert::Order1 }));
    assert_eq!(map.assessment(until + 1, id(1)), None);
}

#[test]
fn the_window_follows_the_stay_within_bounds() {
    let mut map = ConfidenceMap::new(1 << 14);
    for (stay, window) in [(100.0, 100), (0.0, WINDOWS.0), (1e12, WINDOWS.1), (f64::NAN, WINDOWS.0)] {
        map.set_stay(stay, 0.0);
        assert_eq!(map.stats().window, window);
    }
    map.set_stay(100.0, 8.0);
    assert_eq!(map.stats().window, 108, "a stay begins when an order arrives");
}

#[test]
fn the_table_is_bounded_and_drops_what_ends_first() {
    let mut map = ConfidenceMap::new(1 << 14);
    let bytes = map.stats().memory_bytes;
    for n in 0..10_000 {
        book(&mut map, u64::from(n), id(n), None);
    }
    let stats = map.stats();
    assert_eq!((stats.entries, stats.memory_bytes), (stats.entries_max, bytes));
    assert!(stats.memory_bytes < (1 << 14) + ConfidenceMap::FIXED_BYTES);
    assert!(map.assessment(10_000, id(9_999)).is_some());
    assert!(map.assessment(100, id(0)).is_none());
}
