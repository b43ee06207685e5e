use super::*;

#[test]
fn logarithm_is_close_to_the_platform_one() {
    for step in 1..10_000_u32 {
        let x = f64::from(step) / 10_000.0;
        assert!((ln(x) - x.ln()).abs() <= 1e-13 * x.ln().abs().max(1e-3), "ln({x})");
    }
}

#[test]
fn scores_are_finite_and_grow_with_weight() {
    for node in 0..1_000 {
        let scores = [0, 1, 2, u32::MAX].map(|weight| rendezvous_score(1, 7, node, weight));
        assert!(scores[0] == 0.0 && scores.is_sorted_by(|a, b| a < b) && scores[3].is_finite(), "{scores:?}");
    }
    // The ends of the unit interval that a hash can reach.
    for unit in [0.5 / (1_u64 << 52) as f64, ((1_u64 << 52) as f64 - 0.5) / (1_u64 << 52) as f64] {
        assert!(unit > 0.0 && unit < 1.0 && ln(unit) < 0.0 && ln(unit).is_finite());
    }
}

#[test]
fn index_zero_keeps_the_unspread_hash() {
    assert_eq!(spread_hash(1, 42, 0), 42);
    assert_ne!(spread_hash(1, 42, 1), spread_hash(1, 42, 2));
}

#[test]
fn the_wire_number_names_the_hash() {
    assert_eq!(HashId::from_wire(HashId::Xxh3.wire()), Some(HashId::Xxh3));
    assert_eq!(HashId::from_wire(0), None);
    assert_eq!(serde_json::to_string(&HashId::Xxh3).unwrap(), r#""xxh3-64""#);
}

#[test]
fn the_winner_has_the_best_score_whatever_the_weights() {
    for weights in [[3, 3, 3, 3, 3], [1, 0, 2, 5, 2], [0, 0, 0, 0, 7]] {
        let node = |(id, weight)| MapNode { id, origin: String::new(), weight };
        let nodes: Vec<_> = (10..15).zip(weights).map(node).collect();
        for partition in 0..5_000 {
            let score = |node: &MapNode| rendezvous_score(9, partition, node.id, node.weight);
            let best = nodes.iter().map(score).fold(f64::MIN, f64::max);
            let winner = rendezvous_winner(9, partition, &nodes);
            assert_eq!(score(&nodes[usize::from(winner)]), best);
        }
    }
}
