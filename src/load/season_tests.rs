use super::*;

#[test]
fn growth_is_expected_to_go_on_for_a_while() {
    let mut season = Season::default();
    for round in 0..20_u64 {
        season.observe(round * ROUND_MS + 1, 1_000.0 + 50.0 * round as f64);
    }
    let growth = season.growth(2.0);
    assert!(growth > 1.01 && growth < 1.08, "{growth}");
    assert!(season.growth(100.0) < 1.5, "a trend is damped");
}

#[test]
fn a_jump_is_no_trend() {
    let mut season = Season::default();
    for round in 0..20_u64 {
        season.observe(round * ROUND_MS + 1, if round < 15 { 100.0 } else { 1_000.0 });
    }
    assert!((season.growth(2.0) - 1.0).abs() < 0.01);
    assert!((Season::default().growth(2.0) - 1.0).abs() < 1e-9);
}

#[test]
fn what_comes_with_a_minute_of_the_hour_is_known_before() {
    let mut season = Season::default();
    let minute = |at: Millis| at / 60_000 % 60;
    let mut at = 0;
    while at < 4 * 3_600_000 + 29 * 60_000 + 58_000 {
        season.observe(at + 1, if minute(at) == 30 { 3_000.0 } else { 1_000.0 });
        at += ROUND_MS;
    }
    // The last observation was just before minute 30 of the fifth hour.
    let growth = season.growth(2.0);
    assert!(growth > 2.0, "{growth}");
}
