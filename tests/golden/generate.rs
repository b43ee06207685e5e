//! Writes the golden files from the core as it is. The published XXH3 values are
//! not computed but stated: they come from the sanity check of the reference implementation.

use std::collections::BTreeMap;
use std::sync::Arc;

use foremap::key::{CompositeKey, KeyPrefix, MAX_KEY_BYTES};
use foremap::model::{Path, PathStep, Summary};
use foremap::partition::{
    Epoch, HotKey, MapDelta, MapNode, PartitionMap, Placement, Portion, Rule, StorageLayout, xxh3,
};
use foremap::protocol::{
    BatchItem, BatchRequest, BatchResponse, Change, Class, ClockReading, Consistency, Cursor, ErrorCode, FeedFrame,
    FeedId, FeedStep, Hello, ItemResult, KeyRule, Keymap, KeymapFields, LIMITS, LateShard, ListPage, MAX_VERSION,
    MapKnowledge, MapUpdate, Meta, ModelSnapshot, ModelWish, Outcome, PlaceClass, Problem, QuantizedShare, ReadPoint,
    Rider, Route, Successors, TemplateContext, TemplateRule, model_delta,
};
use serde_json::{Value, json};

use super::check::{SALTS, hex, snapshot_json, summary_json};

pub(crate) fn all() -> Vec<(&'static str, String)> {
    let files = [
        ("keys.json", keys()),
        ("xxh3.json", hashes()),
        ("maps.json", maps()),
        ("placement.json", placement()),
        ("batches.json", batches()),
        ("feeds.json", feeds()),
        ("models.json", models()),
        ("protocol.json", protocol()),
    ];
    files.map(|(name, value)| (name, pretty(&value))).into()
}

/// One case a line: readable, and a change shows as the lines it touches.
fn pretty(file: &Value) -> String {
    let Value::Object(lists) = file else { unreachable!("a golden file is an object") };
    let lists = lists.iter().map(|(name, cases)| {
        let cases = cases.as_array().into_iter().flatten().map(|case| format!("    {case}"));
        format!("  {}: [\n{}\n  ]", Value::from(name.as_str()), cases.collect::<Vec<_>>().join(",\n"))
    });
    format!("{{\n{}\n}}\n", lists.collect::<Vec<_>>().join(",\n"))
}

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("a valid key")
}

fn outcome<T: ToString>(field: &str, given: Value, outcome: Result<T, foremap::key::KeyError>) -> Value {
    match outcome {
        Ok(canonical) => json!({ field: given, "canonical": canonical.to_string() }),
        Err(error) => json!({ field: given, "error": format!("{error:?}") }),
    }
}

