//! `POST /v1/changes`: the change feed in binary frames.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode};
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::partition::StorageLayout;
use foremap::protocol::{
    BatchItem, BatchRequest, CONTENT_TYPE, Class, Cursor, FeedFrame, FeedId, FeedReader, Hello, ListPage, Outcome,
};
use foremap_gateway::auth::{TokenKey, Verb};
use foremap_gateway::http::HttpOptions;
use http_body_util::{BodyExt as _, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Client, Gateway, Reply};
use crate::shared::{Gate, Shared, agree};

/// A feed that says nothing for so long is broken.
const PATIENCE: Duration = Duration::from_secs(10);
const BINARY: (&str, &str) = ("content-type", CONTENT_TYPE);

/// A feed being read.
pub(crate) struct Frames {
    body: hyper::body::Incoming,
    reader: FeedReader,
    read: std::collections::VecDeque<FeedFrame>,
    pub(crate) hello: Hello,
    pub(crate) first: FeedFrame,
}

pub(crate) fn request(cursors: &[Cursor]) -> BatchRequest {
    BatchRequest { cursors: cursors.to_vec(), ..BatchRequest::default() }
}

impl Frames {
    pub(crate) async fn open(url: &str, token: &str, request: &BatchRequest) -> Self {
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
        let sent = Request::builder().method(Method::POST).uri(url).header(BINARY.0, BINARY.1);
        let sent =
            sent.header("authorization", token).body(Full::new(Bytes::from(request.encode()))).expect("a request");
        let answer = client.request(sent).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(
            (header("content-type").as_str(), header("cache-control").as_str()),
            (CONTENT_TYPE, "no-store, no-transform")
        );
        assert_eq!((header("x-accel-buffering").as_str(), header("foremap-node").is_empty()), ("no", false));
        let body = answer.into_body();
        let mut feed = Self {
            body,
            reader: FeedReader::default(),
            read: Default::default(),
            hello: Hello {
                feed: FeedId { node: 0, number: 0 },
                clock: 0,
                heartbeat_ms: 0,
                incarnation: 0,
                relayed: false,
            },
            first: FeedFrame::default(),
        };
        feed.first = feed.next().await.expect("a first frame");
        feed.hello = feed.first.hello.expect("introduced");
        feed
    }

    /// The next frame; `None` where the feed ended.
    pub(crate) async fn next(&mut self) -> Option<FeedFrame> {
        loop {
            if let Some(frame) = self.read.pop_front() {
                return Some(frame);
            }
            let bytes = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("a feed that says something");
            let bytes = bytes?.expect("a feed that ends well").into_data().ok()?;
            self.read.extend(self.reader.push(&bytes).expect("frames"));
        }
    }

    /// The next one with steps.
    pub(crate) async fn news(&mut self) -> FeedFrame {
        loop {
            let frame = self.next().await.expect("the feed goes on");
            if !frame.steps.is_empty() {
                return frame;
            }
        }
    }
}

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

fn shard(text: &str) -> u16 {
    StorageLayout::default().shard(&key(text))
}

fn told(frame: &FeedFrame) -> Vec<(String, u64)> {
    frame.changes.iter().map(|change| (change.key.to_string(), change.version)).collect()
}

