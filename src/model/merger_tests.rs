use proptest::prelude::*;

use super::super::testing::{HOUR, merger, population, rules, snapshot, told};
use super::*;
use crate::key::CompositeKey;

fn merge(merger: &mut Merger, now: Millis, told: &(ClientId, Summary)) -> MergeOutcome {
    merger.merge(now, told.0, &told.1)
}

/// A merger of so many ways at most, to which so many clients told one way each.
fn of_ways(max_ways: usize, clients: u64) -> Merger {
    let mut merger = Merger::new(MergerConfig { max_ways, ..MergerConfig::default() });
    for n in 0..clients {
        merge(&mut merger, HOUR, &told(n, 1, &[&format!("from/{n}"), &format!("to/{n}")]));
    }
    merger
}

/// Checks that what is kept fits together.
fn check(merger: &Merger) {
    let stats = merger.stats();
    assert_eq!(merger.numbers.len(), merger.keys.len());
    assert_eq!(stats.key_bytes, merger.keys.iter().map(|key| key.text.len()).sum::<usize>());
    let mut on_ways: Vec<u32> = merger.ways.keys().flat_map(Way::keys).collect();
    on_ways.sort_unstable();
    on_ways.dedup();
    assert_eq!(on_ways, (0..merger.keys.len() as u32).collect::<Vec<_>>(), "each key is on a way");
    assert!(merger.ways.values().all(|traffic| traffic.fresh <= traffic.all && traffic.clients.at_least() > 0));
    assert!(stats.ways <= stats.ways_max && stats.shares <= stats.shares_max, "{stats:?}");
    assert!(stats.instances <= stats.instances_max.max(1), "{stats:?}");
}

#[test]
fn a_summary_counts_once() {
    let mut merger = Merger::new(MergerConfig::default());
    let one = told(1, 1, &["a", "b", "b", "c", "a"]);
    assert_eq!(merge(&mut merger, HOUR, &one), MergeOutcome::Merged(3));
    assert_eq!(merge(&mut merger, 9 * HOUR, &one), MergeOutcome::Known);
    let stats = merger.stats();
    assert_eq!((stats.merged, stats.known, stats.observations, stats.ways, stats.keys), (1, 1, 3, 5, 3));
    check(&merger);
}

#[test]
fn what_another_summary_told_counts_there_alone() {
    let whole = merger(&[told(1, 1, &["a", "b", "c", "d"])]);
    let (client, first) = told(1, 1, &["a", "b"]);
    let (_, mut second) = told(1, 2, &["a", "b", "c", "d"]);
    second.paths[0].told = 2;
    let parts = merger(&[(client, first), (client, second)]);
    assert_eq!(snapshot(&parts, 1), snapshot(&whole, 1));
    assert_eq!(parts.stats().observations, 3);
}

#[test]
fn epochs_of_the_last_64_come_in_any_order_and_older_ones_not_at_all() {
    let mut epochs = MergedEpochs::default();
    for epoch in [100, 37, 99, 64, 98] {
        assert!(epochs.note(epoch), "{epoch}");
        assert!(!epochs.note(epoch), "{epoch} again");
    }
    assert!(!epochs.note(36), "too old to tell whether it was merged");
    assert!(epochs.note(101) && !epochs.note(100) && !epochs.note(37) && epochs.note(38));
    assert!(epochs.note(101 + 63) && !epochs.note(101) && !epochs.note(100) && epochs.note(102));
    assert!(epochs.note(10_000) && !epochs.note(10_000) && epochs.note(9_999) && epochs.note(9_937));
    assert!(!epochs.note(9_936) && !epochs.note(1));
    assert!(epochs.note(u64::MAX) && !epochs.note(u64::MAX));
}

#[test]
fn a_robot_weighs_no_more_than_two_visits() {
    let (mut robot, mut human) = (Merger::new(MergerConfig::default()), Merger::new(MergerConfig::default()));
    for merger in [&mut robot, &mut human] {
        for client in 0..6 {
            merge(merger, HOUR, &told(client, 1, &["a", "b"]));
        }
    }
    for epoch in 0..10_000 {
        merge(&mut robot, HOUR + epoch, &told(99, epoch, &["a", "x"]));
    }
    merge(&mut human, HOUR, &told(99, 1, &["a", "x"]));
    merge(&mut human, HOUR, &told(99, 2, &["a", "x"]));
    assert_eq!(snapshot(&robot, 1).encode(), snapshot(&human, 1).encode());
    assert_eq!(robot.stats().capped, 9_998);
    // It may count twice more in the next hour, and no other client suffers.
    for epoch in 0..100 {
        merge(&mut robot, 2 * HOUR, &told(99, 20_000 + epoch, &["a", "x"]));
    }
    assert_eq!(robot.ways.values().map(|traffic| traffic.all).sum::<u64>(), 10 * COUNT);
    merge(&mut robot, 2 * HOUR, &told(1, 2, &["a", "b"]));
    assert_eq!(robot.ways.values().map(|traffic| traffic.all).sum::<u64>(), 11 * COUNT);
}

