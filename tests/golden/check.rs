//! Compares the core with the golden vectors; compiled into the native and the wasm tests alike.

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::model::Summary;
use foremap::partition::{MapDelta, PartitionMap, Placement, xxh3};
use foremap::protocol::{
    BatchRequest, BatchResponse, ErrorCode, FeedFrame, FeedReader, Keymap, LIMITS, ListPage, ModelSnapshot, Problem,
    Route, Successors, apply_model_delta, model_delta,
};
use serde_json::Value;
use std::sync::Arc;

/// Batches that replicas are chosen for.
pub(crate) const SALTS: [u64; 5] = [0, 1, 2, 1 << 40, u64::MAX];

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits")).collect()
}

/// The buffer that the published XXH3 vectors are computed over.
pub(crate) fn reference_buffer(length: usize) -> Vec<u8> {
    let mut state: u64 = 2_654_435_761;
    let mut next = || {
        let byte = (state >> 56) as u8;
        state = state.wrapping_mul(11_400_714_785_074_694_797);
        byte
    };
    (0..length).map(|_| next()).collect()
}

fn cases<'a>(file: &'a Value, list: &str) -> &'a [Value] {
    let cases = file[list].as_array().map_or(&[][..], Vec::as_slice);
    assert!(!cases.is_empty(), "no cases in `{list}`");
    cases
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {case}"))
}

fn number(case: &Value, field: &str) -> u64 {
    case[field].as_u64().unwrap_or_else(|| panic!("no number `{field}` in {case}"))
}

fn parse(file: &str) -> Value {
    serde_json::from_str(file).expect("a golden file is JSON")
}

/// `{canonical}` or `{error}`, as every key case has it.
fn assert_outcome(case: &Value, outcome: Result<String, foremap::key::KeyError>) {
    match outcome {
        Ok(canonical) => assert_eq!(case["canonical"].as_str(), Some(&*canonical), "{case}"),
        Err(error) => assert_eq!(case["error"].as_str(), Some(&*format!("{error:?}")), "{case}"),
    }
}

pub(crate) fn keys(file: &str) {
    let file = parse(file);
    for case in cases(&file, "texts") {
        assert_outcome(case, CompositeKey::parse(text(case, "text")).map(|key| key.to_string()));
    }
    for case in cases(&file, "components") {
        let raw = cases(case, "raw").iter().map(|raw| raw.as_str().expect("a component is text"));
        assert_outcome(case, CompositeKey::from_components(raw).map(|key| key.to_string()));
    }
    for case in cases(&file, "prefixes") {
        assert_outcome(case, KeyPrefix::parse(text(case, "text")).map(|prefix| prefix.to_string()));
    }
    for case in cases(&file, "covers") {
        let prefix = KeyPrefix::parse(text(case, "prefix")).expect("a valid prefix");
        let key = CompositeKey::parse(text(case, "key")).expect("a valid key");
        assert_eq!(case["covers"].as_bool(), Some(prefix.covers(&key)), "{case}");
    }
    let ascending = cases(&file, "ascending").iter().map(|key| key.as_str().expect("a key is text"));
    let ascending: Vec<_> = ascending.map(|key| CompositeKey::parse(key).expect("a valid key")).collect();
    assert!(ascending.is_sorted_by(|a, b| a < b));
}

pub(crate) fn hashes(file: &str) {
    let file = parse(file);
    let seed = |case| u64::from_str_radix(text(case, "seed"), 16).expect("hex digits");
    for case in cases(&file, "published") {
        let hash = xxh3(seed(case), &reference_buffer(number(case, "length") as usize));
        assert_eq!(text(case, "hash"), format!("{hash:016x}"), "{case}");
    }
    for case in cases(&file, "texts") {
        let hash = xxh3(seed(case), text(case, "text").as_bytes());
        assert_eq!(text(case, "hash"), format!("{hash:016x}"), "{case}");
    }
}

