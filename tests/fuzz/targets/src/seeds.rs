//! Inputs to start from: the golden vectors, and a few by hand where there are none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foremap::control::{Member, MemberState};
use foremap::load::{Count, LoadReport, PrefixLoad};
use foremap::model::{ClientId, Outbox, SharedModel, SharedModelConfig, Summary};
use foremap::partition::{HotKey, MapNode, PartitionMap, Portion, Rule, StorageLayout};
use foremap::protocol::{ErrorCode, Keymap, KeymapFields, MAX_VERSION, Meta, Problem};
use foremap_gateway::store::record::{encode_format, encode_version};
use foremap_gateway::store::{VersionRecord, WriteId};
use serde_json::Value;

/// Content of the files of each target, by target.
pub type Seeds = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// The folder `tests/fuzz`.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("..")).to_path_buf()
}

fn prefix(text: &str) -> foremap::key::KeyPrefix {
    foremap::key::KeyPrefix::parse(text).expect("valid")
}

fn key(text: &str) -> foremap::key::CompositeKey {
    foremap::key::CompositeKey::parse(text).expect("valid")
}

/// The map that deltas are applied to.
pub fn base_map() -> PartitionMap {
    let node = |id| MapNode { id, origin: format!("http://{}.example", if id == 1 { "a" } else { "b" }), weight: 1 };
    let mut map = PartitionMap::new(7, 64, StorageLayout { shards: 16, depth: 1, fan: 4 }, vec![node(1), node(2)]);
    let rule = |text, depth, spread| Rule { prefix: prefix(text), portion: Portion { depth, spread } };
    map.rules = vec![rule("", 2, 0), rule("bucket", 1, 5), rule("user", 2, 3)];
    map.exceptions = [(3, 2), (9, 1)].into();
    map.hot = vec![HotKey { key: key("bucket/hot/front page"), nodes: vec![2, 1] }];
    map
}

/// An epoch after it.
pub fn next_map() -> PartitionMap {
    let mut map = base_map();
    map.epoch.number += 1;
    map.nodes.push(MapNode { id: 5, origin: "http://c.example".into(), weight: 3 });
    map.rules.remove(1);
    map.exceptions = [(3, 5)].into();
    map.hot.clear();
    map
}

/// All seeds, from the golden vectors in `tests/golden`.
pub fn all() -> Seeds {
    let mut seeds = Seeds::new();
    let mut add = |target, bytes: Vec<u8>| seeds.entry(target).or_default().push(bytes);
    let batches = golden("batches.json");
    for case in cases(&batches, "valid").chain(cases(&batches, "refused")) {
        let (binary, json) = match text(case, "kind") {
            "request" => ("batch_request", "batch_request_json"),
            "response" => ("batch_response", "batch_response_json"),
            _ => ("keymap", "keymap_json"),
        };
        add(binary, unhex(text(case, "binary")));
        if let Some(value) = case.get("json") {
            add(json, value.to_string().into_bytes());
        }
    }
    let feeds = golden("feeds.json");
    let mut stream = unhex(text(&feeds["preamble"][0], "binary"));
    for (size, case) in [3, 200, 16, 1].into_iter().zip(cases(&feeds, "frames")) {
        stream.extend(unhex(text(case, "binary")));
        add("feed_reader", [&[size], stream.as_slice()].concat());
    }
    for case in cases(&feeds, "pages") {
        add("list_page", unhex(text(case, "binary")));
    }
    let maps = golden("maps.json");
    for case in cases(&maps, "maps") {
        add("partition_map", unhex(text(case, "binary")));
        add("partition_map_json", case["map"].to_string().into_bytes());
    }
    for case in cases(&maps, "refused") {
        add("partition_map", unhex(text(case, "binary")));
    }
    for case in cases(&maps, "deltas") {
        add("map_delta", unhex(text(case, "binary")));
    }
    let (base, next) = (base_map(), next_map());
    add("partition_map", base.encode());
    for delta in
        [foremap::partition::MapDelta::between(&base, &next), foremap::partition::MapDelta::between(&next, &base)]
    {
        add("map_delta", delta.expect("one namespace").encode());
    }
    let keys = golden("keys.json");
    for case in cases(&keys, "texts").filter(|case| text(case, "text").len() <= 64) {
        add("composite_key", text(case, "text").into());
    }
    for case in cases(&keys, "prefixes") {
        add("key_prefix", text(case, "text").into());
    }
    let models = golden("models.json");
    for case in cases(&models, "summaries") {
        add("summary", unhex(text(case, "binary")));
    }
    for case in cases(&models, "snapshots") {
        add("model_snapshot", unhex(text(case, "binary")));
    }
    for case in cases(&models, "deltas") {
        let [older, delta] = ["older", "binary"].map(|name| unhex(text(case, name)));
        if let Ok(length) = u8::try_from(older.len()) {
            add("model_delta", [&[length], &older[..], &delta].concat());
            add("model_delta", [&[length], &older[..], &delta[..delta.len() - 1]].concat());
        }
    }
    for case in cases(&models, "refused") {
        let target = if text(case, "kind") == "summary" { "summary" } else { "model_snapshot" };
        add(target, unhex(text(case, "binary")));
    }
    by_hand(&mut add);
    let told: Vec<Vec<u8>> = cases(&models, "summaries").map(|case| unhex(text(case, "binary"))).collect();
    shared(&told, &mut add);
    for report in load_reports() {
        add("load_report", report.encode());
    }
    add("load_report", b"FMLR\x02".to_vec());
    seeds
}

