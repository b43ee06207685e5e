//! Each rule, kept and broken, in histories made by hand.

use std::sync::Arc;

use super::*;

const K: &str = "k";

/// A put of `value` in session 0, acknowledged.
fn put(value: &str, version: u64, at: [Time; 2]) -> Write {
    let value = Some(Arc::from(value));
    let outcome = Outcome::Acknowledged { version };
    Write { key: K.into(), session: 0, value, invoked: at[0], returned: at[1], outcome }
}

fn delete(version: u64, at: [Time; 2]) -> Write {
    Write { value: None, ..put("", version, at) }
}

fn with(outcome: Outcome, write: Write) -> Write {
    Write { outcome, ..write }
}

fn found(version: u64, value: &str) -> Option<Found> {
    Some(Found { version, value: value.into() })
}

/// A strong read of nothing in session 1.
fn read(at: [Time; 2]) -> Read {
    let [invoked, returned] = at;
    let (key, level) = (K.into(), Level::Strong);
    Read { key, session: 1, level, invoked, returned, found: None, age: Time::MAX, position: None }
}

fn bounded(max_staleness: Time, age: Time, at: [Time; 2]) -> Read {
    Read { level: Level::Bounded { max_staleness }, age, ..read(at) }
}

fn any(at: [Time; 2]) -> Read {
    Read { level: Level::Any, ..read(at) }
}

fn finds(version: u64, value: &str, read: Read) -> Read {
    Read { found: found(version, value), ..read }
}

fn last(newest: Option<Found>, kept: &[(u64, Option<&str>)]) -> Final {
    let kept = kept.iter().map(|&(version, value)| Kept { version, value: value.map(Arc::from) }).collect();
    Final { key: K.into(), newest, kept, retention: 3 }
}

fn verdict(writes: &[Write], reads: &[Read], finals: &[Final]) -> Option<Rule> {
    let history = History { slack: 0, writes: writes.into(), reads: reads.into(), finals: finals.into() };
    check(&history).err().map(|violation| violation.rule)
}

#[test]
fn nothing_is_invented() {
    let writes = [put("a", 5, [10, 20])];
    assert_eq!(verdict(&writes, &[finds(5, "a", read([30, 40]))], &[]), None);
    assert_eq!(verdict(&writes, &[finds(5, "b", read([30, 40]))], &[]), Some(Rule::Invented));
    assert_eq!(verdict(&writes, &[finds(6, "a", read([30, 40]))], &[]), Some(Rule::Once));
    assert_eq!(verdict(&writes, &[finds(5, "a", any([1, 9]))], &[]), Some(Rule::Invented));
    assert_eq!(verdict(&[put("a", 5, [1, 2]), put("b", 5, [1, 2])], &[], &[]), Some(Rule::Once));
    for outcome in [Outcome::Failed, Outcome::Conflict { current: 5 }] {
        let writes = [writes[0].clone(), with(outcome, put("b", 0, [10, 20]))];
        assert_eq!(verdict(&writes, &[finds(6, "b", any([30, 40]))], &[]), Some(Rule::Invented));
    }
    let unknown = with(Outcome::Unknown, put("a", 0, [10, 20]));
    assert_eq!(verdict(std::slice::from_ref(&unknown), &[finds(5, "a", read([30, 40]))], &[]), None);
    // A key of its own: the same value elsewhere is another.
    let elsewhere = Read { key: "other".into(), ..finds(5, "a", read([30, 40])) };
    assert_eq!(verdict(&[unknown], &[elsewhere], &[]), Some(Rule::Invented));
}

