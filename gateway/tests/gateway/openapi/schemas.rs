//! The forms of bodies in JSON.

use foremap::key::MAX_KEY_BYTES;
use foremap::protocol::{BatchRequest, ErrorCode, KeymapFields, MAX_BATCH_KEYS, MAX_PAGE, MAX_SHARDS, MAX_VERSION};
use serde_json::{Map, Value, json};

/// Every form by its name.
pub(super) fn all() -> Value {
    let mut all = Map::new();
    for part in [basics(), keymaps(), batches(), maps(), operators()] {
        let Value::Object(part) = part else { unreachable!("a list of forms is an object") };
        all.extend(part);
    }
    all.into()
}

fn refer(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn list(schema: &str) -> Value {
    json!({"type": "array", "items": refer(schema)})
}

fn whole(most: u64) -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": most})
}

/// An object of these fields and no others; a name that ends in `?` may be absent.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let required: Vec<_> = fields.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?')).collect();
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema)| (name.trim_end_matches('?').to_owned(), schema.clone())).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// Lengths are in bytes; here they are in characters, of which there are no more than bytes.
fn text(least: usize, most: usize) -> Value {
    json!({"type": "string", "minLength": least, "maxLength": most})
}

fn basics() -> Value {
    let codes: Vec<_> = ErrorCode::ALL.iter().filter(|code| code.status() != 0).collect();
    json!({
        "Key": text(1, MAX_KEY_BYTES),
        "Prefix": text(0, MAX_KEY_BYTES),
        "Version": whole(MAX_VERSION),
        "Milliseconds": whole(u32::MAX.into()),
        "Shard": whole(u16::MAX.into()),
        "Node": whole(u32::MAX.into()),
        "Consistency": {"type": "string", "enum": ["strong", "bounded", "any"], "default": "bounded"},
        "Epoch": object([("incarnation", whole(u32::MAX.into())), ("number", refer("Version"))]),
        "Code": {"type": "string", "enum": codes},
        "Problem": object([
            ("type", json!({"const": "about:blank"})),
            ("title", json!({"type": "string"})),
            ("status", json!({"type": "integer"})),
            ("code", refer("Code")),
            ("detail", json!({"type": "string"})),
            ("limit?", whole(MAX_VERSION)),
        ]),
    })
}

fn keymaps() -> Value {
    let fields = || {
        [
            ("locator", text(1, KeymapFields::MAX_LOCATOR)),
            ("size?", whole(MAX_VERSION)),
            ("etag?", text(0, KeymapFields::MAX_ETAG)),
            (
                "tags?",
                json!({"type": "array", "items": text(0, KeymapFields::MAX_TAG), "maxItems": KeymapFields::MAX_TAGS}),
            ),
            ("meta?", json!({"description": "any JSON, of 16,384 bytes at most"})),
        ]
    };
    let [locator, size, etag, tags, meta] = fields();
    json!({
        "KeymapFields": object(fields()),
        "Keymap": object([("key", refer("Key")), ("version", refer("Version")), locator, size, etag, tags, meta]),
        "Written": object([("version", refer("Version")), ("shard", refer("Shard")), ("position", refer("Version"))]),
        "Versions": object([("items", list("VersionEntry"))]),
        "VersionEntry": object([
            ("version", refer("Version")),
            ("deleted", json!({"type": "boolean"})),
            ("keymap?", refer("Keymap")),
        ]),
        "Page": object([
            ("items", json!({"type": "array", "items": refer("Keymap"), "maxItems": MAX_PAGE})),
            ("next", json!({"type": ["string", "null"]})),
        ]),
    })
}

