use super::*;

#[test]
fn each_missed_entry_moves_its_side_by_half_a_place() {
    let mut shares = ProbationShare::new(0.3);
    shares.missed(true, 100);
    assert_eq!(shares.proven(100_000), 69_652);
    shares.missed(false, 100);
    assert_eq!(shares.proven(100_000), 69_803);
}

#[test]
fn neither_side_loses_everything() {
    let mut shares = ProbationShare::new(0.3);
    (0..10_000).for_each(|_| shares.missed(true, 100));
    assert_eq!(shares.proven(100), 10);
    (0..10_000).for_each(|_| shares.missed(false, 100));
    assert_eq!(shares.proven(100), 90);
    (0..10_000).for_each(|_| shares.missed(false, 8));
    assert_eq!(shares.proven(8), 6, "two places are left");
    (0..10_000).for_each(|_| shares.missed(false, 2));
    assert_eq!(shares.proven(2), 1, "but not more than half");
}

#[test]
fn the_recent_queue_has_a_fifth_but_a_few_places_in_any_case() {
    let most = |all: usize| (0..=all).filter(|&held| !is_recent_above((held, all), (0, 0))).count() - 1;
    assert_eq!([3, 12, 20, 24, 30, 40, 100].map(most), [1, 4, 6, 8, 8, 8, 20]);
    assert!(is_recent_above((1, 100), (21, 100)), "bytes count as well");
}

#[test]
fn the_oldest_is_forgotten_and_the_rest_know_how_many_left_since() {
    let mut gone = Gone::new();
    (0..5).for_each(|id| gone.add(id, 3));
    assert_eq!([1, 2, 2, 4].map(|id| gone.take(id)), [None, Some(2), None, Some(0)]);
    assert_eq!(gone.len(), 1);
    gone.add(9, 0);
    assert_eq!((gone.len(), gone.take(9)), (1, Some(0)));
}