pub(crate) fn maps(file: &str) {
    let file = parse(file);
    let mut known = Vec::new();
    for case in cases(&file, "maps") {
        let map: PartitionMap = serde_json::from_value(case["map"].clone()).expect("a valid map");
        assert_eq!(hex(&map.encode()), text(case, "binary"), "{}", case["name"]);
        assert_eq!(format!("{:016x}", map.hash()), text(case, "hash"), "{}", case["name"]);
        assert_eq!(PartitionMap::decode(&unhex(text(case, "binary"))).as_ref(), Ok(&map));
        assert_eq!(serde_json::to_value(&map).expect("a map is JSON"), case["map"]);
        known.push((text(case, "name").to_owned(), map));
    }
    let find = |name: &str| known.iter().find(|(known, _)| known == name).map(|(_, map)| map).expect("a known map");
    for case in cases(&file, "deltas") {
        let (from, to) = (find(text(case, "from")), find(text(case, "to")));
        let delta = MapDelta::decode(&unhex(text(case, "binary"))).expect("a valid delta");
        assert_eq!(MapDelta::between(from, to).as_ref(), Some(&delta), "{case}");
        assert_eq!(hex(&delta.encode()), text(case, "binary"));
        assert_eq!(delta.apply(from).as_ref(), Ok(to), "{case}");
    }
    for case in cases(&file, "refused") {
        let error = PartitionMap::decode(&unhex(text(case, "binary"))).expect_err(text(case, "why"));
        assert_eq!(error.to_string(), text(case, "error"), "{case}");
    }
}

pub(crate) fn placement(maps: &str, file: &str) {
    let (maps, file) = (parse(maps), parse(file));
    for group in cases(&file, "maps") {
        let map = cases(&maps, "maps").iter().find(|map| map["name"] == group["map"]).expect("a known map");
        let map = PartitionMap::decode(&unhex(text(map, "binary"))).expect("a valid map");
        let placement = Placement::new(Arc::new(map));
        for (partition, owner) in cases(group, "owners").iter().enumerate() {
            assert_eq!(owner.as_u64(), Some(placement.owner(partition as u32).into()), "owner of {partition}");
        }
        for case in cases(group, "keys") {
            let key = CompositeKey::parse(text(case, "key")).expect("a valid key");
            let place = placement.locate(&key);
            let found: [(&str, u64); 6] = [
                ("partition", place.partition.into()),
                ("node", place.node.into()),
                ("depth", place.portion.depth.into()),
                ("spread", place.portion.spread.into()),
                ("spread_index", place.spread_index.into()),
                ("storage_shard", placement.map().storage.shard(&key).into()),
            ];
            for (field, value) in found {
                assert_eq!(number(case, field), value, "{field} of {key} in {}", group["map"]);
            }
            let servers = SALTS.map(|salt| placement.server(&key, salt));
            assert_eq!(case["servers"], serde_json::json!(servers), "servers of {key} in {}", group["map"]);
        }
    }
}

pub(crate) fn batches(file: &str) {
    let file = parse(file);
    for case in cases(&file, "valid") {
        let bytes = unhex(text(case, "binary"));
        let (again, json) = match text(case, "kind") {
            "request" => reread(BatchRequest::decode(&bytes).expect("valid"), BatchRequest::encode),
            "response" => reread(BatchResponse::decode(&bytes).expect("valid"), BatchResponse::encode),
            "keymap" => reread(Keymap::decode(&bytes).expect("valid"), Keymap::encode),
            other => panic!("unknown kind {other}"),
        };
        assert_eq!(again, bytes, "{}", case["name"]);
        // Inside wasm `meta` is text, as the host parses JSON there.
        if cfg!(not(target_arch = "wasm32")) || !case["json"].to_string().contains("\"meta\"") {
            assert_eq!(json, case["json"], "{}", case["name"]);
        }
    }
    for case in cases(&file, "refused") {
        let bytes = unhex(text(case, "binary"));
        let error = match text(case, "kind") {
            "request" => BatchRequest::decode(&bytes).err(),
            "response" => BatchResponse::decode(&bytes).err(),
            "keymap" => Keymap::decode(&bytes).err(),
            other => panic!("unknown kind {other}"),
        };
        assert_eq!(error.expect("refused").to_string(), text(case, "error"), "{case}");
    }
}

