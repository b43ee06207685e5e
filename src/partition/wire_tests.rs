use super::*;

fn node(id: u32, origin: &str) -> MapNode {
    MapNode { id, origin: origin.into(), weight: 1 }
}

fn rule(prefix: &str) -> Rule {
    Rule { prefix: KeyPrefix::parse(prefix).unwrap(), portion: Portion { depth: 2, spread: 1 } }
}

fn map() -> PartitionMap {
    let nodes = vec![node(1, "https://eu-1.example:8443"), node(2, "https://eu-2.example:8443")];
    let mut map = PartitionMap::new(7, 16_384, StorageLayout::default(), nodes);
    map.rules = ["", "caf\u{e9}", "caf\u{ea}/x", "tenant/1", "tenant/10", "tenant/10/a"].map(rule).to_vec();
    map.exceptions = BTreeMap::from([(0, 2), (1, 1), (16_383, 2)]);
    map.hot = vec![HotKey { key: CompositeKey::parse("tenant/1/x").unwrap(), nodes: vec![2, 1] }];
    map
}

/// A map's bytes up to its lists, to which a test appends hostile ones.
fn head() -> Writer {
    let mut w = Writer::with_header(MAP_MAGIC, VERSION);
    write_epoch(&mut w, Epoch { incarnation: 1, number: 1 });
    w.u8(HashId::Xxh3.wire());
    w.u64_le(1);
    w.u64_le(2);
    w.varint(64);
    w.varint(256);
    w.u8(1);
    w.varint(16);
    w
}

fn front_coded(w: &mut Writer, shared: u64, rest: &str) {
    w.varint(shared);
    w.str(rest);
}

#[test]
fn maps_round_trip() {
    assert_eq!(PartitionMap::decode(&map().encode()), Ok(map()));
    let plain = PartitionMap::new(0, 1, StorageLayout::default(), vec![node(0, "h")]);
    assert_eq!(PartitionMap::decode(&plain.encode()), Ok(plain));
}

