use super::*;

const ONE: Count = Count { all: 1, late: 0 };

#[test]
fn what_is_heavy_stays_and_no_count_is_too_high() {
    let mut heavy = Heavy::new(64);
    // Ten items make up half of the stream, 5,000 others the rest.
    for n in 0..10_000_u64 {
        heavy.add(n % 10, ONE, || n % 10);
        heavy.add(1_000 + n % 5_000, ONE, || 0);
        assert!(heavy.len() <= 64);
    }
    let top = heavy.take(1, 10);
    let mut ids: Vec<_> = top.iter().map(|&(id, ..)| id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..10).collect::<Vec<_>>());
    // Twice the length over the capacity is the most that is missing.
    assert!(top.iter().all(|&(_, count, _)| count.all <= 1_000 && count.all + 2 * 20_000 / 64 >= 1_000), "{top:?}");
    assert_eq!(heavy.len(), 0);
}

#[test]
fn distinct_hashes_are_counted_within_their_error() {
    for count in [1_u64, 10, 100, 1_000, 50_000] {
        let mut distinct = Distinct::default();
        for n in 0..count {
            let hash = crate::partition::xxh3(7, &n.to_le_bytes());
            distinct.see(hash);
            distinct.see(hash);
        }
        let (estimate, count) = (f64::from(distinct.estimate()), count as f64);
        // Three standard deviations.
        assert!((estimate - count).abs() <= 0.39 * count + 0.5, "{estimate} of {count}");
    }
}
