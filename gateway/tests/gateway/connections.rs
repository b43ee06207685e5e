//! Resources that a node gives whoever connects: time, places, bytes. And who is answered when none are left.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use foremap_gateway::http::{HttpOptions, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::binary::Process;
use crate::client::{Client, Gateway};

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);
/// As long as no test lasts.
const LONG: Duration = Duration::from_secs(3_600);

fn limits() -> Limits {
    Limits { head: LONG, body: LONG, idle: LONG, ..Limits::default() }
}

async fn with(limits: Limits) -> Gateway {
    Gateway::with(1, HttpOptions { limits, ..HttpOptions::default() }).await
}

/// A connection from 127.0.0.`last`.
pub(crate) async fn connect(gateway: &Gateway, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))).expect("loopback");
    socket.connect(gateway.running.addresses[0]).await.expect("connected")
}

/// Sends `text` and returns what comes until the node closes the connection.
async fn until_closed(stream: &mut TcpStream, text: &str) -> String {
    // It may be closed already.
    let _ = stream.write_all(text.as_bytes()).await;
    let mut answer = Vec::new();
    // A reset is a close as well.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed");
    String::from_utf8(answer).expect("text")
}

/// Sends a request and returns the status line, the connection staying open.
async fn status(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 4_096];
    let count = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.expect("an answer").expect("read");
    String::from_utf8_lossy(&answer[..count]).lines().next().unwrap_or_default().to_owned()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

