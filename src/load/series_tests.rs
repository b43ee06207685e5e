use super::*;

fn series(oldest_first: &[u32], late: u32) -> Series {
    let mut series = Series::default();
    for (at, &all) in oldest_first.iter().enumerate() {
        series.advance(usize::from(at > 0));
        let late = if at + 1 == oldest_first.len() { late } else { all / 4 };
        series.add(0, Count { all, late });
    }
    series
}

#[test]
fn a_steady_load_is_known_from_many_rounds() {
    let load = series(&[1_010, 980, 1_020, 990, 1_005, 985, 1_015, 1_000], 230).load(8);
    assert!((load - 1_000.0).abs() < 10.0, "{load}");
}

#[test]
fn a_jump_is_believed_after_a_quarter_of_a_round() {
    // Four times the load since the last half second.
    let load = series(&[1_000, 1_000, 1_000, 1_750], 1_000).load(8);
    assert!((load - 4_000.0).abs() < 1.0, "{load}");
    let gone = series(&[1_000, 1_000, 1_000, 750], 0).load(8);
    assert!(gone < 1.0, "{gone}");
}

#[test]
fn rounds_before_the_first_do_not_count() {
    let load = series(&[1_000], 250).load(1);
    assert!((load - 1_000.0).abs() < 1.0, "{load}");
}

#[test]
fn what_comes_late_counts_in_its_round_and_what_is_too_old_nowhere() {
    let mut late = Series::default();
    late.advance(1);
    late.add(1, Count { all: 7, late: 2 });
    let mut early = Series::default();
    early.add(0, Count { all: 7, late: 2 });
    early.advance(1);
    assert_eq!(late, early);
    early.add(ROUNDS, Count { all: 9, late: 0 });
    assert_eq!(late, early);
    early.advance(100);
    assert!(early.is_empty() && early.total() == 0);
}
