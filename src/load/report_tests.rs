use super::*;

fn report() -> LoadReport {
    let count = |all, late| Count { all, late };
    let prefix = |text: &str| KeyPrefix::parse(text).expect("a prefix");
    let load = |text, cells| PrefixLoad { prefix: prefix(text), count: count(9, 3), keys: 4, cells };
    LoadReport {
        node: 3,
        incarnation: 0xfeed,
        number: 7,
        round: 882_000_000,
        requests: count(1_000, 260),
        distinct: 321,
        partitions: vec![(2, count(400, 100)), (9, count(600, 160))],
        prefixes: vec![load("a/b", vec![(0, count(4, 1)), (1_023, count(5, 2))]), load("a/c", vec![])],
        keys: vec![(CompositeKey::parse("a/b/c").expect("a key"), count(300, 80))],
        together: vec![(prefix("a/b"), prefix("a/c"), 12)],
    }
}

#[test]
fn a_report_survives_the_wire() {
    let report = report();
    assert_eq!(LoadReport::decode(&report.encode()), Ok(report));
    assert_eq!(LoadReport::decode(&LoadReport::default().encode()), Ok(LoadReport::default()));
}

#[test]
fn damage_is_refused_without_a_panic() {
    let bytes = report().encode();
    for end in 0..bytes.len() {
        assert!(LoadReport::decode(&bytes[..end]).is_err());
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            // Some damage is a report of something else; none may panic, and what is read can be written.
            if let Ok(other) = LoadReport::decode(&damaged) {
                assert_eq!(LoadReport::decode(&other.encode()), Ok(other));
            }
        }
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let refused = |change: fn(&mut LoadReport)| {
        let mut report = report();
        change(&mut report);
        LoadReport::decode(&report.encode()).is_err()
    };
    assert!(refused(|report| report.requests.late = 2_000));
    assert!(refused(|report| report.prefixes.reverse()));
    assert!(refused(|report| report.prefixes[0].cells.reverse()));
    assert!(refused(|report| report.prefixes[0].cells[1].0 = CELLS));
    assert!(refused(|report| report.keys.push(report.keys[0].clone())));
    assert!(refused(|report| report.together[0].1 = report.together[0].0.clone()));
}
