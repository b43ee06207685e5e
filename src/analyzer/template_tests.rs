use super::super::classes::Classes;
use super::*;

/// Shapes in which the words given are kinds and numbers are instances.
fn template(last: &str, next: &str) -> Option<Vec<u8>> {
    let (last, next) = (Parts::new(last.as_bytes()), Parts::new(next.as_bytes()));
    let shape = Classes::new().observe(&next);
    let mut out = Vec::new();
    derive(&last, &next, &shape, &mut out).then_some(out)
}

fn applied(template: &[u8], last: &str) -> Option<String> {
    let mut out = b"before".to_vec();
    let made = apply(template, &Parts::new(last.as_bytes()), &mut LastRead::default(), &mut out);
    assert!(made || out == b"before");
    made.then(|| String::from_utf8(out.split_off(6)).expect("text"))
}

fn transferred(last: &str, next: &str, to: &str) -> Option<String> {
    applied(&template(last, next)?, to)
}

#[test]
fn carries_over_to_keys_never_seen() {
    for (last, next, to, expected) in [
        ("user/77/profile", "user/77/avatar", "user/42/profile", "user/42/avatar"),
        ("sensor/17/2026-11-22T10", "sensor/17/2026-11-22T11", "sensor/4/2026-12-31T23", "sensor/4/2027-01-01T00"),
        ("order/1001", "order/1002", "order/5999", "order/6000"),
        ("img/007.png", "img/008.png", "img/099.png", "img/100.png"),
        ("item/1234", "stock/north/1234", "item/99", "stock/north/99"),
    ] {
        assert_eq!(transferred(last, next, to).as_deref(), Some(expected), "{last} -> {next}");
    }
}

#[test]
fn unrelated_instances_have_no_template() {
    assert_eq!(template("user/1001/profile", "user/900000/profile"), None);
    assert_eq!(template("a", "b/4711"), None);
}

#[test]
fn does_not_apply_where_something_is_missing() {
    let step = template("a/5", "a/3").expect("a step of -2");
    assert_eq!(applied(&step, "a/1"), None);
    assert_eq!(applied(&step, "a"), None);
    assert_eq!(applied(&step, "a/word"), None);
    assert_eq!(applied(&[], "a"), None);
    assert_eq!(applied(&[CONSTANT, 9, b'x'], "a"), None);
    let long = "x".repeat(1_000);
    assert_eq!(transferred("k/1", "k/1/word/word", &format!("{long}/{long}")), None);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    fn component() -> impl Strategy<Value = String> {
        prop_oneof!["[a-c]{1,3}", "[0-9]{1,4}", "0[0-9]{2}", "[a-b][0-9]{1,2}\\.x", "20[0-9]{2}-1[0-2]-[0-2][1-8]"]
    }

    fn key() -> impl Strategy<Value = String> {
        prop::collection::vec(component(), 1..5).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// A template makes exactly the key that it was derived from.
        #[test]
        fn explains_what_it_was_derived_from(last in key(), next in key()) {
            if let Some(template) = template(&last, &next) {
                prop_assert_eq!(applied(&template, &last), Some(next));
            }
        }

        /// Anything made is a key in canonical text.
        #[test]
        fn makes_keys(last in key(), next in key(), to in key()) {
            if let Some(made) = transferred(&last, &next, &to) {
                let parsed = crate::key::CompositeKey::parse(&made).expect("a key");
                prop_assert_eq!(parsed.as_str(), made);
            }
        }

        /// A derived template is sound, and a sound one makes keys.
        #[test]
        fn what_is_derived_is_sound(last in key(), next in key()) {
            prop_assert!(template(&last, &next).is_none_or(|template| is_sound(&template)));
        }

        /// Also of a template that came from elsewhere.
        #[test]
        fn what_is_sound_makes_keys(
            ops in prop::collection::vec((0_u8..6, 0_u8..18, "[a-z./%]{0,3}", any::<[u8; 4]>()), 0..20),
            last in key(),
        ) {
            let mut template = Vec::new();
            for (op, from, word, step) in ops {
                template.push(op);
                match op {
                    1 => template.push(from),
                    4 => {
                        template.push(word.len() as u8);
                        template.extend_from_slice(word.as_bytes());
                    }
                    _ => template.extend_from_slice(&[step[0], step[1] & 3, 0, 0]),
                }
            }
            if !is_sound(&template) {
                return Ok(());
            }
            if let Some(made) = applied(&template, &last) {
                let parsed = crate::key::CompositeKey::parse(&made).expect("a key");
                prop_assert_eq!(parsed.as_str(), made);
            }
        }

        #[test]
        fn garbage_does_no_harm(template in prop::collection::vec(any::<u8>(), 0..40), last in key()) {
            let mut out = Vec::new();
            apply(&template, &Parts::new(last.as_bytes()), &mut LastRead::default(), &mut out);
            is_sound(&template);
        }
    }
}