fn keys() -> Value {
    let longest = "k".repeat(MAX_KEY_BYTES);
    let mut texts: Vec<String> = [
        "a",
        "a/b/c",
        "user/1",
        "user/10",
        "bucket/a%2fb/%41",
        "100%25",
        "a%252Fb",
        "a b+c?d#e&f=g",
        "~!@$^*()_-[]{}|",
        "a%00b",
        "a\u{1}b\u{1f}/\u{7f}",
        "tab\tnewline\n",
        "%7f%1F%0a",
        "%20/ ",
        "caf\u{e9}",
        "cafe\u{301}",
        "caf%C3%A9",
        "\u{65e5}\u{672c}/\u{1f600}",
        "%F0%9F%98%80",
        "\u{85}/\u{200b}",
        "...",
        ".a/a./..a",
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        ".",
        "..",
        "a/./b",
        "a/..",
        "%2E",
        "%2e%2E",
        ".%2e/a",
        "%",
        "a%",
        "a%4",
        "%4g",
        "%%41",
        "%+1",
        "% 1",
        "%FF",
        "%C0%AF",
        "%ED%A0%80",
        "%C3/%A9",
        "%C3",
        "a/%FF/",
        "%zz//",
    ]
    .map(String::from)
    .to_vec();
    texts.extend([["c"; 16].join("/"), ["c"; 17].join("/"), longest.clone(), format!("{longest}k")]);
    texts.extend(["%6B".repeat(MAX_KEY_BYTES), "\n".repeat(341), "\n".repeat(342), "\u{e9}".repeat(512)]);
    texts.extend(["\u{e9}".repeat(513), format!("{longest}/"), format!("{}/b", &longest[..1_022])]);
    let raws: [&[&str]; 12] = [
        &["a"],
        &["user", "1"],
        &["a/b", "c"],
        &["100%", "%41"],
        &["a\u{0}"],
        &["\u{e9}", "\u{1f600}"],
        &[".", "a"],
        &["a", ".."],
        &["a", "", "b"],
        &["..."],
        &["%2E"],
        &["c"; 17],
    ];
    let prefixes = ["", "a", "a/", "user/%31/", "a%2fb", "/", "//", "a//", "/a", "a/..", "%", "%FF"];
    let covers = [
        ("user/1", "user/1"),
        ("user/1", "user/1/avatar"),
        ("user/1/", "user/1/a/b"),
        ("user/1", "user/10"),
        ("user/1", "user"),
        ("user/1", "user/1%2Fa"),
        ("", "a"),
        ("a%2Fb", "a%2fb/c"),
        ("a", "a!"),
        ("a/b/c", "a/b"),
    ];
    let covers = covers.map(|(prefix, text)| {
        let covered = KeyPrefix::parse(prefix).expect("a valid prefix").covers(&key(text));
        json!({"prefix": prefix, "key": text, "covers": covered})
    });
    json!({
        "texts": texts.iter().map(|t| outcome("text", json!(t), CompositeKey::parse(t))).collect::<Vec<_>>(),
        "components": raws.map(|raw| outcome("raw", json!(raw), CompositeKey::from_components(raw.iter().copied()))),
        "prefixes": prefixes.map(|text| outcome("text", json!(text), KeyPrefix::parse(text))),
        "covers": covers,
        // Byte order: neither that of UTF-16 code units, nor that of components.
        "ascending": ["%00", "A", "a", "a!", "a%2Fb", "a/b", "a0", "b", "\u{e9}", "\u{ff5e}", "\u{10000}"],
    })
}

fn hashes() -> Value {
    const SEED: u64 = 0x9e37_79b1_85eb_ca8d;
    let published: [(usize, u64, u64); 20] = [
        (0, 0, 0x2d06_8005_38d3_94c2),
        (0, SEED, 0xa8a6_b918_b2f0_364a),
        (1, 0, 0xc44b_dff4_074e_ecdb),
        (1, SEED, 0x032b_e332_dd76_6ef8),
        (6, 0, 0x27b5_6a84_cd2d_7325),
        (6, SEED, 0x8458_9c11_6ab5_9ab9),
        (12, 0, 0xa713_daf0_dfbb_77e7),
        (12, SEED, 0xe730_3e1b_2336_de0e),
        (24, 0, 0xa3fe_70bf_9d35_10eb),
        (24, SEED, 0x850e_80fc_35bd_d690),
        (48, 0, 0x397d_a259_ecba_1f11),
        (48, SEED, 0xadc2_cbaa_44ac_c616),
        (80, 0, 0xbcde_fbbb_2c47_c90a),
        (80, SEED, 0xc6dd_0cb6_9953_2e73),
        (195, 0, 0xcd94_217e_e362_ec3a),
        (195, SEED, 0xba68_003d_370c_b3d9),
        (403, 0, 0xcdeb_804d_65c6_dea4),
        (403, SEED, 0x6259_f6ec_fd64_43fd),
        (512, 0, 0x617e_4959_9013_cb6b),
        (512, SEED, 0x3ce4_57de_14c2_7708),
    ];
    let texts = ["", "a/", "user/1/", "\u{e9}/\u{1f600}/", &"long/".repeat(60)].map(|text| {
        [0, 1, u64::MAX].map(|seed| {
            let hash = format!("{:016x}", xxh3(seed, text.as_bytes()));
            json!({"text": text, "seed": format!("{seed:016x}"), "hash": hash})
        })
    });
    json!({
        "published": published.map(|(length, seed, hash)| {
            json!({"length": length, "seed": format!("{seed:016x}"), "hash": format!("{hash:016x}")})
        }),
        "texts": texts.concat(),
    })
}

fn node(id: u32, weight: u32) -> MapNode {
    MapNode { id, origin: format!("https://gw-{id}.example:8443"), weight }
}

