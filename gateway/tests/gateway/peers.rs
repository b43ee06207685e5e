//! Traffic between processes: forwards, hot keys, changes, maps.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::node::PeerOutcome;
use foremap::protocol::{BatchItem, BatchRequest, BatchResponse, CONTENT_TYPE, Class, Outcome};
use foremap_gateway::auth::{TokenKey, Verb};
use foremap_gateway::http::HttpOptions;

use crate::client::Client;
use crate::feed::{Events, Feed};
use crate::shared::{Gate, Shared, agree, until};

const BINARY: (&str, &str) = ("content-type", CONTENT_TYPE);

fn count(gate: &Gate, outcome: PeerOutcome) -> u64 {
    gate.process.peers().outcomes[outcome as usize]
}

/// Keys that `owner` owns.
fn keys_of(gate: &Gate, owner: u32, count: usize) -> Vec<CompositeKey> {
    let node = gate.process.nodes().next().expect("a node").node();
    let keys = (0..).map(|n| CompositeKey::parse(&format!("user/{n}/x")).expect("valid"));
    keys.filter(|key| node.locate(key).node == owner).take(count).collect()
}

async fn batch(client: &Client, gate: &Gate, keys: &[CompositeKey], token: &str) -> BatchResponse {
    let item = |key: &CompositeKey| BatchItem { key: key.clone(), if_version: None, class: Class::Demand };
    let map = Some(gate.process.nodes().next().expect("a node").node().map_knowledge());
    let request = BatchRequest { items: keys.iter().map(item).collect(), map, ..BatchRequest::default() };
    let headers = [BINARY, ("authorization", token)];
    let reply = client.send(Method::POST, &gate.url("/v1/batch"), &headers, request.encode()).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let answer = BatchResponse::decode(&reply.body).expect("an answer");
    assert!(answer.results.iter().all(|result| matches!(result.outcome, Outcome::Missing)), "{answer:?}");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_in_another_process_answers_and_when_it_does_not_the_store_does() {
    let store = Shared::new();
    let (one, two) = (Gate::start(&store, 1).await, Gate::start(&store, 2).await);
    agree(&[&one, &two], &[1, 2]).await;
    let client = Client::new();
    let keys = keys_of(&one, 2, 30);

    let answer = batch(&client, &one, &keys, "").await;
    assert!(answer.results.iter().all(|result| result.node == 2), "the owner answered");
    assert_eq!(count(&one, PeerOutcome::Answered), 1);

    // It hangs: a time-out or two, and then nobody waits for it.
    let stopped = two.freeze();
    for _ in 0..20 {
        let answer = batch(&client, &one, &keys[..3], "").await;
        assert!(answer.results.iter().all(|result| result.node == 1), "the store answered");
    }
    let (timed_out, open) = (count(&one, PeerOutcome::TimedOut), count(&one, PeerOutcome::Open));
    assert!(timed_out >= 2 && open > timed_out, "{timed_out} time-outs, {open} not sent");
    assert!(one.process.peers().breaker_opens >= 1);

    // It goes on: it is asked again.
    drop(stopped);
    until_answered(&client, &one, &keys[..3], count(&one, PeerOutcome::Answered)).await;

    // It dies: the connection is refused. It comes back under its address.
    let port = two.kill().await;
    let failed = count(&one, PeerOutcome::Failed);
    for _ in 0..20 {
        batch(&client, &one, &keys[..3], "").await;
    }
    assert!(count(&one, PeerOutcome::Failed) >= failed + 2);
    let two = Gate::try_start(&store, 2, port, HttpOptions::default()).await.expect("started again");
    let before = count(&one, PeerOutcome::Answered);
    until_answered(&client, &one, &keys[..3], before).await;
    assert_eq!(one.process.peers().in_flight, 0);
    assert_eq!(two.id, 2);

    let metrics = client.get(&one.url("/metrics")).await;
    let text = String::from_utf8(metrics.body.to_vec()).expect("text");
    for line in [
        "foremap_forwards_total{node=\"1\",outcome=\"timed_out\"}",
        "foremap_epoch{",
        "foremap_leads{",
        "foremap_store_master_failures_total{node=\"1\",master=\"half-0:1\"} 2",
        "foremap_store_master_replicas{node=\"1\",master=\"half-1:1\"} 3",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_hangs_holds_up_a_bounded_number_of_requests() {
    let store = Shared::new();
    let (one, two) = (Gate::start(&store, 1).await, Gate::start(&store, 2).await);
    agree(&[&one, &two], &[1, 2]).await;
    let (client, keys) = (Client::new(), keys_of(&one, 2, 1));
    let _stopped = two.freeze();
    let all = futures_util::future::join_all((0..200).map(|_| batch(&client, &one, &keys, ""))).await;
    assert_eq!(all.len(), 200);
    let peers = one.process.peers();
    let of = |outcome: PeerOutcome| peers.outcomes[outcome as usize];
    let not_sent = of(PeerOutcome::Busy) + of(PeerOutcome::Open);
    assert_eq!(of(PeerOutcome::TimedOut) + not_sent, 200, "{peers:?}");
    // All at once, and then one at a time that tries.
    assert!(of(PeerOutcome::TimedOut) < peers.in_flight_max + 20, "{peers:?}");
    assert_eq!((peers.in_flight, peers.in_flight_max), (0, 64));
}

async fn until_answered(client: &Client, gate: &Gate, keys: &[CompositeKey], before: u64) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while count(gate, PeerOutcome::Answered) <= before {
        assert!(tokio::time::Instant::now() < deadline, "it is never asked again");
        batch(client, gate, keys, "").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_check_tokens_sign_their_own() {
    let key = TokenKey::new(b"0123456789abcdef0123456789abcdef").expect("long enough");
    let http = HttpOptions { token_key: Some(key.clone()), ..HttpOptions::default() };
    let store = Shared::new();
    let one = Gate::try_start(&store, 1, 0, http.clone()).await.expect("started");
    let keys = {
        // Something hot, so that the one who joins has something to ask for.
        let sign = |verbs: &[Verb]| format!("Bearer {}", key.sign(verbs, &[KeyPrefix::default()], 60).expect("signed"));
        let client = Client::new();
        let keys = keys_of(&one, 1, 50);
        batch(&client, &one, &keys, &sign(&[Verb::Get])).await;
        let hot = async |token: &str, path: &str| {
            client.send(Method::GET, &one.url(path), &[("authorization", token)], "").await
        };
        assert_eq!(hot(&sign(&[Verb::Get]), "/v1/hot").await.code(), "FORBIDDEN");
        let admin = sign(&[Verb::Admin]);
        for limit in ["0", "4097"] {
            let problem = hot(&admin, &format!("/v1/hot?limit={limit}")).await.problem();
            assert_eq!((problem.code.as_str(), problem.limit), ("BAD_REQUEST", Some(4_096)));
        }
        assert_eq!(hot(&admin, "/v1/hot?limit=7").await.json()["keys"].as_array().expect("keys").len(), 7);
        keys
    };
    let two = Gate::try_start(&store, 2, 0, http).await.expect("started");
    agree(&[&one, &two], &[1, 2]).await;
    let gained = keys.iter().filter(|key| keys_of(&two, 2, 500).contains(key)).count() as u64;
    assert!(gained > 0);
    assert_eq!((two.control().warm_keys, two.control().warm_failures), (gained, 0));

    let client = Client::new();
    let token = key.sign(&[Verb::Get], &[KeyPrefix::parse("user").expect("valid")], 60).expect("signed");
    let answer = batch(&client, &one, &keys_of(&one, 2, 300)[290..], &format!("Bearer {token}")).await;
    assert!(answer.results.iter().all(|result| result.node == 2), "{answer:?}");
    assert_eq!(count(&one, PeerOutcome::Refused), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_is_the_same_at_every_gateway() {
    let store = Shared::new();
    let (one, two) = (Gate::start(&store, 1).await, Gate::start(&store, 2).await);
    let client = Client::new();
    let url = |gate: &Gate| gate.url("/v1/changes?prefix=user/1");
    let mut feed = Feed::open(&client, &url(&two), &[]).await;
    feed.next().await.expect("where it stands");
    let put = async |gate: &Gate, key: &str| -> u64 {
        let reply = client.put(&gate.url(&format!("/v1/keymap?key={key}")), "x").await;
        reply.json()["version"].as_u64().expect("a version")
    };
    let told = async |feed: &mut Events| {
        let event = feed.news().await;
        assert!(event.data.resets.is_empty());
        let changes = event.data.changes.iter().map(|c| (c.key.to_string(), c.version)).collect::<Vec<_>>();
        (changes, event.id)
    };
    let version = put(&one, "user/1/a").await;
    let (changes, cursor) = told(&mut feed).await;
    assert_eq!(changes, [("user/1/a".to_owned(), version)], "written at one, told by the other");
    drop(feed);
    // A cursor taken at one gateway resumes at the other: positions are the store's.
    let version = put(&two, "user/1/a").await;
    let mut feed = Feed::open(&client, &url(&one), &[("last-event-id", &cursor)]).await;
    assert_eq!(told(&mut feed).await.0, [("user/1/a".to_owned(), version)]);

    // A gateway that has not seen that far back resets those shards, and no others.
    let three = Gate::start(&store, 3).await;
    let behind: Vec<u16> =
        cursor.split(',').filter_map(|at| at.split_once(':')).filter_map(|(s, _)| s.parse().ok()).collect();
    let mut feed = Feed::open(&client, &url(&three), &[("last-event-id", &cursor)]).await;
    let event = feed.news().await;
    let shard = one.process.store.layout().shard(&CompositeKey::parse("user/1/a").expect("valid"));
    assert_eq!((event.data.resets, event.data.changes.len()), (vec![shard], 0));
    assert_eq!(behind.len(), 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_may_wait_for_a_newer_map() {
    let store = Shared::new();
    let one = Gate::start(&store, 1).await;
    let client = Client::new();
    let map = client.get(&one.url("/v1/map")).await;
    let hash = map.header("etag").trim_matches('"').to_owned();
    let waits = [
        client.get(&one.url("/v1/map?wait=0")).await.status,
        client.get(&one.url(&format!("/v1/map?since={hash}&wait=1"))).await.status,
    ];
    assert_eq!(waits, [StatusCode::OK, StatusCode::NOT_MODIFIED]);
    let problem = client.get(&one.url("/v1/map?wait=31")).await.problem();
    assert_eq!((problem.code.as_str(), problem.limit), ("BAD_REQUEST", Some(30)));
    assert_eq!(client.get(&one.url("/v1/map?wait=soon")).await.code(), "BAD_REQUEST");

    let url = one.url("/v1/map?wait=30");
    let tag = format!("\"{hash}\"");
    let headers = [("if-none-match", tag.as_str())];
    let waiting = client.send(Method::GET, &url, &headers, "");
    let (newer, two) = tokio::join!(waiting, Gate::start(&store, 2));
    assert_eq!((newer.status, newer.json()["nodes"].as_array().map(Vec::len)), (StatusCode::OK, Some(2)));
    agree(&[&one, &two], &[1, 2]).await;

    // One that waits does not hold up the end.
    let tag = newer.header("etag").to_owned();
    let headers = [("if-none-match", tag.as_str())];
    let waiting = client.send(Method::GET, &url, &headers, "");
    let (ended, ()) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        one.stop().await;
    });
    assert!([StatusCode::OK, StatusCode::NOT_MODIFIED].contains(&ended.status));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_says_so_and_answers_until_it_is_gone() {
    let store = Shared::new();
    let (one, two) = (Gate::start(&store, 1).await, Gate::start(&store, 2).await);
    agree(&[&one, &two], &[1, 2]).await;
    let client = Client::new();
    let ready = client.get(&two.url("/readyz")).await;
    assert_eq!((ready.status, ready.json()["fresh"].as_u64()), (StatusCode::OK, Some(2)));
    let (ready, get, end) = (two.url("/readyz"), two.url("/v1/keymap?key=a/b"), two.process.clone());
    let stopping = tokio::spawn(two.stop());
    until("it is leaving", || end.is_leaving()).await;
    // The map still names it.
    let said = client.get(&ready).await;
    assert_eq!((said.code(), said.header("connection")), ("UNAVAILABLE", "close"));
    assert_eq!(client.get(&get).await.code(), "NOT_FOUND");
    stopping.await.expect("stopped");
    assert_eq!(one.nodes(), [1]);
    assert!(client.try_send(Method::GET, &get, &[], "").await.is_none(), "gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_is_ready_while_part_of_the_store_is() {
    let store = Shared::new();
    let (one, client) = (Gate::start(&store, 1).await, Client::new());
    let url = one.url("/readyz");
    store.silence(1);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while client.get(&url).await.json()["fresh"] != 1 {
        assert!(tokio::time::Instant::now() < deadline, "it does not notice");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ready = client.get(&url).await;
    assert_eq!((ready.status, ready.json()["groups"].as_u64()), (StatusCode::OK, Some(2)));
    assert_eq!(ready.json()["promise"], "replicated");
    assert_eq!(ready.json()["troubles"][0]["what"], "half-0:1", "it says which part takes no writes");
    assert_eq!(ready.json()["troubles"][0]["why"], "takes no writes: replica half-0:2 has appendonly no");
    assert_eq!(ready.json()["troubles"][1]["what"], "half-1:1", "and which is not believed");
    assert_eq!(ready.json()["troubles"][1]["why"], "replica lost:1 is not attached");
    let metrics = String::from_utf8(client.get(&one.url("/metrics")).await.body.to_vec()).expect("text");
    for line in [
        "foremap_store_master_outside{node=\"1\",master=\"half-0:1\"} 1",
        "foremap_store_master_unfit{node=\"1\",master=\"half-0:1\"} 1",
        "foremap_store_master_unfit{node=\"1\",master=\"half-1:1\"} 0",
        "foremap_store_master_durable{node=\"1\",master=\"half-1:1\"} 1",
        "foremap_store_durable{node=\"1\"} 0",
        "foremap_store_replica_lacking{node=\"1\",master=\"half-1:1\",replica=\"lost:1\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    store.silence(0);
    while client.get(&url).await.status == StatusCode::OK {
        assert!(tokio::time::Instant::now() < deadline, "it does not notice");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let refused = client.get(&url).await;
    assert_eq!(refused.code(), "UNAVAILABLE");
    let body = String::from_utf8(refused.body.to_vec()).expect("text");
    assert!(body.contains("half-0:1: replica lost:1 is not attached"), "{body}");
    assert_eq!(client.get(&one.url("/healthz")).await.status, StatusCode::OK);
}
