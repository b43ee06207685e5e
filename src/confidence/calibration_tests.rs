use super::super::{Booking, ConfidenceMap, LogicalTime, PredictionStep};
use super::*;
use crate::analyzer::{Evidence, Expert, Grade, KeyId};
use crate::key::CompositeKey;

fn evidence(count: u16, total: u16, expert: usize) -> Evidence {
    let mut evidence = Evidence { popularity: count as u8, predicted: total as u8, ..Evidence::default() };
    evidence.grades[expert] = Grade::of(count, total, true);
    evidence
}

/// Evidence of several kinds, each with the share of its predictions that come true, in tenths.
const KINDS: [(u16, u16, usize, u64); 5] = [(1, 1, 0, 1), (9, 9, 0, 9), (2, 9, 1, 4), (4, 8, 2, 7), (20, 20, 4, 10)];

/// A map that has seen so many predictions of each kind.
fn experienced(predictions: u64) -> ConfidenceMap {
    let mut map = ConfidenceMap::new(1 << 14);
    let (mut seq, id) = (0, KeyId::of(1, &CompositeKey::parse("k").expect("valid")));
    for n in 0..predictions {
        for (count, total, expert, tenths) in KINDS {
            seq += 2_000;
            let score = map.score(&evidence(count, total, expert));
            let moment = LogicalTime { seq, of_all: seq };
            let confidence = score.probability;
            map.book(
                moment,
                &Booking { id, after: id, step: &PredictionStep::Direct(score), expert: Expert::Order1, confidence },
            );
            let worth = map.worth(confidence);
            map.issued(&worth);
            if n * 7 % 10 < tenths {
                map.settle(moment, id);
                map.used(&worth);
            }
        }
    }
    map
}

/// Probabilities that a map gives to each kind, and to what is stated.
fn says(map: &ConfidenceMap) -> Vec<f32> {
    let scores = KINDS.iter().map(|&(count, total, expert, _)| map.score(&evidence(count, total, expert)).probability);
    scores.chain([0.1, 0.3, 0.5, 0.7, 0.9].map(|stated| map.worth(stated).probability)).collect()
}

fn farthest(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

#[test]
fn another_map_starts_where_this_one_has_come_to() {
    for predictions in [50, 400, 3_000] {
        let map = experienced(predictions);
        let mut fresh = ConfidenceMap::new(1 << 12);
        let (told, before) = (says(&map), says(&fresh));
        fresh.import(&map.export()).expect("valid");
        let after = says(&fresh);
        assert!(farthest(&told, &after) < 0.05, "{predictions}: {told:?} {after:?}");
        assert!(farthest(&told, &before) > 0.15, "{predictions}: {told:?} {before:?}");
        assert!(map.export().len() < 2_000, "{} bytes", map.export().len());
    }
}

#[test]
fn what_is_handed_on_twice_stays_what_it_is() {
    let map = experienced(1_000);
    let (mut one, mut two) = (ConfidenceMap::new(1 << 12), ConfidenceMap::new(1 << 12));
    one.import(&map.export()).expect("valid");
    two.import(&one.export()).expect("valid");
    assert!(farthest(&says(&one), &says(&two)) < 0.05);
}

#[test]
fn nothing_learned_is_nothing_to_hand_on() {
    let map = ConfidenceMap::new(1 << 12);
    let bytes = map.export();
    assert!(bytes.len() < 8, "{bytes:?}");
    let mut other = ConfidenceMap::new(1 << 12);
    other.import(&bytes).expect("valid");
    assert_eq!(says(&other), says(&map));
}

#[test]
fn what_is_taken_over_is_soon_unlearnt() {
    let mut map = ConfidenceMap::new(1 << 14);
    map.import(&experienced(10_000).export()).expect("valid");
    let (count, total, expert, _) = KINDS[1];
    let (evidence, id) = (evidence(count, total, expert), KeyId::of(1, &CompositeKey::parse("k").expect("valid")));
    assert!(map.score(&evidence).probability > 0.8);
    for n in 0..200 {
        let (score, moment) = (map.score(&evidence), LogicalTime { seq: n * 2_000, of_all: n * 2_000 });
        let confidence = score.probability;
        map.book(
            moment,
            &Booking { id, after: id, step: &PredictionStep::Direct(score), expert: Expert::Order1, confidence },
        );
    }
    assert!(map.score(&evidence).probability < 0.2, "{}", map.score(&evidence).probability);
}

#[test]
fn bytes_of_another_form_leave_the_map_as_it_was() {
    let bytes = experienced(300).export();
    let mut map = experienced(40);
    let before = says(&map);
    for end in 0..bytes.len() {
        assert!(map.import(&bytes[..end]).is_err(), "cut at {end}");
        assert_eq!(says(&map), before);
    }
    assert_eq!(map.import(&[&bytes[..], &[0]].concat()), Err(DecodeError::Trailing));
    assert_eq!(map.import(&[&[3], &bytes[1..]].concat()), Err(DecodeError::BadVersion(3)));
    assert_eq!(says(&map), before);
}

#[test]
fn whatever_bytes_say_a_probability_is_one() {
    let bytes = experienced(300).export();
    let mut map = experienced(40);
    let mut before = says(&map);
    let mut read = 0;
    for at in 0..bytes.len() {
        for value in [0, 1, 5, 31, 32, 33, 127, 128, 200, 255] {
            let mut changed = bytes.clone();
            changed[at] = value;
            let result = map.import(&changed);
            let after = says(&map);
            match result {
                Ok(()) => read += 1,
                Err(_) => assert_eq!(after, before, "{at} {value}"),
            }
            assert!(after.iter().all(|probability| (0.0..=1.0).contains(probability)), "{at} {value}: {after:?}");
            before = after;
        }
    }
    assert!(read > 100, "{read}");
}

#[test]
fn what_stands_for_many_trials_counts_as_sixty_four() {
    let mut w = Writer::default();
    put_count(&mut w, &TrialCount { trials: 500.0, successes: 400.0 });
    let bytes = w.finish();
    let read = count(&mut Reader::new(&bytes)).expect("valid");
    assert!((read.trials - 64.0).abs() < 1e-6 && (read.succeeded() / 64.0 - 0.8).abs() < 0.02, "{read:?}");
    assert_eq!(count(&mut Reader::new(&[0, 33])).map(|_| ()), Err(DecodeError::BadValue("trials")));
}

#[test]
fn places_beyond_the_end_are_refused() {
    let read = |bytes: &[u8]| {
        let mut seen = Vec::new();
        sparse(&mut Reader::new(bytes), 4, |_, at| {
            seen.push(at);
            Ok(())
        })
        .map(|()| seen)
    };
    assert_eq!(read(&[3, 0, 0, 1]), Ok(vec![0, 1, 3]));
    assert_eq!(read(&[2, 3, 0]), Err(DecodeError::BadValue("place")));
    assert_eq!(read(&[1, 4]), Err(DecodeError::BadValue("place")));
    assert_eq!(read(&[5, 0, 0, 0, 0, 0]), Err(DecodeError::BadValue("values")));
}
