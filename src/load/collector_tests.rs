use super::*;

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("a valid key")
}

fn served(key: &CompositeKey, replicated: bool) -> ServedRequest<'_> {
    ServedRequest { key, partition: 5, depth: 2, replicated }
}

#[test]
fn a_report_tells_prefixes_their_cells_and_keys() {
    let mut collector = LoadCollector::new(11, 1, 0);
    let keys: Vec<_> = (0..8).map(|n| key(&format!("a/b/{n}/x"))).collect();
    for now in 0..2_000 {
        collector.observe(now, served(&keys[now as usize % 8], false));
    }
    let report = collector.take(2_000, 3, 9, 77);
    assert_eq!((report.node, report.incarnation, report.number, report.round), (3, 9, 1, 77));
    assert_eq!(report.requests, Count { all: 2_000, late: 500 });
    assert_eq!(report.partitions, [(5, Count { all: 2_000, late: 500 })]);
    let prefix = report.prefixes.iter().find(|load| load.prefix.as_str() == "a/b").expect("the hashed prefix");
    assert_eq!(prefix.count.all, 2_000);
    assert!((6..=10).contains(&prefix.keys), "about eight: {}", prefix.keys);
    let cells: u32 = prefix.cells.iter().map(|(_, count)| count.all).sum();
    assert_eq!(cells, 2_000);
    for n in 0..8 {
        let cell = (xxh3(11, format!("{n}/").as_bytes()) % 1_024) as u16;
        assert!(prefix.cells.iter().any(|&(at, count)| at == cell && count.all >= 250));
    }
    assert_eq!(report.prefixes.len(), 9, "and one prefix below for each child");
    assert_eq!(report.keys.len(), 8);
    assert_eq!(LoadReport::decode(&report.encode()), Ok(report));
    assert_eq!(collector.take(4_000, 3, 9, 78).requests.all, 0, "the next round begins empty");
}

#[test]
fn a_key_with_replicas_counts_as_a_key_alone() {
    let mut collector = LoadCollector::new(11, 1, 0);
    let hot = key("a/b/c");
    for now in 0..1_000 {
        collector.observe(now, served(&hot, true));
    }
    let report = collector.take(2_000, 1, 1, 1);
    assert!(report.partitions.is_empty() && report.prefixes.is_empty());
    assert_eq!(report.keys, [(hot, Count { all: 1_000, late: 0 })]);
}

#[test]
fn a_round_that_ends_late_is_stated_as_a_whole_one() {
    let mut collector = LoadCollector::new(11, 1, 0);
    let key = key("a/b/c");
    for now in 0..3_000 {
        collector.observe(now, served(&key, false));
    }
    let requests = collector.take(3_000, 1, 1, 1).requests;
    assert_eq!(requests, Count { all: 2_000, late: 500 });
}

#[test]
fn tables_keep_their_bounds_whatever_is_asked_for() {
    let mut collector = LoadCollector::new(11, 1, 0);
    let hot = key("hot/one/x");
    for n in 0..40_000_u32 {
        let other = key(&format!("p{n}/q/{n}"));
        collector.observe(0, ServedRequest { key: &other, partition: n, depth: 2, replicated: false });
        collector.observe(0, served(&hot, false));
        collector.together(0, [(&other, 2), (&hot, 2)].into_iter());
    }
    let fill = collector.fill();
    assert!(fill.partitions <= LoadReport::MAX_PARTITIONS && fill.prefixes <= LoadCollector::MAX_PREFIXES);
    assert!(fill.cells <= LoadCollector::MAX_CELLS && fill.keys <= LoadCollector::MAX_KEYS);
    assert!(fill.pairs <= LoadCollector::MAX_PAIRS);
    let report = collector.take(2_000, 1, 1, 1);
    assert!(report.distinct.abs_diff(40_001) < 16_000, "light keys are among them: {}", report.distinct);
    assert!(report.keys.iter().any(|(key, count)| *key == hot && count.all > 35_000));
    // The round after is sampled, and scaled up again.
    for _ in 0..80_000 {
        collector.observe(2_000, served(&hot, false));
    }
    let report = collector.take(4_000, 1, 1, 2);
    assert!(report.keys[0].1.all.abs_diff(80_000) < 4_000, "{:?}", report.keys);
}

#[test]
fn prefixes_of_one_batch_are_pairs() {
    let mut collector = LoadCollector::new(11, 1, 0);
    let keys = [key("a/b/1"), key("a/b/2"), key("a/c/1"), key("a/b/3")];
    for _ in 0..5 {
        collector.together(0, keys.iter().map(|key| (key, 2)));
    }
    let pair = |one: &str, other: &str| (KeyPrefix::parse(one).expect("one"), KeyPrefix::parse(other).expect("one"), 5);
    assert_eq!(collector.take(2_000, 1, 1, 1).together, [pair("a/b", "a/c")]);
}

#[test]
fn deep_prefixes_are_counted_where_nearly_everything_is() {
    let mut collector = LoadCollector::new(11, 1, 0);
    for n in 0..4_000 {
        let rest = if n % 4 == 0 { format!("p{n}/q/r/s/{n}") } else { format!("a/b/c/d/e/{}", n % 50) };
        let key = key(&rest);
        collector.observe(0, ServedRequest { key: &key, partition: 5, depth: 2, replicated: false });
    }
    let report = collector.take(2_000, 1, 1, 1);
    let prefixes: Vec<_> = report.prefixes.iter().map(|load| load.prefix.as_str()).collect();
    assert_eq!(prefixes, ["a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e"]);
    assert!(report.prefixes[3].count.all > 2_300 && report.prefixes[3].cells.len() > 40);
}