#[test]
fn every_cut_and_every_extension_is_refused() {
    let bytes = map().encode();
    for end in 0..bytes.len() {
        assert!(PartitionMap::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(PartitionMap::decode(&longer), Err(DecodeError::Trailing.into()));
}

#[test]
fn shared_text_is_written_once() {
    let mut w = Writer::default();
    write_rules(&mut w, &map().rules);
    let bytes = w.finish();
    assert_eq!(bytes.windows(6).filter(|w| w == b"tenant").count(), 1);
    // The first byte of both accented letters is the same: the cut is before it.
    assert_eq!(read_rules(&mut Reader::new(&bytes)).unwrap(), map().rules);
}

#[test]
fn a_shared_part_shorter_than_possible_is_a_second_form() {
    let mut w = head();
    w.varint(2);
    for (id, shared, rest) in [(1, 0, "http://a"), (2, 3, "p://b")] {
        w.varint(id);
        front_coded(&mut w, shared, rest);
        w.varint(1);
    }
    let bytes = w.finish();
    assert_eq!(PartitionMap::decode(&bytes), Err(DecodeError::BadValue("shared bytes").into()));
}

#[test]
fn shared_parts_beyond_the_text_or_inside_a_letter_are_refused() {
    for shared in [2, 5, 1_000, u64::MAX] {
        let mut w = Writer::default();
        front_coded(&mut w, 0, "a\u{e9}");
        front_coded(&mut w, shared, "b");
        let bytes = w.finish();
        let (mut r, mut coder) = (Reader::new(&bytes), FrontCoder::default());
        assert_eq!(coder.read(&mut r, MAX_KEY_BYTES), Ok("a\u{e9}"));
        assert_eq!(coder.read(&mut r, MAX_KEY_BYTES), Err(DecodeError::BadValue("shared bytes")), "{shared}");
    }
}

#[test]
fn front_coding_cannot_unfold_without_limit() {
    let mut w = head();
    w.list([node(1, "h")].iter(), |w, node| {
        w.varint(node.id.into());
        front_coded(w, 0, &node.origin);
        w.varint(1);
    });
    let rules = 60_000;
    w.varint(rules);
    front_coded(&mut w, 0, &format!("{}{:05}", "x".repeat(1_000), 0));
    w.u8(2);
    w.u8(0);
    for n in 1..rules {
        let (last, text) = (format!("{:05}", n - 1), format!("{n:05}"));
        let shared = last.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
        front_coded(&mut w, 1_000 + shared as u64, &text[shared..]);
        w.u8(2);
        w.u8(0);
    }
    let bytes = w.finish();
    assert!(bytes.len() < 500_000);
    assert_eq!(PartitionMap::decode(&bytes), Err(DecodeError::TooMany("bytes of prefixes").into()));
}

#[test]
fn text_must_be_canonical() {
    for (text, field) in [("a%2fb", "prefix"), ("a/", "prefix"), ("/", "prefix"), ("%41", "prefix")] {
        assert_eq!(prefix(text), Err(DecodeError::BadValue(field)), "{text}");
    }
    assert_eq!(key("a%2fb"), Err(DecodeError::BadValue("key")));
    assert_eq!(prefix(""), Ok(KeyPrefix::all()));
}

#[test]
fn a_partition_is_stated_once() {
    for gaps in [[0, 0], [3, 0], [u64::from(u32::MAX), 1]] {
        let mut w = head();
        write_nodes(&mut w, &[node(1, "h")]);
        write_rules(&mut w, &[]);
        w.list(gaps.iter(), |w, &gap| {
            w.varint(gap);
            w.varint(1);
        });
        write_hot(&mut w, &[]);
        assert_eq!(PartitionMap::decode(&w.finish()), Err(DecodeError::BadValue("partition").into()), "{gaps:?}");
    }
}

#[test]
fn contradictions_are_found_on_reading() {
    let mut bad = map();
    bad.nodes.swap(0, 1);
    assert!(matches!(PartitionMap::decode(&bad.encode()), Err(MapError::Invalid(_))));
    let mut bad = map();
    bad.epoch.number = 1 << 53;
    assert_eq!(PartitionMap::decode(&bad.encode()), Err(DecodeError::BadValue("epoch").into()));
}

#[test]
fn the_hash_names_the_content() {
    assert_eq!(map().hash(), map().hash());
    let mut other = map();
    other.exceptions.insert(5, 1);
    assert_ne!(map().hash(), other.hash());
}

#[test]
fn deltas_round_trip() {
    let mut new = map();
    new.epoch.number = (1 << 53) - 1;
    new.nodes.push(node(9, "https://us-1.example"));
    new.rules.remove(1);
    new.exceptions = BTreeMap::from([(1, 2)]);
    new.hot.clear();
    let delta = MapDelta::between(&map(), &new).unwrap();
    let bytes = delta.encode();
    assert_eq!(MapDelta::decode(&bytes), Ok(delta));
    for end in 0..bytes.len() {
        assert!(MapDelta::decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    assert_eq!(MapDelta::decode(&map().encode()), Err(DecodeError::BadMagic.into()));
}

#[test]
fn distances_reach_everywhere_and_not_beyond() {
    let values = [0, 1, 0, u32::MAX, 0, 127, 64, u32::MAX - 1, u32::MAX];
    let (mut w, mut coder) = (Writer::default(), Distance::default());
    values.iter().for_each(|&value| coder.write(&mut w, value));
    let bytes = w.finish();
    let (mut r, mut coder) = (Reader::new(&bytes), Distance::default());
    assert!(values.iter().all(|&value| coder.read(&mut r, "node") == Ok(value)));
    // One below zero, one above the greatest, and the farthest there is, after a 5.
    for distance in [11, 2 * (u64::from(u32::MAX) - 4), u64::MAX, u64::MAX - 1] {
        let mut w = Writer::default();
        w.varint(10);
        w.varint(distance);
        let bytes = w.finish();
        let (mut r, mut coder) = (Reader::new(&bytes), Distance::default());
        assert_eq!(coder.read(&mut r, "node"), Ok(5));
        assert_eq!(coder.read(&mut r, "node"), Err(DecodeError::BadValue("node")), "{distance}");
    }
}

#[test]
fn what_changes_next_to_each_other_is_small_in_a_delta() {
    let key = |n| CompositeKey::parse(&format!("tenant/{n:05}/files")).unwrap();
    let mut new = map();
    new.exceptions = (0..1_000).map(|n| (n * 16, 1 + n % 2)).collect();
    let moved = MapDelta::between(&map(), &new).unwrap().encode().len();
    new.hot = (0..1_000).map(|n| HotKey { key: key(n), nodes: vec![1, 2] }).collect();
    let hot = MapDelta::between(&map(), &new).unwrap().encode().len() - moved;
    let mut cold = new.clone();
    cold.hot.clear();
    let gone = MapDelta::between(&new, &cold).unwrap().encode().len();
    assert!(moved < 2_100 && hot < 16_000 && gone < 13_000, "{moved} {hot} {gone}");
}