async fn put(client: &Client, gateway: &str, token: &str, key: &str) -> u64 {
    let headers = [("content-type", "application/json"), ("authorization", token)];
    let url = format!("{gateway}/v1/keymap?key={key}");
    let reply = client.send(Method::PUT, &url, &headers, r#"{"locator":"x"}"#).await;
    reply.json()["version"].as_u64().unwrap_or_else(|| panic!("a version in {reply:?}"))
}

/// A batch of one key, with the feed to extend.
async fn batch(client: &Client, gateway: &str, token: &str, key: &str, feed: FeedId) -> Reply {
    let item = BatchItem { key: self::key(key), if_version: None, class: Class::Demand };
    let batch = BatchRequest { items: vec![item], feed: Some(feed), ..BatchRequest::default() };
    let headers = [BINARY, ("authorization", token)];
    let reply = client.send(Method::POST, &format!("{gateway}/v1/batch"), &headers, batch.encode()).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    reply
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_introduces_itself_and_tells_of_writes_in_steps_that_chain() {
    let gateway = Gateway::start(2).await;
    let (client, origin) = (&gateway.client, gateway.url(2, ""));
    let before = put(client, &origin, "", "user/1").await;
    let at = shard("user/1");
    let mut feed =
        Frames::open(&gateway.url(2, "/v1/changes"), "", &request(&[Cursor { shard: at, position: 0 }])).await;
    assert_eq!((feed.hello.feed.node, feed.hello.heartbeat_ms, feed.hello.relayed), (2, 1_000, false));
    let (first, mut changes) = (feed.first.steps[0], told(&feed.first));
    assert_eq!((feed.first.steps.len(), first.shard), (1, at));
    let mut position = first.to;
    assert!(first.from == 0 || first.from == first.to, "the log reaches back, or is a gap: {first:?}");
    // The clock is the one that answers are on.
    let answer = batch(client, &gateway.url(2, ""), "", "user/1", feed.hello.feed).await;
    let answer = foremap::protocol::BatchResponse::decode(&answer.body).expect("an answer");
    assert_eq!(answer.clock.map(|clock| clock.id), Some(feed.hello.clock));
    assert!(answer.clock.expect("a clock").ms >= feed.first.clock_ms);

    let version = put(client, &gateway.url(1, ""), "", "user/1").await;
    while position < version {
        let frame = feed.news().await;
        let step = frame.steps[0];
        assert_eq!((frame.steps.len(), step.shard, step.from), (1, at, position));
        assert!(frame.age_ms < 5_000 && frame.late.is_empty() && frame.hello.is_none());
        position = step.to;
        changes.extend(told(&frame));
    }
    assert_eq!(changes.last(), Some(&("user/1".to_owned(), version)));
    assert!(before < version && changes.len() <= 2);

    let metrics = client.get(&gateway.url(2, "/metrics")).await;
    let text = String::from_utf8(metrics.body.to_vec()).expect("text");
    for line in ["foremap_feeds{node=\"2\"} 1", "foremap_feeds_opened_total{node=\"2\"} 1", "foremap_feeds_max{"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    // It goes with its reader.
    drop(feed);
    let gone = || gateway.running.process().nodes().all(|node| node.node().stats().feeds == 0);
    crate::shared::until("the feed is closed", gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_come_in_time_and_the_end_of_the_node_ends_a_feed_well() {
    let gateway = Gateway::start(1).await;
    let mut feed =
        Frames::open(&gateway.url(1, "/v1/changes"), "", &request(&[Cursor { shard: 3, position: 9 }])).await;
    let mut last = feed.first.clock_ms;
    for _ in 0..3 {
        let frame = feed.next().await.expect("a beat");
        assert!(frame.clock_ms - last <= 1_500 && frame.age_ms < 1_500, "{frame:?} after {last}");
        last = frame.clock_ms;
    }
    let begun = Instant::now();
    let (_, ()) = tokio::join!(gateway.stop(), async { while feed.next().await.is_some() {} });
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_add_their_shards_at_any_node_of_the_process() {
    let gateway = Gateway::start(2).await;
    let client = &gateway.client;
    let mut feed = Frames::open(&gateway.url(1, "/v1/changes"), "", &request(&[])).await;
    assert!(feed.first.steps.is_empty());
    for (node, key) in [(1, "user/1"), (2, "user/2"), (2, "order/3")] {
        batch(client, &gateway.url(node, ""), "", key, feed.hello.feed).await;
        let frame = feed.news().await;
        assert_eq!(frame.steps.iter().map(|step| step.shard).collect::<Vec<_>>(), [shard(key)]);
        let version = put(client, &gateway.url(1, ""), "", key).await;
        let mut changes = Vec::new();
        while changes.is_empty() {
            changes = told(&feed.news().await);
        }
        assert_eq!(changes, [(key.to_owned(), version)]);
    }
    // In JSON, and by cursors alone.
    let id = feed.hello.feed;
    let body = serde_json::json!({ "cursors": [{"shard": 200, "position": 1}], "feed": {"node": id.node, "number": id.number} });
    let json = [("content-type", "application/json")];
    let reply = client.send(Method::POST, &gateway.url(2, "/v1/batch"), &json, body.to_string()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["positions"].as_array().map(Vec::len), Some(1), "the exchange is answered as ever");
    assert_eq!(feed.news().await.steps.iter().map(|step| step.shard).collect::<Vec<_>>(), [200]);
    // Nobody's feed is nobody's concern.
    for unknown in [FeedId { node: 1, number: 5 }, FeedId { node: 77, number: id.number }] {
        batch(client, &gateway.url(1, ""), "", "a/b", unknown).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_at_another_process_extends_the_feed_too() {
    let key = TokenKey::new(b"0123456789abcdef0123456789abcdef").expect("long enough");
    let sign = |sub: &str| {
        let token = key.sign_for(Some(sub), &[Verb::Get, Verb::Put], &[KeyPrefix::default()], 60).expect("signed");
        format!("Bearer {token}")
    };
    let http = HttpOptions { token_key: Some(key.clone()), ..HttpOptions::default() };
    let store = Shared::new();
    let one = Gate::try_start(&store, 1, 0, http.clone()).await.expect("started");
    let two = Gate::try_start(&store, 2, 0, http).await.expect("started");
    agree(&[&one, &two], &[1, 2]).await;
    let (client, ann, bob) = (Client::new(), sign("ann"), sign("bob"));
    let mut feed = Frames::open(&one.url("/v1/changes"), &ann, &request(&[])).await;
    // Somebody else's batch first: it has no effect.
    batch(&client, &two.url(""), &bob, "user/2", feed.hello.feed).await;
    batch(&client, &one.url(""), &bob, "user/2", feed.hello.feed).await;
    batch(&client, &two.url(""), &ann, "user/1", feed.hello.feed).await;
    let frame = feed.news().await;
    assert_eq!(frame.steps.iter().map(|step| step.shard).collect::<Vec<_>>(), [shard("user/1")]);
    let version = put(&client, &two.url(""), &ann, "user/1").await;
    let mut changes = Vec::new();
    while changes.is_empty() {
        changes = told(&feed.news().await);
    }
    assert_eq!(changes, [("user/1".to_owned(), version)]);
    // Who is no gateway cannot speak for another.
    let forged =
        BatchRequest { feed: Some(feed.hello.feed), forwarded: true, ..request(&[Cursor { shard: 9, position: 1 }]) };
    let headers = [BINARY, ("authorization", bob.as_str()), ("foremap-subject", "00000000000000000000000000000000")];
    client.send(Method::POST, &one.url("/v1/batch"), &headers, forged.encode()).await;
    let stats = one.process.nodes().next().expect("a node").node().stats();
    assert_eq!((stats.feed_shards, stats.feed_shards_added), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_tells_what_its_token_covers_and_ends_with_it() {
    let key = TokenKey::new(b"0123456789abcdef0123456789abcdef").expect("long enough");
    let sign = |sub: &str, prefix: &str, ttl| {
        let prefix = KeyPrefix::parse(prefix).expect("valid");
        format!("Bearer {}", key.sign_for(Some(sub), &[Verb::Get, Verb::Put], &[prefix], ttl).expect("signed"))
    };
    let http = HttpOptions { token_key: Some(key.clone()), ..HttpOptions::default() };
    let gateway = Gateway::with(1, http).await;
    let (client, all) = (&gateway.client, sign("admin", "", 60));
    let shards: Vec<Cursor> = (0..256).map(|shard| Cursor { shard, position: 1 }).collect();
    let url = gateway.url(1, "/v1/changes");
    let mut feed = Frames::open(&url, &sign("ann", "user/1", 60), &request(&shards)).await;
    assert_eq!(feed.first.steps.len(), 256);
    put(client, &gateway.url(1, ""), &all, "user/2/a").await;
    put(client, &gateway.url(1, ""), &all, "user/11").await;
    let version = put(client, &gateway.url(1, ""), &all, "user/1/a").await;
    let mut changes = Vec::new();
    while changes.is_empty() {
        changes = told(&feed.news().await);
    }
    assert_eq!(changes, [("user/1/a".to_owned(), version)]);

    // It ends with the token, and nobody is let in without one.
    let mut brief = Frames::open(&url, &sign("bob", "user", 1), &request(&[])).await;
    let begun = Instant::now();
    while brief.next().await.is_some() {}
    assert!(begun.elapsed() < Duration::from_secs(9), "a second, and what clocks may differ by");
    let refused = client.send(Method::POST, &url, &[BINARY], request(&[]).encode()).await;
    assert_eq!(refused.code(), "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_subject_takes_all_places() {
    let key = TokenKey::new(b"0123456789abcdef0123456789abcdef").expect("long enough");
    let sign = |sub: Option<&str>, verbs: &[Verb]| {
        format!("Bearer {}", key.sign_for(sub, verbs, &[KeyPrefix::default()], 600).expect("signed"))
    };
    let http = HttpOptions { token_key: Some(key.clone()), ..HttpOptions::default() };
    let gateway = Gateway::with(1, http).await;
    let url = gateway.url(1, "/v1/changes?shards=1");
    let mut held = Vec::new();
    let mut open = async |token: &str| {
        let answer = gateway.client.open(&url, &[("authorization", token)]).await.await.expect("an answer");
        let status = answer.status();
        held.push(answer);
        status
    };
    let nameless = sign(None, &[Verb::Get]);
    for _ in 0..256 {
        assert_eq!(open(&nameless).await, StatusCode::OK);
    }
    // Another token with the same rights is the same subject; one with a name, or other rights, is another.
    assert_eq!(open(&sign(None, &[Verb::Get])).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(open(&sign(Some("ann"), &[Verb::Get])).await, StatusCode::OK);
    assert_eq!(open(&sign(None, &[Verb::Get, Verb::List])).await, StatusCode::OK);
    let refused = gateway.client.send(Method::GET, &url, &[("authorization", nameless.as_str())], "").await.problem();
    assert_eq!((refused.code.as_str(), refused.limit), ("TOO_MANY_REQUESTS", Some(255)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_for_a_feed_is_refused() {
    let gateway = Gateway::start(1).await;
    let (client, url) = (&gateway.client, gateway.url(1, "/v1/changes"));
    let post = async |kind: &str, body: Vec<u8>| client.send(Method::POST, &url, &[("content-type", kind)], body).await;
    let item = BatchItem { key: key("a/b"), if_version: None, class: Class::Demand };
    let items = BatchRequest { items: vec![item], ..request(&[]) };
    assert_eq!(post(CONTENT_TYPE, items.encode()).await.code(), "BAD_REQUEST");
    assert_eq!(post(CONTENT_TYPE, request(&[Cursor { shard: 256, position: 0 }]).encode()).await.code(), "BAD_REQUEST");
    assert_eq!(post(CONTENT_TYPE, b"FMBQ nonsense".to_vec()).await.code(), "BAD_REQUEST");
    assert_eq!(post("application/json", b"{}".to_vec()).await.code(), "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(gateway.running.process().nodes().next().expect("a node").node().stats().feeds, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_may_read_feeds_from_allowed_origins_and_old_clients_without_chunks() {
    let http = HttpOptions { cors_origins: vec!["http://localhost:*".into()], ..HttpOptions::default() };
    let gateway = Gateway::with(1, http).await;
    let body = request(&[Cursor { shard: 1, position: 0 }]).encode();
    let read = async |version: &str| {
        let mut stream = TcpStream::connect(gateway.running.addresses[0]).await.expect("connected");
        let head = format!(
            "POST /v1/changes {version}\r\nhost: localhost\r\norigin: http://localhost:8080\r\ncontent-type: {CONTENT_TYPE}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), &body].concat()).await.expect("sent");
        let mut bytes = Vec::new();
        while !bytes.windows(4).any(|four| four == b"FMCF") {
            let mut more = [0; 1_024];
            let count = tokio::time::timeout(PATIENCE, stream.read(&mut more)).await.expect("in time").expect("read");
            assert!(count > 0, "it ended after {bytes:?}");
            bytes.extend_from_slice(&more[..count]);
        }
        String::from_utf8_lossy(&bytes).to_lowercase()
    };
    let head = read("HTTP/1.1").await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    for line in
        ["access-control-allow-origin: http://localhost:8080", "transfer-encoding: chunked", "connection: close"]
    {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
    }
    assert_eq!((head.matches("\r\ndate: ").count(), head.matches("\r\nconnection: ").count()), (1, 1));
    let old = read("HTTP/1.0").await;
    assert!(!old.contains("transfer-encoding") && old.contains("\r\n\r\nfmcf"), "{old}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_reads_nothing_is_told_of_the_gap_and_costs_no_queue() {
    let gateway = Gateway::start(1).await;
    let (client, origin) = (&gateway.client, gateway.url(1, ""));
    let at = shard("user/1");
    let mut feed =
        Frames::open(&gateway.url(1, "/v1/changes"), "", &request(&[Cursor { shard: at, position: 0 }])).await;
    let mut position = feed.first.steps[0].to;
    // Far more than the system and the node's recent changes hold, while nothing is read.
    let long = ["x".repeat(200).as_str(); 4].join("/");
    let key = (0..).map(|n| format!("user/1/{long}/{n}")).find(|key| shard(key) == at).expect("one of sixteen");
    let writer = async || {
        for _ in 0..400 {
            put(client, &origin, "", &key).await;
        }
    };
    futures_util::future::join_all((0..8).map(|_| writer())).await;
    let node = gateway.running.process().nodes().next().expect("a node").clone();
    let head = || node.node().positions(0)[usize::from(at)].position;
    let last = put(client, &origin, "", &key).await;
    crate::shared::until("the log is applied", || head() >= last).await;
    let (mut changes, mut gaps) = (0, 0);
    while position < last {
        let frame = feed.news().await;
        let step = frame.steps[0];
        assert!(step.from == position || step.from == step.to, "{step:?} after {position}");
        assert!(frame.changes.windows(2).all(|pair| pair[0].version < pair[1].version));
        gaps += usize::from(step.from > position);
        position = step.to;
        changes += frame.changes.len();
    }
    // What was on its way, and what the node still had.
    assert!(gaps == 1 && changes < 3_000, "{changes} changes, {gaps} gaps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_does_not_reach_back_is_a_gap_of_that_shard_alone() {
    let gateway = Gateway::start(1).await;
    let (client, origin) = (&gateway.client, gateway.url(1, ""));
    let (at, other) = (shard("user/1"), (shard("user/1") + 1) % 256);
    let first = put(client, &origin, "", "user/1").await;
    for _ in 0..1_030 {
        put(client, &origin, "", "user/1").await;
    }
    let last = put(client, &origin, "", "user/1").await;
    let node = gateway.running.process().nodes().next().expect("a node").clone();
    crate::shared::until("the log is applied", || node.node().positions(0)[usize::from(at)].position >= last).await;
    let cursors = [Cursor { shard: at, position: first }, Cursor { shard: other, position: 0 }];
    let feed = Frames::open(&gateway.url(1, "/v1/changes"), "", &request(&cursors)).await;
    let step = feed.first.steps.iter().find(|step| step.shard == at).expect("its step");
    assert_eq!((step.from, step.to, feed.first.changes.len()), (last, last, 0));
    assert_eq!(feed.first.steps.len(), 2);
    // The batch that closes it names where it began.
    let answer = batch(client, &origin, "", "user/1", feed.hello.feed).await;
    let answer = foremap::protocol::BatchResponse::decode(&answer.body).expect("an answer");
    assert!(matches!(&answer.results[0].outcome, Outcome::Found { keymap } if keymap.version == last));
}

#[test]
fn the_examples_of_the_protocol_are_the_golden_vectors() {
    let read = |path: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let page = read("PROTOCOL.md");
    // Of a line in a block of code, the bytes: what follows them is in words.
    let is_byte =
        |word: &&str| word.len() == 2 && word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let blocks = page.split("```").skip(1).step_by(2);
    let bytes = |block: &str| -> String {
        block.lines().flat_map(|line| line.split_whitespace().take_while(is_byte).map(str::to_owned)).collect()
    };
    let examples: Vec<String> = blocks.map(bytes).collect();
    let golden = |file: &str, list: &str, most: usize| -> Vec<serde_json::Value> {
        let golden: serde_json::Value = serde_json::from_str(&read(file)).expect("JSON");
        golden[list].as_array().expect("a list").iter().take(most).cloned().collect()
    };
    let [batches, feeds, models] = ["batches", "feeds", "models"].map(|name| format!("tests/golden/{name}.json"));
    let [batches, feeds, models] = [batches.as_str(), &feeds, &models];
    let lists = [
        (feeds, "frames", usize::MAX),
        (feeds, "pages", usize::MAX),
        (batches, "valid", 1),
        (models, "summaries", 1),
        (models, "snapshots", 1),
    ];
    for case in lists.into_iter().flat_map(|(file, list, most)| golden(file, list, most)) {
        let binary = case["binary"].as_str().expect("text").to_owned();
        assert!(examples.contains(&binary), "PROTOCOL.md lacks {}: {binary}", case["name"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_in_binary_form_tells_what_each_keymap_is_current_as_of() {
    let gateway = Gateway::start(1).await;
    let client = &gateway.client;
    let mut newest = 0;
    for n in 0..5 {
        newest = put(client, &gateway.url(1, ""), "", &format!("user/{n}")).await;
    }
    let get = async |query: &str| {
        let url = gateway.url(1, &format!("/v1/list?{query}"));
        let reply = client.send(Method::GET, &url, &[("accept", CONTENT_TYPE)], "").await;
        assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, CONTENT_TYPE));
        ListPage::decode(&reply.body).expect("a page")
    };
    let first = get("prefix=user&limit=3").await;
    let next = first.next.clone().expect("more");
    let second = get(&format!("prefix=user&limit=3&cursor={next}")).await;
    assert_eq!((first.items.len(), second.items.len(), second.next), (3, 2, None));
    let clock = gateway.running.process().nodes().next().expect("a node").node().clock(0);
    assert_eq!(first.clock.map(|reading| reading.id), Some(clock.id));
    for (keymap, at) in first.items.iter().chain(&second.items) {
        assert_eq!(at.shard, shard(keymap.key.as_str()));
        // Nothing was written to its shard since, or something of the others was.
        assert!(at.position >= keymap.version && at.position <= newest && at.age_ms < 10_000, "{keymap:?} {at:?}");
    }
    // Others are answered as ever.
    let json = client.get(&gateway.url(1, "/v1/list?prefix=user&limit=3")).await.json();
    assert_eq!((json["items"].as_array().map(Vec::len), json["next"].as_str()), (Some(3), Some(next.as_str())));
    assert!(json["items"][0]["at"].is_null());
}
