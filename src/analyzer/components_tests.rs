use super::*;

fn moved(component: &str, step: i64, pad: bool) -> Option<String> {
    let mut out = Vec::new();
    let reading = read(component.as_bytes())?;
    push_moved(&mut out, component.as_bytes(), &reading, step, pad).then(|| String::from_utf8(out).expect("ASCII"))
}

#[test]
fn splits_at_slashes() {
    let parts = Parts::new(b"user/42/profile");
    assert_eq!(parts.iter().collect::<Vec<_>>(), [&b"user"[..], b"42", b"profile"]);
    assert_eq!((parts.len(), parts.get(3)), (3, None));
    assert_eq!(Parts::new(b"one").iter().collect::<Vec<_>>(), [b"one"]);
    let deepest = ["x"; MAX_COMPONENTS].join("/");
    assert_eq!(Parts::new(deepest.as_bytes()).len(), MAX_COMPONENTS);
}

#[test]
fn numbers_step_and_keep_what_surrounds_them() {
    for (component, step, pad, expected) in [
        ("9", 1, false, "10"),
        ("img_0099.jpg", 1, true, "img_0100.jpg"),
        ("page12", -3, false, "page9"),
        ("007", -7, true, "000"),
        ("999", 1, true, "1000"),
        ("v2.10", 1, false, "v2.11"),
    ] {
        assert_eq!(moved(component, step, pad).as_deref(), Some(expected), "{component}");
    }
    for (component, step) in
        [("5", -6), ("none", 1), ("1234567890123456789", 1), ("999999999999999999", 1), ("a%20", 1), ("%E20", 1)]
    {
        assert_eq!(moved(component, step, false), None, "{component}");
    }
}

#[test]
fn dates_step_over_the_ends_of_months_and_years() {
    for (component, step, expected) in [
        ("2026-12", 1, "2027-01"),
        ("2024-02-28", 1, "2024-02-29"),
        ("2026-02-28", 1, "2026-03-01"),
        ("2026-12-31T23", 1, "2027-01-01T00"),
        ("2027-01-01T00:00", -1, "2026-12-31T23:59"),
        ("0001-01-01", 1, "0001-01-02"),
    ] {
        assert_eq!(moved(component, step, true).as_deref(), Some(expected), "{component}");
    }
    assert_eq!(moved("9999-12-31", 1, true), None);
    // No dates: only their last digits count.
    for component in ["2026-13", "2026-02-29", "2026-01-01T24", "2026-01-01 10", "2026-01-01T10:60"] {
        assert_eq!(read(component.as_bytes()).map(|reading| reading.scale), Some(Scale::Number), "{component}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn days_and_dates_are_inverse(days in -800_000_i64..3_000_000) {
            let (year, month, day) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(year, month, day), days);
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&day));
            let (next_year, next_month, next_day) = civil_from_days(days + 1);
            prop_assert!((next_year, next_month, next_day) > (year, month, day));
        }

        #[test]
        fn nothing_panics_and_there_and_back_is_the_same(component in "[0-9T:a-z-]{0,20}", step in -100_000_i64..100_000) {
            if let Some(there) = moved(&component, step, true)
                && there.len() == component.len()
            {
                prop_assert_eq!(moved(&there, -step, true), Some(component));
            }
        }
    }
}