#[test]
fn a_write_happens_once() {
    let writes = [with(Outcome::Unknown, put("a", 0, [10, 20])), put("b", 6, [30, 40])];
    let kept = [(7, Some("a")), (6, Some("b")), (5, Some("a"))];
    assert_eq!(verdict(&writes, &[], &[last(found(7, "a"), &kept)]), Some(Rule::Once));
    assert_eq!(verdict(&writes, &[], &[last(found(6, "b"), &kept[1..])]), None);
    // Markers have no value to know them by, but can be counted.
    let gone = [delete(3, [10, 20]), with(Outcome::Unknown, delete(0, [10, 20]))];
    assert_eq!(verdict(&gone, &[], &[last(None, &[(4, None), (3, None)])]), None);
    assert_eq!(verdict(&gone, &[], &[last(None, &[(5, None), (4, None), (3, None)])]), Some(Rule::Once));
}

#[test]
fn versions_follow_the_clock() {
    assert_eq!(verdict(&[put("a", 5, [10, 20]), put("b", 6, [30, 40])], &[], &[]), None);
    assert_eq!(verdict(&[put("a", 6, [10, 20]), put("b", 5, [30, 40])], &[], &[]), Some(Rule::Linearizable));
    assert_eq!(verdict(&[put("a", 6, [10, 30]), put("b", 5, [30, 40])], &[], &[]), None, "at the same time");
}

#[test]
fn a_strong_read_finds_the_newest() {
    let writes = [put("a", 5, [10, 20]), put("b", 6, [30, 40])];
    for (version, value, at, expected) in [
        (6, "b", [50, 60], None),
        (5, "a", [50, 60], Some(Rule::Linearizable)),
        (5, "a", [35, 60], None),
        (6, "b", [35, 36], None),
        (6, "b", [20, 29], Some(Rule::Invented)),
    ] {
        assert_eq!(verdict(&writes, &[finds(version, value, read(at))], &[]), expected, "{version} {at:?}");
    }
    // What a strong read has found, a later one finds too, whoever wrote it.
    let unknown = [put("a", 5, [10, 20]), with(Outcome::Unknown, put("b", 0, [30, 40]))];
    let other = |read| Read { session: 2, ..read };
    let reads = [finds(6, "b", read([50, 60])), other(finds(5, "a", read([70, 80])))];
    assert_eq!(verdict(&unknown, &reads, &[]), Some(Rule::Linearizable));
    let reads = [finds(5, "a", read([50, 60])), other(finds(6, "b", read([70, 80])))];
    assert_eq!(verdict(&unknown, &reads, &[]), None, "it may happen as late as that");
}

#[test]
fn conflicts_are_strong_reads() {
    let refused = |current, at| with(Outcome::Conflict { current }, put("x", 0, at));
    let writes = |refused| [put("a", 5, [10, 20]), put("b", 6, [30, 40]), refused];
    assert_eq!(verdict(&writes(refused(6, [50, 60])), &[], &[]), None);
    assert_eq!(verdict(&writes(refused(5, [50, 60])), &[], &[]), Some(Rule::Linearizable));
    assert_eq!(verdict(&writes(refused(0, [50, 60])), &[], &[]), Some(Rule::Linearizable));
    assert_eq!(verdict(&writes(refused(0, [10, 20])), &[], &[]), None);
    assert_eq!(verdict(&writes(refused(7, [50, 60])), &[], &[]), Some(Rule::Invented));
    assert_eq!(verdict(&[delete(5, [10, 20]), refused(5, [30, 40])], &[], &[]), Some(Rule::Invented));
    // A version that only the refusal tells of is of a write of unknown outcome.
    let unknown = with(Outcome::Unknown, put("c", 0, [10, 20]));
    assert_eq!(verdict(&[unknown, refused(7, [50, 60])], &[read([70, 80])], &[]), Some(Rule::Linearizable));
}

