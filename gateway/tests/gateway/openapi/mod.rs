//! `docs/openapi.json`: that it is what the routes, codes and limits make of it, that nothing else is answered, and that
//! answers have the forms that it says. `FOREMAP_BLESS=1` writes it anew.

mod document;
mod schemas;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::http::{Method, StatusCode};
use foremap::protocol::{ErrorCode, LIMITS, Problem, Route};
use foremap_gateway::http::paths;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::client::{Gateway, Reply};

/// The description, with what of it has been compiled.
pub(crate) struct Description {
    document: Value,
    compiled: BTreeMap<String, Validator>,
}

impl Description {
    pub(crate) fn new() -> Self {
        Self { document: document::document(), compiled: BTreeMap::new() }
    }

    fn schema(&mut self, pointer: &str) -> &Validator {
        let document = &self.document;
        self.compiled.entry(pointer.to_owned()).or_insert_with(|| {
            let mut schema = document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is described")).clone();
            schema["components"] = document["components"].clone();
            jsonschema::draft202012::new(&schema).unwrap_or_else(|error| panic!("{pointer}: {error}"))
        })
    }

    fn check(&mut self, pointer: &str, value: &Value, about: &str) {
        let errors: Vec<String> = self.schema(pointer).iter_errors(value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{about}: {errors:?} in {value}");
    }

    /// Pointer to the operation; `None` where nothing is described.
    fn operation(&self, method: &Method, path: &str) -> Option<String> {
        let pointer = format!("/paths/{}/{}", path.replace('/', "~1"), method.as_str().to_lowercase());
        self.document.pointer(&pointer).map(|_| pointer)
    }

    /// That an answer is one that is described, in a form that is.
    pub(crate) fn check_answer(&mut self, method: &Method, path: &str, reply: &Reply, about: &str) {
        let Some(operation) = self.operation(method, path) else {
            let expected = [ErrorCode::NoRoute, ErrorCode::MethodNotAllowed].map(ErrorCode::as_str);
            assert!(*method == Method::HEAD || expected.contains(&reply.code()), "{about}: {reply:?}");
            return;
        };
        let status = reply.status.as_u16();
        let mut response = format!("{operation}/responses/{status}");
        let described =
            self.document.pointer(&response).unwrap_or_else(|| panic!("{about}: {status} is not described"));
        if let Some(reference) = described["$ref"].as_str() {
            response = reference.trim_start_matches('#').to_owned();
        }
        let content = self.document.pointer(&response).and_then(|response| response["content"].as_object());
        let Some(content) = content else {
            return assert!(reply.body.is_empty(), "{about}: a body");
        };
        let kind = reply.header("content-type").split(';').next().unwrap_or_default().to_owned();
        assert!(content.contains_key(&kind), "{about}: `{kind}` is not described");
        if kind.ends_with("json") {
            self.check(&format!("{response}/content/{}/schema", kind.replace('/', "~1")), &reply.json(), about);
        }
    }

    /// That a body of JSON that was taken is one that is described.
    pub(crate) fn check_body(&mut self, method: &Method, path: &str, body: &Value, about: &str) {
        let operation = self.operation(method, path).expect("described");
        self.check(&format!("{operation}/requestBody/content/application~1json/schema"), body, about);
    }
}

#[test]
fn the_file_is_what_the_protocol_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let text = format!("{:#}\n", document::document());
    if std::env::var_os("FOREMAP_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).expect("docs is writable");
    }
    let written = std::fs::read_to_string(&path).expect("docs/openapi.json");
    assert!(written == text, "docs/openapi.json is out of date: FOREMAP_BLESS=1 writes it anew");
}

/// A number as the tables of PROTOCOL.md write it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).expect("digits")).collect();
    groups.join(",")
}

#[test]
fn the_tables_of_the_page_are_what_the_protocol_says() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../PROTOCOL.md")).expect("PROTOCOL.md");
    let rows = |section: &str| -> Vec<String> {
        let text = page
            .split(&format!("\n## {section}\n"))
            .nth(1)
            .expect("a section")
            .split("\n## ")
            .next()
            .unwrap_or_default();
        // The first table, without its head.
        let table = text.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
        table.take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
    };
    let holds = |section: &str, expected: Vec<String>| {
        let rows = rows(section);
        assert_eq!(rows.len(), expected.len(), "rows of {section}");
        for (row, expected) in rows.iter().zip(expected) {
            assert!(row.contains(&expected), "{section}: {row} is not {expected}");
        }
    };
    let route = |Route { path, method, query }: &Route| {
        let query: Vec<String> = query.iter().map(|name| format!("`{name}`")).collect();
        format!("| `{method} {path}` | {} |", query.join(", ")).replace("  ", " ")
    };
    holds("Routes", Route::ALL.iter().map(route).collect());
    let code = |code: &ErrorCode| {
        let status = if code.status() == 0 { String::new() } else { format!("{} ", code.status()) };
        format!("| `{code}` | {status}| {} |", if code.retryable() { "yes" } else { "no" })
    };
    holds("Errors", ErrorCode::ALL.iter().map(code).collect());
    holds("Limits", LIMITS.iter().map(|(_, limit)| format!("| {} |", grouped(*limit))).collect());
}

