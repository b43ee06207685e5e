use super::*;

fn reading(ms: u64) -> ClockReading {
    ClockReading { id: 7, ms }
}

/// The clock there is 1,000 behind; requests take 30 ms out and 30 ms back.
fn exchanged() -> RemoteClocks {
    let mut clocks = RemoteClocks::default();
    clocks.observe(reading(9_030), 10_000, Some(10_060), 10_060).expect("nothing is known yet");
    clocks
}

#[test]
fn what_is_pushed_is_as_old_as_the_bounds_allow() {
    let clocks = exchanged();
    assert_eq!(clocks.date(reading(9_030), 10_060), Ok(Some(9_999)), "60 ms ago, and a little for drift");
    assert_eq!(clocks.date(reading(9_500), 10_560), Ok(Some(10_469)), "one way, and a little for drift");
    assert_eq!(clocks.date(ClockReading { id: 8, ms: 9_500 }, 10_560), Ok(None));
}

#[test]
fn arrival_proves_nothing() {
    let clocks = exchanged();
    let (hour, buffered) = (3_600_000, reading(9_500));
    let at = clocks.date(buffered, 10_560 + hour).expect("in order").expect("known");
    assert!(at <= 10_500, "read an hour later, it is an hour old: {at}");
}

#[test]
fn better_exchanges_tighten_the_bounds_and_worse_ones_do_not_loosen_them() {
    let mut clocks = exchanged();
    clocks.observe(reading(9_130), 10_128, Some(10_132), 10_132).expect("agrees");
    assert_eq!(clocks.date(reading(9_130), 10_132), Ok(Some(10_127)));
    clocks.observe(reading(9_900), 10_200, Some(11_500), 11_500).expect("a slow one agrees as well");
    let at = clocks.date(reading(9_950), 11_500).expect("in order").expect("known");
    assert!((10_940..=10_950).contains(&at), "{at}");
}

#[test]
fn an_answer_that_waited_in_a_buffer_may_have_drifted_meanwhile() {
    let hour = 3_600_000;
    for there in [0.9995, 1.0, 1.0005] {
        let shows = |here: u64| reading((here as f64 * there) as u64);
        let mut clocks = RemoteClocks::default();
        clocks.observe(shows(1_000), 1_000, Some(hour), hour).expect("nothing is known yet");
        let at = clocks.date(shows(hour), hour).expect("within the drift").expect("known");
        assert!(at <= hour as i64, "{there}: {at}");
        assert_eq!(clocks.observe(shows(hour), hour, Some(hour), hour), Ok(()), "{there}");
        assert_eq!(clocks.observe(shows(1_000), 1_000, Some(hour), hour), Ok(()), "{there}, once more and later");
    }
}

#[test]
fn asymmetric_delays_only_cost_age() {
    // Everything goes out slowly and comes back at once, or the other way round: 200 ms in all.
    for (out, back) in [(200, 0), (0, 200)] {
        let mut clocks = RemoteClocks::default();
        clocks.observe(reading(10_000 + out), 10_000, Some(10_000 + out + back), 10_300).expect("agrees");
        let told_at = 12_000;
        let at = clocks.date(reading(told_at), told_at + back).expect("in order").expect("known");
        assert!(at <= told_at as i64 && at + 203 >= told_at as i64, "{out}, {back}: {at}");
    }
}

#[test]
fn drift_of_500_in_a_million_is_never_believed_to_be_youth() {
    for there in [0.9995, 1.0, 1.0005] {
        let mut clocks = RemoteClocks::default();
        clocks.observe(reading(0), 0, Some(0), 0).expect("nothing is known yet");
        for minute in 1..=600_u64 {
            let now = minute * 60_000;
            let shown = (now as f64 * there) as u64;
            let at = clocks.date(reading(shown), now).expect("within the drift").expect("known");
            assert!(at <= now as i64, "{minute} min: {at} of {now}");
        }
    }
}

#[test]
fn a_clock_here_that_stood_still_is_found_out() {
    let mut clocks = exchanged();
    let hour = 3_600_000;
    assert_eq!(clocks.date(reading(9_500 + hour), 10_560), Err(ClockBroke));
    assert_eq!(clocks.observe(reading(9_130 + hour), 10_100, Some(10_160), 10_160), Err(ClockBroke));
    assert_eq!(clocks.date(reading(9_130 + hour), 10_160), Ok(Some(10_099)), "known anew");
}

#[test]
fn a_clock_there_that_was_set_back_is_found_out() {
    let mut clocks = exchanged();
    assert_eq!(clocks.observe(reading(30), 10_100, Some(10_160), 10_160), Err(ClockBroke));
}

#[test]
fn a_relayed_reading_bounds_one_side() {
    let mut clocks = RemoteClocks::default();
    clocks.observe(reading(5_000), 10_000, None, 10_050).expect("nothing is known yet");
    assert_eq!(clocks.date(reading(5_010), 10_050), Ok(Some(10_009)));
    let shown = clocks.shows(7, 10_050).expect("known").ms;
    assert!((5_050..=5_051).contains(&shown));
    clocks.observe(reading(5_100), 10_090, Some(10_130), 10_130).expect("agrees");
    assert_eq!(clocks.len(), 1);
}

#[test]
fn what_is_older_than_the_clock_here_stays_so() {
    let mut clocks = RemoteClocks::default();
    clocks.observe(reading(100_000), 5, Some(65), 65).expect("nothing is known yet");
    assert_eq!(clocks.date(reading(90_000), 70), Ok(Some(-9_996)));
}

#[test]
fn the_one_heard_of_least_recently_leaves() {
    let mut clocks = RemoteClocks::default();
    for id in 0..=MAX_CLOCKS as u64 {
        clocks.observe(ClockReading { id, ms: 1 }, 1, Some(1), 1).expect("nothing is known yet");
        assert!(clocks.len() <= RemoteClocks::BOUND);
    }
    assert_eq!(clocks.date(ClockReading { id: 0, ms: 1 }, 1), Ok(None));
    clocks.clear();
    assert!(clocks.is_empty());
}
