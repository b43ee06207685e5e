use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::codec::{DecodeError, Writer};
use crate::key::CompositeKey;

fn then(visits: u8, next: &[(u32, u8)]) -> Successors {
    let share = |step| QuantizedShare::from_step(step).expect("a step");
    Successors { visits, next: next.iter().map(|&(next, step)| (next, share(step))).collect() }
}

fn model() -> ModelSnapshot {
    let template_rule = |context, shape| TemplateRule { context, shape, then: then(1, &[(1, 9), (0, 1)]) };
    ModelSnapshot {
        made: (1 << 53) - 1,
        name_bytes: 3,
        keys: ["a%2Fb", "caf\u{e9}", "caf\u{ea}/x", "user/1", "user/10"].map(str::to_owned).to_vec(),
        popularity: vec![0, 15, 3, 1, 2],
        rules: vec![
            KeyRule { before: None, last: 0, then: then(0, &[(4, 32)]) },
            KeyRule { before: Some(4), last: 0, then: then(4, &[(1, 20), (2, 5), (3, 1)]) },
            KeyRule { before: Some(0), last: 4, then: then(2, &[(0, 1)]) },
        ],
        templates: vec![vec![1, 0, 4, 1, b'a'], vec![1, 0, 4, 1, b'b']],
        template_rules: vec![
            template_rule(TemplateContext::Shape, 1),
            template_rule(TemplateContext::Step(0), u64::MAX),
            template_rule(TemplateContext::Step(1), 0),
            template_rule(TemplateContext::Far, 9),
        ],
        places: vec![PlaceClass { place: 2, is_kind: true }, PlaceClass { place: !1, is_kind: false }],
        threshold: 99,
        calibration: vec![1, 2, 3],
    }
}

/// Checks that what was decoded is within the bounds, refers to what is there, and that its encoding says the same.
fn check(model: &ModelSnapshot) {
    assert!(model.keys.is_sorted_by(|a, b| a < b) && model.templates.is_sorted_by(|a, b| a < b));
    assert!(model.keys.iter().all(|key| CompositeKey::parse(key).is_ok_and(|parsed| parsed.as_str() == key)));
    assert!(model.keys.iter().map(String::len).sum::<usize>() <= ModelSnapshot::MAX_TEXT_BYTES);
    let fits = |then: &Successors, count: usize| {
        let known = then.next.iter().all(|&(next, share)| (next as usize) < count && share.permil() <= 1_024);
        known && then.visits <= Successors::MAX_VISITS && (1..=Successors::MAX).contains(&then.next.len())
    };
    assert!(model.rules.iter().all(|rule| fits(&rule.then, model.keys.len())));
    assert!(model.rules.iter().all(|rule| rule.before.unwrap_or(rule.last).max(rule.last) < model.keys.len() as u32));
    assert!(model.rules.is_sorted_by(|a, b| (a.last, a.before) < (b.last, b.before)));
    assert!(model.template_rules.iter().all(|rule| fits(&rule.then, model.templates.len())));
    assert_eq!(ModelSnapshot::decode(&model.encode()).as_ref(), Ok(model));
}

