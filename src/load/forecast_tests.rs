use super::*;
use crate::load::{Count, LoadReport, PrefixLoad};

const HOUR: Millis = 3_600_000;
/// 2026-11-25T10:00 UTC.
const TEN: Millis = (20_782 * 24 + 10) * HOUR;

fn observed(rounds: &[(Millis, &[(&str, u32)])]) -> Forecast {
    let mut load = LoadModel::new(1);
    let mut forecast = Forecast::default();
    for (number, (now, prefixes)) in rounds.iter().enumerate() {
        let mut prefixes: Vec<PrefixLoad> = prefixes
            .iter()
            .map(|&(text, all)| {
                let prefix = KeyPrefix::parse(text).expect("a prefix");
                PrefixLoad { prefix, count: Count { all, late: all / 4 }, keys: 9, cells: vec![] }
            })
            .collect();
        prefixes.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        let round = now / ROUND_MS;
        let report = LoadReport { node: 1, number: number as u64 + 1, round, prefixes, ..LoadReport::default() };
        assert!(load.merge(&report, round));
        forecast.update(&load, *now, 1_000.0);
    }
    forecast
}

fn next(forecast: &Forecast) -> Vec<(String, String, Millis)> {
    forecast.upcoming().iter().map(|step| (step.from.to_string(), step.to.to_string(), step.at)).collect()
}

#[test]
fn the_prefix_of_the_next_hour_is_known_before_the_first_of_them_ends() {
    let hot: &[(&str, u32)] = &[("logs/2026-11-25T10", 900), ("users/u17", 800)];
    let early = observed(&[(TEN + HOUR / 2, hot)]);
    assert!(next(&early).is_empty(), "not half an hour ahead");
    let soon = observed(&[(TEN + HOUR - 12_000, hot), (TEN + HOUR - 6_000, hot)]);
    let expected = ("logs/2026-11-25T10".to_owned(), "logs/2026-11-25T11".to_owned(), TEN + HOUR);
    assert_eq!(next(&soon), [expected]);
}

#[test]
fn a_step_that_has_come_is_kept_until_the_loads_show_it() {
    let hot: &[(&str, u32)] = &[("logs/2026-11-25T10", 900)];
    let rounds = [(TEN + HOUR - 6_000, hot), (TEN + HOUR + 300, hot)];
    assert_eq!(next(&observed(&rounds)).len(), 1);
    let later = [rounds[0], rounds[1], (TEN + HOUR + 8_000, hot)];
    assert!(next(&observed(&later)).is_empty());
}

#[test]
fn an_hour_of_another_day_is_an_archive() {
    let hot: &[(&str, u32)] = &[("logs/2025-01-01T10", 900)];
    assert!(next(&observed(&[(TEN + HOUR - 6_000, hot)])).is_empty());
}

#[test]
fn a_clock_in_another_zone_is_believed_once_it_has_stepped() {
    let (twelve, one): (&[_], &[_]) = (&[("logs/2026-11-25T12", 900_u32)], &[("logs/2026-11-25T13", 900)]);
    let first = [(TEN + 2_000, twelve), (TEN + HOUR - 6_000, twelve)];
    assert!(next(&observed(&first)).is_empty());
    let later = [first[0], first[1], (TEN + HOUR + 2_000, one), (TEN + 2 * HOUR - 6_000, one)];
    assert_eq!(next(&observed(&later)), [("logs/2026-11-25T13".into(), "logs/2026-11-25T14".into(), TEN + 2 * HOUR)]);
}

#[test]
fn a_number_is_followed_at_its_pace() {
    let batch = |n: u32| -> &'static [(&'static str, u32)] {
        match n {
            0 => &[("batch/0007", 900)],
            1 => &[("batch/0008", 900)],
            _ => &[("batch/0009", 900)],
        }
    };
    let minute = 60_000;
    let mut rounds: Vec<_> = (0..3_u32).map(|n| (TEN + Millis::from(n) * minute, batch(n))).collect();
    assert!(next(&observed(&rounds)).is_empty());
    rounds.push((TEN + 3 * minute - 6_000, batch(2)));
    assert_eq!(next(&observed(&rounds)), [("batch/0009".into(), "batch/0010".into(), TEN + 3 * minute)]);
}

#[test]
fn many_members_hot_at_once_are_no_series() {
    let hot: &[(&str, u32)] = &[("u/1", 900), ("u/2", 800), ("u/3", 700), ("u/4", 600)];
    let forecast = observed(&[(TEN, hot), (TEN + 60_000, hot)]);
    assert!(next(&forecast).is_empty());
    assert!(forecast.factor(&KeyPrefix::parse("u/1").expect("a prefix")) < 1.01);
}