fn rule(prefix: &str, depth: u8, spread: u8) -> Rule {
    Rule { prefix: KeyPrefix::parse(prefix).expect("a valid prefix"), portion: Portion { depth, spread } }
}

fn named_maps() -> Vec<(&'static str, PartitionMap)> {
    let small = StorageLayout { shards: 7, depth: 2, fan: 3 };
    let single = PartitionMap::new(0, 1, small, vec![MapNode { id: 0, origin: "http://[::1]:7000".into(), weight: 1 }]);
    let plain = PartitionMap::new(1, 16_384, StorageLayout::default(), (1..=3).map(|id| node(id, 1)).collect());
    let weights = [(2, 1), (3, 0), (5, 3), (400, 10), (u32::MAX, 100)].map(|(id, weight)| node(id, weight));
    let mut ruled = PartitionMap::new(0x0123_4567_89ab_cdef, 16_384, StorageLayout::default(), weights.to_vec());
    ruled.rules = [
        ("", 2, 1),
        ("bucket", 1, 4),
        ("bucket/hot", 2, 10),
        ("caf\u{e9}", 1, 0),
        ("caf\u{ea}", 3, 2),
        ("sensor", 0, 3),
        ("tenant/1", 3, 0),
        ("tenant/1/deep/er", 16, 0),
        ("tenant/10", 2, 5),
    ]
    .map(|(prefix, depth, spread)| rule(prefix, depth, spread))
    .to_vec();
    ruled.exceptions = [(0, 5), (1, 2), (777, 400), (16_383, 3)].into();
    ruled.hot = vec![
        HotKey { key: key("bucket/hot/front page"), nodes: vec![400, 5] },
        HotKey { key: key("tenant/1/a%2Fb"), nodes: vec![2] },
    ];
    let mut shifted = ruled.clone();
    shifted.epoch = Epoch { incarnation: 2, number: MAX_VERSION };
    shifted.nodes.retain(|node| node.id != 400);
    shifted.nodes[0].weight = 7;
    shifted.rules.retain(|rule| rule.prefix.as_str() != "sensor");
    shifted.rules[1].portion.spread = 5;
    shifted.exceptions = [(1, 3), (2_000, 5)].into();
    shifted.hot = vec![HotKey { key: key("tenant/1/a%2Fb"), nodes: vec![5, 2] }];
    let many = PartitionMap::new(99, 1_000, StorageLayout::default(), (0..100).map(|id| node(id, id % 4)).collect());
    vec![("single", single), ("plain", plain), ("ruled", ruled), ("shifted", shifted), ("many", many)]
}

fn maps() -> Value {
    let maps = named_maps();
    let find = |name: &str| &maps.iter().find(|(known, _)| *known == name).expect("a known map").1;
    let deltas = [("ruled", "shifted"), ("shifted", "ruled"), ("plain", "plain")].map(|(from, to)| {
        let delta = MapDelta::between(find(from), find(to)).expect("maps of one namespace");
        json!({"from": from, "to": to, "binary": hex(&delta.encode())})
    });
    let plain = find("plain").encode();
    let mut unordered = find("plain").clone();
    unordered.nodes.swap(0, 1);
    let refused = [
        ("cut", plain[..plain.len() - 1].to_vec()),
        ("extended", [&plain[..], &[0]].concat()),
        ("another magic number", [b"FMAQ", &plain[4..]].concat()),
        ("a later version", [b"FMAP\x02", &plain[5..]].concat()),
        ("another hash function", [&plain[..7], &[9], &plain[8..]].concat()),
        ("nodes out of order", unordered.encode()),
    ];
    let refused = refused.map(|(why, bytes)| {
        let error = PartitionMap::decode(&bytes).expect_err(why).to_string();
        json!({"why": why, "binary": hex(&bytes), "error": error})
    });
    let maps = maps.iter().map(|(name, map)| {
        json!({"name": name, "map": map, "binary": hex(&map.encode()), "hash": format!("{:016x}", map.hash())})
    });
    json!({"maps": maps.collect::<Vec<_>>(), "deltas": deltas, "refused": refused})
}

