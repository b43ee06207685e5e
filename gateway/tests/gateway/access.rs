//! Tokens and CORS.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use foremap::key::KeyPrefix;
use foremap::protocol::{BatchResponse, ErrorCode, Outcome};
use foremap_gateway::auth::{Grant, TokenKey, Verb};
use foremap_gateway::http::HttpOptions;
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::client::Gateway;

const JSON: (&str, &str) = ("content-type", "application/json");

fn bearer(key: &TokenKey, verbs: &[Verb], prefix: &str) -> String {
    let prefix = KeyPrefix::parse(prefix).expect("valid");
    format!("Bearer {}", key.sign(verbs, &[prefix], 60).expect("signed"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_decide_by_verb_and_prefix() {
    let key = TokenKey::new(&[7; 32]).expect("long enough");
    let options = HttpOptions { token_key: Some(key.clone()), ..HttpOptions::default() };
    let gateway = Gateway::with(1, options).await;
    let client = &gateway.client;
    let send = async |method: Method, path: &str, token: &str| {
        let headers = [JSON, ("authorization", token)];
        client.send(method, &gateway.url(1, path), &headers, r#"{"locator":"x"}"#).await
    };
    let writer = bearer(&key, &[Verb::Put, Verb::Delete], "user/1");
    let reader = bearer(&key, &[Verb::Get, Verb::List], "user/1");
    let all = bearer(&key, &[Verb::Put, Verb::Get], "");
    let inside = "/v1/keymap?key=user/1/a";
    assert_eq!(send(Method::PUT, inside, &writer).await.status, StatusCode::CREATED);
    assert_eq!(send(Method::PUT, "/v1/keymap?key=user/10/a", &all).await.status, StatusCode::CREATED);
    assert_eq!(send(Method::GET, inside, &reader).await.status, StatusCode::OK);
    assert_eq!(send(Method::GET, "/v1/list?prefix=user/1", &reader).await.status, StatusCode::OK);
    for (method, path, token) in [
        (Method::GET, inside, &writer),
        (Method::PUT, inside, &reader),
        (Method::DELETE, inside, &reader),
        (Method::GET, "/v1/keymap?key=user/10/a", &reader),
        (Method::GET, "/v1/versions?key=user/10/a", &reader),
        (Method::GET, "/v1/locate?key=user/10/a", &reader),
        (Method::GET, "/v1/list?prefix=user", &reader),
        (Method::GET, "/v1/list?prefix=user/10", &reader),
        (Method::GET, "/v1/list?prefix=user/1", &all),
        (Method::GET, "/metrics", &reader),
        (Method::GET, "/v1/changes", &writer),
    ] {
        let reply = send(method.clone(), path, token).await;
        assert_eq!((reply.status, reply.code()), (StatusCode::FORBIDDEN, "FORBIDDEN"), "{method} {path}");
    }
    let forged = bearer(&TokenKey::new(&[8; 32]).expect("long enough"), &[Verb::Get], "");
    for token in ["", "Bearer", "Basic eDp5", "Bearer x.y.z", &forged] {
        for path in [inside, "/v1/map", "/v1/list", "/v1/changes", "/v1/versions?key=user/1/a"] {
            let reply = send(Method::GET, path, token).await;
            assert_eq!((reply.status, reply.code()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"), "{token} {path}");
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
    }
    assert_eq!(send(Method::GET, "/v1/map", &reader).await.status, StatusCode::OK);
    assert_eq!(client.get(&gateway.url(1, "/healthz")).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_hides_what_the_token_does_not_cover() {
    let key = TokenKey::new(&[7; 32]).expect("long enough");
    let options = HttpOptions { token_key: Some(key.clone()), ..HttpOptions::default() };
    let gateway = Gateway::with(1, options).await;
    let client = &gateway.client;
    let admin = bearer(&key, &[Verb::Put], "");
    let mut shards = Vec::new();
    // The covered key last: once its writes are told of, so are the others.
    for name in ["user/2/a", "user/1/a"] {
        let url = gateway.url(1, &format!("/v1/keymap?key={name}"));
        let headers = [JSON, ("authorization", admin.as_str())];
        let put = client.send(Method::PUT, &url, &headers, r#"{"locator":"x"}"#).await;
        shards.push(put.json()["shard"].clone());
        client.send(Method::PUT, &url, &headers, r#"{"locator":"y"}"#).await;
    }
    shards.dedup();
    let cursors: Vec<_> = shards.iter().map(|shard| json!({"shard": shard, "position": 0})).collect();
    let body = json!({"items": [{"key": "user/2/a"}, {"key": "user/1/a"}, {"key": "user/3"}], "cursors": cursors});
    let reader = bearer(&key, &[Verb::Get], "user/1");
    let headers = [JSON, ("authorization", reader.as_str())];
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    // The node started with the empty store, so it holds every change.
    let answer = loop {
        let reply = client.send(Method::POST, &gateway.url(1, "/v1/batch"), &headers, body.to_string()).await;
        let answer: BatchResponse = serde_json::from_slice(&reply.body).expect("an answer");
        if answer.changes.len() == 2 {
            break answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "the log did not arrive: {answer:?}");
    };
    let forbidden = |at: usize| matches!(answer.results[at].outcome, Outcome::Error { code: ErrorCode::Forbidden, .. });
    assert!(forbidden(0) && forbidden(2), "{answer:?}");
    assert!(matches!(&answer.results[1].outcome, Outcome::Found { keymap } if keymap.fields.locator == "y"));
    assert!(answer.changes.iter().all(|change| change.key.as_str() == "user/1/a"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cors_answers_listed_origins_only() {
    let cors_origins = vec!["https://app.example".to_owned(), "http://localhost:*".to_owned()];
    let gateway = Gateway::with(1, HttpOptions { cors_origins, ..HttpOptions::default() }).await;
    let client = &gateway.client;
    let url = gateway.url(1, "/v1/keymap?key=a/b");
    for (origin, allowed) in [
        ("https://app.example", true),
        ("http://localhost:5173", true),
        ("http://localhost", true),
        ("https://app.example:8443", false),
        ("http://app.example", false),
        ("http://localhost:5173.evil.example", false),
        ("http://localhost.evil.example", false),
        ("null", false),
    ] {
        let headers = [("origin", origin), ("access-control-request-method", "PUT")];
        let preflight = client.send(Method::OPTIONS, &url, &headers, "").await;
        let expected = if allowed { origin } else { "" };
        assert_eq!(preflight.header("access-control-allow-origin"), expected, "{origin}");
        assert_eq!(preflight.header("access-control-max-age"), "7200");
        let get = client.send(Method::GET, &url, &[("origin", origin)], "").await;
        assert_eq!(get.header("access-control-allow-origin"), expected);
        // An error is readable too.
        assert_eq!(get.code(), if allowed { "NOT_FOUND" } else { "FORBIDDEN" });
    }
    let get = client.send(Method::GET, &url, &[("origin", "http://localhost:1")], "").await;
    for name in ["etag", "foremap-position", "foremap-age", "foremap-epoch", "foremap-node", "foremap-partition"] {
        assert!(get.header("access-control-expose-headers").contains(name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_ends_with_its_token() {
    let key = TokenKey::new(&[7; 32]).expect("long enough");
    let options = HttpOptions { token_key: Some(key.clone()), ..HttpOptions::default() };
    let gateway = Gateway::with(1, options).await;
    let token = key.sign(&[Verb::Get], &[KeyPrefix::all()], 1).expect("signed");
    let headers = [("authorization", &*format!("Bearer {token}"))];
    let feed = gateway.client.open(&gateway.url(1, "/v1/changes?shards=1"), &headers).await;
    let response = feed.await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    // One second, and the clock difference that is tolerated.
    let ended = tokio::time::timeout(Duration::from_secs(10), response.into_body().collect()).await;
    assert!(ended.is_ok_and(|body| body.is_ok()), "the feed went on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_taken_by_whom_it_names_alone() {
    let key = TokenKey::new(&[7; 32]).expect("long enough");
    let audiences = vec!["shop".to_owned()];
    let gateway =
        Gateway::with(2, HttpOptions { token_key: Some(key.clone()), audiences, ..HttpOptions::default() }).await;
    let one = gateway.url(1, "");
    for (audience, statuses) in [("shop", [200, 200]), (&*one, [200, 401]), ("elsewhere", [401, 401])] {
        let (verbs, prefixes) = (&[Verb::Get], &[KeyPrefix::all()]);
        let grant = Grant { audience: Some(audience), verbs, prefixes, ttl_s: 60, ..Grant::default() };
        let token = format!("Bearer {}", key.sign_grant(grant).expect("signed"));
        for (node, status) in (1..).zip(statuses) {
            let url = gateway.url(node, "/v1/map");
            let reply = gateway.client.send(Method::GET, &url, &[("authorization", &token)], "").await;
            assert_eq!(reply.status.as_u16(), status, "{audience} at node {node}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_of_a_part_see_and_change_that_part() {
    let key = TokenKey::new(&[7; 32]).expect("long enough");
    let options = HttpOptions { token_key: Some(key.clone()), ..HttpOptions::default() };
    let gateway = Gateway::with(1, options).await;
    let send = async |method: Method, path: &str, token: &str, body: &str| {
        let headers = [JSON, ("authorization", token)];
        gateway.client.send(method, &gateway.url(1, path), &headers, body.to_owned()).await
    };
    let all = bearer(&key, &[Verb::Put, Verb::Get], "");
    for name in ["user/1/a", "user/2/a"] {
        send(Method::PUT, &format!("/v1/keymap?key={name}"), &all, r#"{"locator":"x"}"#).await;
        send(Method::GET, &format!("/v1/keymap?key={name}"), &all, "").await;
    }
    let part = bearer(&key, &[Verb::Admin, Verb::Metrics], "user/1");
    assert_eq!(send(Method::GET, "/v1/hot", &part, "").await.json(), json!({"keys": ["user/1/a"]}));
    let operator = bearer(&key, &[Verb::Admin], "");
    assert_eq!(send(Method::GET, "/v1/hot", &operator, "").await.json()["keys"].as_array().map(Vec::len), Some(2));
    for (method, path, body) in [
        (Method::GET, "/metrics", ""),
        (Method::GET, "/v1/plan", ""),
        (Method::POST, "/v1/load?round=1", ""),
        (Method::POST, "/v1/summaries/take", ""),
        (Method::POST, "/v1/shifter/freeze", r#"{"frozen":true}"#),
        (Method::POST, "/v1/model/forget", r#"{"prefix":"user"}"#),
    ] {
        let reply = send(method, path, &part, body).await;
        assert_eq!((reply.status, reply.code()), (StatusCode::FORBIDDEN, "FORBIDDEN"), "{path}");
    }
    let scraper = bearer(&key, &[Verb::Metrics], "");
    assert_eq!(send(Method::GET, "/metrics", &scraper, "").await.status, StatusCode::OK);
    for path in ["/v1/hot", "/v1/plan", "/v1/keymap?key=user/1/a", "/v1/list"] {
        assert_eq!(send(Method::GET, path, &scraper, "").await.status, StatusCode::FORBIDDEN, "{path}");
    }
    // What gateways sign for each other is no key to what callers or operators do.
    let peer = bearer(&key, &[Verb::Peer], "");
    for path in ["/v1/plan", "/v1/keymap?key=user/1/a", "/metrics"] {
        assert_eq!(send(Method::GET, path, &peer, "").await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(send(Method::GET, "/v1/hot", &peer, "").await.status, StatusCode::OK);
}
