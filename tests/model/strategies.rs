//! Generated keys, maps and messages.

use std::collections::{BTreeMap, BTreeSet};

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::partition::{Epoch, HotKey, MapNode, PartitionMap, Portion, Rule, StorageLayout};
use foremap::protocol::{
    BatchItem, BatchRequest, BatchResponse, Change, Class, ClockReading, Consistency, Cursor, ErrorCode, FeedFrame,
    FeedId, FeedStep, Hello, ItemResult, Keymap, KeymapFields, LateShard, ListPage, MAX_VERSION, MapKnowledge,
    MapUpdate, Meta, ModelWish, Outcome, ReadPoint, Rider,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

/// A raw component: any text, with the characters that matter more often than chance has it.
pub(crate) fn component() -> impl Strategy<Value = String> {
    let letter = prop_oneof![
        6 => proptest::char::range('a', 'd'),
        2 => proptest::sample::select(&['/', '%', '.', '!', '0', '\0', '\n', '\u{7f}', '\u{e9}', '\u{1f600}'][..]),
        1 => any::<char>(),
    ];
    let text = vec(letter, 1..6).prop_map(|letters| letters.into_iter().collect::<String>());
    text.prop_filter("dot components are refused", |text| text != "." && text != "..")
}

/// Few distinct components, so that prefixes meet.
pub(crate) fn key() -> impl Strategy<Value = CompositeKey> {
    let common = proptest::sample::select(&["a", "b", "a!", "a/b", "user", "1", "10"][..]).prop_map(String::from);
    let part = prop_oneof![4 => common, 1 => component()];
    vec(part, 1..=8).prop_map(|parts| CompositeKey::from_components(parts.iter().map(String::as_str)).expect("valid"))
}

pub(crate) fn prefix() -> impl Strategy<Value = KeyPrefix> {
    let below = (key(), 1..4_usize);
    let cut = below.prop_map(|(key, depth)| KeyPrefix::parse(key.portion(depth)).expect("a cut key is a prefix"));
    prop_oneof![1 => Just(KeyPrefix::all()), 9 => cut]
}

fn nodes(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<MapNode>> {
    let id = prop_oneof![0..16_u32, any::<u32>()];
    let node = ("[a-z]{1,12}(:[0-9]{1,4})?", prop_oneof![3 => 1..10_u32, 1 => any::<u32>()]);
    btree_map(id, node, count).prop_map(|nodes| {
        let node = |(id, (host, weight))| MapNode { id, origin: format!("https://{host}"), weight };
        let mut nodes: Vec<_> = nodes.into_iter().map(node).collect();
        nodes[0].weight = nodes[0].weight.max(1);
        nodes
    })
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let portion = (0..=6_u8, 0..=10_u8).prop_map(|(depth, spread)| Portion { depth, spread });
    btree_map(prefix(), portion, 0..20).prop_map(|rules| {
        let mut rules: Vec<_> = rules.into_iter().map(|(prefix, portion)| Rule { prefix, portion }).collect();
        rules.sort();
        rules
    })
}

pub(crate) fn layout() -> impl Strategy<Value = StorageLayout> {
    (1..=300_u16, 0..=4_u8, any::<u16>()).prop_map(|(shards, depth, fan)| StorageLayout {
        shards,
        depth,
        fan: fan % shards + 1,
    })
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (any::<u32>(), 0..=MAX_VERSION).prop_map(|(incarnation, number)| Epoch { incarnation, number })
}

/// A valid map. `count` bounds the number of nodes.
pub(crate) fn map_of(count: std::ops::Range<usize>) -> impl Strategy<Value = PartitionMap> {
    let fixed = (any::<u64>(), prop_oneof![1..64_u32, Just(16_384), Just(1 << 20)], layout());
    let picks = (btree_map(any::<u32>(), any::<usize>(), 0..20), btree_set(key(), 0..6), vec(any::<usize>(), 1..4));
    (fixed, epoch(), nodes(count), rules(), picks).prop_map(
        |((seed, partitions, storage), epoch, nodes, rules, (exceptions, hot, replicas))| {
            let mut map = PartitionMap::new(seed, partitions, storage, nodes);
            let id = |pick: usize| map.nodes[pick % map.nodes.len()].id;
            let exceptions: BTreeMap<_, _> = exceptions.into_iter().map(|(p, n)| (p % partitions, id(n))).collect();
            let replicas: BTreeSet<_> = replicas.into_iter().map(id).collect();
            let replicas: Vec<_> = replicas.into_iter().collect();
            map.hot = hot.into_iter().map(|key| HotKey { key, nodes: replicas.clone() }).collect();
            map.epoch = epoch;
            map.rules = rules;
            map.exceptions = exceptions;
            map.validate().expect("a generated map is valid");
            map
        },
    )
}

pub(crate) fn map() -> impl Strategy<Value = PartitionMap> {
    map_of(1..12)
}

/// Two maps of one namespace: what is fixed at creation is the same.
pub(crate) fn two_maps() -> impl Strategy<Value = (PartitionMap, PartitionMap)> {
    (map(), map(), any::<bool>()).prop_map(|(old, other, related)| {
        let mut new = if related { old.clone() } else { other.clone() };
        (new.seeds, new.partitions, new.storage) = (old.seeds, old.partitions, old.storage);
        new.exceptions = other.exceptions.into_keys().map(|p| (p % old.partitions, new.nodes[0].id)).collect();
        new.rules.truncate(3);
        new.rules.extend(other.rules.into_iter().take(3));
        new.rules.sort();
        new.rules.dedup_by(|a, b| a.prefix == b.prefix);
        new.epoch = other.epoch;
        new.validate().expect("a generated map is valid");
        (old, new)
    })
}

fn version() -> impl Strategy<Value = u64> {
    prop_oneof![0..1_000_u64, 0..=MAX_VERSION]
}

fn point() -> impl Strategy<Value = ReadPoint> {
    (any::<u16>(), version(), any::<u32>()).prop_map(|(shard, position, age_ms)| ReadPoint { shard, position, age_ms })
}

fn cursors() -> impl Strategy<Value = Vec<Cursor>> {
    vec((any::<u16>(), version()).prop_map(|(shard, position)| Cursor { shard, position }), 0..8)
}

pub(crate) fn keymap() -> impl Strategy<Value = Keymap> {
    let meta = proptest::sample::select(&["1", "{}", "[true,null]", r#"{"a":{"b":"c"}}"#][..]);
    let meta = option::of(meta.prop_map(|text| Meta(text.into())));
    let fields = (".{1,20}", option::of(version()), option::of(".{0,8}"), vec(".{0,8}", 0..4), meta);
    let fields = fields.prop_map(|(locator, size, etag, tags, meta)| KeymapFields { locator, size, etag, tags, meta });
    (key(), version(), fields).prop_map(|(key, version, fields)| Keymap { key, version, fields })
}

fn feed_id() -> impl Strategy<Value = FeedId> {
    (any::<u32>(), version()).prop_map(|(node, number)| FeedId { node, number })
}

fn clock() -> impl Strategy<Value = ClockReading> {
    (version(), version()).prop_map(|(id, ms)| ClockReading { id, ms })
}

fn change() -> impl Strategy<Value = Change> {
    let change = (any::<u16>(), version(), key(), any::<bool>());
    change.prop_map(|(shard, version, key, deleted)| Change { shard, version, key, deleted })
}

pub(crate) fn feed_frame() -> impl Strategy<Value = FeedFrame> {
    let hello = (feed_id(), version(), any::<(u32, u32)>(), any::<bool>());
    let hello = hello.prop_map(|(feed, clock, (heartbeat_ms, incarnation), relayed)| Hello {
        feed,
        clock,
        heartbeat_ms,
        incarnation,
        relayed,
    });
    let step = (any::<u16>(), version(), version());
    let step = step.prop_map(|(shard, a, b)| FeedStep { shard, from: a.min(b), to: a.max(b) });
    let late = (any::<u16>(), any::<u32>()).prop_map(|(shard, age_ms)| LateShard { shard, age_ms });
    let lists = (vec(step, 0..6), vec(late, 0..3), vec(change(), 0..6));
    (option::of(hello), any::<u32>(), version(), any::<u32>(), lists).prop_map(
        |(hello, number, clock_ms, age_ms, (steps, late, changes))| FeedFrame {
            hello,
            number,
            clock_ms,
            age_ms,
            steps,
            late,
            changes,
        },
    )
}

pub(crate) fn list_page() -> impl Strategy<Value = ListPage> {
    let items = vec((keymap(), point()), 0..6);
    (epoch(), option::of(clock()), items, option::of(".{0,12}")).prop_map(|(epoch, clock, items, next)| ListPage {
        epoch,
        clock,
        items,
        next,
    })
}

pub(crate) fn request() -> impl Strategy<Value = BatchRequest> {
    let class = prop_oneof![Just(Class::Demand), Just(Class::Prefetch)];
    let item = (key(), option::of(version()), class);
    let item = item.prop_map(|(key, if_version, class)| BatchItem { key, if_version, class });
    let consistency = prop_oneof![Just(Consistency::Strong), Just(Consistency::Bounded), Just(Consistency::Any)];
    let map = option::of((epoch(), any::<u64>()).prop_map(|(epoch, hash)| MapKnowledge { epoch, hash }));
    let head = (consistency, any::<u32>(), map, option::of(".{0,12}"), option::of(feed_id()), any::<bool>());
    (vec(item, 0..12), head, cursors(), cursors()).prop_map(|(items, head, floors, cursors)| {
        let (consistency, max_staleness_ms, map, stream, feed, forwarded) = head;
        BatchRequest {
            items,
            consistency,
            max_staleness_ms,
            map,
            floors,
            cursors,
            stream,
            feed,
            forwarded,
            ..BatchRequest::default()
        }
    })
}

/// With what only the binary form carries.
pub(crate) fn binary_request() -> impl Strategy<Value = BatchRequest> {
    let asked = vec(0..=Rider::REACH as u8, 0..100);
    let rider = option::of((option::of(any::<u8>()), asked).prop_map(|(after, asked)| Rider { after, asked }));
    let model = option::of((any::<u32>(), version()).prop_map(|(bytes, known)| ModelWish { bytes, known }));
    (request(), rider, model).prop_map(|(request, rider, model)| BatchRequest { rider, model, ..request })
}

/// `with_map`: whether a map may ride along, which only the binary form carries.
pub(crate) fn response(with_map: bool) -> impl Strategy<Value = BatchResponse> {
    let outcome = prop_oneof![
        keymap().prop_map(|keymap| Outcome::Found { keymap }),
        version().prop_map(|version| Outcome::Unchanged { version }),
        Just(Outcome::Missing),
        (proptest::sample::select(ErrorCode::ALL), ".{0,12}")
            .prop_map(|(code, detail)| Outcome::Error { code, detail }),
    ];
    let result = (outcome, point(), any::<u32>()).prop_map(|(outcome, at, node)| ItemResult { outcome, at, node });
    let bytes = vec(any::<u8>(), 0..20);
    let update = prop_oneof![bytes.clone().prop_map(MapUpdate::Full), bytes.prop_map(MapUpdate::Delta)];
    let lists = (vec(result, 0..8), vec(point(), 0..8), vec(change(), 0..8), vec(any::<u16>(), 0..4));
    let head = (epoch(), option::of(clock()));
    (head, lists, option::of(update)).prop_map(move |((epoch, clock), (results, positions, changes, resets), map)| {
        BatchResponse { epoch, clock, results, positions, changes, resets, map: map.filter(|_| with_map) }
    })
}
