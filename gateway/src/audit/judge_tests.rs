use super::*;

const MS: Time = 1_000;
const BOUND: Time = 2_000 * MS;

/// Version 10 at 100 to 110 ms, 20 at 1,000 to 1,010 ms.
fn key() -> Key {
    let mut key = Key::default();
    put(&mut key, 10, 100, 110);
    put(&mut key, 20, 1_000, 1_010);
    key
}

fn put(key: &mut Key, version: u64, sent: Time, acknowledged: Time) {
    write(key, version, false, sent, acknowledged);
}

fn write(key: &mut Key, version: u64, deleted: bool, sent: Time, acknowledged: Time) {
    key.writes(sent * MS, deleted);
    key.wrote(AcknowledgedWrite { version, deleted, sent: sent * MS, acknowledged: acknowledged * MS });
}

/// Sent and returned, and the age that the answer claims, in milliseconds.
fn read(found: Option<u64>, sent: Time, returned: Time, claimed: Time) -> ObservedRead {
    ObservedRead { sent: sent * MS, returned: returned * MS, found, claimed: claimed * MS, position: None }
}

fn findings(key: &Key, read: ObservedRead) -> Vec<Finding> {
    key.judge(&read, BOUND).expect("judged").findings
}

#[test]
fn an_honest_answer_is_as_old_as_it_says() {
    let judged = key().judge(&read(Some(10), 1_510, 1_530, 500), BOUND).expect("judged");
    assert_eq!(judged, Judged { at_least: 500 * MS, at_most: 530 * MS, findings: vec![] });
    let newest = key().judge(&read(Some(20), 9_000, 9_010, 0), BOUND).expect("judged");
    assert_eq!(newest, Judged::default());
}

#[test]
fn a_lying_answer_misses_a_version_for_longer_than_it_claims() {
    assert_eq!(findings(&key(), read(Some(10), 1_510, 1_530, 100)), [Finding::Age]);
    assert_eq!(findings(&key(), read(Some(10), 3_110, 3_120, 2_100)), [Finding::Broken]);
    assert_eq!(findings(&key(), read(Some(10), 3_110, 3_120, 0)), [Finding::Age, Finding::Broken]);
    assert!(Finding::Age.is_lie() && !Finding::Broken.is_lie());
}

#[test]
fn the_request_itself_counts_in_its_favour() {
    // It may have been answered from before the write was acknowledged.
    assert_eq!(findings(&key(), read(Some(10), 1_010, 4_000, 0)), []);
    assert_eq!(findings(&key(), read(Some(10), 500, 4_000, 0)), []);
}

#[test]
fn clocks_may_be_coarse() {
    assert_eq!(findings(&key(), read(Some(10), 1_115, 1_120, 100)), []);
    assert_eq!(findings(&key(), read(Some(10), 1_116, 1_120, 100)), [Finding::Age]);
    assert_eq!(findings(&key(), read(Some(10), 3_015, 3_020, 9_000)), []);
    assert_eq!(findings(&key(), read(Some(10), 3_016, 3_020, 9_000)), [Finding::Broken]);
}

#[test]
fn what_is_under_way_may_be_told_but_need_not() {
    let mut key = key();
    key.writes(2_000 * MS, false);
    let told = |found| key.judge(&read(found, 2_100, 2_110, 0), BOUND).expect("judged");
    assert_eq!(told(Some(30)), Judged::default());
    assert_eq!(told(Some(20)), Judged { at_least: 0, at_most: 110 * MS, findings: vec![] });
    assert_eq!(told(None).findings, [Finding::Age], "nothing is being removed");
    key.writes(2_000 * MS, true);
    assert_eq!(findings(&key, read(None, 2_100, 2_110, 0)), []);
}

#[test]
fn what_nobody_wrote_is_invented() {
    for version in [5, 15, 25] {
        assert_eq!(findings(&key(), read(Some(version), 2_100, 2_110, 0)), [Finding::Invented], "{version}");
    }
    let mut gone = key();
    write(&mut gone, 30, true, 2_000, 2_010);
    assert_eq!(findings(&gone, read(Some(30), 2_100, 2_110, 0)), [Finding::Invented], "a delete marker");
}

#[test]
fn absences_are_of_the_last_delete() {
    let mut key = key();
    assert_eq!(findings(&key, read(None, 110, 130, 20)), [], "from before its first version");
    assert_eq!(findings(&key, read(None, 150, 160, 20)), [Finding::Age]);
    write(&mut key, 30, true, 2_000, 2_010);
    assert_eq!(findings(&key, read(None, 9_000, 9_010, 0)), []);
    // A delete that is not told of is missed like any other version.
    assert_eq!(findings(&key, read(Some(20), 2_060, 2_070, 10)), [Finding::Age]);
    put(&mut key, 40, 3_000, 3_010);
    assert_eq!(findings(&key, read(None, 3_060, 3_070, 50)), []);
    assert_eq!(findings(&key, read(None, 3_060, 3_070, 10)), [Finding::Age]);
}

#[test]
fn an_answer_has_what_its_position_includes() {
    let at = |position, found, sent| ObservedRead { position: Some(position), ..read(found, sent, sent + 1, 9_000) };
    assert_eq!(findings(&key(), at(19, Some(10), 1_020)), []);
    assert_eq!(findings(&key(), at(20, Some(10), 1_020)), [Finding::Position]);
    let mut gone = key();
    write(&mut gone, 30, true, 2_000, 2_010);
    assert_eq!(findings(&gone, at(30, None, 2_100)), []);
    assert_eq!(findings(&gone, at(31, Some(20), 2_100)), [Finding::Position]);
}

#[test]
fn only_so_much_is_remembered() {
    let mut key = Key::default();
    for n in 1..=300 {
        put(&mut key, n, n * 100, n * 100 + 10);
    }
    assert_eq!(key.writes.len(), KEPT);
    let judged = key.judge(&read(Some(1), 30_100, 30_110, 0), BOUND).expect("judged");
    // By the oldest that is known: it is at least that stale.
    assert_eq!(judged.at_least, (30_100 - 4_510) * MS);
    assert_eq!(judged.findings, [Finding::Age, Finding::Broken]);
    key.retire();
    assert_eq!(key.judge(&read(Some(1), 30_100, 30_110, 0), BOUND), None);
}