fn batches() -> Value {
    let cursors = || json!({"type": "array", "items": refer("Cursor"), "maxItems": MAX_SHARDS});
    let bounded = json!({
        "type": "integer", "minimum": 0, "maximum": u32::MAX, "default": BatchRequest::DEFAULT_MAX_STALENESS_MS,
    });
    let outcome = |name: &str| ("outcome", json!({"const": name}));
    let at = || [("at", refer("ReadPoint")), ("node", refer("Node"))];
    let [point, node] = at();
    let results = [
        object([outcome("found"), ("keymap", refer("Keymap")), point.clone(), node.clone()]),
        object([outcome("unchanged"), ("version", refer("Version")), point.clone(), node.clone()]),
        object([outcome("missing"), point.clone(), node.clone()]),
        object([outcome("error"), ("code", refer("Code")), ("detail", json!({"type": "string"})), point, node]),
    ];
    json!({
        "Cursor": object([("shard", refer("Shard")), ("position", refer("Version"))]),
        "ReadPoint": object([("shard", refer("Shard")), ("position", refer("Version")), ("age_ms", refer("Milliseconds"))]),
        "FeedId": object([("node", refer("Node")), ("number", refer("Version"))]),
        "ClockReading": object([("id", refer("Version")), ("ms", refer("Version"))]),
        "MapKnowledge": object([("epoch", refer("Epoch")), ("hash", refer("Hash"))]),
        "BatchItem": object([
            ("key", refer("Key")),
            ("if_version?", refer("Version")),
            ("class?", json!({"type": "string", "enum": ["demand", "prefetch"], "default": "demand"})),
        ]),
        "BatchRequest": object([
            ("items?", json!({"type": "array", "items": refer("BatchItem"), "maxItems": MAX_BATCH_KEYS})),
            ("consistency?", refer("Consistency")),
            ("max_staleness_ms?", bounded),
            ("map?", refer("MapKnowledge")),
            ("floors?", cursors()),
            ("cursors?", cursors()),
            ("stream?", text(0, BatchRequest::MAX_STREAM_BYTES)),
            ("feed?", refer("FeedId")),
            ("forwarded?", json!({"type": "boolean", "default": false})),
        ]),
        "ItemResult": {"oneOf": results},
        "Change": object([
            ("shard", refer("Shard")),
            ("version", refer("Version")),
            ("key", refer("Key")),
            ("deleted", json!({"type": "boolean"})),
        ]),
        "BatchResponse": object([
            ("epoch", refer("Epoch")),
            ("clock?", refer("ClockReading")),
            ("results", list("ItemResult")),
            ("positions", list("ReadPoint")),
            ("changes", list("Change")),
            ("resets", list("Shard")),
        ]),
    })
}

fn maps() -> Value {
    let small = || whole(u8::MAX.into());
    json!({
        "Hash": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "Portion": object([("depth", small()), ("spread", small())]),
        "Rule": object([("prefix", refer("Prefix")), ("portion", refer("Portion"))]),
        "MapNode": object([("id", refer("Node")), ("origin", json!({"type": "string"})), ("weight", whole(u32::MAX.into()))]),
        "HotKey": object([("key", refer("Key")), ("nodes", list("Node"))]),
        "StorageLayout": object([("shards", refer("Shard")), ("depth", small()), ("fan", refer("Shard"))]),
        "PartitionMap": object([
            ("epoch", refer("Epoch")),
            ("hash_id", json!({"const": "xxh3-64"})),
            ("seeds", json!({"type": "array", "items": refer("Hash"), "minItems": 2, "maxItems": 2})),
            ("partitions", whole(u32::MAX.into())),
            ("storage", refer("StorageLayout")),
            ("nodes", list("MapNode")),
            ("rules", list("Rule")),
            ("exceptions", json!({"type": "object", "additionalProperties": refer("Node")})),
            ("hot", list("HotKey")),
        ]),
        "Place": object([
            ("key", refer("Key")),
            ("shard", refer("Shard")),
            ("partition", whole(u32::MAX.into())),
            ("portion", refer("Portion")),
            ("spread_index", whole(u32::MAX.into())),
            ("node", refer("Node")),
            ("replicas", list("Node")),
            ("origin", json!({"type": ["string", "null"]})),
            ("epoch", refer("Epoch")),
        ]),
    })
}

/// Plans are for people, and say more with time: of them only what there is at least.
fn operators() -> Value {
    let at_least = |names: &[&str]| json!({"type": "object", "required": names});
    let plan = ["base", "round", "moves", "reasons", "before", "after", "entries", "beyond", "churn", "deferred"];
    let trouble = object([("what", json!({"type": "string"})), ("why", json!({"type": "string"}))]);
    let model = ["made", "age_ms", "bytes", "waiting"].map(|name| (name, refer("Version")));
    json!({
        "HotKeys": object([("keys", list("Key"))]),
        "Plan": at_least(&plan),
        "PlanStatus": at_least(&["mode", "frozen", "epoch", "loads", "stats", "last", "pending", "next"]),
        "Apply": object([("base?", json!({"oneOf": [refer("Epoch"), {"type": "null"}]}))]),
        "Frozen": object([("frozen", json!({"type": "boolean"}))]),
        "Forget": object([("prefix", refer("Prefix"))]),
        "Forgotten": object([("forgotten", refer("Prefix"))]),
        "Ready": object([
            ("fresh", refer("Version")),
            ("groups", refer("Version")),
            ("epoch", refer("Epoch")),
            ("promise", json!({"enum": ["durable", "replicated"]})),
            ("troubles?", json!({"type": "array", "items": trouble})),
            ("model?", object(model)),
        ]),
    })
}