#[test]
fn to_have_come_from_everywhere_weighs_no_more_than_two_visits() {
    let mut merger = Merger::new(MergerConfig::default());
    for client in 0..6 {
        merge(&mut merger, HOUR, &told(client, 1, &["a", "b"]));
    }
    for epoch in 0..100 {
        merge(&mut merger, HOUR, &told(99, epoch, &[&format!("from/{epoch}"), "a", "x"]));
    }
    let [a, b, x] = ["a", "b", "x"].map(|text| merger.numbers[text]);
    let from_a = |next| merger.ways[&Way { before: Way::NONE, last: a, next }].all;
    assert_eq!((from_a(b), from_a(x)), (6 * COUNT, 2 * COUNT));
    let next = &rules(&snapshot(&merger, 1))[&(None, "a".to_owned())];
    assert_eq!(next[0].0, "b");
    check(&merger);
}

#[test]
fn what_a_client_may_count_outlives_the_ways_that_leave() {
    let mut merger = Merger::new(MergerConfig::default());
    for (client, keys) in [(1, ["first", "gone"]), (2, ["a", "b"])] {
        for epoch in 1..=2 {
            merge(&mut merger, HOUR, &told(client, epoch, &keys));
        }
    }
    // The keys that are left have other numbers now.
    merger.forget(|key| key == "first");
    for epoch in 3..9 {
        merge(&mut merger, HOUR, &told(2, epoch, &["a", "b"]));
        merge(&mut merger, HOUR, &told(2, 10 + epoch, &["b", "c"]));
    }
    let counts: Vec<u64> = merger.ways.values().map(|traffic| traffic.all).collect();
    assert_eq!(counts, [2 * COUNT; 2]);
    check(&merger);
}

#[test]
fn keys_that_no_way_leads_over_take_no_room() {
    let mut merger = Merger::new(MergerConfig { max_shares: 4, ..MergerConfig::default() });
    for epoch in 1..50 {
        let (client, mut summary) = told(1, epoch, &["a", "b"]);
        summary.keys.extend((0..100).map(|n| CompositeKey::parse(&format!("{epoch}/{n}")).expect("valid")));
        merger.merge(HOUR, client, &summary);
    }
    assert_eq!((merger.stats().keys, merger.stats().key_bytes), (2, 2));
    // Nor those on ways that do not count.
    for n in 0..50 {
        merge(&mut merger, HOUR, &told(2, n, &[&format!("from/{n}"), &format!("to/{n}")]));
    }
    assert!(merger.stats().keys <= 8 && merger.stats().shares == 4, "{:?}", merger.stats());
    check(&merger);
}

