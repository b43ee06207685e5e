//! Requests that a node with too much to do turns away, and whose share of it anybody may have.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use foremap::key::CompositeKey;
use foremap::node::Priority;
use foremap::protocol::{BatchItem, BatchRequest, BatchResponse, CONTENT_TYPE, Class, ErrorCode, Outcome};
use foremap_gateway::host::Gate;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, Gateway, Reply};
use crate::connections::{connect, metric};

const BINARY: [(&str, &str); 1] = [("content-type", CONTENT_TYPE)];

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<(), u64>> + 'a>>;

/// Requests that wait for as long as they are held, and that nobody begins with.
fn wait(gate: &Gate, count: usize) -> Vec<Waiting<'_>> {
    let one = |_| {
        let mut waiting: Waiting<'_> = Box::pin(gate.enter(Priority::Demand));
        let polled = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Pending);
        waiting
    };
    (0..count).map(one).collect()
}

async fn batch(gateway: &Gateway, classes: &[Class]) -> Reply {
    let item = |(at, class): (usize, &Class)| BatchItem {
        key: CompositeKey::parse(&format!("user/{at}")).expect("valid"),
        if_version: None,
        class: *class,
    };
    let items = classes.iter().enumerate().map(item).collect();
    let request = BatchRequest { items, max_staleness_ms: 5_000, ..BatchRequest::default() };
    gateway.client.send(Method::POST, &gateway.url(1, "/v1/batch"), &BINARY, request.encode()).await
}

fn refused(reply: &Reply) {
    assert_eq!((reply.status, reply.code()), (StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED"), "{reply:?}");
    assert_eq!(reply.header("retry-after"), "1");
}

/// Number of requests that were shed, by priority.
async fn shed(gateway: &Gateway) -> [u64; 3] {
    let reply = gateway.client.get(&gateway.url(1, "/metrics")).await;
    let text = String::from_utf8(reply.body.to_vec()).expect("text");
    Priority::ALL.map(|priority| {
        let line = format!("foremap_requests_shed_total{{node=\"1\",priority=\"{}\"}} ", priority.name());
        let value = text.lines().find_map(|text| text.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("{line} in\n{text}")).parse().expect("a number")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_fetched_ahead_is_shed_first_then_lists_then_demand_and_health_never() {
    let mut gateway = Gateway::start(1).await;
    gateway.client = Client::impatient();
    let client = &gateway.client;
    let (key, list) = (gateway.url(1, "/v1/keymap?key=user/0"), gateway.url(1, "/v1/list?prefix=user"));
    assert_eq!(client.put(&key, "x").await.status, StatusCode::CREATED);
    assert_eq!(batch(&gateway, &[Class::Prefetch]).await.status, StatusCode::OK);
    assert_eq!(shed(&gateway).await, [0, 0, 0]);
    let gate = &gateway.running.process().gate;

    // Half as many wait as may.
    let mut waiting = wait(gate, 512);
    refused(&batch(&gateway, &[Class::Prefetch, Class::Prefetch]).await);
    let mixed = batch(&gateway, &[Class::Demand, Class::Prefetch, Class::Demand]).await;
    assert_eq!((mixed.status, mixed.header("retry-after")), (StatusCode::OK, "1"));
    let results = BatchResponse::decode(&mixed.body).expect("an answer").results;
    assert!(matches!(results[0].outcome, Outcome::Found { .. }), "{results:?}");
    assert!(matches!(results[1].outcome, Outcome::Error { code: ErrorCode::Overloaded, .. }), "{results:?}");
    assert_eq!(results[2].outcome, Outcome::Missing);
    let demand = batch(&gateway, &[Class::Demand]).await;
    assert_eq!((demand.status, demand.header("retry-after")), (StatusCode::OK, ""));
    assert_eq!(client.get(&list).await.status, StatusCode::OK);
    assert_eq!(shed(&gateway).await, [2, 0, 0]);

    // Three quarters.
    waiting.extend(wait(gate, 256));
    refused(&client.get(&list).await);
    refused(&client.get(&gateway.url(1, "/v1/changes?prefix=user")).await);
    refused(&client.get(&gateway.url(1, "/v1/versions?key=user/0")).await);
    assert_eq!(client.get(&key).await.status, StatusCode::OK);
    assert_eq!(client.put(&key, "y").await.status, StatusCode::OK);
    assert_eq!(shed(&gateway).await, [2, 3, 0]);

    // All.
    waiting.extend(wait(gate, 256));
    refused(&client.get(&key).await);
    refused(&client.put(&key, "z").await);
    refused(&batch(&gateway, &[Class::Demand, Class::Prefetch]).await);
    for path in ["/healthz", "/readyz", "/v1/map", "/v1/hot"] {
        assert_eq!(client.get(&gateway.url(1, path)).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(shed(&gateway).await, [2, 3, 3]);

    // Demand is taken on again at once, and the others a second later.
    drop(waiting);
    let dropped = Instant::now();
    let read = client.get(&key).await;
    assert_eq!(
        (read.status, read.json()["locator"].as_str()),
        (StatusCode::OK, Some("y")),
        "what was refused is not done"
    );
    refused(&batch(&gateway, &[Class::Prefetch]).await);
    while batch(&gateway, &[Class::Prefetch]).await.status != StatusCode::OK {
        assert!(dropped.elapsed() < Duration::from_secs(60), "prefetches stay out");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.get(&list).await.status, StatusCode::OK);
}

/// Asks from 127.0.0.`last`, and returns the connection with what has come of the answer.
async fn ask(gateway: &Gateway, last: u8, path: &str) -> (tokio::net::TcpStream, String) {
    let mut stream = connect(gateway, last).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 4_096];
    let count = stream.read(&mut answer).await.expect("an answer");
    (stream, String::from_utf8_lossy(&answer[..count]).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_holds_no_more_than_its_share_of_feeds() {
    let gateway = Gateway::start(1).await;
    let mut held = Vec::new();
    // A quarter of 1,024.
    for _ in 0..256 {
        let (stream, answer) = ask(&gateway, 2, "/v1/changes?prefix=user").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        held.push(stream);
    }
    let (_, answer) = ask(&gateway, 2, "/v1/changes?prefix=user").await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\"limit\":256"), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    let (_stream, answer) = ask(&gateway, 3, "/v1/changes?prefix=user").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "others have theirs: {answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_makes_no_more_than_its_share_of_lists_at_once() {
    let gateway = Gateway::start(1).await;
    let gate = &gateway.running.process().gate;
    // The store is read by somebody else for now, so that lists wait.
    let permits = std::thread::available_parallelism().map_or(1, usize::from).max(2);
    let mut reading = Vec::new();
    for _ in 0..permits {
        reading.push(gate.read().await.expect("a store file"));
    }
    let list = |last: u8| {
        let gateway = &gateway;
        async move { ask(gateway, last, "/v1/list?prefix=user").await.1 }
    };
    let mut lists: Vec<_> = (0..16).map(|_| Box::pin(list(2))).collect();
    let under_way = async {
        while metric(&gateway, "lists").await < 16 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = under_way => {}
        _ = futures_util::future::join_all(lists.iter_mut().map(Pin::as_mut)) => panic!("lists wait for the store"),
    }
    let answer = list(2).await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\"limit\":16"), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    let other = list(3);
    drop(reading);
    assert!(other.await.starts_with("HTTP/1.1 200 "));
    for list in lists {
        assert!(list.await.starts_with("HTTP/1.1 200 "));
    }
}