/// Adds what a gateway hands over of what it was told, and what the leader stores of that.
fn shared(told: &[Vec<u8>], add: &mut impl FnMut(&'static str, Vec<u8>)) {
    let mut outbox = Outbox::default();
    let mut model = SharedModel::new(SharedModelConfig::default());
    add("merged_counts", model.export(usize::MAX));
    for (client, summary) in (1..).map(ClientId).zip(told) {
        outbox.add(client, summary.as_slice().into());
        model.merge(3_600_000, client, &Summary::decode(summary).expect("valid"));
    }
    let (page, counts) = (outbox.page(7).encode(), model.export(usize::MAX));
    for (target, bytes) in [("handover", page), ("merged_counts", counts)] {
        add(target, bytes[..bytes.len() - 1].to_vec());
        add(target, bytes);
    }
}

/// The last two contradict themselves.
fn load_reports() -> [LoadReport; 5] {
    let count = |all, late| Count { all, late };
    let load = |text, cells| PrefixLoad { prefix: prefix(text), count: count(9, 3), keys: 4, cells };
    let full = LoadReport {
        node: 3,
        incarnation: 0xfeed,
        number: 7,
        round: 882_000_000,
        requests: count(1_000, 260),
        distinct: u32::MAX,
        partitions: vec![(2, count(400, 100)), (9, count(600, 160)), (u32::MAX, count(u32::MAX, u32::MAX))],
        prefixes: vec![load("a/b", vec![(0, count(4, 1)), (1_023, count(5, 2))]), load("a/c", vec![])],
        keys: vec![(key("a/b/c"), count(300, 80)), (key("a/b/d"), count(1, 0))],
        together: vec![(prefix("a/b"), prefix("a/c"), 12)],
    };
    let highest = LoadReport { number: MAX_VERSION, round: MAX_VERSION, ..full.clone() };
    let late = LoadReport { requests: count(1, 2), ..full.clone() };
    let twice = LoadReport { keys: vec![full.keys[0].clone(), full.keys[0].clone()], ..full.clone() };
    [LoadReport::default(), full, highest, late, twice]
}

fn by_hand(add: &mut impl FnMut(&'static str, Vec<u8>)) {
    let fields = KeymapFields {
        locator: "s3://bucket/1".into(),
        size: Some(5),
        etag: Some("e".into()),
        tags: vec!["a".into(), "b".into()],
        meta: Some(Meta(r#"{"a":[1,2.5,null,"x"]}"#.into())),
    };
    let keymap = Keymap { key: key("user/1"), version: 7, fields: fields.clone() };
    add("keymap_fields_json", serde_json::to_vec(&fields).expect("JSON"));
    for text in [r#"{"locator":"x"}"#, r#"{"locator":""}"#, r#"{"locator":"x","meta":0.1,"more":1}"#, "[]"] {
        add("keymap_fields_json", text.into());
    }
    for (keymap, created, id) in
        [(Some(keymap), true, Some("w-1")), (None, false, None), (None, true, Some("0123456789abcdef"))]
    {
        let record = VersionRecord { version: 7, keymap, created, id: id.and_then(WriteId::new) };
        add("version_record", encode_version(&record));
    }
    add("version_record", vec![7]);
    for layout in [StorageLayout::default(), StorageLayout { shards: 1, depth: 0, fan: 1 }] {
        add("format_record", encode_format(layout));
    }
    add("format_record", b"FMST\x02\x01\x01\x01".to_vec());
    for (state, weight) in [(MemberState::Serving, 1), (MemberState::Leaving, 0)] {
        let member = Member { id: 3, incarnation: 9, origin: "http://a:1".into(), weight, state, warm_for: 1 };
        add("member", member.encode());
    }
    add("member", b"FMMB\x01\x00".to_vec());
    let problem = Problem::new(ErrorCode::TooManyKeys, "the limit is 256 keys in one batch").with_limit(256);
    add("problem_json", serde_json::to_vec(&problem).expect("JSON"));
    for (target, text) in REFUSED {
        add(target, text.into());
    }
    add("problem_json", br#"{"code":"NO_SUCH_CODE"}"#.to_vec());
    for input in TOKENS {
        add("token", input.as_bytes().to_vec());
    }
    for (route, query) in QUERIES {
        add("query", [&[route][..], query.as_bytes()].concat());
    }
    for input in HTTP {
        add("http", input.as_bytes().to_vec());
    }
    for input in SCRIPTS {
        add("adapter", input.to_vec());
    }
}

const TOKENS: [&str; 5] = [
    "{\"typ\":\"JWT\",\"alg\":\"HS256\"}\n{\"exp\":99999999999,\"verbs\":[\"get\",\"list\"],\"prefixes\":[\"user\",\"a/b/\"]}",
    "{\"alg\":\"HS256\"}\n{\"exp\":18446744073709551615,\"verbs\":[\"admin\",\"fly\"],\"prefixes\":[\"\"]}",
    "{\"alg\":\"none\"}\n{\"exp\":99999999999,\"verbs\":[],\"prefixes\":[]}",
    "{\"alg\":\"HS256\"}\n{\"exp\":1,\"verbs\":[],\"prefixes\":[]}",
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",
];

/// Inputs that decoders must not take, where the golden vectors have no such case.
const REFUSED: [(&str, &str); 12] = [
    ("batch_request_json", r#"{"items":[{"key":"a//b"}]}"#),
    ("batch_request_json", r#"{"floors":[{"shard":0,"position":9007199254740992}]}"#),
    ("batch_response_json", r#"{"results":[{"outcome":"lost","at":{"shard":0,"position":0,"age_ms":0},"node":1}]}"#),
    ("batch_response_json", r#"{"resets":[65536]}"#),
    ("keymap_json", r#"{"key":"a","version":-1,"locator":"x"}"#),
    ("keymap_json", r#"{"key":"a","version":1,"locator":"x","meta":[1e-7,1E400]}"#),
    ("partition_map_json", r#"{"epoch":{"incarnation":1,"number":1},"nodes":[]}"#),
    ("batch_response", "FMBA\x01"),
    ("feed_reader", "\x05FMCF\x01\x06\x04\x00\x00\x00\x00\x00"),
    ("keymap", "FMKM\x01"),
    ("list_page", "FMLP\x01"),
    ("map_delta", "FMDL\x01"),
];

/// Routes by their number in `query`.
const QUERIES: [(u8, &str); 15] = [
    (0, "key=user/1&consistency=strong&max_staleness_ms=10"),
    (0, "key=user%2F1&version=1"),
    (1, "key=user/1"),
    (2, "prefix=user/&limit=2"),
    (2, "prefix=user&cursor=dXNlci8x&limit=1"),
    (2, ""),
    (2, "limit=0"),
    (134, "prefix=user&limit=2"),
    (3, ""),
    (129, "since=0000000000000000"),
    (4, "key=a/b%2Fc+d"),
    (5, "since=0:1,7:9007199254740991"),
    (5, "shards=0,%201,255&prefix=user"),
    (5, "since=1"),
    (5, "prefix=user/1"),
];

const HTTP: [&str; 16] = [
    "PUT /v1/keymap?key=user/1\ncontent-type: application/json\n\n{\"locator\":\"x\",\"meta\":{\"a\":0.1}}\n---\nGET /v1/keymap?key=user/1",
    "PUT /v1/keymap?key=user/2\ncontent-type: application/json\nif-none-match: *\nforemap-write-id: w-1\n\n{\"locator\":\"y\"}",
    "DELETE /v1/keymap?key=user/1\nif-match: \"7\"",
    "DELETE /v1/keymap?key=user/1&version=7",
    "POST /v1/batch\ncontent-type: application/json\n\n{\"items\":[{\"key\":\"user/1\"},{\"key\":\"a\",\"class\":\"prefetch\"}],\"cursors\":[{\"shard\":3,\"position\":0}]}",
    "!POST /v1/batch\nauthorization: Bearer {token}\ncontent-type: application/json\n\n{\"items\":[{\"key\":\"user/1\"},{\"key\":\"secret\"}]}",
    "!GET /v1/list?prefix=user&limit=1\nauthorization: bearer {token}",
    "!GET /v1/keymap?key=user/1",
    "POST /v1/batch\ncontent-type: application/vnd.foremap.v1\n\nFMBQ\x02\x01\x00\x64\x00\x00\x00\x00\x01\x03\x07\x01\x00\x06user/1\x00",
    "OPTIONS /v1/batch\norigin: http://localhost:3000\naccess-control-request-method: POST",
    "HEAD /healthz\n---\nGET /readyz\n---\nGET /metrics",
    "POST /v1/changes\ncontent-type: application/vnd.foremap.v1\n\nFMBQ\x02\x01\x00\x64\x00\x00\x00\x00\x01\x03\x00\x00",
    "POST /v1/batch\ncontent-type: application/json\n\n{\"cursors\":[{\"shard\":3,\"position\":0}],\"feed\":{\"node\":1,\"number\":7}}",
    "POST /v1/summaries\ncontent-type: application/vnd.foremap.v1\n\nFMSM\x01\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x00\x03a/1\x02\x012\x01\x00\x02\x00\x02",
    "GET /v1/model?bytes=4096\naccept-encoding: br",
    "GET /v1/changes?since=0:0\nlast-event-id: 3:5,4:6",
];

/// Steps of `adapter`: a request and answers of several kinds.
const SCRIPTS: [&[u8]; 5] = [
    // Asked, sent, found with a map.
    &[0, 0, 0, 0, 0, 2, 1, 0, 5, 0, 0, 3, 0, 7, 0, 0, 5, 1, 1, 0, 3, 0, 4, 1, 3, 9, 0, 0, 0, 0],
    // Two answers that are no protocol, then a pause.
    &[0, 0, 1, 1, 0, 2, 1, 0, 4, 0, 0, 0, 3, 0, 1, 2, 3, 0, 3, 9],
    // A walk over keys, failures between.
    &[0, 0, 0, 0, 0, 2, 9, 0, 7, 0, 0, 0, 0, 1, 0, 0, 2, 9, 0, 5, 0, 6, 0, 1, 0, 0, 0, 2, 0, 0, 3, 2],
    // Scopes, a raw call, a cancelled request.
    &[1, 0, 3, 2, 1, 8, 4, 1, 8, 200, 1, 0, 2, 0, 4, 1, 2, 9, 9, 0, 1, 9, 1],
    // Another key, a version that nobody holds, the highest position.
    &[0, 0, 0, 0, 0, 2, 1, 0, 5, 0, 3, 1, 2, 0, 255, 0, 0, 255, 2, 0, 2, 50, 0, 5, 0, 5, 200, 1, 2, 3, 4, 5, 6, 7, 8],
];

fn golden(name: &str) -> Value {
    let path = folder().join("../golden").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("a golden file is JSON")
}

fn cases<'a>(file: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    file[list].as_array().into_iter().flatten()
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {case}"))
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits")).collect()
}