#[test]
fn every_cut_and_every_extension_is_refused() {
    check(&model());
    let bytes = model().encode();
    for end in 0..bytes.len() {
        assert!(ModelSnapshot::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    assert_eq!(ModelSnapshot::decode(&[&bytes[..], &[0]].concat()), Err(DecodeError::Trailing));
    assert_eq!(ModelSnapshot::decode(&[b"FMSM", &bytes[4..]].concat()), Err(DecodeError::BadMagic));
    assert_eq!(ModelSnapshot::decode(&[b"FMLM\x03", &bytes[5..]].concat()), Err(DecodeError::BadVersion(3)));
}

#[test]
fn whatever_one_changed_byte_makes_of_it_is_refused_or_a_model() {
    let bytes = model().encode();
    let mut read = 0;
    for at in 0..bytes.len() {
        for value in 0..=u8::MAX {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok(model) = ModelSnapshot::decode(&changed) {
                check(&model);
                read += 1;
            }
        }
    }
    assert!(read > 1_000, "{read}: some of it is still a model");
}

#[test]
fn what_is_shared_on_the_wire_cannot_unfold_without_limit() {
    let mut w = Writer::with_header(*b"FMLM", 2);
    w.varint(1);
    w.u8(2);
    let keys = 60_000;
    w.varint(keys);
    let texts: Vec<String> = (0..keys).map(|n| format!("{n:05}")).collect();
    let mut rests = vec![format!("{}{}", "x".repeat(1_000), texts[0])];
    w.varint(0);
    for pair in texts.windows(2) {
        let shared = pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
        w.varint(1_000 + shared as u64);
        rests.push(pair[1][shared..].to_owned());
    }
    rests.iter().for_each(|rest| w.varint(rest.len() as u64));
    rests.iter().for_each(|rest| w.raw(rest.as_bytes()));
    let bytes = w.finish();
    assert!(bytes.len() < 400_000);
    assert_eq!(ModelSnapshot::decode(&bytes), Err(DecodeError::TooMany("keys")));
}

#[test]
fn more_of_anything_than_its_bound_is_refused() {
    let refused = |change: &dyn Fn(&mut ModelSnapshot)| {
        let mut many = model();
        change(&mut many);
        ModelSnapshot::decode(&many.encode()).expect_err("refused")
    };
    let keys =
        |model: &mut ModelSnapshot| model.keys = (0..=ModelSnapshot::MAX_KEYS).map(|n| format!("{n:06}")).collect();
    assert_eq!(refused(&keys), DecodeError::TooMany("keys"));
    let templates = |model: &mut ModelSnapshot| {
        model.templates = (0..=ModelSnapshot::MAX_TEMPLATES as u16).map(|n| n.to_be_bytes().to_vec()).collect();
    };
    assert_eq!(refused(&templates), DecodeError::TooMany("templates"));
    let rules = |model: &mut ModelSnapshot| model.rules = vec![model.rules[0].clone(); ModelSnapshot::MAX_RULES + 1];
    assert_eq!(refused(&rules), DecodeError::TooMany("rules"));
    let rules = |model: &mut ModelSnapshot| {
        model.template_rules = vec![model.template_rules[0].clone(); ModelSnapshot::MAX_RULES + 1];
    };
    assert_eq!(refused(&rules), DecodeError::TooMany("template_rules"));
    let places = |model: &mut ModelSnapshot| model.places = vec![model.places[0]; ModelSnapshot::MAX_PLACES + 1];
    assert_eq!(refused(&places), DecodeError::TooMany("places"));
    let bytes = |model: &mut ModelSnapshot| model.calibration = vec![0; MAX_SNAPSHOT_BYTES];
    assert_eq!(refused(&bytes), DecodeError::TooMany("bytes"));
    assert_eq!(refused(&|model| model.popularity[0] = 16), DecodeError::BadValue("popularity"));
    assert_eq!(refused(&|model| model.popularity.truncate(4)), DecodeError::BadValue("popularity"));
    assert_eq!(refused(&|model| model.templates[0] = vec![0; 129]), DecodeError::BadValue("templates"));
    assert_eq!(refused(&|model| model.keys[0] = "a".repeat(1_025)), DecodeError::BadValue("keys"));
}

#[test]
fn contradictions_are_found_on_reading() {
    let refused = |change: &dyn Fn(&mut ModelSnapshot)| {
        let mut bad = model();
        change(&mut bad);
        ModelSnapshot::decode(&bad.encode()).expect_err("refused")
    };
    assert_eq!(refused(&|model| model.keys.swap(0, 1)), DecodeError::BadValue("keys"));
    assert_eq!(refused(&|model| model.keys[0] = model.keys[1].clone()), DecodeError::BadValue("keys"));
    assert_eq!(refused(&|model| model.keys[0] = "a%2fb".into()), DecodeError::BadValue("key"));
    assert_eq!(refused(&|model| model.keys[0] = "a//b".into()), DecodeError::BadValue("key"));
    assert_eq!(refused(&|model| model.rules[2].last = 5), DecodeError::BadValue("last"));
    assert_eq!(refused(&|model| model.rules[1].before = Some(5)), DecodeError::BadValue("number"));
    assert_eq!(refused(&|model| model.rules.swap(0, 1)), DecodeError::BadValue("before"));
    assert_eq!(refused(&|model| model.rules[0].then.next[0].0 = 5), DecodeError::BadValue("number"));
    assert_eq!(refused(&|model| model.rules[0].then.next.clear()), DecodeError::BadValue("successors"));
    assert_eq!(refused(&|model| model.rules[0].then.visits = 5), DecodeError::BadValue("successors"));
    assert_eq!(refused(&|model| model.template_rules.swap(0, 3)), DecodeError::BadValue("template_rules"));
    let unknown = |model: &mut ModelSnapshot| model.template_rules[2].context = TemplateContext::Step(2);
    assert_eq!(refused(&unknown), DecodeError::BadValue("step"));
    assert_eq!(refused(&|model| model.name_bytes = 0), DecodeError::BadValue("name_bytes"));
    assert_eq!(refused(&|model| model.name_bytes = 9), DecodeError::BadValue("name_bytes"));
    assert_eq!(refused(&|model| model.made = 1 << 53), DecodeError::BadValue("made"));
}

#[test]
fn a_share_is_the_nearest_step_and_never_none() {
    for n in 0..=1_000_u16 {
        let probability = f32::from(n) / 1_000.0;
        let share = QuantizedShare::of(probability);
        assert_eq!(QuantizedShare::from_step(share.step()), Some(share));
        let distance = |step: u8| (f32::from(step) * f32::from(step) / 1_024.0 - probability).abs();
        let nearest = (1..=QuantizedShare::STEPS).map(distance).fold(f32::MAX, f32::min);
        assert!(distance(share.step()) <= nearest + 1e-6, "{probability}: {share:?}");
    }
    assert_eq!((QuantizedShare::from_step(0), QuantizedShare::from_step(33)), (None, None));
    assert_eq!(
        (QuantizedShare::of(f32::NAN).step(), QuantizedShare::of(2.0).step(), QuantizedShare::of(-1.0).step()),
        (32, 32, 1)
    );
}

fn any_model() -> impl Strategy<Value = ModelSnapshot> {
    let key = prop::collection::vec(prop_oneof!["[a-c]{1,3}", "[é-ë]{1,2}", "[0-9]{1,5}", "[x]{100,300}"], 1..4);
    let keys = prop::collection::btree_set(key.prop_map(|parts| parts.join("/")), 1..20);
    let templates = prop::collection::btree_set(prop::collection::vec(any::<u8>(), 1..40), 1..8);
    let successors = || {
        let next = prop::collection::vec((any::<prop::sample::Index>(), 1_u8..=32), 1..=Successors::MAX);
        (0..=Successors::MAX_VISITS, next)
    };
    let index = any::<prop::sample::Index>;
    let rules = prop::collection::vec((prop::option::of(index()), index(), successors()), 0..30);
    let template_rules = prop::collection::vec((0_u8..3, index(), any::<u64>(), successors()), 0..30);
    let rest = (0..1_u64 << 53, 1_u8..=8, any::<u8>(), prop::collection::vec(any::<u8>(), 0..40));
    let places = prop::collection::btree_map(any::<u64>(), any::<bool>(), 0..20);
    (keys, templates, rules, template_rules, places, rest).prop_map(
        |(keys, templates, rules, template_rules, places, (made, name_bytes, threshold, calibration))| {
            let of = |at: &prop::sample::Index, count: usize| at.index(count) as u32;
            let then = |(visits, next): &(u8, Vec<(prop::sample::Index, u8)>), count| {
                then(*visits, &next.iter().map(|(at, step)| (of(at, count), *step)).collect::<Vec<_>>())
            };
            let rules: BTreeMap<_, _> = rules
                .iter()
                .map(|(before, last, next)| {
                    let before = before.as_ref().map(|at| of(at, keys.len()));
                    ((of(last, keys.len()), before), then(next, keys.len()))
                })
                .collect();
            let template_rules: BTreeMap<_, _> = template_rules
                .iter()
                .map(|(kind, by, shape, next)| {
                    let context = match kind {
                        0 => TemplateContext::Shape,
                        1 => TemplateContext::Far,
                        _ => TemplateContext::Step(of(by, templates.len())),
                    };
                    ((context, *shape), then(next, templates.len()))
                })
                .collect();
            ModelSnapshot {
                made,
                name_bytes,
                popularity: keys.iter().map(|key| key.len() as u8 % 16).collect(),
                keys: keys.into_iter().collect(),
                rules: rules.into_iter().map(|((last, before), then)| KeyRule { before, last, then }).collect(),
                templates: templates.into_iter().collect(),
                template_rules: template_rules
                    .into_iter()
                    .map(|((context, shape), then)| TemplateRule { context, shape, then })
                    .collect(),
                places: places.into_iter().map(|(place, is_kind)| PlaceClass { place: place & !1, is_kind }).collect(),
                threshold,
                calibration,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn models_round_trip(model in any_model()) {
        check(&model);
    }

    #[test]
    fn decoding_never_panics(
        model in any_model(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = model.encode();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(model) = ModelSnapshot::decode(&bytes) {
            check(&model);
        }
    }
}