fn reread<T: serde::Serialize>(value: T, encode: impl Fn(&T) -> Vec<u8>) -> (Vec<u8>, Value) {
    (encode(&value), serde_json::to_value(&value).expect("a message is JSON"))
}

/// Error codes, and what a status means without one; limits and routes.
pub(crate) fn protocol(file: &str) {
    let file = parse(file);
    let listed = cases(&file, "codes");
    assert_eq!(listed.len(), ErrorCode::ALL.len());
    for (place, (case, code)) in listed.iter().zip(ErrorCode::ALL).enumerate() {
        assert_eq!(number(case, "number"), place as u64, "{case}");
        assert_eq!(text(case, "code"), code.as_str());
        assert_eq!(number(case, "status"), u64::from(code.status()), "{case}");
        assert_eq!(case["retryable"].as_bool(), Some(code.retryable()), "{case}");
    }
    for case in cases(&file, "titles") {
        let of_status = |code: &&ErrorCode| u64::from(code.status()) == number(case, "status");
        let code = ErrorCode::ALL.iter().find(of_status).unwrap_or_else(|| panic!("no code has the status of {case}"));
        assert_eq!(text(case, "title"), Problem::new(*code, "").title);
    }
    for case in cases(&file, "without_a_body") {
        let status = u16::try_from(number(case, "status")).expect("a status");
        assert_eq!(text(case, "code"), ErrorCode::of_status(status).as_str(), "{case}");
    }
    let limits: Vec<_> =
        cases(&file, "limits").iter().map(|case| (text(case, "name"), number(case, "limit"))).collect();
    assert_eq!(limits, LIMITS);
    let routes = cases(&file, "routes");
    assert_eq!(routes.len(), Route::ALL.len());
    for (case, route) in routes.iter().zip(Route::ALL) {
        assert_eq!((text(case, "method"), text(case, "path")), (route.method, route.path));
        let query: Vec<_> = case["query"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!(query, route.query, "{case}");
    }
}

/// Frames and pages of lists: what they decode to, and that they encode to the same bytes.
pub(crate) fn feeds(file: &str) {
    let file = parse(file);
    assert_eq!(unhex(text(&cases(&file, "preamble")[0], "binary")), FeedFrame::PREAMBLE);
    let mut reader = FeedReader::default();
    reader.push(&FeedFrame::PREAMBLE).expect("a beginning");
    for case in cases(&file, "frames") {
        let bytes = unhex(text(case, "binary"));
        let frames = reader.push(&bytes).unwrap_or_else(|error| panic!("{case}: {error}"));
        let [frame] = &frames[..] else { panic!("{case}: {} frames", frames.len()) };
        assert_eq!(frame.encode(), bytes, "{case}");
        let told = &case["frame"];
        let times = (u64::from(frame.number), frame.clock_ms, u64::from(frame.age_ms));
        assert_eq!(times, (number(told, "number"), number(told, "clock_ms"), number(told, "age_ms")));
        let steps: Vec<_> = frame.steps.iter().map(|s| serde_json::json!([s.shard, s.from, s.to])).collect();
        let late: Vec<_> = frame.late.iter().map(|l| serde_json::json!([l.shard, l.age_ms])).collect();
        assert_eq!((&Value::from(steps), &Value::from(late)), (&told["steps"], &told["late"]), "{case}");
        assert_eq!(serde_json::to_value(&frame.changes).expect("JSON"), told["changes"], "{case}");
        let hello =
            frame.hello.map(|hello| (serde_json::to_value(hello.feed).expect("JSON"), hello.clock, hello.relayed));
        let said = told["hello"].as_object().map(|hello| {
            let clock = hello["clock"].as_u64().expect("a clock");
            (hello["feed"].clone(), clock, hello["relayed"] == true)
        });
        assert_eq!(hello, said, "{case}");
    }
    for case in cases(&file, "pages") {
        let bytes = unhex(text(case, "binary"));
        let page = ListPage::decode(&bytes).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(page.encode(), bytes, "{case}");
        assert_eq!(page.next.as_deref(), case["next"].as_str(), "{case}");
        let items: Vec<_> =
            page.items.iter().map(|(keymap, at)| serde_json::json!({"keymap": keymap.key, "at": at})).collect();
        let told = cases(case, "items").iter();
        let told = told.map(|item| serde_json::json!({"keymap": item["keymap"]["key"], "at": item["at"]}));
        assert_eq!(items, told.collect::<Vec<_>>(), "{case}");
    }
}

pub(crate) fn summary_json(summary: &Summary) -> Value {
    let paths = summary.paths.iter().map(|path| {
        let steps: Vec<_> = path.steps.iter().map(|step| serde_json::json!([step.key, step.repeated])).collect();
        serde_json::json!({"told": path.told, "steps": steps})
    });
    let (paths, instance) = (paths.collect::<Vec<_>>(), format!("{:016x}", summary.instance));
    serde_json::json!({"instance": instance, "epoch": summary.epoch, "keys": summary.keys, "paths": paths})
}

pub(crate) fn snapshot_json(model: &ModelSnapshot) -> Value {
    let then = |then: &Successors| {
        let next: Vec<_> = then.next.iter().map(|(next, share)| serde_json::json!([next, share.step()])).collect();
        serde_json::json!({"visits": then.visits, "next": next})
    };
    let rules = model
        .rules
        .iter()
        .map(|rule| serde_json::json!({"before": rule.before, "last": rule.last, "then": then(&rule.then)}));
    let template_rules = model.template_rules.iter().map(|rule| {
        let (context, shape) = (format!("{:?}", rule.context), format!("{:016x}", rule.shape));
        serde_json::json!({"context": context, "shape": shape, "then": then(&rule.then)})
    });
    let places = model
        .places
        .iter()
        .map(|place| serde_json::json!({"place": format!("{:016x}", place.place), "is_kind": place.is_kind}));
    serde_json::json!({
        "made": model.made, "name_bytes": model.name_bytes, "keys": model.keys, "popularity": model.popularity, "rules": rules.collect::<Vec<_>>(),
        "templates": model.templates.iter().map(|template| hex(template)).collect::<Vec<_>>(),
        "template_rules": template_rules.collect::<Vec<_>>(), "places": places.collect::<Vec<_>>(),
        "threshold": model.threshold, "calibration": hex(&model.calibration),
    })
}

/// Summaries and models: what they decode to, and that they encode to the same bytes.
pub(crate) fn models(file: &str) {
    let file = parse(file);
    for case in cases(&file, "summaries") {
        let bytes = unhex(text(case, "binary"));
        let summary = Summary::decode(&bytes).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!((summary_json(&summary), summary.encode()), (case["summary"].clone(), bytes), "{case}");
    }
    for case in cases(&file, "snapshots") {
        let bytes = unhex(text(case, "binary"));
        let model = ModelSnapshot::decode(&bytes).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!((snapshot_json(&model), model.encode()), (case["snapshot"].clone(), bytes), "{case}");
    }
    for case in cases(&file, "deltas") {
        let [older, newer, binary] = ["older", "newer", "binary"].map(|name| unhex(text(case, name)));
        assert_eq!(model_delta(&older, &newer), binary, "{case}");
        assert_eq!(apply_model_delta(&older, &binary), Ok(newer), "{case}");
    }
    for case in cases(&file, "refused") {
        let bytes = unhex(text(case, "binary"));
        let error = match text(case, "kind") {
            "summary" => Summary::decode(&bytes).err(),
            "snapshot" => ModelSnapshot::decode(&bytes).err(),
            "delta" => apply_model_delta(&unhex(text(case, "older")), &bytes).err(),
            other => panic!("unknown kind {other}"),
        };
        assert_eq!(error.expect("refused").to_string(), text(case, "error"), "{case}");
    }
}
