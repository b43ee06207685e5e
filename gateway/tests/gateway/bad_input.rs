//! Bad input: a coded answer, nothing stored, and the node goes on.

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use foremap::key::CompositeKey;
use foremap::protocol::{
    BatchItem, BatchRequest, CONTENT_TYPE, Class, MAX_BATCH_KEYS, MAX_BODY_BYTES, MAX_PAGE, MAX_VERSION,
};
use serde_json::json;

use crate::client::{Gateway, Reply};

const JSON: (&str, &str) = ("content-type", "application/json");
const BINARY: (&str, &str) = ("content-type", CONTENT_TYPE);

/// The node is as it was: nothing stored, and it works.
async fn unharmed(gateway: &Gateway) {
    let list = gateway.client.get(&gateway.url(1, "/v1/list")).await;
    assert_eq!(list.json()["items"].as_array().map(Vec::len), Some(0), "something was stored");
    assert_eq!(gateway.client.get(&gateway.url(1, "/healthz")).await.status, StatusCode::OK);
}

fn refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status.as_u16(), reply.code()), (status, code), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_keys() {
    let gateway = Gateway::start(1).await;
    let long = "a".repeat(1_025);
    let deep = ["c"; 17].join("/");
    let bad = ["", "/", "a//b", "a/", "/a", "a/../b", ".", "%25zz", "%2525%2", "%FF", "a%2F%ED%A0%80", &long, &deep];
    for key in bad {
        let url = gateway.url(1, &format!("/v1/keymap?key={key}"));
        for reply in [
            gateway.client.get(&url).await,
            gateway.client.put(&url, "x").await,
            gateway.client.send(Method::DELETE, &url, &[], "").await,
            gateway.client.get(&gateway.url(1, &format!("/v1/versions?key={key}"))).await,
        ] {
            refused(&reply, 400, "BAD_KEY");
        }
        let batch = json!({"items": [{"key": "fine/key"}, {"key": percent_encoding::percent_decode_str(key)
            .decode_utf8().unwrap_or_default()}]});
        let reply = gateway.client.send(Method::POST, &gateway.url(1, "/v1/batch"), &[JSON], batch.to_string()).await;
        refused(&reply, 400, "BAD_KEY");
    }
    for prefix in ["a//b", "..", "%FF"] {
        refused(&gateway.client.get(&gateway.url(1, &format!("/v1/list?prefix={prefix}"))).await, 400, "BAD_KEY");
    }
    refused(&gateway.client.get(&gateway.url(1, "/v1/keymap")).await, 400, "BAD_REQUEST");
    refused(&gateway.client.get(&gateway.url(1, "/v1/keymap?key=a&key=b")).await, 400, "BAD_REQUEST");
    unharmed(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_routes_and_wrong_methods() {
    let gateway = Gateway::start(1).await;
    let client = &gateway.client;
    for path in ["/", "/v1", "/v1/keymap/user/1", "/v2/batch", "/v1/batch/"] {
        refused(&client.get(&gateway.url(1, path)).await, 404, "NO_ROUTE");
    }
    for (method, path) in [(Method::GET, "/v1/batch"), (Method::POST, "/v1/keymap?key=a/b"), (Method::PUT, "/v1/map")] {
        let reply = client.send(method, &gateway.url(1, path), &[JSON], r#"{"locator":"x"}"#).await;
        refused(&reply, 405, "METHOD_NOT_ALLOWED");
        assert!(!reply.header("allow").is_empty());
    }
    unharmed(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_content_types() {
    let gateway = Gateway::start(1).await;
    let client = &gateway.client;
    let batch = gateway.url(1, "/v1/batch");
    let keymap = gateway.url(1, "/v1/keymap?key=a/b");
    for kind in ["text/plain", "application/octet-stream", "application/vnd.foremap.v2", "application/jsonx", ""] {
        let header = [("content-type", kind)];
        refused(&client.send(Method::POST, &batch, &header, "{}").await, 415, "UNSUPPORTED_MEDIA_TYPE");
        let put = client.send(Method::PUT, &keymap, &header, r#"{"locator":"x"}"#).await;
        refused(&put, 415, "UNSUPPORTED_MEDIA_TYPE");
    }
    refused(&client.send(Method::PUT, &keymap, &[], r#"{"locator":"x"}"#).await, 415, "UNSUPPORTED_MEDIA_TYPE");
    let charset = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(client.send(Method::POST, &batch, &charset, "{}").await.status, StatusCode::OK);
    unharmed(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_bodies() {
    let gateway = Gateway::start(1).await;
    let client = &gateway.client;
    let batch = gateway.url(1, "/v1/batch");
    let item = BatchItem { key: CompositeKey::parse("a/b").expect("valid"), if_version: Some(9), class: Class::Demand };
    let good = BatchRequest { items: vec![item], ..BatchRequest::default() }.encode();
    // Cut anywhere, or with any one byte replaced: refused, or another valid batch, never a failure of the node.
    for length in 0..good.len() {
        let reply = client.send(Method::POST, &batch, &[BINARY], Bytes::copy_from_slice(&good[..length])).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "cut at {length}");
        reply.problem();
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        let reply = client.send(Method::POST, &batch, &[BINARY], bad).await;
        assert!(reply.status == StatusCode::OK || reply.status == StatusCode::BAD_REQUEST, "{reply:?}");
    }
    for text in ["", "{", "[]", "null", r#"{"items":{}}"#, r#"{"items":[{}]}"#, r#"{"consistency":"best"}"#, "{}x"] {
        refused(&client.send(Method::POST, &batch, &[JSON], text).await, 400, "BAD_REQUEST");
    }
    let shard = r#"{"cursors":[{"shard":9999,"position":0}]}"#;
    refused(&client.send(Method::POST, &batch, &[JSON], shard).await, 400, "BAD_REQUEST");
    let keymap = gateway.url(1, "/v1/keymap?key=a/b");
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"["x"]"#,
        r#"{"locator":""}"#,
        r#"{"locator":1}"#,
        r#"{"locator":"x","size":-1}"#,
    ] {
        refused(&client.send(Method::PUT, &keymap, &[JSON], text).await, 400, "BAD_REQUEST");
    }
    let deep = format!(r#"{{"locator":"x","meta":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    refused(&client.send(Method::PUT, &keymap, &[JSON], deep).await, 400, "BAD_REQUEST");
    for (field, value, limit) in [
        ("locator", json!("x".repeat(4_097)), 4_096),
        ("etag", json!("x".repeat(257)), 256),
        ("tags", json!(vec!["t"; 17]), 16),
        ("meta", json!("m".repeat(20_000)), 16_384),
    ] {
        let mut body = json!({"locator": "x"});
        body[field] = value;
        let reply = client.send(Method::PUT, &keymap, &[JSON], body.to_string()).await;
        refused(&reply, 400, "BAD_REQUEST");
        assert_eq!(reply.problem().limit, Some(limit), "{field}");
    }
    unharmed(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_over_their_limits() {
    let gateway = Gateway::start(1).await;
    let client = &gateway.client;
    let batch = gateway.url(1, "/v1/batch");
    let item = BatchItem { key: CompositeKey::parse("a/b").expect("valid"), if_version: None, class: Class::Demand };
    let full = BatchRequest { items: vec![item.clone(); MAX_BATCH_KEYS], ..BatchRequest::default() };
    assert_eq!(client.send(Method::POST, &batch, &[BINARY], full.encode()).await.status, StatusCode::OK);
    let over = BatchRequest { items: vec![item; MAX_BATCH_KEYS + 1], ..BatchRequest::default() };
    let text = serde_json::to_vec(&over).expect("JSON");
    for reply in [
        client.send(Method::POST, &batch, &[BINARY], over.encode()).await,
        client.send(Method::POST, &batch, &[JSON], text).await,
    ] {
        refused(&reply, 400, "TOO_MANY_KEYS");
        assert_eq!(reply.problem().limit, Some(MAX_BATCH_KEYS as u64));
    }
    let floor = json!({"floors": [{"shard": 0, "position": MAX_VERSION + 1}]});
    for over in [json!({"stream": "s".repeat(129)}), floor] {
        let reply = client.send(Method::POST, &batch, &[JSON], over.to_string()).await;
        refused(&reply, 400, "BAD_REQUEST");
        assert!(reply.problem().limit.is_some());
    }
    let body = vec![b' '; MAX_BODY_BYTES + 1];
    for (method, url) in [(Method::POST, batch), (Method::PUT, gateway.url(1, "/v1/keymap?key=a/b"))] {
        let reply = client.send(method, &url, &[JSON], body.clone()).await;
        refused(&reply, 413, "BODY_TOO_LARGE");
        assert_eq!(reply.problem().limit, Some(MAX_BODY_BYTES as u64));
    }
    for limit in ["0", "1001", "-1", "x"] {
        refused(&client.get(&gateway.url(1, &format!("/v1/list?limit={limit}"))).await, 400, "BAD_REQUEST");
    }
    let reply = client.get(&gateway.url(1, "/v1/list?limit=5000")).await;
    assert_eq!(reply.problem().limit, Some(MAX_PAGE as u64));
    unharmed(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_and_headers_that_mean_nothing() {
    let gateway = Gateway::start(1).await;
    let client = &gateway.client;
    for path in [
        "/v1/keymap?key=a/b&version=x",
        "/v1/keymap?key=a/b&version=99999999999999999999",
        "/v1/keymap?key=a/b&consistency=eventual",
        "/v1/keymap?key=a/b&max_staleness_ms=soon",
        "/v1/list?cursor=%%%",
        "/v1/list?prefix=a&cursor=Yi9j",
        "/v1/map?since=zz",
        "/v1/changes?shards=1,x",
        "/v1/changes?shards=256",
        "/v1/changes?since=1",
    ] {
        refused(&client.get(&gateway.url(1, path)).await, 400, "BAD_REQUEST");
    }
    let url = gateway.url(1, "/v1/keymap?key=a/b");
    let long = "w".repeat(65);
    for header in [
        ("if-match", "1"),
        ("if-match", "\"x\""),
        ("if-match", "W/\"1\""),
        ("if-none-match", "\"1\""),
        ("foremap-write-id", ""),
        ("foremap-write-id", "a b"),
        ("foremap-write-id", &long),
    ] {
        let reply = client.send(Method::PUT, &url, &[JSON, header], r#"{"locator":"x"}"#).await;
        refused(&reply, 400, "BAD_REQUEST");
    }
    let both = [JSON, ("if-match", "*"), ("if-none-match", "*")];
    refused(&client.send(Method::PUT, &url, &both, r#"{"locator":"x"}"#).await, 400, "BAD_REQUEST");
    unharmed(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_not_http_leave_the_node_serving() {
    use std::io::{Read as _, Write as _};
    let gateway = Gateway::start(1).await;
    let bodies: [&'static [u8]; 4] = [
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9\r\n\r\n",
        b"PUT /v1/keymap?key=a/b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{\"loc",
        b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ];
    for bytes in bodies {
        let address = gateway.running.addresses[0];
        let talk = tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(address).expect("connected");
            stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("set");
            stream.write_all(bytes).expect("sent");
            stream.shutdown(std::net::Shutdown::Write).expect("half closed");
            // The node closes the connection, with or without an answer.
            stream.read_to_end(&mut Vec::new())
        });
        let read = talk.await.expect("no panic");
        let waiting = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
        assert!(!read.is_err_and(|error| waiting.contains(&error.kind())), "still open after {bytes:?}");
        unharmed(&gateway).await;
    }
}
