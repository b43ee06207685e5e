//! Decoding bytes from the network takes memory in proportion to their length, whatever they claim.
//!
//! One test in a binary of its own: the counting allocator sees the whole process.
#![cfg(not(target_arch = "wasm32"))]

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::partition::{HotKey, MapDelta, MapNode, PartitionMap, Portion, Rule, StorageLayout};
use foremap::protocol::{
    BatchItem, BatchRequest, BatchResponse, Change, Class, Cursor, ItemResult, Keymap, KeymapFields, MAX_BATCH_KEYS,
    MAX_CHANGES, Outcome, ReadPoint,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes of memory that one byte of input may cost. The worst is a batch of `missing`: five bytes
/// each on the wire, about two hundred in memory, and up to three times that while the list grows.
const FACTOR: usize = 128;
/// Bytes that any decoding may take beyond that: errors, the first block of a list.
const SLACK: usize = 4 << 10;
/// Text that front coding may unfold, once as read and once as kept: 4 MiB of
/// prefixes and 4,096 origins of 300 bytes.
const UNFOLDED: usize = 2 * ((4 << 20) + 4_096 * 300);

type Decoder = fn(&[u8]) -> bool;
const DECODERS: [(&str, Decoder); 5] = [
    ("map", |bytes| PartitionMap::decode(bytes).is_ok()),
    ("delta", |bytes| MapDelta::decode(bytes).is_ok()),
    ("request", |bytes| BatchRequest::decode(bytes).is_ok()),
    ("response", |bytes| BatchResponse::decode(bytes).is_ok()),
    ("keymap", |bytes| Keymap::decode(bytes).is_ok()),
];

/// Most bytes held at once while `decode` ran, and whether it accepted.
fn peak(decode: Decoder, bytes: &[u8]) -> (usize, bool) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let accepted = decode(bytes);
    (ALLOCATOR.peak_usage().saturating_sub(before), accepted)
}

fn assert_bounded(what: &str, bytes: &[u8]) {
    for (name, decode) in DECODERS {
        let (peak, _) = peak(decode, bytes);
        assert!(peak <= FACTOR * bytes.len() + SLACK, "{name} took {peak} B for {} B of {what}", bytes.len());
    }
}

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("a valid key")
}

fn map(rules: Vec<Rule>) -> PartitionMap {
    let node = |id| MapNode { id, origin: format!("http://n{id}"), weight: 1 };
    let mut map = PartitionMap::new(1, 1 << 20, StorageLayout::default(), (0..64).map(node).collect());
    map.rules = rules;
    map
}

/// Messages of the most elements in the fewest bytes.
fn dense() -> Vec<(&'static str, Vec<u8>)> {
    let at = ReadPoint::default();
    let results = vec![ItemResult { outcome: Outcome::Missing, at, node: 0 }; MAX_BATCH_KEYS];
    let changes = vec![Change { shard: 0, version: 0, key: key("k"), deleted: false }; MAX_CHANGES];
    let item = BatchItem { key: key("k"), if_version: None, class: Class::Demand };
    let cursors = vec![Cursor { shard: 0, position: 0 }; 60_000];
    let base = map(Vec::new());
    let mut excepted = base.clone();
    excepted.exceptions = (0..200_000).map(|partition| (partition, 1)).collect();
    let mut hot = base.clone();
    hot.hot = (0..1_000).map(|n| HotKey { key: key(&format!("{n:03}")), nodes: vec![0] }).collect();
    hot.hot.sort();
    let rule =
        |n| Rule { prefix: KeyPrefix::parse(&format!("{n:05}")).expect("a prefix"), portion: Portion::default() };
    let ruled = map((0..60_000).map(rule).collect());
    let fields = KeymapFields { locator: "l".into(), tags: vec![String::new(); 16], ..KeymapFields::default() };
    let delta = |new| MapDelta::between(&base, new).expect("one namespace").encode();
    vec![
        ("results", BatchResponse { results, ..BatchResponse::default() }.encode()),
        ("changes", BatchResponse { changes, ..BatchResponse::default() }.encode()),
        ("positions", BatchResponse { positions: vec![at; 60_000], ..BatchResponse::default() }.encode()),
        ("items", BatchRequest { items: vec![item; MAX_BATCH_KEYS], ..BatchRequest::default() }.encode()),
        ("cursors", BatchRequest { cursors, ..BatchRequest::default() }.encode()),
        ("tags", Keymap { key: key("k"), version: 0, fields }.encode()),
        ("exceptions of a delta", delta(&excepted)),
        ("exceptions", excepted.encode()),
        ("hot keys", hot.encode()),
        ("rules of a delta", delta(&ruled)),
        ("rules", ruled.encode()),
    ]
}

/// 60,000 rules that share a thousand bytes each: 65 MB if nothing stopped it.
fn unfolding() -> Vec<u8> {
    let long = "x".repeat(1_000);
    let prefix = |n| KeyPrefix::parse(&format!("{long}{n:05}")).expect("a prefix");
    map((0..60_000).map(|n| Rule { prefix: prefix(n), portion: Portion::default() }).collect()).encode()
}

#[test]
fn decoding_takes_memory_in_proportion_to_its_input() {
    for (what, bytes) in dense() {
        let accepted = DECODERS.iter().filter(|(_, decode)| peak(*decode, &bytes).1).count();
        assert_eq!(accepted, 1, "{what}");
        assert_bounded(what, &bytes);
        // Every length and count turned into a claim of 2^32 or 2^20.
        for at in 5..bytes.len().min(160) {
            for claim in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0x80, 0x80, 0x40]] {
                assert_bounded("claims", &[&bytes[..at], claim, &bytes[at + 1..bytes.len().min(400)]].concat());
            }
        }
    }
    let bomb = unfolding();
    assert!(bomb.len() < 500_000);
    let (peak, accepted) = peak(DECODERS[0].1, &bomb);
    assert!(!accepted && peak <= UNFOLDED + 8 * bomb.len(), "{peak}");
}