#[test]
fn the_heaviest_ways_stay() {
    let mut merger = of_ways(64, 60);
    for client in 100..104 {
        merge(&mut merger, HOUR, &told(client, 1, &["often", "asked"]));
    }
    assert_eq!(merger.stats().ways_dropped, 0);
    for client in 200..250 {
        merge(&mut merger, HOUR, &told(client, 1, &[&format!("more/{client}"), "x"]));
        check(&merger);
    }
    assert!(merger.stats().ways_dropped > 0 && merger.numbers.contains_key("often"));
    // However much one summary says.
    let many: Vec<String> = (0..1_000).map(|n| format!("many/{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    merge(&mut merger, HOUR, &told(300, 1, &many));
    check(&merger);
    assert!(merger.numbers.contains_key("often"));
}

#[test]
fn every_bound_holds_whatever_it_is() {
    for bound in [0, 1, 2, 7, 64] {
        let bounds = MergerConfig { max_ways: bound, max_shares: bound, max_instances: bound, expire_hours: 0 };
        let mut merger = Merger::new(bounds);
        for n in 0..200_u64 {
            merge(&mut merger, HOUR * (n / 50), &told(n, 1, &["a", &format!("b/{}", n % 90), &format!("c/{n}")]));
            check(&merger);
        }
        merger.end_epoch();
        check(&merger);
    }
}

#[test]
fn instances_not_heard_of_for_longest_are_forgotten() {
    let mut merger = Merger::new(MergerConfig { max_instances: 8, ..MergerConfig::default() });
    for n in 0..100 {
        merge(&mut merger, HOUR, &told(n, 1, &["a", "b"]));
        assert!(merger.stats().instances <= 8);
        assert_eq!(merge(&mut merger, HOUR, &told(n, 1, &["a", "b"])), MergeOutcome::Known);
    }
    assert_eq!(merge(&mut merger, HOUR, &told(0, 1, &["a", "b"])), MergeOutcome::Merged(1), "forgotten");
}

#[test]
fn what_is_forgotten_is_nowhere() {
    let mut all: Vec<_> = (0..5).map(|n| told(n, 1, &["user/7/a", "user/7/b", "news", "user/70/a"])).collect();
    all.push(told(6, 1, &["news", "user/70/a"]));
    let mut merger = merger(&all);
    assert!(snapshot(&merger, 3).keys.contains(&"user/7/a".to_owned()));
    merger.forget(|key| key.starts_with("user/7/"));
    check(&merger);
    assert!(merger.numbers.keys().all(|key| !key.starts_with("user/7/")));
    assert!(!format!("{merger:?}").contains("user/7/"));
    let left = snapshot(&merger, 1);
    assert_eq!(left.keys, ["news", "user/70/a"]);
    assert!(!String::from_utf8_lossy(&left.encode()).contains("user/7/"));
    // And comes back only by being asked for again.
    merge(&mut merger, HOUR, &told(9, 1, &["user/7/a", "news"]));
    assert!(merger.numbers.contains_key("user/7/a") && !merger.numbers.contains_key("user/7/b"));
}

#[test]
fn keys_that_nobody_asks_for_expire_with_all_ways_over_them() {
    let mut merger = Merger::new(MergerConfig { expire_hours: 10, ..MergerConfig::default() });
    merge(&mut merger, HOUR, &told(1, 1, &["old", "news", "home"]));
    merge(&mut merger, 11 * HOUR, &told(1, 2, &["news", "home"]));
    merger.end_epoch();
    assert!(merger.numbers.contains_key("old"), "ten hours are allowed");
    merge(&mut merger, 12 * HOUR, &told(1, 3, &["home"]));
    merger.end_epoch();
    check(&merger);
    assert!(!merger.numbers.contains_key("old"));
    assert_eq!(rules(&snapshot(&merger, 1)).keys().count(), 1, "news -> home is left");
    // To have been asked for is enough, also at the end of a path that another summary told of.
    let (client, mut summary) = told(1, 4, &["news", "home"]);
    summary.paths[0].told = 2;
    merger.merge(22 * HOUR, client, &summary);
    merger.end_epoch();
    assert_eq!(merger.stats().ways, 1);
    merge(&mut merger, 33 * HOUR, &told(2, 1, &["x", "y"]));
    merger.end_epoch();
    assert_eq!(merger.stats().ways, 1);
    assert!(merger.numbers.contains_key("x"));
}

#[test]
fn a_changed_pattern_outweighs_the_old_one_after_about_a_window() {
    let mut merger = Merger::new(MergerConfig::default());
    for client in 0..2_000 {
        merge(&mut merger, HOUR, &told(client, 1, &["a", "old"]));
    }
    merger.end_epoch();
    for client in 0..150 {
        merge(&mut merger, HOUR, &told(10_000 + client, 1, &["a", "new"]));
    }
    let next = &rules(&snapshot(&merger, 1))[&(None, "a".to_owned())];
    assert_eq!(next[0].0, "new");
    for _ in 0..40 {
        merger.end_epoch();
    }
    let sum: u64 = merger.ways.values().map(|traffic| traffic.all).sum();
    assert!((WINDOW / 2..=WINDOW).contains(&sum), "{sum}: only what is more than a window fades");
}

#[test]
fn a_late_visit_does_not_make_more_fresh_visits_than_visits() {
    let mut merger = Merger::new(MergerConfig::default());
    let (client, mut again) = told(1, 2, &["a", "b"]);
    again.paths[0].steps[1].repeated = true;
    merger.merge(HOUR, client, &again);
    merger.merge(HOUR, client, &Summary { epoch: 3, ..again });
    merger.forget(|key| key == "b");
    merge(&mut merger, HOUR, &told(1, 4, &["a", "b"]));
    check(&merger);
    assert_eq!(merger.stats().ways, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_repetition_do_not_matter(
        all in population(),
        order in prop::collection::vec(any::<u32>(), 40),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        max_bytes in 30_usize..2_000,
    ) {
        let mut other: Vec<_> = all.iter().enumerate().map(|(at, told)| (order[at], told.clone())).collect();
        other.sort_by_key(|(place, _)| *place);
        let mut other: Vec<_> = other.into_iter().map(|(_, told)| told).collect();
        for index in again {
            let told = other[index.index(other.len())].clone();
            other.insert(index.index(other.len()), told);
        }
        let (one, other) = (merger(&all), merger(&other));
        check(&one);
        check(&other);
        for min_clients in [1, 2, 4] {
            prop_assert_eq!(snapshot(&one, min_clients).encode(), snapshot(&other, min_clients).encode());
            // Also where not all fits, and one of several that are worth the same has to go.
            let sized = |merger| super::super::testing::sized(merger, min_clients, max_bytes).encode();
            prop_assert_eq!(sized(&one), sized(&other));
        }
    }

    #[test]
    fn to_group_paths_otherwise_does_not_matter(all in population()) {
        let mut parts = Vec::new();
        for (client, summary) in &all {
            for (at, path) in summary.paths.iter().enumerate() {
                let epoch = summary.epoch * 8 + at as u64;
                parts.push((*client, Summary { epoch, paths: vec![path.clone()], ..summary.clone() }));
            }
        }
        prop_assert_eq!(snapshot(&merger(&all), 1).encode(), snapshot(&merger(&parts), 1).encode());
    }
}
