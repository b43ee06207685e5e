use super::*;
use crate::shifter::Count;

fn prefix(text: &str) -> KeyPrefix {
    KeyPrefix::parse(text).expect("a prefix")
}

fn report(node: NodeId, number: u64, round: u64, all: u32) -> LoadReport {
    let count = Count { all, late: all / 4 };
    let key = CompositeKey::parse("a/b/c").expect("a key");
    LoadReport {
        node,
        incarnation: 1,
        number,
        round,
        requests: count,
        partitions: vec![(node, count)],
        prefixes: vec![PrefixLoad { prefix: prefix("a/b"), count, keys: 3, cells: vec![(4, count)] }],
        keys: vec![(key, count)],
        together: vec![(prefix("a/b"), prefix("a/c"), all)],
    }
}

#[test]
fn reports_of_all_nodes_add_up() {
    let mut model = LoadModel::new(16);
    for round in 1..=4 {
        for node in 1..=3 {
            assert!(model.merge(&report(node, round, round, 100 * node), round));
        }
    }
    let near = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-6 * expected, "{value} {expected}");
    near(model.requests(), 600.0);
    near(model.partition(2, 2), 200.0);
    near(model.key(&CompositeKey::parse("a/b/c").expect("a key")), 600.0);
    let prefixes: Vec<_> = model.prefixes(1.0).collect();
    assert_eq!((prefixes.len(), prefixes[0].keys), (1, 9));
    near(prefixes[0].cells[0].1, 600.0);
    assert_eq!(model.together().map(|(_, _, count)| count).collect::<Vec<_>>(), [2_400]);
    assert_eq!(model.partition(99, 1), 0.0);
}

#[test]
fn a_report_counts_once_and_only_in_its_time() {
    let mut model = LoadModel::new(16);
    let first = report(1, 1, 20, 100);
    assert!(model.merge(&first, 20) && !model.merge(&first, 20));
    let once = model.clone();
    assert!(!model.merge(&report(1, 2, 30, 100), 20), "of the future");
    assert!(!model.merge(&report(1, 2, 12, 100), 20), "forgotten already");
    assert_eq!(model, once);
    assert!(model.merge(&report(1, 2, 21, 100), 20), "clocks differ by a little");
    let mut restarted = report(1, 1, 22, 100);
    restarted.incarnation = 2;
    assert!(model.merge(&restarted, 22), "a new incarnation counts anew");
}

#[test]
fn a_node_that_misses_a_round_keeps_its_load() {
    let mut model = LoadModel::new(16);
    for round in 1..=3 {
        model.merge(&report(1, round, round, 100), 3);
        model.merge(&report(2, round, round, 200), 3);
    }
    model.merge(&report(1, 4, 4, 100), 4);
    assert_eq!(model.missing().collect::<Vec<_>>(), [2]);
    assert!((model.partition(2, 2) - 200.0).abs() < 1.0);
    assert!((model.requests() - 300.0).abs() < 1.0);
    // After two rounds it is gone.
    model.merge(&report(1, 5, 5, 100), 5);
    assert!(model.partition(2, 2) < 1.0);
}

#[test]
fn tables_are_cut_to_their_bounds_when_a_round_begins() {
    let mut model = LoadModel::new(1);
    for node in 0..40 {
        let mut many = report(node, 1, 1, 1);
        many.keys = (0..500)
            .map(|n| (CompositeKey::parse(&format!("n{node}/{n:03}")).expect("a key"), Count { all: n + 1, late: 0 }))
            .collect();
        many.prefixes = (0..500)
            .map(|n| {
                let cells = (0..8).map(|cell| (cell, Count { all: n + 1, late: 0 })).collect();
                PrefixLoad {
                    prefix: prefix(&format!("n{node}/{n:03}")),
                    count: Count { all: n + 1, late: 0 },
                    keys: 1,
                    cells,
                }
            })
            .collect();
        model.merge(&many, 1);
    }
    model.advance(2);
    let fill = model.fill();
    assert_eq!((fill.keys, fill.prefixes), (LoadModel::MAX_KEYS, LoadModel::MAX_PREFIXES));
    assert!(fill.cells <= LoadModel::MAX_CELLS);
    // The lightest went.
    assert!(model.keys(0.0).all(|(key, _)| key.as_str().ends_with(|c: char| c.is_ascii_digit())));
    model.advance(100);
    assert_eq!((model.fill().keys, model.fill().prefixes), (0, 0));
}
