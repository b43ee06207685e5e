use super::*;

const DAY: f64 = 86_400_000.0;
const HOUR: f64 = 3_600_000.0;

fn started() -> LocalClock {
    let mut clock = LocalClock::default();
    assert_eq!(clock.read(500.0, 40.0 * DAY), Tick { now: 500, broke: false });
    clock
}

#[test]
fn time_passes_as_the_monotonic_clock_says() {
    let mut clock = started();
    assert_eq!(clock.read(1_500.7, 40.0 * DAY + 1_000.0), Tick { now: 1_500, broke: false });
    assert_eq!(clock.read(1_501.2, 40.0 * DAY + 1_001.0), Tick { now: 1_501, broke: false }, "fractions add up");
}

#[test]
fn a_machine_that_slept_has_aged() {
    let mut clock = started();
    assert_eq!(clock.read(510.0, 40.0 * DAY + HOUR), Tick { now: 500 + HOUR as u64, broke: true });
    assert_eq!(clock.read(520.0, 40.0 * DAY + HOUR + 10.0), Tick { now: 510 + HOUR as u64, broke: false });
}

#[test]
fn a_wall_clock_that_is_set_ends_what_is_known_and_never_makes_anything_younger() {
    let mut back = started();
    assert_eq!(back.read(600.0, 40.0 * DAY - HOUR), Tick { now: 600, broke: true });
    let mut forth = started();
    assert!(forth.read(600.0, 40.0 * DAY + HOUR).broke);
}

#[test]
fn a_monotonic_clock_that_is_the_wall_clock_and_goes_back_ends_what_is_known() {
    let mut clock = LocalClock::default();
    assert!(!clock.read(DAY, DAY).broke);
    assert_eq!(clock.read(DAY - HOUR, DAY - HOUR), Tick { now: DAY as u64, broke: true });
    assert_eq!(clock.read(DAY - HOUR + 5.0, DAY - HOUR + 5.0), Tick { now: DAY as u64 + 5, broke: false });
}

#[test]
fn clocks_that_drift_apart_are_no_sleep() {
    let mut clock = started();
    // Two hours without a reading, one clock 500 in a million fast, the other as much slow.
    let two_hours = 2.0 * HOUR;
    assert!(!clock.read(500.0 + two_hours * 0.9995, 40.0 * DAY + two_hours * 1.0005).broke);
}

#[test]
fn nonsense_is_no_time_and_no_panic() {
    let mut clock = started();
    for (monotonic, wall) in [(f64::NAN, 0.0), (f64::INFINITY, f64::NEG_INFINITY), (-1e300, 1e300), (0.0, 0.0)] {
        let before = clock.read(600.0, 40.0 * DAY).now;
        assert!(clock.read(monotonic, wall).now >= before);
    }
}
