use super::*;
use crate::load::Count;

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
        distinct: all,
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
    near(model.partition(2), 200.0);
    assert_eq!(model.distinct(), 600, "of one round, not of all");
    near(model.key(&CompositeKey::parse("a/b/c").expect("a key")), 600.0);
    let prefixes: Vec<_> = model.prefixes(1.0).collect();
    assert_eq!((prefixes.len(), prefixes[0].keys), (1, 9));
    near(prefixes[0].cells[0].1, 600.0);
    assert_eq!(model.together().map(|(_, _, count)| count).collect::<Vec<_>>(), [2_400]);
    assert_eq!(model.partition(99), 0.0);
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
fn what_a_node_reported_last_stands_in_for_what_got_lost() {
    let nodes = [1, 2].map(|id| MapNode { id, origin: format!("http://n{id}"), weight: 1 });
    let near = |value: f64, expected: f64| assert!((value - expected).abs() < 1.0, "{value} {expected}");
    let mut model = LoadModel::new(16);
    let round_of = |model: &mut LoadModel, round: u64, second: bool| {
        assert!(model.merge(&report(1, round, round, 100), round));
        assert!(!second || model.merge(&report(2, round, round, 200), round));
    };
    for round in 1..=3 {
        round_of(&mut model, round, true);
    }
    assert!(matches!(model.filled(&nodes), Cow::Borrowed(_)), "nothing is missing");
    round_of(&mut model, 4, false);
    let filled = model.filled(&nodes).into_owned();
    near(filled.partition(2), 200.0);
    near(filled.requests(), 300.0);
    near(filled.prefixes(1.0).next().expect("a prefix").cells[0].1, 300.0);
    assert!(model.filled(&nodes[..1]).requests() < 290.0, "of nodes that are in the map");
    // The gap stays filled when it reports again, and what comes late after all counts instead.
    round_of(&mut model, 5, true);
    let filled = model.filled(&nodes).into_owned();
    near(filled.partition(2), 200.0);
    near(filled.requests(), 300.0);
    assert!(model.merge(&report(2, 4, 4, 200), 5));
    assert!(matches!(model.filled(&nodes), Cow::Borrowed(_)));
    assert_eq!(model.filled(&nodes).requests(), filled.requests());
    // Silent for two rounds it is late, for three it is gone.
    round_of(&mut model, 6, false);
    round_of(&mut model, 7, false);
    near(model.filled(&nodes).partition(2), 200.0);
    round_of(&mut model, 8, false);
    assert!(model.filled(&nodes).partition(2) < 1.0);
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

#[test]
fn keys_with_replicas_count_however_light() {
    let key = CompositeKey::parse("a/b/c").expect("a key");
    let mut model = LoadModel::new(16);
    model.ignore_below(50);
    model.merge(&report(1, 1, 1, 40), 1);
    assert_eq!(model.key(&key), 0.0);
    model.set_replicated(&[HotKey { key: key.clone(), nodes: vec![1, 2] }]);
    model.merge(&report(2, 1, 1, 40), 1);
    assert!(model.key(&key) > 30.0 && model.prefix(&prefix("a/b")) == 0.0);
}

#[test]
fn of_equal_cells_some_stay_when_there_are_too_many() {
    let mut model = LoadModel::new(1);
    let one = Count { all: 1, late: 0 };
    for node in 0..80 {
        let load = |n| PrefixLoad {
            prefix: prefix(&format!("n{node}/{n}")),
            count: one,
            keys: 1,
            cells: (0..1_024).map(|cell| (cell, one)).collect(),
        };
        model.merge(&LoadReport { prefixes: (0..10).map(load).collect(), ..report(node, 1, 1, 1) }, 1);
    }
    assert!(model.fill().cells <= 8 * LoadModel::MAX_CELLS);
    model.advance(2);
    assert_eq!(model.fill().cells, LoadModel::MAX_CELLS);
}
