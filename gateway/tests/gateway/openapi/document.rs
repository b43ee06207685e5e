//! Makes the description out of the routes, codes and limits of `foremap::protocol`.

use std::collections::BTreeMap;

use foremap::node::Node;
use foremap::protocol::{
    CONTENT_TYPE, DEFAULT_PAGE, ErrorCode, MAX_MAP_WAIT_S, MAX_MODEL_BYTES, MAX_PAGE, MAX_VERSION, MIN_MODEL_BYTES,
    PROBLEM_CONTENT_TYPE, Problem, Route,
};
use serde_json::{Map, Value, json};

use super::schemas;

const JSON: &str = "application/json";
/// Statuses that any route may answer with.
const ANY: &[u16] = &[400, 401, 403, 500, 503];

/// The whole document.
pub(super) fn document() -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in Route::ALL {
        let methods = paths.entry(route.path).or_default();
        methods.insert(route.method.to_lowercase(), operation(route));
        if route.method == "GET" {
            methods.insert("head".into(), head(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "foremap-gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The JSON interface of a gateway. PROTOCOL.md has the rest: the binary forms, and what holds over time.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:7400"}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": schemas::all(),
            "responses": refusals(),
        },
    })
}

/// By status, so that a description of a route names statuses alone.
fn refusals() -> Value {
    let mut codes: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for &code in ErrorCode::ALL.iter().filter(|code| code.status() != 0) {
        codes.entry(code.status()).or_default().push(code);
    }
    let refusal = |(status, codes): (u16, Vec<ErrorCode>)| {
        let title = Problem::new(codes[0], "").title;
        let exactly =
            json!({"properties": {"status": {"const": status}, "title": {"const": title}, "code": {"enum": codes}}});
        let schema = json!({"allOf": [{"$ref": "#/components/schemas/Problem"}, exactly]});
        (status.to_string(), json!({"description": title, "content": {PROBLEM_CONTENT_TYPE: {"schema": schema}}}))
    };
    codes.into_iter().map(refusal).collect::<Map<_, _>>().into()
}

