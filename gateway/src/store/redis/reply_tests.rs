use ::redis::Value;
use foremap::key::CompositeKey;
use foremap::protocol::{Cursor, KeymapFields};
use proptest::prelude::*;

use super::*;
use crate::store::record::encode_body;
use crate::store::redis::change_log::log_page;
use crate::store::redis::options::Address;
use crate::store::redis::registry::registered;
use crate::store::redis::topology::ClusterView;
use crate::store::redis::values::{answer, outcome, versions};

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("a valid key")
}

fn keymap(text: &str) -> Keymap {
    let fields = KeymapFields { locator: "here".into(), ..KeymapFields::default() };
    Keymap { key: key(text), version: 0, fields }
}

fn stored(version: u64, flags: u8, keymap: Option<&Keymap>) -> Vec<u8> {
    let mut bytes = version.to_be_bytes().to_vec();
    bytes.push(flags);
    bytes.extend(encode_body(crate::store::WriteId::new("w").as_ref(), keymap));
    bytes
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn entry(id: &str, kind: &str, key: &str) -> Value {
    Value::Array(vec![text(id), Value::Array(vec![text(kind), text(key)])])
}

fn state(last: &str, base: &str) -> Value {
    Value::Array(vec![text(last), text(base)])
}

#[test]
fn a_record_has_the_version_that_stands_before_it() {
    let read = record(&stored(77, 1, Some(&keymap("a/b")))).expect("a record");
    assert_eq!((read.version, read.created, read.keymap.expect("a keymap").version), (77, true, 77));
    let marker = record(&stored(78, 2, None)).expect("a marker");
    assert_eq!((marker.version, marker.keymap), (78, None));
    for damaged in [stored(0, 1, Some(&keymap("a/b"))), stored(u64::MAX, 2, None), vec![0; 7]] {
        assert!(matches!(record(&damaged), Err(StoreError::Corrupt(_))));
    }
}

#[test]
fn the_position_of_an_answer_is_never_below_its_version() {
    let value = || Value::BulkString(stored(77, 1, Some(&keymap("a/b"))));
    assert_eq!(answer(value(), 70, &key("a/b")).expect("found").position, 77);
    assert_eq!(answer(value(), 90, &key("a/b")).expect("found").position, 90);
    let marker = answer(Value::BulkString(stored(78, 2, None)), 70, &key("a/b")).expect("a marker");
    assert_eq!((marker.value, marker.position), (None, 78));
    assert_eq!(answer(Value::Nil, 70, &key("a/b")).expect("none").position, 70);
    assert!(matches!(answer(value(), 70, &key("a/c")), Err(StoreError::Corrupt(_))), "another key's value");
}

#[test]
fn a_write_between_two_looks_does_not_show_twice() {
    let stored = |version| Value::BulkString(stored(version, 0, Some(&keymap("a/b"))));
    let older = || Value::Array(vec![stored(77), stored(70)]);
    let told = |versions: Vec<VersionRecord>| versions.iter().map(|v| v.version).collect::<Vec<_>>();
    assert_eq!(told(versions(stored(80), older()).expect("versions")), [80, 77, 70]);
    assert_eq!(told(versions(stored(77), older()).expect("versions")), [77, 70]);
    assert!(versions(Value::Nil, older()).expect("none").is_empty());
}

#[test]
fn a_page_ends_with_what_was_read_and_a_trimmed_log_resets() {
    let cursor = |position| Cursor { shard: 3, position };
    let entries = || Value::Array(vec![entry("11-0", "k", "a"), entry("12-0", "d", "b"), entry("13-0", "k", "a")]);
    let page = log_page(vec![entries(), state("20", "5")], cursor(10), 2).expect("a page");
    assert_eq!((page.changes.len(), page.position, page.complete, page.reset), (2, 12, false, false));
    assert!(page.changes[1].deleted && !page.changes[0].deleted);
    // What was written after XRANGE and before the state was asked is for the next page.
    let page = log_page(vec![entries(), state("20", "5")], cursor(10), 3).expect("a page");
    assert_eq!((page.changes.len(), page.position, page.complete), (3, 13, true));
    let page = log_page(vec![Value::Array(vec![]), state("20", "5")], cursor(10), 3).expect("a page");
    assert_eq!((page.position, page.complete, page.reset), (10, true, false));
    // Trimmed past the cursor before the state was asked: entries may be missing.
    let page = log_page(vec![entries(), state("20", "11")], cursor(10), 3).expect("a page");
    assert_eq!((page.changes.len(), page.position, page.complete, page.reset), (0, 20, true, true));
    let page = log_page(vec![Value::Array(vec![]), Value::Array(vec![Value::Nil, Value::Nil])], cursor(0), 3);
    assert_eq!(page.expect("an empty log").position, 0);
    let wild = Value::Array(vec![entry("12-0", "k", "a"), entry("11-0", "k", "a")]);
    assert!(matches!(log_page(vec![wild, state("20", "5")], cursor(10), 3), Err(StoreError::Corrupt(_))));
}

#[test]
fn errors_are_told_apart_by_whether_anything_was_executed() {
    let fault = |line: &str| {
        let value = ::redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).expect("an error reply");
        Fault::among(&[Value::Nil, value]).expect("an error")
    };
    let to = Address { host: "127.0.0.1".into(), port: 7 };
    let why = "ASK 1 127.0.0.1:7".to_owned();
    assert_eq!(fault("ASK 1 127.0.0.1:7"), Fault::Asked { to, why });
    // Without an address, whoever answered does not know its own host.
    for line in ["ASK 1 :7", "TRYAGAIN Multiple keys"] {
        assert!(matches!(fault(line), Fault::Moving(_)), "{line}");
        assert!(matches!(fault(line).of_write(), StoreError::Unavailable(_)), "{line}");
    }
    for line in ["MOVED 1 127.0.0.1:1", "CLUSTERDOWN Hash slot not served", "READONLY You can't write"] {
        assert!(matches!(fault(line), Fault::Elsewhere(_)), "{line}");
    }
    for line in ["LOADING Redis is loading", "OOM command not allowed"] {
        assert!(matches!(fault(line), Fault::Refused(_)), "{line}");
        assert!(matches!(fault(line).of_write(), StoreError::Unavailable(_)), "{line}");
    }
    assert_eq!(fault("ERR Function not found"), Fault::NoFunctions);
    // A function that failed half-way: nobody knows how far it came.
    for line in ["ERR user_function:1: oops", "WRONGTYPE Operation against a key"] {
        assert!(matches!(fault(line).of_write(), StoreError::Unknown(_)), "{line}");
        assert!(matches!(fault(line).of_read(), StoreError::Corrupt(_)), "{line}");
    }
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let good = stored(77, 1, Some(&keymap("a/b")));
    let broken = (0..good.len(), any::<u8>()).prop_map(move |(at, byte)| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    });
    const WORDS: [&str; 11] =
        ["slots", "nodes", "role", "master", "port", "endpoint", "ip", "5-0", "k", "77", "cluster_current_epoch:1"];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        broken,
        prop::sample::select(&WORDS[..]).prop_map(|word| word.as_bytes().to_vec()),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        Just(Value::Okay),
        any::<i64>().prop_map(Value::Int),
        (0_i64..20_000).prop_map(Value::Int),
        any_bytes().prop_map(Value::BulkString),
        any::<f64>().prop_map(Value::Double),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        let list = prop::collection::vec(inner, 0..6);
        prop_oneof![list.clone().prop_map(Value::Array), list.prop_map(Value::Set)]
    })
}

proptest! {
    #[test]
    fn garbage_is_an_error_and_never_a_panic(
        values in prop::collection::vec(any_value(), 0..4),
        bytes in any_bytes(),
        limit in 0_usize..4,
    ) {
        let first = || values.first().cloned().unwrap_or(Value::Nil);
        drop(answer(first(), 1, &key("a/b")));
        drop(records(first()));
        drop(versions(Value::BulkString(bytes.clone()), first()));
        drop(outcome(first(), 1));
        drop(log_page(values.clone(), Cursor { shard: 0, position: 1 }, limit));
        drop(ClusterView::read(values.clone(), &Address { host: "h".into(), port: 1 }));
        drop(registered(&bytes));
        drop(record(&bytes));
    }
}
