use super::*;

#[test]
fn every_replica_gets_an_equal_share_whoever_counts() {
    for replicas in [1, 2, 3, 7, 108] {
        // A hundred clients whose counters start next to each other, as those of a careless fleet would.
        let mut served = vec![0_u32; replicas];
        for client in 0..100_u64 {
            for batch in 0..1_000 {
                served[replica(client + batch, replicas)] += 1;
            }
        }
        let expected = 100_000.0 / replicas as f64;
        // The counters overlap, so that there are 1,099 salts: five standard deviations of as many draws.
        let deviation = 5.0 * 100_000.0 * ((1.0 / replicas as f64) / 1_099.0).sqrt();
        assert!(served.iter().all(|&n| (f64::from(n) - expected).abs() <= deviation), "{served:?}");
    }
}

#[test]
fn a_client_that_alternates_between_two_keys_uses_all_replicas_for_each() {
    let of_parity =
        |parity: u64| (0..400).map(|n| replica(2 * n + parity, 4)).collect::<std::collections::BTreeSet<_>>();
    assert_eq!((of_parity(0).len(), of_parity(1).len()), (4, 4));
}

#[test]
fn the_choice_is_frozen() {
    let chosen: Vec<_> =
        (0..12).map(|salt| replica(salt, 5)).chain([replica(u64::MAX, 4_096), replica(7, 0)]).collect();
    assert_eq!(chosen, [4, 2, 2, 0, 2, 1, 3, 1, 3, 3, 0, 1, 3_661, 0]);
}
