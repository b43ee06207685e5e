//! Every route, used as intended.

use axum::http::{Method, StatusCode};
use foremap::codec::DecodeError;
use foremap::key::CompositeKey;
use foremap::partition::{MapDelta, PartitionMap, Placement};
use foremap::protocol::{
    BatchItem, BatchRequest, BatchResponse, CONTENT_TYPE, Class, Consistency, Cursor, ErrorCode, Keymap, MapUpdate,
    Outcome,
};
use foremap_gateway::run::{Options, ShareOptions, StoreOptions, start};
use serde_json::json;

use crate::client::{Gateway, Reply};

const JSON: (&str, &str) = ("content-type", "application/json");

/// `shard:position` of an answer.
fn position(reply: &Reply) -> (u16, u64) {
    let (shard, position) = reply.header("foremap-position").split_once(':').expect("a position");
    (shard.parse().expect("a shard"), position.parse().expect("a position"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keymap_is_written_read_and_deleted() {
    let gateway = Gateway::start(2).await;
    let (client, url) = (&gateway.client, gateway.url(1, "/v1/keymap?key=user/1/profile"));
    let body = json!({"locator": "s3://a", "size": 5, "etag": "e", "tags": ["x"], "meta": {"n": [1, 2]}});
    let put = client.send(Method::PUT, &url, &[JSON], body.to_string()).await;
    assert_eq!(put.status, StatusCode::CREATED);
    let version = put.json()["version"].as_u64().expect("a version");
    assert_eq!(put.json()["position"].as_u64(), Some(version));
    assert_eq!(position(&put), (put.json()["shard"].as_u64().expect("a shard") as u16, version));
    assert_eq!(put.header("etag"), format!("\"{version}\""));

    for node in 1..=2 {
        let get = client.get(&gateway.url(node, "/v1/keymap?key=user%2F1/profile&consistency=strong")).await;
        assert_eq!(get.status, StatusCode::OK);
        let mut expected = body.clone();
        expected["key"] = "user/1/profile".into();
        expected["version"] = version.into();
        assert_eq!(get.json(), expected);
        assert_eq!((position(&get), get.header("etag")), (position(&put), put.header("etag")));
        assert!(get.header("foremap-age").parse::<u32>().expect("an age") < 5_000);
        let (incarnation, number) = get.header("foremap-epoch").split_once('.').expect("an epoch");
        assert!(incarnation.parse::<u32>().expect("when it was created") > 1_700_000_000 && number == "1");
        assert!(["1", "2"].contains(&get.header("foremap-node")));
        assert!(get.header("foremap-partition").parse::<u32>().expect("a partition") < 16_384);
    }
    let strong = format!("{url}&consistency=strong");
    let binary = client.send(Method::GET, &strong, &[("accept", CONTENT_TYPE)], "").await;
    assert_eq!(Keymap::decode(&binary.body).expect("a keymap").version, version);
    let tag = format!("W/\"1\", \"{version}\"");
    let same = client.send(Method::GET, &strong, &[("if-none-match", tag.as_str())], "").await;
    assert_eq!((same.status, same.body.len()), (StatusCode::NOT_MODIFIED, 0));

    let gone = client.send(Method::DELETE, &url, &[], "").await;
    assert_eq!(gone.status, StatusCode::OK);
    let get = client.get(&strong).await;
    assert_eq!((get.status, get.code()), (StatusCode::NOT_FOUND, "NOT_FOUND"));
    assert_eq!(position(&get), position(&gone));
    assert_eq!(client.send(Method::DELETE, &url, &[], "").await.code(), "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_and_write_ids_make_writes_safe() {
    let gateway = Gateway::start(1).await;
    let (client, url) = (&gateway.client, gateway.url(1, "/v1/keymap?key=user/1"));
    let put = async |headers: &[(&str, &str)], locator: &str| {
        let headers: Vec<_> = headers.iter().copied().chain([JSON]).collect();
        client.send(Method::PUT, &url, &headers, json!({ "locator": locator }).to_string()).await
    };
    assert_eq!(put(&[("if-match", "*")], "no").await.code(), "VERSION_CONFLICT");
    let first = put(&[("if-none-match", "*"), ("foremap-write-id", "w-1")], "one").await;
    assert_eq!(first.status, StatusCode::CREATED);
    let conflict = put(&[("if-none-match", "*")], "no").await;
    assert_eq!((conflict.status, conflict.code()), (StatusCode::PRECONDITION_FAILED, "VERSION_CONFLICT"));
    assert_eq!((conflict.header("etag"), position(&conflict)), (first.header("etag"), position(&first)));
    let retry = put(&[("if-none-match", "*"), ("foremap-write-id", "w-1")], "one").await;
    assert_eq!((retry.status, retry.json()["version"].clone()), (first.status, first.json()["version"].clone()));
    let second = put(&[("if-match", first.header("etag"))], "two").await;
    assert_eq!(second.status, StatusCode::OK);
    assert_eq!(put(&[("if-match", first.header("etag"))], "no").await.code(), "VERSION_CONFLICT");
    // `"0"` is that there is none, as `if_version: 0` of the SDK says it.
    assert_eq!(put(&[("if-match", "\"0\"")], "no").await.code(), "VERSION_CONFLICT");
    let stale = client.send(Method::DELETE, &url, &[("if-match", first.header("etag"))], "").await;
    assert_eq!(stale.code(), "VERSION_CONFLICT");
    let gone = client.send(Method::DELETE, &url, &[("if-match", second.header("etag"))], "").await;
    assert_eq!(gone.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_listed_read_and_removed() {
    let gateway = Gateway::start(1).await;
    let (client, url) = (&gateway.client, gateway.url(1, "/v1/keymap?key=user/1"));
    let first = client.put(&url, "one").await.json()["version"].as_u64().expect("a version");
    let second = client.put(&url, "two").await.json()["version"].as_u64().expect("a version");
    let marker = client.send(Method::DELETE, &url, &[], "").await.json()["version"].as_u64().expect("a version");
    let versions = client.get(&gateway.url(1, "/v1/versions?key=user/1")).await;
    let told: Vec<_> = versions.json()["items"].as_array().expect("items").clone();
    let told: Vec<_> = told.iter().map(|v| (v["version"].as_u64(), v["deleted"].as_bool())).collect();
    assert_eq!(told, [(Some(marker), Some(true)), (Some(second), Some(false)), (Some(first), Some(false))]);
    assert_eq!(versions.json()["items"][1]["keymap"]["locator"], "two");
    let old = client.get(&format!("{url}&version={first}")).await;
    assert_eq!((old.json()["locator"].as_str(), old.header("etag")), (Some("one"), &*format!("\"{first}\"")));
    assert_eq!(client.get(&format!("{url}&version={marker}")).await.code(), "NOT_FOUND");
    let delete = async |version| client.send(Method::DELETE, &format!("{url}&version={version}"), &[], "").await;
    assert_eq!(delete(marker).await.code(), "VERSION_CONFLICT");
    assert_eq!(delete(first).await.status, StatusCode::OK);
    assert_eq!(delete(first).await.code(), "NOT_FOUND");
    assert_eq!(client.get(&gateway.url(1, "/v1/versions?key=user/none")).await.code(), "NOT_FOUND");
}

fn item(key: &str) -> BatchItem {
    BatchItem { key: CompositeKey::parse(key).expect("valid"), if_version: None, class: Class::Demand }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_answers_in_both_forms_with_what_rides_along() {
    let gateway = Gateway::start(3).await;
    let client = &gateway.client;
    let put = client.put(&gateway.url(1, "/v1/keymap?key=user/1"), "one").await;
    let version = put.json()["version"].as_u64().expect("a version");
    let (shard, _) = position(&put);
    let request = BatchRequest {
        items: vec![item("user/1"), BatchItem { if_version: Some(version), ..item("user/1") }, item("user/none")],
        max_staleness_ms: 2_000,
        floors: vec![Cursor { shard, position: version }],
        cursors: vec![Cursor { shard, position: version }],
        ..BatchRequest::default()
    };
    let url = gateway.url(2, "/v1/batch");
    let binary = client.send(Method::POST, &url, &[("content-type", CONTENT_TYPE)], request.encode()).await;
    assert_eq!((binary.status, binary.header("content-type")), (StatusCode::OK, CONTENT_TYPE));
    let answer = BatchResponse::decode(&binary.body).expect("an answer");
    let text = client.send(Method::POST, &url, &[JSON], serde_json::to_vec(&request).expect("JSON")).await;
    let same: BatchResponse = serde_json::from_slice(&text.body).expect("an answer");
    for answer in [&answer, &same] {
        let outcomes: Vec<_> = answer.results.iter().map(|result| &result.outcome).collect();
        assert!(matches!(outcomes[0], Outcome::Found { keymap } if keymap.fields.locator == "one"), "{outcomes:?}");
        assert_eq!(&outcomes[1..], [&Outcome::Unchanged { version }, &Outcome::Missing]);
        assert!(answer.results[..2].iter().all(|r| r.at.shard == shard && r.at.position >= version));
        assert_eq!(answer.positions[0].shard, shard);
    }
    // The caller had no map.
    let Some(MapUpdate::Full(map)) = answer.map else { panic!("a whole map") };
    let map = PartitionMap::decode(&map).expect("a map");
    let owner = Placement::new(map.into()).locate(&item("user/1").key).node;
    assert_eq!(answer.results[0].node, owner);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_ride_on_batches_and_a_lost_cursor_is_reset() {
    let gateway = Gateway::start(1).await;
    let client = &gateway.client;
    let first = position(&client.put(&gateway.url(1, "/v1/keymap?key=user/1"), "one").await);
    let second = position(&client.put(&gateway.url(1, "/v1/keymap?key=user/1"), "two").await);
    let batch = async |position| {
        let cursors = vec![Cursor { shard: first.0, position }];
        let request = BatchRequest { cursors, ..BatchRequest::default() };
        let headers = [("content-type", CONTENT_TYPE)];
        let reply = client.send(Method::POST, &gateway.url(1, "/v1/batch"), &headers, request.encode()).await;
        BatchResponse::decode(&reply.body).expect("an answer")
    };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(2);
    let answer = loop {
        let answer = batch(first.1).await;
        if answer.positions[0].position == second.1 {
            break answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "the log did not arrive: {answer:?}");
    };
    assert_eq!(answer.changes.iter().map(|c| (c.version, c.deleted)).collect::<Vec<_>>(), [(second.1, false)]);
    assert!(answer.positions[0].age_ms < 1_000 && answer.resets.is_empty());

    // A node that starts later knows no history.
    let dir = gateway.stop().await;
    let options = Options {
        admin_listen: None,
        listen: vec![([127, 0, 0, 1], 0).into()],
        origin: None,
        node: 1,
        store: StoreOptions::File { path: dir.path().join("store.redb"), options: Default::default() },
        memory_entries: 10,
        patience: Default::default(),
        share: ShareOptions::default(),
        shifter: Default::default(),
        http: Default::default(),
    };
    let running = start(options).await.expect("started");
    let request =
        BatchRequest { cursors: vec![Cursor { shard: first.0, position: first.1 }], ..BatchRequest::default() };
    let url = format!("http://{}/v1/batch", running.addresses[0]);
    let client = crate::client::Client::new();
    let reply = client.send(Method::POST, &url, &[("content-type", CONTENT_TYPE)], request.encode()).await;
    let answer = BatchResponse::decode(&reply.body).expect("an answer");
    assert_eq!((answer.resets, answer.positions[0].position), (vec![first.0], second.1));
    running.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_page_through_a_prefix() {
    let gateway = Gateway::start(2).await;
    let client = &gateway.client;
    let mut keys: Vec<String> = (0..25).map(|n| format!("user/1/{n}")).collect();
    for key in keys.iter().map(String::as_str).chain(["user/10/x", "user/2/x"]) {
        client.put(&gateway.url(1, &format!("/v1/keymap?key={key}")), key).await;
    }
    keys.sort();
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&gateway.url(2, &format!("/v1/list?prefix=user/1&limit=10{cursor}"))).await.json();
        let items = page["items"].as_array().expect("items");
        assert!(items.iter().all(|item| item["locator"] == item["key"]));
        listed.extend(items.iter().map(|item| item["key"].as_str().expect("a key").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(listed, keys);
    let all = client.get(&gateway.url(1, "/v1/list")).await.json();
    assert_eq!(all["items"].as_array().map(Vec::len), Some(27));
    let none = client.get(&gateway.url(1, "/v1/list?prefix=nobody")).await.json();
    assert_eq!(none, json!({"items": [], "next": null}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_map_comes_as_json_and_binary_with_a_tag() {
    let gateway = Gateway::start(3).await;
    let client = &gateway.client;
    let binary = client.send(Method::GET, &gateway.url(1, "/v1/map"), &[("accept", CONTENT_TYPE)], "").await;
    let map = PartitionMap::decode(&binary.body).expect("a map");
    let tag = format!("\"{:016x}\"", map.hash());
    assert_eq!((binary.header("etag"), map.nodes.len()), (tag.as_str(), 3));
    let origins: Vec<_> = map.nodes.iter().map(|node| node.origin.clone()).collect();
    assert_eq!(origins, (1..=3).map(|id| gateway.url(id, "")).collect::<Vec<_>>());
    let text = client.get(&gateway.url(2, "/v1/map")).await;
    assert_eq!(serde_json::from_slice::<PartitionMap>(&text.body).expect("a map"), map);
    let same = client.send(Method::GET, &gateway.url(2, "/v1/map"), &[("if-none-match", tag.as_str())], "").await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    let since = gateway.url(3, &format!("/v1/map?since={:016x}", map.hash()));
    assert_eq!(client.get(&since).await.status, StatusCode::NOT_MODIFIED);
    let unknown = client.send(Method::GET, &gateway.url(3, "/v1/map?since=1"), &[("accept", CONTENT_TYPE)], "").await;
    assert_eq!(PartitionMap::decode(&unknown.body).expect("the whole map"), map);
    let not_a_delta = MapDelta::decode(&unknown.body);
    assert_eq!(not_a_delta, Err(DecodeError::BadMagic.into()));

    let place = client.get(&gateway.url(1, "/v1/locate?key=user/1/profile")).await.json();
    let key = CompositeKey::parse("user/1/profile").expect("valid");
    let expected = Placement::new(map.clone().into()).locate(&key);
    assert_eq!(place["partition"], expected.partition);
    assert_eq!((place["node"].as_u64(), place["shard"].as_u64()), (Some(expected.node.into()), Some(127)));
    assert_eq!(place["origin"], map.node(expected.node).expect("a node").origin.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_readiness_and_metrics_answer() {
    let gateway = Gateway::start(1).await;
    let client = &gateway.client;
    client.get(&gateway.url(1, "/v1/keymap?key=user/1")).await;
    client.get(&gateway.url(1, "/some/path")).await;
    assert_eq!(client.get(&gateway.url(1, "/healthz")).await.status, StatusCode::OK);
    assert_eq!(client.get(&gateway.url(1, "/readyz")).await.status, StatusCode::OK);
    let metrics = client.get(&gateway.url(1, "/metrics")).await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    let text = String::from_utf8(metrics.body.to_vec()).expect("text");
    let request = r#"foremap_http_requests_total{node="1",route="/v1/keymap",status="404"} 1"#;
    for line in [request, r#"foremap_keys_total{node="1"} 1"#, r#"foremap_store_queue{node="1"} 0"#] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(text.contains(r#"route="other",status="404""#), "unknown paths share one label");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_at_every_level_name_themselves() {
    let gateway = Gateway::start(1).await;
    let client = &gateway.client;
    client.put(&gateway.url(1, "/v1/keymap?key=user/1"), "one").await;
    for level in ["strong", "any", "bounded&max_staleness_ms=0"] {
        let url = gateway.url(1, &format!("/v1/keymap?key=user/1&consistency={level}"));
        let status = client.get(&url).await.status;
        assert_eq!(status, StatusCode::OK, "{level}");
    }
    let strong = BatchRequest { items: vec![item("user/1")], consistency: Consistency::Strong, ..Default::default() };
    let headers = [("content-type", CONTENT_TYPE)];
    let reply = client.send(Method::POST, &gateway.url(1, "/v1/batch"), &headers, strong.encode()).await;
    let answer = BatchResponse::decode(&reply.body).expect("an answer");
    assert!(!matches!(answer.results[0].outcome, Outcome::Error { code: ErrorCode::Unavailable, .. }));
    assert!(matches!(answer.results[0].outcome, Outcome::Found { .. }));
}