fn placement() -> Value {
    let mut texts: Vec<String> = [
        "a",
        "a/b",
        "a/b/c",
        "bucket",
        "bucket/1",
        "bucket/2/x",
        "bucket/hot",
        "bucket/hot/front page",
        "caf\u{e9}/1",
        "cafe\u{301}/1",
        "caf\u{ea}/1/2/3",
        "sensor",
        "sensor/2026-11-22T10",
        "tenant/1",
        "tenant/1/a%2Fb",
        "tenant/1/a/b",
        "tenant/1/deep/er/and/deeper",
        "tenant/10/x",
        "tenant/100/x",
        "\u{65e5}\u{672c}/\u{1f600}",
        "c/c/c/c/c/c/c/c/c/c/c/c/c/c/c/c",
    ]
    .map(String::from)
    .to_vec();
    texts.extend((0..24).map(|n| format!("bucket/hot/{n}")));
    texts.extend((0..24).map(|n| format!("sensor/2026-11-22T{n:02}/{n}")));
    texts.push("k".repeat(MAX_KEY_BYTES));
    let groups = named_maps().into_iter().map(|(name, map)| {
        let placement = Placement::new(Arc::new(map));
        let owners: Vec<_> = (0..placement.map().partitions.min(128)).map(|p| placement.owner(p)).collect();
        let keys = texts.iter().map(|text| {
            let (key, storage) = (key(text), placement.map().storage);
            let place = placement.locate(&key);
            json!({
                "key": text, "partition": place.partition, "node": place.node, "depth": place.portion.depth,
                "spread": place.portion.spread, "spread_index": place.spread_index, "storage_shard": storage.shard(&key),
                "servers": SALTS.map(|salt| placement.server(&key, salt)),
            })
        });
        json!({"map": name, "keys": keys.collect::<Vec<_>>(), "owners": owners})
    });
    json!({"maps": groups.collect::<Vec<_>>()})
}

fn keymap(text: &str, meta: Option<&str>) -> Keymap {
    let fields = KeymapFields {
        locator: format!("s3://bucket/{text}"),
        size: meta.map(|_| 1_048_576),
        etag: meta.map(|_| "\"5d41402a\"".into()),
        tags: if meta.is_some() { vec!["red".into(), "\u{e9}t\u{e9}".into()] } else { Vec::new() },
        meta: meta.map(|meta| Meta(meta.into())),
    };
    Keymap { key: key(text), version: 1_790_000_000_000_001, fields }
}

fn full_request() -> BatchRequest {
    let item = |text, if_version, class| BatchItem { key: key(text), if_version, class };
    let epoch = Epoch { incarnation: 1, number: 300 };
    BatchRequest {
        items: vec![item("user/1/a%2Fb", Some(MAX_VERSION), Class::Demand), item("user/2", None, Class::Prefetch)],
        consistency: Consistency::Strong,
        max_staleness_ms: 500,
        map: Some(MapKnowledge { epoch, hash: 0xfedc_ba98_7654_3210 }),
        floors: vec![Cursor { shard: 0, position: 7 }, Cursor { shard: 255, position: MAX_VERSION }],
        cursors: vec![Cursor { shard: 3, position: 0 }],
        stream: Some("stream-1".into()),
        feed: Some(FeedId { node: 3, number: MAX_VERSION }),
        forwarded: true,
        rider: Some(Rider { after: Some(200), asked: vec![1, 0, 127] }),
        model: Some(ModelWish { bytes: 65_536, known: MAX_VERSION }),
    }
}

fn full_response() -> BatchResponse {
    let at = ReadPoint { shard: 17, position: 1_790_000_000_000_002, age_ms: 130 };
    let outcomes = [
        Outcome::Found { keymap: keymap("user/1", None) },
        Outcome::Unchanged { version: 12 },
        Outcome::Missing,
        Outcome::Error { code: ErrorCode::Unavailable, detail: "store does not answer".into() },
    ];
    BatchResponse {
        epoch: Epoch { incarnation: 1, number: 301 },
        clock: Some(ClockReading { id: 77, ms: 86_400_000 }),
        results: outcomes.map(|outcome| ItemResult { outcome, at, node: 3 }).into(),
        positions: vec![at, ReadPoint { shard: 18, position: 0, age_ms: 0 }],
        changes: vec![Change { shard: 17, version: 9, key: key("user/9"), deleted: true }],
        resets: vec![4, 5],
        map: None,
    }
}