/// Answers of one route beside what any may give.
struct Described {
    summary: &'static str,
    /// Status, and content by media type; none has no body.
    answers: Vec<(u16, Vec<(&'static str, Value)>)>,
    refusals: &'static [u16],
    body: Option<Vec<(&'static str, Value)>>,
}

fn operation(route: &Route) -> Value {
    let Described { summary, answers, refusals, body } = described(route);
    let mut responses = responses(&[ANY, refusals].concat());
    for (status, content) in answers {
        let content: Map<String, Value> =
            content.into_iter().map(|(kind, schema)| (kind.into(), json!({"schema": schema}))).collect();
        let mut response = json!({"description": if status == 304 { "Not Modified" } else { summary }});
        if !content.is_empty() {
            response["content"] = content.into();
        }
        responses.insert(status.to_string(), response);
    }
    let id = format!("{} {}", route.method.to_lowercase(), route.path.trim_start_matches("/v1").replace('/', " "));
    let id = id.split_whitespace().collect::<Vec<_>>().join("-");
    let mut operation = json!({"operationId": id, "summary": summary, "responses": responses});
    let parameters: Vec<Value> = route.query.iter().map(|name| parameter(route, name)).chain(headers(route)).collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = body {
        let content: Map<String, Value> =
            body.into_iter().map(|(kind, schema)| (kind.into(), json!({"schema": schema}))).collect();
        operation["requestBody"] = json!({"required": *route != Route::APPLY, "content": content});
    }
    operation
}

/// The same as `GET` answers, without the bodies.
fn head(route: &Route) -> Value {
    let mut operation = operation(route);
    let statuses = operation["responses"].as_object().into_iter().flatten().map(|(status, _)| status.clone());
    let responses: Map<String, Value> =
        statuses.map(|status| (status, json!({"description": "as of GET, without a body"}))).collect();
    operation["operationId"] = operation["operationId"].as_str().unwrap_or_default().replacen("get", "head", 1).into();
    operation["responses"] = responses.into();
    operation
}

fn responses(statuses: &[u16]) -> Map<String, Value> {
    let refer = |status: &u16| (status.to_string(), json!({"$ref": format!("#/components/responses/{status}")}));
    statuses.iter().map(refer).collect()
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn binary() -> (&'static str, Value) {
    (CONTENT_TYPE, json!({"description": "PROTOCOL.md has its form"}))
}

fn parameter(route: &Route, name: &str) -> Value {
    let whole = |least: u64, most: u64| json!({"type": "integer", "minimum": least, "maximum": most});
    let hexadecimal = || json!({"type": "string", "pattern": "^[0-9a-fA-F]{1,16}$"});
    let schema = match name {
        "key" => reference("Key"),
        "prefix" => reference("Prefix"),
        "consistency" => reference("Consistency"),
        "limit" if *route == Route::LIST => {
            json!({"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE})
        }
        "limit" => whole(1, Node::MAX_HOT_KEYS as u64),
        "bytes" => whole(MIN_MODEL_BYTES, MAX_MODEL_BYTES),
        "wait" => whole(0, MAX_MAP_WAIT_S),
        "outbox" => hexadecimal(),
        "since" if *route == Route::MAP => hexadecimal(),
        "since" => json!({"type": "string", "pattern": "^[0-9]+:[0-9]+(,[0-9]+:[0-9]+)*(@[0-9]+)?$"}),
        "shards" => json!({"type": "string", "pattern": "^[0-9]+(,[0-9]+)*$"}),
        "cursor" => json!({"type": "string", "description": "`next` of the page before"}),
        _ => whole(0, MAX_VERSION),
    };
    let is_required = name == "key" || name == "round";
    json!({"name": name, "in": "query", "required": is_required, "schema": schema})
}

/// Headers that change what is done.
fn headers(route: &Route) -> Vec<Value> {
    let header = |name: &str, pattern: &str| json!({"name": name, "in": "header", "required": false, "schema": {"type": "string", "pattern": pattern}});
    // Text that is no tag is no tag of the answer.
    let known = || json!({"name": "if-none-match", "in": "header", "required": false, "schema": {"type": "string"}});
    match *route {
        Route::PUT_KEYMAP | Route::DELETE_KEYMAP => {
            vec![
                header("if-match", "^(\\*|\"[0-9]{1,15}\")$"),
                header("if-none-match", "^\\*$"),
                header("foremap-write-id", "^[!-~]{1,64}$"),
            ]
        }
        Route::GET_KEYMAP | Route::MAP | Route::MODEL => vec![known()],
        Route::EVENTS => vec![header("last-event-id", "^[0-9]+:[0-9]+(,[0-9]+:[0-9]+)*(@[0-9]+)?$")],
        _ => Vec::new(),
    }
}

fn described(route: &Route) -> Described {
    let told = |summary, answers, refusals| Described { summary, answers, refusals, body: None };
    let json = |schema| vec![(JSON, reference(schema))];
    let text = || ("text/plain", json!({"type": "string"}));
    match *route {
        Route::GET_KEYMAP | Route::VERSIONS | Route::LIST | Route::MAP | Route::LOCATE => reading(route),
        Route::PUT_KEYMAP => Described {
            body: Some(json("KeymapFields")),
            ..told(
                "Writes a keymap",
                vec![(200, json("Written")), (201, json("Written"))],
                &[404, 408, 412, 413, 415, 504],
            )
        },
        Route::DELETE_KEYMAP => {
            told("Deletes a keymap, or removes an old version", vec![(200, json("Written"))], &[404, 412, 504])
        }
        Route::BATCH => Described {
            body: Some(vec![(JSON, reference("BatchRequest")), binary()]),
            ..told(
                "Many keys at once",
                vec![(200, vec![(JSON, reference("BatchResponse")), binary()])],
                &[408, 413, 415],
            )
        },
        Route::EVENTS => {
            let events = ("text/event-stream", json!({"type": "string"}));
            told("Changes as server-sent events", vec![(200, vec![events])], &[429])
        }
        Route::CHANGES => Described {
            body: Some(vec![binary()]),
            ..told("Changes in binary form", vec![(200, vec![binary()])], &[408, 413, 415, 429])
        },
        Route::SUMMARIES => Described {
            body: Some(vec![binary()]),
            ..told("Takes a summary", vec![(204, vec![])], &[404, 408, 413, 415, 429])
        },
        Route::MODEL => {
            told("The model that clients share", vec![(200, vec![binary()]), (204, vec![]), (304, vec![])], &[404])
        }
        Route::HOT => told("Keys that are asked for most", vec![(200, json("HotKeys"))], &[]),
        Route::LOAD => told("What the node was asked for", vec![(200, vec![binary()])], &[]),
        Route::PLAN => {
            told("The Partition Shifter's state", vec![(200, vec![(JSON, reference("PlanStatus")), text()])], &[404])
        }
        Route::APPLY => Described {
            body: Some(json("Apply")),
            ..told(
                "Puts the plan in force",
                vec![(200, vec![(JSON, reference("Plan")), text()])],
                &[404, 408, 412, 413, 415],
            )
        },
        Route::FREEZE => Described {
            body: Some(json("Frozen")),
            ..told("Stops the shifter, or lets it go on", vec![(200, json("Frozen"))], &[404, 408, 413, 415])
        },
        Route::TAKE => told("Hands summaries to the coordinator", vec![(200, vec![binary()])], &[404]),
        Route::FORGET => Described {
            body: Some(json("Forget")),
            ..told("Drops what the model says of a prefix", vec![(200, json("Forgotten"))], &[404, 408, 413, 415])
        },
        Route::BACKUP => {
            told("What the store file holds", vec![(200, vec![("application/octet-stream", json!({}))])], &[404, 429])
        }
        Route::HEALTHZ => told("Whether the process is alive", vec![(200, vec![text()])], &[]),
        Route::READYZ => told("Whether the node can answer", vec![(200, json("Ready"))], &[]),
        Route::METRICS => {
            told("Figures", vec![(200, vec![("application/openmetrics-text", json!({"type": "string"}))])], &[])
        }
        _ => panic!("{} {} is not described", route.method, route.path),
    }
}

fn reading(route: &Route) -> Described {
    let read = |summary, schema, refusals| {
        let answers = vec![(200, vec![(JSON, reference(schema))]), (304, vec![])];
        Described { summary, answers, refusals, body: None }
    };
    let mut read = match *route {
        Route::GET_KEYMAP => read("The keymap of a key", "Keymap", &[404, 504]),
        Route::VERSIONS => read("The versions of a key", "Versions", &[404, 504]),
        Route::LIST => read("Keymaps below a prefix", "Page", &[429, 504]),
        Route::MAP => read("The partition map", "PartitionMap", &[429]),
        _ => read("Where a key is", "Place", &[]),
    };
    if matches!(*route, Route::GET_KEYMAP | Route::LIST | Route::MAP) {
        read.answers[0].1.push(binary());
    }
    if !matches!(*route, Route::GET_KEYMAP | Route::MAP) {
        read.answers.pop();
    }
    read
}