#[test]
fn absences_need_a_delete_or_a_beginning() {
    let writes = [put("a", 5, [10, 20]), delete(6, [30, 40]), put("b", 7, [50, 60])];
    for (at, expected) in [
        ([1, 10], None),
        ([15, 16], None),
        ([21, 29], Some(Rule::Linearizable)),
        ([21, 30], None),
        ([45, 46], None),
        ([61, 70], Some(Rule::Linearizable)),
    ] {
        assert_eq!(verdict(&writes, &[read(at)], &[]), expected, "{at:?}");
    }
    // A delete that may have happened, unless the end shows that it did not.
    let unknown = [put("a", 5, [10, 20]), with(Outcome::Unknown, delete(0, [30, 40]))];
    assert_eq!(verdict(&unknown, &[read([25, 29])], &[]), Some(Rule::Linearizable));
    assert_eq!(verdict(&unknown, &[read([90, 99])], &[]), None);
    let kept = last(found(5, "a"), &[(5, Some("a"))]);
    assert_eq!(verdict(&unknown, &[read([90, 99])], &[kept]), Some(Rule::Linearizable));
    assert_eq!(verdict(&unknown, &[read([90, 99])], &[last(None, &[(6, None), (5, Some("a"))])]), None);
    // Once gone, a version does not come back.
    let reads = [read([50, 60]), finds(5, "a", read([70, 80]))];
    assert_eq!(verdict(&unknown, &reads[..1], &[]), None);
    assert_eq!(verdict(&unknown, &reads, &[]), Some(Rule::Linearizable));
}

#[test]
fn bounded_reads_keep_their_bound() {
    let writes = [put("a", 5, [10, 20]), put("b", 6, [90, 100])];
    let old = |bound, age, at| verdict(&writes, &[finds(5, "a", bounded(bound, age, at))], &[]);
    assert_eq!(old(50, 40, [130, 140]), None);
    assert_eq!(old(50, 50, [149, 150]), None);
    assert_eq!(old(50, 50, [149, 151]), Some(Rule::Age));
    assert_eq!(old(50, 50, [149, 160]), Some(Rule::Age));
    assert_eq!(old(50, Time::MAX, [99, 190]), None, "over the bound, but asked for before it was written");
    assert_eq!(old(50, Time::MAX, [101, 190]), Some(Rule::Bound));
    assert_eq!(old(500, 10, [130, 140]), Some(Rule::Age));
    assert_eq!(verdict(&writes, &[finds(5, "a", any([900, 901]))], &[]), None);
    assert_eq!(verdict(&writes, &[bounded(50, 40, [130, 140])], &[]), Some(Rule::Age), "nothing was ever deleted");
    assert_eq!(verdict(&writes, &[bounded(130, 130, [130, 140])], &[]), None, "as of before it was written");
    let gone = [writes[0].clone(), writes[1].clone(), delete(7, [200, 210])];
    assert_eq!(verdict(&gone, &[bounded(50, 40, [180, 199])], &[]), Some(Rule::Age));
    assert_eq!(verdict(&gone, &[bounded(50, 40, [180, 200])], &[]), None);
}

#[test]
fn clocks_may_be_coarse() {
    let writes = vec![put("a", 5, [10, 20]), put("b", 6, [90, 100])];
    let reads = vec![finds(5, "a", bounded(50, 50, [149, 155]))];
    let history = |slack| History { slack, writes: writes.clone(), reads: reads.clone(), finals: Vec::new() };
    assert!(check(&history(4)).is_err() && check(&history(5)).is_ok());
}

#[test]
fn an_answer_includes_what_its_position_includes() {
    let writes = [put("a", 5, [10, 20]), put("b", 8, [90, 100])];
    let at = |position| Read { position: Some(position), ..finds(5, "a", any([200, 210])) };
    assert_eq!(verdict(&writes, &[at(7)], &[]), None);
    assert_eq!(verdict(&writes, &[at(8)], &[]), Some(Rule::Position));
}