/// A feed of three frames: the beginning, news of two shards, and a heartbeat of a gateway that lags in one.
fn feed_frames() -> [(&'static str, FeedFrame); 4] {
    let hello = Hello {
        feed: FeedId { node: 3, number: 9 },
        clock: 77,
        heartbeat_ms: 3_333,
        incarnation: 1_790_000_000,
        relayed: false,
    };
    let (from, to) = (1_790_000_000_000_000, 1_790_000_000_000_009);
    let steps = vec![FeedStep { shard: 17, from, to }, FeedStep { shard: 255, from: 4, to: 4 }];
    let changes = vec![
        Change { shard: 17, version: from + 1, key: key("user/9"), deleted: false },
        Change { shard: 17, version: to, key: key("user/9"), deleted: true },
    ];
    [
        ("first frame", FeedFrame { hello: Some(hello), clock_ms: 500, age_ms: 3, ..FeedFrame::default() }),
        ("first frame, passed on", {
            let hello = Some(Hello { relayed: true, ..hello });
            FeedFrame { hello, clock_ms: 501, age_ms: u32::MAX, steps: steps.clone(), ..FeedFrame::default() }
        }),
        ("frame with news", FeedFrame { number: 1, clock_ms: 600, age_ms: 4, steps, changes, ..FeedFrame::default() }),
        ("heartbeat", {
            let late = vec![LateShard { shard: 8, age_ms: 5_000 }];
            FeedFrame { number: 2, clock_ms: 3_833, age_ms: 2, late, ..FeedFrame::default() }
        }),
    ]
}

/// In words, as the binary form is the only one.
fn frame_json(frame: &FeedFrame) -> Value {
    let hello = frame.hello.map(|hello| {
        json!({
            "feed": hello.feed,
            "clock": hello.clock,
            "heartbeat_ms": hello.heartbeat_ms,
            "incarnation": hello.incarnation,
            "relayed": hello.relayed,
        })
    });
    json!({
        "hello": hello, "number": frame.number, "clock_ms": frame.clock_ms, "age_ms": frame.age_ms, "changes": frame.changes,
        "steps": frame.steps.iter().map(|s| json!([s.shard, s.from, s.to])).collect::<Vec<_>>(),
        "late": frame.late.iter().map(|l| json!([l.shard, l.age_ms])).collect::<Vec<_>>(),
    })
}

fn list_page() -> ListPage {
    let at = ReadPoint { shard: 17, position: 1_790_000_000_000_002, age_ms: 3 };
    ListPage {
        epoch: Epoch { incarnation: 1, number: 301 },
        clock: Some(ClockReading { id: 77, ms: 86_400_000 }),
        items: vec![(keymap("user/1", None), at), (keymap("user/2", Some("null")), at)],
        next: Some("dXNlci8y".into()),
    }
}

fn feeds() -> Value {
    let frames = feed_frames()
        .map(|(name, frame)| json!({"name": name, "binary": hex(&frame.encode()), "frame": frame_json(&frame)}));
    let page = list_page();
    let items = page.items.iter().map(|(keymap, at)| json!({"keymap": keymap, "at": at}));
    let items: Vec<Value> = items.collect();
    let page = json!({
        "name": "a page", "binary": hex(&page.encode()), "epoch": page.epoch, "clock": page.clock,
        "items": items, "next": page.next,
    });
    json!({
        "preamble": [{"binary": hex(&FeedFrame::PREAMBLE)}],
        "frames": frames,
        "pages": [page],
    })
}

fn batches() -> Value {
    let item = |text, class| BatchItem { key: key(text), if_version: None, class };
    let telling = BatchRequest {
        items: vec![item("news/1", Class::Demand), item("news/2", Class::Prefetch)],
        rider: Some(Rider { after: Some(200), asked: vec![1, 3] }),
        ..BatchRequest::default()
    };
    let requests = [
        ("request that tells", telling),
        ("default request", BatchRequest::default()),
        ("full request", full_request()),
    ];
    let with_map = |map| BatchResponse { map: Some(map), ..BatchResponse::default() };
    let responses = [
        ("default response", BatchResponse::default()),
        ("full response", full_response()),
        ("response with a map", with_map(MapUpdate::Full(vec![1, 2, 3]))),
        ("response with a delta", with_map(MapUpdate::Delta(vec![4, 5]))),
    ];
    let keymaps = [
        ("plain keymap", keymap("a/b/c", None)),
        ("full keymap", keymap("\u{e9}/%2F", Some(r#"{"n":1,"list":[true,null,"x"]}"#))),
    ];
    let valid = |kind: &str, name: &str, bytes: Vec<u8>, json: Value| json!({"kind": kind, "name": name, "binary": hex(&bytes), "json": json});
    let mut cases = Vec::new();
    cases.extend(requests.iter().map(|(name, r)| valid("request", name, r.encode(), json!(r))));
    cases.extend(responses.iter().map(|(name, r)| valid("response", name, r.encode(), json!(r))));
    cases.extend(keymaps.iter().map(|(name, k)| valid("keymap", name, k.encode(), json!(k))));

    let request = full_request().encode();
    let many = BatchRequest { items: vec![full_request().items[1].clone(); 257], ..BatchRequest::default() };
    let refused = [
        ("empty", vec![]),
        ("cut", request[..request.len() - 1].to_vec()),
        ("extended", [&request[..], &[0]].concat()),
        ("a later version", [b"FMBQ\x03", &request[5..]].concat()),
        ("an answer", full_response().encode()),
        ("unknown consistency", [&request[..5], &[3], &request[6..]].concat()),
        ("too many keys", many.encode()),
    ];
    let refused = refused.map(|(why, bytes)| {
        let error = BatchRequest::decode(&bytes).expect_err(why).to_string();
        json!({"kind": "request", "why": why, "binary": hex(&bytes), "error": error})
    });
    json!({"valid": cases, "refused": refused})
}

fn summaries() -> [(&'static str, Summary); 3] {
    let steps = |steps: &[(u32, bool)]| steps.iter().map(|&(key, repeated)| PathStep { key, repeated }).collect();
    let first = Summary {
        instance: 0x0123_4567_89ab_cdef,
        epoch: 1,
        keys: ["user/1", "user/1/profile", "user/2"].map(key).to_vec(),
        paths: vec![Path { told: 0, steps: steps(&[(0, false), (1, false), (0, true), (2, false)]) }],
    };
    let second = Summary {
        epoch: 2,
        keys: ["user/1", "user/2", "%C3%A9", "%C3%A8"].map(key).to_vec(),
        paths: vec![
            Path { told: 2, steps: steps(&[(0, true), (1, false), (2, false)]) },
            Path { told: 0, steps: steps(&[(3, false)]) },
        ],
        ..first.clone()
    };
    [("the first of an instance", first), ("the next, in two streams", second), ("of nothing", Summary::default())]
}

fn snapshots() -> [(&'static str, ModelSnapshot); 2] {
    let then = |visits, next: &[(u32, f32)]| Successors {
        visits,
        next: next.iter().map(|&(next, share)| (next, QuantizedShare::of(share))).collect(),
    };
    let rule = |before, last, then| KeyRule { before, last, then };
    let template_rule = |context, shape, then| TemplateRule { context, shape, then };
    let full = ModelSnapshot {
        made: 1_790_000_000_000,
        name_bytes: 2,
        keys: ["user/1", "user/1/profile", "user/2"].map(str::to_owned).to_vec(),
        popularity: vec![3, 2, 0],
        rules: vec![
            rule(None, 0, then(3, &[(1, 0.5), (2, 0.25)])),
            rule(None, 1, then(2, &[(0, 0.75)])),
            rule(Some(0), 1, then(1, &[(2, 1.0)])),
        ],
        // The same component; the same and the next number.
        templates: vec![vec![1, 0], vec![1, 0, 2, 1, 0, 0, 0]],
        template_rules: vec![
            template_rule(TemplateContext::Shape, 0x1111_2222_3333_4444, then(4, &[(1, 0.5)])),
            template_rule(TemplateContext::Step(1), 0x1111_2222_3333_4444, then(4, &[(1, 0.9), (0, 0.06)])),
            template_rule(TemplateContext::Far, 0x5555_6666_7777_8888, then(0, &[(0, 0.1)])),
        ],
        places: vec![
            PlaceClass { place: 0x0a0b_0c0d_0e0f_1010, is_kind: true },
            PlaceClass { place: 0x1a0b_0c0d_0e0f_1010, is_kind: false },
        ],
        threshold: 77,
        calibration: vec![1, 0, 0],
    };
    [("full", full), ("empty", ModelSnapshot { name_bytes: 1, ..ModelSnapshot::default() })]
}

/// From the first model to one with another key in between, and to the empty one.
fn deltas() -> Vec<Value> {
    let [(_, full), (_, empty)] = snapshots();
    let mut newer = ModelSnapshot { made: full.made - 1, ..full.clone() };
    if let Some(last) = newer.keys.last_mut() {
        last.push('0');
    }
    let of = |older: &ModelSnapshot, newer: &ModelSnapshot| {
        let [older, newer] = [older, newer].map(ModelSnapshot::encode);
        json!({"older": hex(&older), "newer": hex(&newer), "binary": hex(&model_delta(&older, &newer))})
    };
    vec![of(&full, &newer), of(&full, &full), of(&full, &empty), of(&empty, &full)]
}

fn models() -> Value {
    let told =
        summaries().map(|(name, s)| json!({"name": name, "binary": hex(&s.encode()), "summary": summary_json(&s)}));
    let made =
        snapshots().map(|(name, s)| json!({"name": name, "binary": hex(&s.encode()), "snapshot": snapshot_json(&s)}));
    let (summary, snapshot) = (summaries()[0].1.encode(), snapshots()[0].1.encode());
    let wide =
        Summary { keys: (0..2_049).map(|n| key(&format!("{:k<1019}/{n:04}", ""))).collect(), ..Summary::default() };
    let refused = [
        ("summary", "cut", summary[..summary.len() - 1].to_vec()),
        ("summary", "extended", [&summary[..], &[0]].concat()),
        ("summary", "a later version", [b"FMSM\x02", &summary[5..]].concat()),
        ("summary", "a step without its key", [&summary[..summary.len() - 1], &[6]].concat()),
        ("summary", "more text than fits", wide.encode()),
        ("snapshot", "cut", snapshot[..snapshot.len() - 1].to_vec()),
        ("snapshot", "extended", [&snapshot[..], &[0]].concat()),
        ("snapshot", "a later version", [b"FMLM\x03", &snapshot[5..]].concat()),
    ];
    let refused = refused.map(|(kind, why, bytes)| {
        let error = match kind {
            "summary" => Summary::decode(&bytes).map(|_| ()),
            _ => ModelSnapshot::decode(&bytes).map(|_| ()),
        };
        let error = error.expect_err(why).to_string();
        json!({"kind": kind, "why": why, "binary": hex(&bytes), "error": error})
    });
    json!({"summaries": told, "snapshots": made, "deltas": deltas(), "refused": refused})
}

/// Statuses that somebody between client and gateway may answer with, and some that nobody should.
const STATUSES: [u16; 32] = [
    304, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 418, 422, 429, 431, 451, 499,
    500, 501, 502, 503, 504, 505, 520, 524, 599,
];

/// Tables that TypeScript has as well, where a test holds its own against these.
fn protocol() -> Value {
    let codes = ErrorCode::ALL.iter().enumerate().map(|(number, code)| {
        json!({"number": number, "code": code, "status": code.status(), "retryable": code.retryable()})
    });
    let titles = ErrorCode::ALL.iter().map(|&code| Problem::new(code, "")).filter(|problem| problem.status != 0);
    let titles: BTreeMap<u16, String> = titles.map(|problem| (problem.status, problem.title)).collect();
    let titles = titles.iter().map(|(status, title)| json!({"status": status, "title": title}));
    let statuses = STATUSES.iter().map(|&status| json!({"status": status, "code": ErrorCode::of_status(status)}));
    let limits = LIMITS.iter().map(|(name, limit)| json!({"name": name, "limit": limit}));
    let routes =
        Route::ALL.iter().map(|Route { path, method, query }| json!({"path": path, "method": method, "query": query}));
    json!({
        "codes": codes.collect::<Vec<_>>(),
        "titles": titles.collect::<Vec<_>>(),
        "without_a_body": statuses.collect::<Vec<_>>(),
        "limits": limits.collect::<Vec<_>>(),
        "routes": routes.collect::<Vec<_>>(),
    })
}
