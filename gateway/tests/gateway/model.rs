//! The model that clients share: told to any gateway, merged by the leader, served by all.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::model::{Path, PathStep, Summary};
use foremap::protocol::{CONTENT_TYPE, ModelSnapshot, apply_model_delta, is_model_delta};
use foremap_gateway::auth::{TokenKey, Verb};
use foremap_gateway::host::{SharingStats, ShifterMode};
use foremap_gateway::http::HttpOptions;
use foremap_gateway::run::{Options, Running, ShareOptions, StoreOptions, start as start_node};
use foremap_gateway::store::{Blob, Namespace as _, RedbOptions};
use serde_json::json;

use crate::client::{Client, Gateway, Reply};
use crate::shared::{Gate, Shared, agree, until};

pub(crate) const BINARY: (&str, &str) = ("content-type", CONTENT_TYPE);
const JSON: (&str, &str) = ("content-type", "application/json");

/// Summary of an instance that went along `keys`.
fn summary(instance: u64, epoch: u64, keys: &[&str]) -> Vec<u8> {
    let keys: Vec<CompositeKey> = keys.iter().map(|key| CompositeKey::parse(key).expect("valid")).collect();
    let steps = (0..keys.len() as u32).map(|key| PathStep { key, repeated: false }).collect();
    Summary { instance, epoch, keys, paths: vec![Path { told: 0, steps }] }.encode()
}

fn token_key() -> TokenKey {
    TokenKey::new(&[7; 32]).expect("long enough")
}

pub(crate) fn with_tokens() -> HttpOptions {
    HttpOptions {
        token_key: Some(token_key()),
        cors_origins: vec!["http://localhost:*".into()],
        ..HttpOptions::default()
    }
}

pub(crate) fn bearer(sub: &str, verbs: &[Verb], prefixes: &[&str]) -> String {
    let prefixes: Vec<KeyPrefix> = prefixes.iter().map(|text| KeyPrefix::parse(text).expect("valid")).collect();
    format!("Bearer {}", token_key().sign_for(Some(sub), verbs, &prefixes, 600).expect("signed"))
}

async fn tell(url: &str, token: &str, body: Vec<u8>) -> Reply {
    let headers = [BINARY, ("authorization", token)];
    Client::new().send(Method::POST, &format!("{url}/v1/summaries"), &headers, body).await
}

/// Six people go the same way, each told of at the next of `origins`.
pub(crate) async fn six_tell(origins: &[String], instance: u64, keys: &[&str]) {
    for n in 0..6 {
        let token = bearer(&format!("person-{n}"), &[Verb::Get], &[""]);
        let reply = tell(&origins[n % origins.len()], &token, summary(instance + n as u64, 1, keys)).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{reply:?}");
    }
}

async fn model(origin: &str, token: &str, headers: &[(&str, &str)]) -> Reply {
    let headers = [&[("authorization", token)], headers].concat();
    Client::new().send(Method::GET, &format!("{origin}/v1/model"), &headers, "").await
}

/// The keys of the model that a token reads; none while there is none.
pub(crate) async fn keys(origin: &str, token: &str) -> Vec<String> {
    let reply = model(origin, token, &[]).await;
    match reply.status {
        StatusCode::NO_CONTENT => Vec::new(),
        status => {
            assert_eq!(status, StatusCode::OK, "{reply:?}");
            ModelSnapshot::decode(&reply.body).expect("a model").keys
        }
    }
}