#[test]
fn every_code_and_every_form_is_valid() {
    let mut description = Description::new();
    for &code in ErrorCode::ALL.iter().filter(|code| code.status() != 0) {
        let problem = Problem::new(code, "why").with_limit(1);
        let pointer = format!("/components/responses/{}/content/application~1problem+json/schema", code.status());
        description.check(&pointer, &serde_json::to_value(problem).expect("JSON"), code.as_str());
    }
    let schemas: Vec<String> =
        description.document["components"]["schemas"].as_object().expect("forms").keys().cloned().collect();
    for schema in schemas {
        description.schema(&format!("/components/schemas/{schema}"));
    }
}

#[test]
fn bounds_are_those_of_the_protocol() {
    let limits: BTreeMap<&str, u64> = LIMITS.iter().copied().collect();
    let document = document::document();
    for (pointer, limit) in [
        ("BatchRequest/properties/items/maxItems", "batch_keys"),
        ("BatchRequest/properties/stream/maxLength", "stream_bytes"),
        ("BatchRequest/properties/max_staleness_ms/default", "default_max_staleness_ms"),
        ("BatchRequest/properties/floors/maxItems", "shards"),
        ("KeymapFields/properties/locator/maxLength", "locator_bytes"),
        ("KeymapFields/properties/etag/maxLength", "etag_bytes"),
        ("KeymapFields/properties/tags/maxItems", "tags"),
        ("KeymapFields/properties/tags/items/maxLength", "tag_bytes"),
        ("Key/maxLength", "key_bytes"),
        ("Page/properties/items/maxItems", "page"),
        ("Version/maximum", "version"),
    ] {
        let described = document.pointer(&format!("/components/schemas/{pointer}"));
        assert_eq!(described.and_then(Value::as_u64), Some(limits[limit]), "{pointer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_is_described_and_nothing_else() {
    let described: BTreeSet<&str> = Route::ALL.iter().map(|route| route.path).collect();
    assert_eq!(described, paths().into_iter().collect(), "paths of the router");
    let gateway = Gateway::start(1).await;
    let description = Description::new();
    for path in described {
        // The router itself says which methods it knows.
        let reply = gateway.client.send(Method::PATCH, &gateway.url(1, path), &[], "").await;
        assert_eq!((reply.status, reply.code()), (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"), "{path}");
        let known: BTreeSet<String> = reply.header("allow").split(',').map(|name| name.trim().to_lowercase()).collect();
        let methods = description.document["paths"][path].as_object().expect("a path").keys();
        assert_eq!(methods.cloned().collect::<BTreeSet<_>>(), known, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_operators_and_readers_ask_is_answered_as_described() {
    use foremap_gateway::{host::ShifterMode, http::HttpOptions};
    let gateway = Gateway::shifting(1, HttpOptions::default(), ShifterMode::DryRun).await;
    let mut description = Description::new();
    let json = [("content-type", "application/json")];
    assert_eq!(gateway.client.put(&gateway.url(1, "/v1/keymap?key=a/b"), "l").await.status, StatusCode::CREATED);
    let bodies = [
        (
            Method::PUT,
            "/v1/keymap?key=a/b",
            Some(json!({"locator": "m", "size": 1, "etag": "e", "tags": ["t"], "meta": [1]})),
        ),
        (Method::GET, "/v1/keymap?key=a/b", None),
        (Method::GET, "/v1/keymap?key=a/b&version=7", None),
        (Method::GET, "/v1/versions?key=a/b", None),
        (Method::GET, "/v1/list", None),
        (Method::GET, "/v1/map", None),
        (Method::GET, "/v1/locate?key=a/b", None),
        (Method::GET, "/v1/model", None),
        (Method::GET, "/v1/hot", None),
        (Method::POST, "/v1/load?round=1", None),
        (Method::GET, "/v1/plan", None),
        (Method::POST, "/v1/shifter/freeze", Some(json!({"frozen": false}))),
        (Method::POST, "/v1/plan/apply", Some(json!({"base": {"incarnation": 7, "number": 7}}))),
        (Method::POST, "/v1/summaries/take", None),
        (Method::POST, "/v1/model/forget", Some(json!({"prefix": "a"}))),
        (Method::GET, "/v1/backup", None),
        (Method::GET, "/healthz", None),
        (Method::GET, "/readyz", None),
        (Method::GET, "/metrics", None),
        (Method::POST, "/v1/batch", Some(json!({"items": [{"key": "a/b"}, {"key": "a/c", "class": "prefetch"}]}))),
        (Method::DELETE, "/v1/keymap?key=a/b", None),
        (Method::DELETE, "/v1/keymap?key=a/b", None),
    ];
    for (method, target, body) in bodies {
        let path = target.split('?').next().unwrap_or_default();
        let text = body.as_ref().map(Value::to_string).unwrap_or_default();
        let headers = if body.is_some() { &json[..] } else { &[] };
        let reply = gateway.client.send(method.clone(), &gateway.url(1, target), headers, text).await;
        description.check_answer(&method, path, &reply, target);
        if let Some(body) = body {
            description.check_body(&method, path, &body, target);
        }
    }
    let beyond = json!({"base": {"incarnation": 1, "number": 1_u64 << 53}}).to_string();
    let reply = gateway.client.send(Method::POST, &gateway.url(1, "/v1/plan/apply"), &json, beyond).await;
    assert_eq!(reply.code(), "BAD_REQUEST");
}
