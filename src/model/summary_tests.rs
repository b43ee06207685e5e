use proptest::prelude::*;

use super::*;

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

fn step(key: u32, repeated: bool) -> PathStep {
    PathStep { key, repeated }
}

fn summary() -> Summary {
    Summary {
        instance: u64::MAX,
        epoch: 7,
        keys: ["user/77/profile", "user/77/avatar", "caf\u{e9}", "caf\u{ea}/x", "a%2Fb"].map(key).to_vec(),
        paths: vec![
            Path { told: 0, steps: vec![step(0, false), step(1, true), step(4, false)] },
            Path { told: 2, steps: vec![step(2, false), step(3, false)] },
            Path::default(),
        ],
    }
}

/// Any keys, their beginnings often shared, some of them inside of a letter.
fn any_key() -> impl Strategy<Value = CompositeKey> {
    let part = prop_oneof!["[a-c]{1,3}", "[é-ë]{1,2}", "[0-9]{1,5}", Just("a%2Fb".to_owned()), "[x]{100,300}"];
    prop::collection::vec(part, 1..4).prop_filter_map("too long", |parts| CompositeKey::parse(&parts.join("/")).ok())
}

fn any_summary() -> impl Strategy<Value = Summary> {
    let keys = prop::collection::vec(any_key(), 1..20);
    (any::<u64>(), 0..1_u64 << 53, keys).prop_flat_map(|(instance, epoch, keys)| {
        let steps = prop::collection::vec((0..keys.len() as u32, any::<bool>()), 0..12);
        let path = (steps, 0..=Summary::MAX_TOLD).prop_map(|(steps, told)| Path {
            told: told.min(steps.len() as u8),
            steps: steps.into_iter().map(|(key, repeated)| step(key, repeated)).collect(),
        });
        prop::collection::vec(path, 0..6).prop_map(move |paths| Summary { instance, epoch, keys: keys.clone(), paths })
    })
}

#[test]
fn every_cut_and_every_extension_is_refused() {
    let bytes = summary().encode();
    assert_eq!(Summary::decode(&bytes), Ok(summary()));
    for end in 0..bytes.len() {
        assert!(Summary::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    assert_eq!(Summary::decode(&[&bytes[..], &[0]].concat()), Err(DecodeError::Trailing));
    assert_eq!(Summary::decode(&[b"FMLM", &bytes[4..]].concat()), Err(DecodeError::BadMagic));
    assert_eq!(Summary::decode(&[b"FMSM\x02", &bytes[5..]].concat()), Err(DecodeError::BadVersion(2)));
}

/// Whatever was decoded is within the bounds, and its encoding says the same.
fn check(summary: &Summary) {
    assert!(summary.keys.len() <= Summary::MAX_KEYS && summary.paths.len() <= Summary::MAX_PATHS);
    assert!(summary.keys.iter().map(|key| key.as_str().len()).sum::<usize>() <= Summary::MAX_KEY_TEXT);
    for path in &summary.paths {
        assert!(path.told <= Summary::MAX_TOLD && usize::from(path.told) <= path.steps.len());
        assert!(path.steps.iter().all(|step| (step.key as usize) < summary.keys.len()));
    }
    assert_eq!(Summary::decode(&summary.encode()).as_ref(), Ok(summary));
}

#[test]
fn whatever_one_changed_byte_makes_of_it_is_refused_or_a_summary() {
    let bytes = summary().encode();
    let mut read = 0;
    for at in 0..bytes.len() {
        for value in 0..=u8::MAX {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok(summary) = Summary::decode(&changed) {
                check(&summary);
                read += 1;
            }
        }
    }
    assert!(read > 1_000, "{read}: some of it is still a summary");
}

#[test]
fn what_is_shared_on_the_wire_cannot_unfold_without_limit() {
    let head = |keys: u64| {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.u64_le(1);
        w.varint(1);
        w.varint(keys);
        w
    };
    let mut w = head(10_000);
    w.varint(0);
    w.str(&"x".repeat(1_000));
    for _ in 1..10_000 {
        w.varint(1_000);
        w.str("y");
    }
    let bytes = w.finish();
    assert!(bytes.len() < 50_000);
    assert_eq!(Summary::decode(&bytes), Err(DecodeError::TooMany("bytes of keys")));
    // Nor past the key before, nor inside of a letter.
    for shared in [2, 4, 1_000, u64::MAX] {
        let mut w = head(2);
        w.varint(0);
        w.str("a\u{e9}");
        w.varint(shared);
        w.str("b");
        w.varint(0);
        assert_eq!(Summary::decode(&w.finish()), Err(DecodeError::BadValue("key")), "{shared}");
    }
}

#[test]
fn more_of_anything_than_its_bound_is_refused() {
    let keys = (0..=Summary::MAX_KEYS).map(|n| key(&n.to_string())).collect();
    let many = Summary { keys, ..Summary::default() };
    assert_eq!(Summary::decode(&many.encode()), Err(DecodeError::TooMany("keys")));
    let many = Summary { paths: vec![Path::default(); Summary::MAX_PATHS + 1], ..Summary::default() };
    assert_eq!(Summary::decode(&many.encode()), Err(DecodeError::TooMany("paths")));
    let long = Path { told: 0, steps: vec![step(0, false); Summary::MAX_STEPS + 1] };
    let many = Summary { keys: vec![key("a")], paths: vec![long], ..Summary::default() };
    assert_eq!(Summary::decode(&many.encode()), Err(DecodeError::TooMany("steps")));
}

#[test]
fn what_refers_to_nothing_is_refused() {
    let with = |path: Path| Summary { keys: vec![key("a")], paths: vec![path], ..Summary::default() };
    let refused = |path: Path| Summary::decode(&with(path).encode());
    assert_eq!(refused(Path { told: 0, steps: vec![step(1, false)] }), Err(DecodeError::BadValue("step")));
    assert_eq!(refused(Path { told: 1, steps: vec![] }), Err(DecodeError::BadValue("told")));
    assert_eq!(refused(Path { told: 3, steps: vec![step(0, false); 3] }), Err(DecodeError::BadValue("told")));
    let late = Summary { epoch: 1 << 53, ..Summary::default() };
    assert_eq!(Summary::decode(&late.encode()), Err(DecodeError::BadValue("epoch")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn summaries_round_trip(summary in any_summary()) {
        check(&summary);
    }

    #[test]
    fn decoding_never_panics(
        summary in any_summary(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let mut bytes = summary.encode();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(summary) = Summary::decode(&bytes) {
            check(&summary);
        }
    }
}
