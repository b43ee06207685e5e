use proptest::prelude::*;

use super::*;

fn leads(older: &[u8], newer: &[u8]) -> usize {
    let delta = model_delta(older, newer);
    assert_eq!(apply_model_delta(older, &delta).as_deref(), Ok(newer));
    assert!(is_model_delta(&delta) && !is_model_delta(newer));
    delta.len()
}

/// So many bytes that say nothing about each other.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| xxh3(seed, &at.to_le_bytes()) as u8).collect()
}

#[test]
fn what_stayed_is_not_sent() {
    let older = noise(1, 50_000);
    assert!(leads(&older, &older) < 30, "the same");
    // Something before, something within, something gone, something replaced, two parts in another order.
    let newer = [&noise(2, 10), &older[..9_000], &noise(3, 10), &older[10_000..]].concat();
    assert!(leads(&older, &newer) < 70);
    let newer = [&older[25_000..], &older[..25_000]].concat();
    assert!(leads(&older, &newer) < 40);
    let mut newer = older.clone();
    newer.iter_mut().step_by(1_000).for_each(|byte| *byte ^= 1);
    assert!(leads(&older, &newer) < 400, "50 bytes, each some steps");
}

#[test]
fn nothing_in_common_costs_little_more_than_the_whole() {
    assert!(leads(&noise(1, 5_000), &noise(2, 5_000)) < 5_030);
    for (older, newer) in [(0, 0), (0, 3), (3, 0), (7, 8), (8, 8)] {
        leads(&noise(1, older), &noise(2, newer));
    }
}

#[test]
fn of_another_model_cut_extended_or_too_long_it_is_refused() {
    let (older, newer) = (noise(1, 500), [noise(1, 400), noise(2, 40)].concat());
    let delta = model_delta(&older, &newer);
    assert_eq!(apply_model_delta(&newer, &delta), Err(DecodeError::BadValue("older")));
    for end in 0..delta.len() {
        assert!(apply_model_delta(&older, &delta[..end]).is_err(), "cut at {end}");
    }
    assert!(apply_model_delta(&older, &[&delta[..], &[0]].concat()).is_err());
    let mut w = Writer::with_header(MAGIC, VERSION);
    w.u64_le(xxh3(0, &older));
    w.varint(MAX_SNAPSHOT_BYTES as u64 + 1);
    w.varint(0);
    assert_eq!(apply_model_delta(&older, &w.finish()), Err(DecodeError::BadValue("length")));
}

proptest! {
    #[test]
    fn any_edit_is_undone(
        older in prop::collection::vec(0..4_u8, 0..300),
        edits in prop::collection::vec((0..300_usize, 0..20_usize, prop::collection::vec(0..4_u8, 0..20)), 0..6),
    ) {
        let mut newer = older.clone();
        for (at, gone, new) in edits {
            let at = at.min(newer.len());
            newer.splice(at..(at + gone).min(newer.len()), new);
        }
        let delta = model_delta(&older, &newer);
        prop_assert_eq!(apply_model_delta(&older, &delta), Ok(newer));
    }

    #[test]
    fn no_bytes_break_it(older in prop::collection::vec(any::<u8>(), 0..50), rest in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.u64_le(xxh3(0, &older));
        w.raw(&rest);
        if let Ok(newer) = apply_model_delta(&older, &w.finish()) {
            prop_assert!(newer.len() <= MAX_SNAPSHOT_BYTES);
        }
    }
}