#[test]
fn sessions_do_not_go_back() {
    let writes = [put("a", 5, [10, 20]), put("b", 6, [30, 40])];
    let back = [finds(6, "b", any([50, 60])), finds(5, "a", any([70, 80]))];
    assert_eq!(verdict(&writes, &back, &[]), Some(Rule::Session));
    let other = [back[0].clone(), Read { session: 2, ..back[1].clone() }];
    assert_eq!(verdict(&writes, &other, &[]), None);
    let overlapping = [back[0].clone(), finds(5, "a", any([55, 80]))];
    assert_eq!(verdict(&writes, &overlapping, &[]), None);
    // Its own writes are part of what a session has seen.
    assert_eq!(verdict(&writes, &[Read { session: 0, ..back[1].clone() }], &[]), Some(Rule::Session));
    // After an absence, what was deleted does not come back.
    let gone = [writes[0].clone(), delete(6, [30, 40])];
    assert_eq!(verdict(&gone, &[any([50, 60]), finds(5, "a", any([70, 80]))], &[]), None, "from before the write");
    let reads = [finds(5, "a", any([21, 22])), any([50, 60]), finds(5, "a", any([70, 80]))];
    assert_eq!(verdict(&gone, &reads, &[]), Some(Rule::Session));
}

#[test]
fn nothing_acknowledged_or_seen_is_lost() {
    let writes = [put("a", 5, [10, 20]), put("b", 6, [30, 40])];
    let all = [(6, Some("b")), (5, Some("a"))];
    assert_eq!(verdict(&writes, &[], &[last(found(6, "b"), &all)]), None);
    assert_eq!(verdict(&writes, &[], &[last(found(5, "a"), &all[1..])]), Some(Rule::Lost));
    assert_eq!(verdict(&writes, &[], &[last(found(6, "b"), &all[..1])]), Some(Rule::Lost));
    assert_eq!(verdict(&writes, &[], &[last(None, &[])]), Some(Rule::Lost));
    assert_eq!(verdict(&writes, &[], &[last(found(5, "a"), &all)]), Some(Rule::Lost), "the list says otherwise");
    let seen = [writes[0].clone(), with(Outcome::Unknown, put("b", 0, [30, 40]))];
    let end = last(found(5, "a"), &all[1..]);
    assert_eq!(verdict(&seen, &[], std::slice::from_ref(&end)), None);
    assert_eq!(verdict(&seen, &[finds(6, "b", any([50, 60]))], &[end]), Some(Rule::Lost));
    // Only so many versions are kept.
    let many: Vec<Write> = (1..=4).map(|n| put(&n.to_string(), n, [10 * n, 10 * n + 5])).collect();
    let kept = [(4, Some("4")), (3, Some("3")), (2, Some("2"))];
    assert_eq!(verdict(&many, &[], &[last(found(4, "4"), &kept)]), None);
    let hole = [(4, Some("4")), (2, Some("2")), (1, Some("1"))];
    assert_eq!(verdict(&many, &[], &[last(found(4, "4"), &hole)]), Some(Rule::Lost));
}

#[test]
fn a_message_names_who_was_told_what() {
    let history = History {
        writes: vec![put("a", 5, [10, 20]), put("b", 6, [30, 40])],
        reads: vec![finds(5, "a", read([50, 60]))],
        ..History::default()
    };
    let text = check(&history).expect_err("stale").to_string();
    for part in ["linearizable: k: ", "strong read by session 1, 50..60", "put of \"b\" by session 0, 30..40"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn the_summary_counts() {
    let history = History {
        writes: vec![put("a", 5, [10, 20]), with(Outcome::Unknown, put("b", 0, [30, 40]))],
        reads: vec![finds(5, "a", bounded(5, 9, [50, 60])), finds(5, "a", read([50, 60])), any([1, 2])],
        finals: vec![last(found(5, "a"), &[(5, Some("a"))])],
        ..History::default()
    };
    let sum = check(&history).expect("all is well");
    let expected = Summary { keys: 1, acknowledged: 1, unknown: 1, strong: 1, bounded: 1, any: 1, ..sum };
    assert_eq!((sum, sum.over_bound, sum.absences, sum.finals), (expected, 1, 1, 1));
}
