//! `foremap-gateway audit`, against nodes that keep their word and against a proxy that does not.

use std::collections::HashMap;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use foremap::key::KeyPrefix;
use foremap::protocol::{BatchResponse, ItemResult};
use foremap_gateway::auth::{TokenKey, Verb};
use foremap_gateway::http::HttpOptions;
use parking_lot::Mutex;
use serde_json::Value;

use crate::client::{Client, Gateway};

fn command(args: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foremap-gateway"));
    command.arg("audit").args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn audit(args: &[&str]) -> Output {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    tokio::task::spawn_blocking(move || command(&args).output().expect("the binary runs")).await.expect("no panic")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Keys below the prefix of audits.
async fn left(gateway: &Gateway) -> Vec<Value> {
    let list = gateway.client.get(&gateway.url(1, "/v1/list?prefix=_audit")).await.json();
    list["items"].as_array().expect("a list").clone()
}

/// Tells whether the metrics of a node count a hundred reads.
fn read_often(metrics: &[u8]) -> bool {
    let metrics = String::from_utf8_lossy(metrics);
    let keymaps =
        metrics.lines().filter(|line| line.contains("http_requests_total") && line.contains("status=\"200\""));
    let counts = keymaps.filter(|line| line.contains("/v1/keymap") || line.contains("/v1/batch"));
    let count: f64 = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    count >= 100.0
}

/// Answers of a node, and when they were given.
type Kept = Arc<Mutex<HashMap<String, (Instant, HeaderMap, StatusCode, Bytes)>>>;

/// A proxy that answers with what it has, for `keeps`, and says that it is new.
#[derive(Clone)]
struct Proxy {
    target: String,
    client: Client,
    keeps: Duration,
    kept: Kept,
}

async fn proxy(target: String, keeps: Duration) -> String {
    let proxy = Proxy { target, client: Client::new(), keeps, kept: Kept::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(axum::serve(listener, Router::new().fallback(pass).with_state(proxy)).into_future());
    origin
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let name = format!("{} {} {body:?}", head.method, head.uri);
    let known = proxy.kept.lock().get(&name).cloned();
    let is_read = head.method == "GET" || head.uri.path() == "/v1/batch";
    if let Some((_, headers, status, body)) = known.filter(|(at, ..)| is_read && at.elapsed() < proxy.keeps) {
        return (status, headers, body).into_response();
    }
    let url = format!("{}{}", proxy.target, head.uri);
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()))
        .collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let at = Instant::now();
    let Some(mut reply) = proxy.client.try_send(head.method, &url, &headers, body).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if let Some(age) = reply.headers.get_mut("foremap-age") {
        *age = "0".parse().expect("a header");
    }
    if let Ok(mut batch) = BatchResponse::decode(&reply.body) {
        batch.results.iter_mut().for_each(|ItemResult { at, .. }| at.age_ms = 0);
        reply.body = batch.encode().into();
    }
    reply.headers.remove("content-length");
    let answer = (at, reply.headers.clone(), reply.status, reply.body.clone());
    proxy.kept.lock().insert(name, answer);
    (reply.status, reply.headers, Body::from(reply.body)).into_response()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_keep_their_word_pass() {
    let gateway = Gateway::start(3).await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    let json = file.path().to_str().expect("text");
    let origins = [1, 2, 3].map(|id| gateway.url(id, ""));
    let [one, two, three] = origins.each_ref().map(String::as_str);
    let args =
        ["--origin", one, "--origin", two, "--origin", three, "--duration", "3s", "--rate", "40", "--json", json];
    let output = audit(&args).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let shown = text(&output);
    for part in ["gateway 3 http://", "feed http://", "claimed age", "write to frame", "100 % of"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json: Value = serde_json::from_str(&std::fs::read_to_string(json).expect("written")).expect("JSON");
    assert_eq!((&json["lies"], &json["broken"], &json["bound_ms"]), (&0.into(), &0.into(), &2_000.into()));
    let paths = json["paths"].as_array().expect("paths");
    assert_eq!(paths.len(), 4);
    assert!(paths.iter().all(|path| path["judged"].as_u64() > Some(2)), "{json:#}");
    // Some of the answers come from memory, whose age the canary sees.
    assert!(paths[..3].iter().any(|path| path["true_staleness_at_most_ms"]["max"].as_f64() > Some(0.0)), "{json:#}");
    assert!(paths[3]["changes"].as_u64() > Some(4) && paths[3]["kind"] == "feed", "{json:#}");
    assert_eq!(left(&gateway).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_claims_to_be_younger_than_it_is_is_caught() {
    let gateway = Gateway::start(1).await;
    let origin = gateway.url(1, "");
    let lying = proxy(origin.clone(), Duration::from_millis(900)).await;
    // Written and followed at the node itself.
    let options = ["--duration", "4s", "--rate", "80", "--bound", "2000"];
    let output = audit(&[&["--origin", &origin, "--worker", &lying], &options[..]].concat()).await;
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains(&format!("FOUND worker 1 {lying}")), "{shown}");
    assert!(shown.contains("claims to be younger than it is"), "{shown}");
    assert!(!shown.contains("FOUND gateway") && !shown.contains("FOUND feed"), "{shown}");
    // With a bound that it does not keep either.
    let options = ["--duration", "3s", "--rate", "80", "--bound", "100", "--no-feed"];
    let output = audit(&[&["--origin", &origin, "--worker", &lying], &options[..]].concat()).await;
    assert!(text(&output).contains("is older than the bound"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(left(&gateway).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_audited_is_said() {
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), [b'k'; 32]).expect("written");
    let key = TokenKey::read(secret.path()).expect("a key");
    let gateway = Gateway::with(1, HttpOptions { token_key: Some(key.clone()), ..HttpOptions::default() }).await;
    let origin = gateway.url(1, "");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let closed = format!("http://{closed}");
    let sign = |verbs: &[Verb], prefix: &str| {
        key.sign(verbs, &[KeyPrefix::parse(prefix).expect("valid")], 60).expect("a token")
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, token: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, token + "\n").expect("written");
        path.to_str().expect("text").to_owned()
    };
    let readable = file("readable", sign(&[Verb::Get], "_audit"));
    let elsewhere = file("elsewhere", sign(&[Verb::Get, Verb::Put, Verb::Delete], "user"));
    let whole = file("whole", sign(&[Verb::Get, Verb::Put, Verb::Delete], "_audit"));
    for (args, expected) in [
        (vec!["--origin", "https://gateway.example"], "no origin of http://"),
        (vec!["--origin", &closed], "does not answer"),
        (vec!["--origin", &origin], "UNAUTHENTICATED"),
        (vec!["--origin", &origin, "--token-file", &readable], "FORBIDDEN"),
        (vec!["--origin", &origin, "--token-file", &elsewhere], "FORBIDDEN"),
        (vec!["--origin", &origin, "--worker", &closed, "--token-file", &readable], &closed),
        (vec!["--origin", &origin, "--prefix", ""], "must not be empty"),
        (vec!["--origin", &origin, "--token-file", "/nowhere/token"], "/nowhere/token"),
    ] {
        let output = audit(&args).await;
        let shown = text(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {shown}");
        assert!(shown.contains(expected) && output.stdout.is_empty(), "{args:?}: {shown}");
    }
    let output = audit(&["--origin", &origin, "--token-file", &whole, "--duration", "1s"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_audit_cleans_up_and_tells_what_it_found() {
    let gateway = Gateway::start(1).await;
    let args = ["--origin", &gateway.url(1, ""), "--duration", "1h"].map(str::to_owned);
    let child = command(&args).spawn().expect("the binary runs");
    let deadline = Instant::now() + Duration::from_secs(30);
    while left(&gateway).await.len() < 8 {
        assert!(Instant::now() < deadline, "it never began");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let metrics = gateway.url(1, "/metrics");
    while !read_often(&gateway.client.get(&metrics).await.body) {
        assert!(Instant::now() < deadline, "it never read");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(kill.success());
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await.expect("no panic").expect("ended");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("100 % of"), "{}", text(&output));
    assert_eq!(left(&gateway).await, Vec::<Value>::new());
}