pub(crate) async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let text = gateway.client.get(&gateway.url(1, "/metrics")).await.body;
    let text = String::from_utf8(text.to_vec()).expect("text");
    let line = text.lines().find(|line| line.starts_with(&format!("foremap_{name}{{"))).expect("the metric");
    line.rsplit_once(' ').and_then(|(_, value)| value.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_is_closed_and_one_that_stops_within_its_head_is_told() {
    let gateway = with(Limits { head: Duration::from_millis(200), ..limits() }).await;
    let mut silent = connect(&gateway, 1).await;
    assert_eq!(until_closed(&mut silent, "").await, "");
    let mut half = connect(&gateway, 1).await;
    let answer = until_closed(&mut half, "GET /v1/map HTTP/1.1\r\nhost:").await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"REQUEST_TIMEOUT\""), "{answer}");
    assert_eq!(metric(&gateway, "requests_late_total").await, 1);
    // A whole head may be followed by whatever time an answer takes.
    let mut whole = connect(&gateway, 1).await;
    assert_eq!(status(&mut whole, &get("/healthz")).await, "HTTP/1.1 200 OK");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(status(&mut whole, &get("/healthz")).await, "HTTP/1.1 200 OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_not_used_again_is_closed() {
    let gateway = with(Limits { idle: Duration::from_millis(200), ..limits() }).await;
    for more in ["", "GET /healthz HT"] {
        let mut idle = connect(&gateway, 1).await;
        let answer = until_closed(&mut idle, &format!("{}{more}", get("/healthz"))).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_body_is_given_up_with_408() {
    let gateway = with(Limits { body: Duration::from_millis(200), ..limits() }).await;
    let mut slow = connect(&gateway, 1).await;
    let head = "PUT /v1/keymap?key=user/1 HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let answer = until_closed(&mut slow, &format!("{head}content-length: 20\r\n\r\n{{\"loc")).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"REQUEST_TIMEOUT\""), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    let read = gateway.client.get(&gateway.url(1, "/v1/keymap?key=user/1")).await;
    assert_eq!(read.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_over_its_limit_is_refused() {
    let gateway = with(limits()).await;
    let mut long = connect(&gateway, 1).await;
    let answer = until_closed(&mut long, &format!("GET /v1/map HTTP/1.1\r\nx: {}", "a".repeat(33 << 10))).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let mut garbage = connect(&gateway, 1).await;
    let answer = until_closed(&mut garbage, "\u{16}\u{3}\u{1}\u{2}").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "what is no HTTP waits for no time-out: {answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_gets_no_more_than_its_share_of_connections_and_others_get_theirs() {
    let gateway = with(Limits { connections: 40, ..limits() }).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        let mut stream = connect(&gateway, 2).await;
        assert_eq!(status(&mut stream, &get("/v1/map")).await, "HTTP/1.1 200 OK");
        held.push(stream);
    }
    let mut next = connect(&gateway, 2).await;
    let answer = until_closed(&mut next, &get("/v1/map")).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"OVERLOADED\""), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    let mut health = connect(&gateway, 2).await;
    assert_eq!(status(&mut health, &get("/healthz")).await, "HTTP/1.1 200 OK");
    let mut other = connect(&gateway, 3).await;
    assert_eq!(status(&mut other, &get("/v1/map")).await, "HTTP/1.1 200 OK");
    assert_eq!(metric(&gateway, "connections_refused_total").await, 1);
    drop(held);
}

/// A proxy that is trusted stands for many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_may_hold_all_connections() {
    let trusted_proxies = vec!["127.0.0.2/32".parse().expect("a network")];
    let limits = Limits { connections: 12, ..limits() };
    let gateway = Gateway::with(1, HttpOptions { limits, trusted_proxies, ..HttpOptions::default() }).await;
    let mut held = Vec::new();
    for _ in 0..12 {
        let mut stream = connect(&gateway, 2).await;
        assert_eq!(status(&mut stream, &get("/v1/map")).await, "HTTP/1.1 200 OK");
        held.push(stream);
    }
    let mut next = connect(&gateway, 2).await;
    assert!(until_closed(&mut next, &get("/v1/map")).await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_lock_nobody_out_and_health_answers_where_all_places_are_taken() {
    let gateway = with(Limits { connections: 16, ..limits() }).await;
    // From many addresses, so that no share stands in the way.
    let mut silent = Vec::new();
    for last in 10..42 {
        silent.push(connect(&gateway, last).await);
    }
    let mut busy = Vec::new();
    for last in 50..66 {
        let mut stream = connect(&gateway, last).await;
        assert_eq!(status(&mut stream, &get("/v1/map")).await, "HTTP/1.1 200 OK", "{last}");
        busy.push(stream);
    }
    assert_eq!(until_closed(&mut silent[0], "").await, "", "the oldest made room");
    // Now every place is in use by somebody who has asked for something.
    let mut next = connect(&gateway, 70).await;
    assert!(until_closed(&mut next, &get("/v1/map")).await.starts_with("HTTP/1.1 503 "));
    for path in ["/healthz", "/readyz", "/metrics"] {
        let mut stream = connect(&gateway, 71).await;
        assert_eq!(status(&mut stream, &get(path)).await, "HTTP/1.1 200 OK", "{path}");
    }
    assert!(metric(&gateway, "connections_displaced_total").await >= 16);
    drop(busy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_do_not_end_are_held_to_a_bound() {
    let gateway = with(Limits { unfinished: 1 << 20, ..limits() }).await;
    let head = "PUT /v1/keymap?key=user/1 HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let part = format!("{head}content-length: 400000\r\n\r\n{}", " ".repeat(390_000));
    // A quarter of the room is less than one of them.
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = connect(&gateway, 2).await;
        let answer = until_closed(&mut stream, &part).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503 "), "{answer}");
        streams.push(stream);
    }
    assert!(metric(&gateway, "requests_no_room_total").await >= 8);
    let reply = gateway.client.put(&gateway.url(1, "/v1/keymap?key=user/2"), "x").await;
    assert_eq!(reply.status, StatusCode::CREATED, "a small one is taken");
    drop(streams);
    // What they held is free again.
    while metric(&gateway, "unfinished_bytes").await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_have_a_listener_of_their_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let (process, admin) = Process::with_admin(&dir.path().join("s"), &["--max-connections", "1"]);
    let client = Client::new();
    for path in ["/healthz", "/readyz", "/metrics", "/v1/hot"] {
        assert_eq!(client.get(&format!("{admin}{path}")).await.status, StatusCode::OK, "{path}");
    }
    let reply = client.send(Method::PUT, &format!("{admin}/v1/keymap?key=a/b"), &[], "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::NOT_FOUND, "NO_ROUTE"));
    assert_eq!(client.get(&format!("{}/v1/map", process.origins[0])).await.status, StatusCode::OK);
}