pub(crate) async fn knows(origin: &str, token: &str, key: &str, expected: bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while keys(origin, token).await.iter().any(|known| known == key) != expected {
        assert!(tokio::time::Instant::now() < deadline, "{key}: {expected} never came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn stats(gate: &Gate) -> SharingStats {
    gate.process.sharing.stats()
}

async fn start(store: &Arc<Shared>, id: u32) -> Gate {
    Gate::try_start(store, id, 0, with_tokens()).await.expect("started")
}

/// Two gateways of which the first leads.
pub(crate) async fn two(store: &Arc<Shared>) -> (Gate, Gate) {
    let one = start(store, 1).await;
    until("the first leads", || one.term() > 0).await;
    let two = start(store, 2).await;
    agree(&[&one, &two], &[1, 2]).await;
    (one, two)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_any_gateway_and_served_by_another() {
    let store = Shared::new();
    let (one, two) = two(&store).await;
    let reader = bearer("reader", &[Verb::Get], &[""]);
    let none = model(&two.origin(), &reader, &[]).await;
    assert_eq!((none.status, none.header("cache-control")), (StatusCode::NO_CONTENT, "no-store"));
    // None of them to the leader.
    six_tell(&[two.origin()], 100, &["a/1", "a/2", "a/3"]).await;
    knows(&two.origin(), &reader, "a/3", true).await;
    knows(&one.origin(), &reader, "a/3", true).await;

    let plain = model(&two.origin(), &reader, &[]).await;
    assert_eq!(plain.header("content-type"), CONTENT_TYPE);
    assert_eq!(plain.header("content-encoding"), "");
    assert_eq!(plain.header("cache-control"), "public, max-age=60, stale-while-revalidate=600");
    assert!(plain.header("vary").contains("accept-encoding, authorization"), "{plain:?}");
    let snapshot = ModelSnapshot::decode(&plain.body).expect("a model");
    assert_eq!(snapshot.keys, ["a/1", "a/2", "a/3"]);
    let mut tags = vec![plain.header("etag").to_owned()];
    for encoding in ["br", "gzip"] {
        let accepts = ("accept-encoding", encoding);
        let reply = model(&one.origin(), &reader, &[accepts]).await;
        assert_eq!(reply.header("content-encoding"), encoding);
        let tag = reply.header("etag").to_owned();
        let again = model(&two.origin(), &reader, &[accepts, ("if-none-match", &tag)]).await;
        assert_eq!((again.status, again.body.len(), again.header("etag")), (StatusCode::NOT_MODIFIED, 0, &*tag));
        assert_eq!(model(&two.origin(), &reader, &[("if-none-match", &tag)]).await.status, StatusCode::OK);
        tags.push(tag);
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3, "one for each encoding");
    until("the leader has taken it", || stats(&two).inbox.outbox.entries == 0 && stats(&two).inbox.taken == 6).await;
    assert_eq!((stats(&one).merger.merged, stats(&two).inbox.received), (6, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_gets_no_key_that_it_may_not_read() {
    let gateway = Gateway::with(1, with_tokens()).await;
    let origin = gateway.url(1, "");
    six_tell(std::slice::from_ref(&origin), 100, &["a/1", "a/2", "b/1", "b/2"]).await;
    let all = bearer("reader", &[Verb::Get], &[""]);
    knows(&origin, &all, "b/2", true).await;
    assert_eq!(keys(&origin, &all).await, ["a/1", "a/2", "b/1", "b/2"]);
    let some = bearer("reader", &[Verb::Get], &["a", "c"]);
    assert_eq!(keys(&origin, &some).await, ["a/1", "a/2"]);
    let reply = model(&origin, &some, &[]).await;
    assert_eq!(reply.header("cache-control"), "private, max-age=60, stale-while-revalidate=600");
    let tag = reply.header("etag");
    assert_eq!(model(&origin, &some, &[("if-none-match", tag)]).await.status, StatusCode::NOT_MODIFIED);
    assert_eq!(model(&origin, &all, &[("if-none-match", tag)]).await.status, StatusCode::OK);
    assert_eq!(keys(&origin, &bearer("x", &[Verb::Get], &["b/1"])).await, [""; 0], "one key leads nowhere");
    // What a token may not read it may not tell of either.
    let reply = tell(&origin, &some, summary(1, 1, &["a/1", "b/1"])).await;
    assert_eq!((reply.status, reply.code()), (StatusCode::FORBIDDEN, "FORBIDDEN"));
    for (token, status) in [("", StatusCode::UNAUTHORIZED), (&bearer("x", &[Verb::Put], &[""]), StatusCode::FORBIDDEN)]
    {
        assert_eq!(tell(&origin, token, summary(1, 1, &["a/1"])).await.status, status);
        assert_eq!(model(&origin, token, &[]).await.status, status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_model_is_told_what_changed_in_what_it_may_read() {
    let gateway = Gateway::with(1, with_tokens()).await;
    let origin = gateway.url(1, "");
    let [all, some] = [&[""], &["a"]].map(|prefixes| bearer("reader", &[Verb::Get], prefixes));
    let items: Vec<String> = (0..60).map(|item| format!("a/{item}")).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    six_tell(std::slice::from_ref(&origin), 100, &items).await;
    knows(&origin, &all, "a/59", true).await;
    let older = [model(&origin, &all, &[]).await.body, model(&origin, &some, &[]).await.body];
    six_tell(std::slice::from_ref(&origin), 200, &["b/1", "b/2"]).await;
    knows(&origin, &all, "b/2", true).await;
    let ask = async |token: &str, from: u64, encoding: &str| {
        let headers = [("authorization", token), ("accept-encoding", encoding)];
        let url = format!("{origin}/v1/model?bytes=65536&from={from}");
        Client::new().send(Method::GET, &url, &headers, "").await
    };
    for (token, older) in [(&all, &older[0]), (&some, &older[1])] {
        let newer = model(&origin, token, &[]).await;
        let made = ModelSnapshot::decode(older).expect("a model").made;
        let delta = ask(token, made, "identity").await;
        assert!(is_model_delta(&delta.body) && delta.body.len() < newer.body.len() / 2, "{delta:?}");
        assert_eq!(apply_model_delta(older, &delta.body).as_deref(), Ok(&newer.body[..]));
        assert_ne!(delta.header("etag"), newer.header("etag"));
        let whole = model(&origin, token, &[("accept-encoding", "br")]).await;
        assert!(ask(token, made, "br").await.body.len() < whole.body.len(), "{}", whole.body.len());
        assert_eq!(ask(token, made + 1, "identity").await.body, newer.body, "not known here");
        assert_eq!(ask(token, made, "identity").await.header("cache-control"), newer.header("cache-control"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_people_than_it_takes_stay_private_however_often_they_tell() {
    let gateway = Gateway::with(1, with_tokens()).await;
    let origin = gateway.url(1, "");
    for instance in 0..40 {
        let token = bearer(&format!("person-{}", instance % 4), &[Verb::Get], &[""]);
        let reply = tell(&origin, &token, summary(instance, 1, &["secret/1", "secret/2"])).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
    }
    six_tell(std::slice::from_ref(&origin), 1_000, &["a/1", "a/2"]).await;
    let all = bearer("reader", &[Verb::Get], &[""]);
    knows(&origin, &all, "a/2", true).await;
    assert_eq!(keys(&origin, &all).await, ["a/1", "a/2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tokens_an_address_may_tell_so_much_a_minute() {
    let gateway = Gateway::start(1).await;
    let url = gateway.url(1, "/v1/summaries");
    let long = format!("a/{}", "x".repeat(1_000));
    let mut sent = 0;
    let refused = loop {
        let keys: Vec<String> = (0..20).map(|n| format!("{n}{long}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let body = summary(sent as u64, 1, &keys);
        let len = body.len();
        let reply = gateway.client.send(Method::POST, &url, &[BINARY], body).await;
        if reply.status != StatusCode::NO_CONTENT {
            break reply;
        }
        sent += len;
        assert!(sent <= 65_536 + 2_000, "{sent}");
    };
    assert!(sent > 40_000, "{sent}");
    assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS"));
    assert_eq!(refused.problem().limit, Some(65_536));
    assert!((1..=60).contains(&refused.header("retry-after").parse().unwrap_or(0)), "{refused:?}");
    let stats = gateway.running.process().sharing.stats();
    assert_eq!((stats.inbox.refused, stats.inbox.addresses), (1, 1));
    // Whoever shows a token is known by it.
    let gateway = Gateway::with(1, with_tokens()).await;
    let token = bearer("worker", &[Verb::Get], &[""]);
    for n in 0..5 {
        let keys: Vec<String> = (0..20).map(|n| format!("{n}{long}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        assert_eq!(tell(&gateway.url(1, ""), &token, summary(n, 1, &keys)).await.status, StatusCode::NO_CONTENT);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_requests_are_refused() {
    let gateway = Gateway::start(1).await;
    let send = async |method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>| {
        let reply = gateway.client.send(method, &gateway.url(1, path), headers, body).await;
        (reply.status.as_u16(), reply.code())
    };
    let whole = summary(1, 1, &["a/1", "a/2"]);
    for cut in 0..whole.len() {
        let body = whole[..cut].to_vec();
        assert_eq!(send(Method::POST, "/v1/summaries", &[BINARY], body).await, (400, "BAD_REQUEST"), "{cut}");
    }
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(send(Method::POST, "/v1/summaries", &[BINARY], longer).await, (400, "BAD_REQUEST"));
    assert_eq!(send(Method::POST, "/v1/summaries", &[BINARY], vec![0; 65_537]).await, (413, "BODY_TOO_LARGE"));
    assert_eq!(send(Method::POST, "/v1/summaries", &[JSON], b"{}".to_vec()).await, (415, "UNSUPPORTED_MEDIA_TYPE"));
    for query in ["bytes=1023", "bytes=1048577", "bytes=x", "bytes=-1"] {
        let path = format!("/v1/model?{query}");
        assert_eq!(send(Method::GET, &path, &[], vec![]).await, (400, "BAD_REQUEST"), "{query}");
    }
    for query in ["outbox=1", "next=1", "outbox=x&next=1", "outbox=1&next=9007199254740992"] {
        let path = format!("/v1/summaries/take?{query}");
        assert_eq!(send(Method::POST, &path, &[], vec![]).await, (400, "BAD_REQUEST"), "{query}");
    }
    for body in ["", "[]", "{}", "{\"prefix\":1}", "{\"prefix\":\"/\"}", "{\"prefix\":\"a\",\"x\":1}"] {
        assert_eq!(send(Method::POST, "/v1/model/forget", &[JSON], body.into()).await, (400, "BAD_REQUEST"), "{body}");
    }
    let stats = gateway.running.process().sharing.stats();
    assert_eq!((stats.inbox.received, stats.inbox.refused), (0, whole.len() as u64 + 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_serves_at_once_and_keeps_the_counts() {
    let store = Shared::new();
    let (one, two) = two(&store).await;
    let reader = bearer("reader", &[Verb::Get], &[""]);
    let origins = [one.origin(), two.origin()];
    six_tell(&origins, 100, &["a/1", "a/2"]).await;
    knows(&two.origin(), &reader, "a/2", true).await;
    // Two people, which is too few; the leader stores what it merged of them before it is killed, or two still has it.
    for n in 0..2 {
        let token = bearer(&format!("early-{n}"), &[Verb::Get], &[""]);
        assert_eq!(
            tell(&two.origin(), &token, summary(200 + n, 1, &["c/1", "c/2"])).await.status,
            StatusCode::NO_CONTENT
        );
    }
    until("the leader has them", || stats(&one).merger.merged == 8).await;
    until("and stored them", || stats(&one).state_saved == 8).await;
    one.kill().await;
    assert_eq!(keys(&two.origin(), &reader).await, ["a/1", "a/2"], "nobody leads yet");
    until("the other leads", || two.term() > 0 && stats(&two).merger.merged == 8).await;
    assert_eq!(keys(&two.origin(), &reader).await, ["a/1", "a/2"]);
    // What was merged before is known, and what is new adds to it.
    six_tell(&[two.origin()], 100, &["a/1", "a/2"]).await;
    for n in 2..5 {
        let token = bearer(&format!("late-{n}"), &[Verb::Get], &[""]);
        assert_eq!(
            tell(&two.origin(), &token, summary(200 + n, 1, &["c/1", "c/2"])).await.status,
            StatusCode::NO_CONTENT
        );
    }
    knows(&two.origin(), &reader, "c/2", true).await;
    // What the dead leader had not said that it took was handed over again.
    let merger = stats(&two).merger;
    assert_eq!(merger.merged, 11);
    assert!((6..=8).contains(&merger.known), "{merger:?}");
    // A gateway that comes later serves it as well.
    let three = start(&store, 3).await;
    knows(&three.origin(), &reader, "c/2", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forgotten_is_gone_everywhere() {
    let store = Shared::new();
    let (one, two) = two(&store).await;
    let reader = bearer("reader", &[Verb::Get], &[""]);
    let admin = bearer("operator", &[Verb::Admin], &[""]);
    six_tell(&[two.origin()], 100, &["a/1", "a/2", "b/1", "b/2"]).await;
    knows(&two.origin(), &reader, "b/2", true).await;
    let forget = async |token: &str| {
        let (url, body) = (two.url("/v1/model/forget"), json!({ "prefix": "b" }).to_string());
        Client::new().send(Method::POST, &url, &[JSON, ("authorization", token)], body).await
    };
    assert_eq!(forget(&reader).await.status, StatusCode::FORBIDDEN);
    // Also what is on its way.
    six_tell(&[two.origin()], 200, &["a/2", "a/3", "b/3", "b/4"]).await;
    // By one that does not lead.
    let reply = forget(&admin).await;
    assert_eq!((reply.status, reply.json()), (StatusCode::OK, json!({ "forgotten": "b" })));
    assert_eq!(keys(&one.origin(), &reader).await, ["a/1", "a/2", "a/3"], "at once");
    knows(&two.origin(), &reader, "b/2", false).await;
    let state = store.blob(Blob::ModelState).await.expect("read").expect("stored");
    assert!(!state.windows(3).any(|part| part == b"b/1"), "not in the counts either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_takes_waits_and_a_repeated_page_counts_once() {
    let store = Shared::new();
    let (one, two) = two(&store).await;
    store.set_meta_down(true);
    six_tell(&[two.origin()], 100, &["a/1", "a/2"]).await;
    store.beats(2, 2).await;
    assert_eq!(stats(&two).inbox.outbox.entries, 6, "no leader");
    store.set_meta_down(false);
    until("it is taken", || stats(&two).inbox.outbox.entries == 0).await;
    let admin = bearer("operator", &[Verb::Admin, Verb::Get], &[""]);
    let take = async |path: &str, token: &str| {
        Client::new().send(Method::POST, &two.url(path), &[("authorization", token)], "").await
    };
    let reader = bearer("reader", &[Verb::Get], &[""]);
    assert_eq!(take("/v1/summaries/take", &reader).await.status, StatusCode::FORBIDDEN);
    assert_eq!(take("/v1/summaries/take", &admin).await.status, StatusCode::OK);
    six_tell(&[two.origin()], 100, &["a/1", "a/2"]).await;
    until("it is taken again", || stats(&one).merger.known == 6).await;
    assert_eq!(stats(&one).merger.merged, 6);
    let text = Client::new().send(Method::GET, &one.url("/metrics"), &[("authorization", &admin)], "").await;
    let text = String::from_utf8_lossy(&text.body).into_owned();
    for row in ["foremap_summaries_merged_total{node=\"1\"} 6", "foremap_summaries_known_total{node=\"1\"} 6"] {
        assert!(text.contains(row), "{row} in {text}");
    }
    let ready = Client::new().get(&two.url("/readyz")).await.json();
    assert!(ready["model"]["bytes"].as_u64() > Some(0), "{ready}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_other_origins_tell_and_read() {
    let cors_origins = vec!["http://localhost:*".to_owned()];
    let gateway = Gateway::with(1, HttpOptions { cors_origins, ..HttpOptions::default() }).await;
    let origin = ("origin", "http://localhost:5173");
    for (path, method) in [("/v1/summaries", "POST"), ("/v1/model", "GET")] {
        let url = gateway.url(1, path);
        let asked = [origin, ("access-control-request-method", method)];
        let preflight = gateway.client.send(Method::OPTIONS, &url, &asked, "").await;
        assert_eq!(preflight.header("access-control-allow-origin"), origin.1, "{path}");
        assert!(preflight.header("access-control-allow-headers").contains("content-type"));
    }
    let body = summary(1, 1, &["a/1", "a/2"]);
    let url = gateway.url(1, "/v1/summaries");
    let reply = gateway.client.send(Method::POST, &url, &[BINARY, origin], body).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (StatusCode::NO_CONTENT, origin.1));
    let exposed = reply.header("access-control-expose-headers");
    assert!(exposed.contains("etag") && exposed.contains("retry-after"), "{exposed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_shares_nothing_has_no_such_routes() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options {
        admin_listen: None,
        listen: vec![([127, 0, 0, 1], 0).into()],
        origin: None,
        node: 1,
        store: StoreOptions::File { path: dir.path().join("s"), options: RedbOptions::default() },
        memory_entries: 100,
        patience: Duration::ZERO,
        shifter: ShifterMode::Off,
        share: ShareOptions { is_on: false, ..ShareOptions::default() },
        http: HttpOptions::default(),
    };
    let running = start_node(options).await.expect("started");
    for (method, path) in [
        (Method::POST, "/v1/summaries"),
        (Method::POST, "/v1/summaries/take"),
        (Method::GET, "/v1/model"),
        (Method::POST, "/v1/model/forget"),
    ] {
        let url = format!("http://{}{path}", running.addresses[0]);
        let reply = Client::new().send(method, &url, &[JSON], "{\"prefix\":\"a\"}").await;
        assert_eq!((reply.status, reply.code()), (StatusCode::NOT_FOUND, "NO_ROUTE"), "{path}");
    }
    running.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_last_outlives_a_process_that_ends_well() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = |every| Options {
        admin_listen: None,
        listen: vec![([127, 0, 0, 1], 0).into()],
        origin: None,
        node: 1,
        store: StoreOptions::File { path: dir.path().join("s"), options: RedbOptions::default() },
        memory_entries: 100,
        patience: Duration::ZERO,
        shifter: ShifterMode::Off,
        share: ShareOptions { every: Duration::from_secs(every), ..ShareOptions::default() },
        http: with_tokens(),
    };
    let running = start_node(options(3_600)).await.expect("started");
    let origin = format!("http://{}", running.addresses[0]);
    let merged = |running: &Running| running.process().sharing.stats().merger.merged;
    six_tell(std::slice::from_ref(&origin), 100, &["a/1", "a/2"]).await;
    until("it is merged", || merged(&running) == 6).await;
    six_tell(std::slice::from_ref(&origin), 200, &["b/1", "b/2"]).await;
    until("it is merged", || merged(&running) == 12).await;
    let saved = running.process().sharing.stats().state_saved;
    assert!((1..=6).contains(&saved), "{saved}: the next time is in half an hour");
    running.stop().await.expect("stopped");
    let running = start_node(options(2)).await.expect("started");
    until("the counts are back", || merged(&running) == 12).await;
    let reader = bearer("reader", &[Verb::Get], &[""]);
    let origin = format!("http://{}", running.addresses[0]);
    knows(&origin, &reader, "a/2", true).await;
    running.stop().await.expect("stopped");
}
