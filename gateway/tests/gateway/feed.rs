//! `GET /v1/changes`.

use std::time::Duration;

use axum::http::Method;
use foremap::protocol::BatchResponse;
use http_body_util::BodyExt as _;

use crate::client::{Client, Gateway};

/// A feed being read.
pub(crate) struct Feed {
    body: hyper_util::client::legacy::ResponseFuture,
}

pub(crate) struct Events {
    body: axum::body::Body,
    buffer: String,
}

#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) data: BatchResponse,
}

impl Feed {
    pub(crate) async fn open(client: &Client, url: &str, headers: &[(&str, &str)]) -> Events {
        let feed = Self { body: client.open(url, headers).await };
        let response = feed.body.await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { body: axum::body::Body::new(response.into_body()), buffer: String::new() }
    }
}

impl Events {
    /// The next event; `None` where the feed ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
                };
                assert_eq!(field("event:"), "changes");
                let data = serde_json::from_str(&field("data:")).expect("JSON");
                let event = Event { id: field("id:"), data };
                self.buffer = rest.to_owned();
                return Some(event);
            }
            let frame =
                tokio::time::timeout(Duration::from_secs(5), self.body.frame()).await.expect("no event for 5 s");
            let bytes = frame?.ok()?.into_data().ok()?;
            self.buffer.push_str(std::str::from_utf8(&bytes).expect("text"));
        }
    }

    /// The next event with changes or resets.
    pub(crate) async fn news(&mut self) -> Event {
        loop {
            let event = self.next().await.expect("the feed goes on");
            if !event.data.changes.is_empty() || !event.data.resets.is_empty() {
                return event;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_tells_of_writes_below_its_prefix_and_resumes() {
    let gateway = Gateway::start(2).await;
    let client = &gateway.client;
    let url = gateway.url(2, "/v1/changes?prefix=user/1");
    let mut feed = Feed::open(client, &url, &[]).await;
    // First of all: where the feed stands, on every shard of the prefix.
    let first = feed.next().await.expect("an event");
    assert_eq!((first.data.positions.len(), first.data.changes.len()), (16, 0));
    assert!(first.data.positions.iter().all(|at| at.age_ms < 5_000));

    let put = async |key: &str| {
        let reply = client.put(&gateway.url(1, &format!("/v1/keymap?key={key}")), "x").await;
        reply.json()["version"].as_u64().expect("a version")
    };
    put("user/10/a").await;
    let version = put("user/1/a").await;
    let event = feed.news().await;
    let told: Vec<_> = event.data.changes.iter().map(|c| (c.key.as_str(), c.version, c.deleted)).collect();
    assert_eq!(told, [("user/1/a", version, false)]);
    assert!(event.id.contains(&format!(":{version}")), "{}", event.id);
    drop(feed);

    // What happened between two connections is told on resumption, by header or by parameter.
    let second = put("user/1/b").await;
    let gone = client.send(Method::DELETE, &gateway.url(1, "/v1/keymap?key=user/1/a"), &[], "").await;
    let gone = gone.json()["version"].as_u64().expect("a version");
    let mut expected = vec![("user/1/b".to_owned(), second, false), ("user/1/a".to_owned(), gone, true)];
    expected.sort();
    let since = format!("{url}&since={}", event.id);
    for (url, headers) in [(&url, vec![("last-event-id", event.id.as_str())]), (&since, vec![])] {
        let mut feed = Feed::open(client, url, &headers).await;
        let mut told = Vec::new();
        while told.len() < 2 {
            let changes = feed.news().await.data.changes;
            told.extend(changes.into_iter().map(|c| (c.key.as_str().to_owned(), c.version, c.deleted)));
        }
        told.sort();
        assert_eq!(told, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_beats_when_nothing_happens_and_ends_with_the_node() {
    let gateway = Gateway::start(1).await;
    let mut feed = Feed::open(&gateway.client, &gateway.url(1, "/v1/changes?shards=3,5"), &[]).await;
    for _ in 0..3 {
        let event = feed.next().await.expect("a beat");
        assert_eq!(event.data.positions.iter().map(|at| at.shard).collect::<Vec<_>>(), [3, 5]);
        assert!(event.data.positions.iter().all(|at| at.age_ms < 2_000));
    }
    // An open feed does not hold up the shutdown.
    let begun = tokio::time::Instant::now();
    let (_, end) = tokio::join!(gateway.stop(), async { while feed.next().await.is_some() {} });
    assert_eq!(end, ());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_too_old_resets_its_shard_only() {
    let gateway = Gateway::start(1).await;
    let client = &gateway.client;
    let url = gateway.url(1, "/v1/keymap?key=user/1");
    let put = client.put(&url, "x").await;
    let (shard, first) = (put.json()["shard"].as_u64().expect("a shard"), put.json()["version"].as_u64());
    // More than the node's recent changes hold.
    for n in 0..1_030 {
        client.put(&url, &n.to_string()).await;
    }
    let last = client.put(&url, "last").await.json()["version"].as_u64().expect("a version");
    // Until a feed from now on stands at the last write.
    let mut now = Feed::open(client, &gateway.url(1, &format!("/v1/changes?shards={shard}")), &[]).await;
    while now.next().await.expect("a beat").data.positions[0].position < last {}
    let other = (shard + 1) % 256;
    let since = format!("/v1/changes?since={shard}:{},{other}:0", first.expect("a version"));
    let mut feed = Feed::open(client, &gateway.url(1, &since), &[]).await;
    let event = feed.news().await;
    assert_eq!((event.data.resets, event.data.changes.len()), (vec![shard as u16], 0));
    let at = event.data.positions.iter().find(|at| u64::from(at.shard) == shard).expect("its position");
    assert_eq!(at.position, last);
}
