//! A store that is gone under running gateways and clients: FLUSHALL, as after a restart on an empty disk.
//!
//! Needs `redis-server` and `redis-cli`; without them it fails and says what to install.

use std::time::{Duration, Instant};

use foremap::key::CompositeKey;
use foremap::partition::StorageLayout;
use foremap_gateway::host::ShifterMode;
use foremap_gateway::http::HttpOptions;
use foremap_gateway::run::{Options, Running, ShareOptions, StoreOptions, start};
use foremap_gateway::store::RedisOptions;
use foremap_redis_cluster::RedisCluster;
use http_body_util::BodyExt as _;

use crate::client::Client;
use crate::sdk::Sdk;
use crate::shared::until;

fn options(cluster: &RedisCluster, node: u32) -> Options {
    let mut redis = RedisOptions::from_url(&format!("redis://{}", cluster.addresses().join(","))).expect("a URL");
    // Not what a gateway takes by itself: it must come back as it was.
    redis.layout = StorageLayout { shards: 32, depth: 1, fan: 4 };
    Options {
        admin_listen: None,
        listen: vec![([127, 0, 0, 1], 0).into()],
        origin: None,
        node,
        store: StoreOptions::Redis(Box::new(redis)),
        memory_entries: 1_000,
        patience: Duration::ZERO,
        shifter: ShifterMode::Off,
        share: ShareOptions::default(),
        http: HttpOptions::default(),
    }
}

fn origin(gateway: &Running) -> String {
    format!("http://{}", gateway.addresses[0])
}

fn key(n: usize) -> CompositeKey {
    CompositeKey::parse(&format!("user/{}/{n}", n % 7)).expect("a valid key")
}

/// Tells whether `gateway` says that it is ready: what clients see of it does not fail once it has heard.
async fn is_ready(client: &Client, gateway: &Running) -> bool {
    client.get(&format!("{}/readyz", origin(gateway))).await.status == 200
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_gone_is_founded_anew_and_clients_go_on_by_themselves() {
    let cluster = tokio::task::block_in_place(|| RedisCluster::start(3, 1)).expect("a cluster");
    let gateways =
        [start(options(&cluster, 1)).await.expect("started"), start(options(&cluster, 2)).await.expect("started")];
    let has_joined = |gateway: &Running| gateway.process().map().borrow().nodes.len() == 2;
    until("both have joined", || gateways.iter().all(has_joined)).await;
    let origins: Vec<String> = gateways.iter().map(origin).collect();
    let mut sessions: Vec<Sdk> = (0..3).map(|n| Sdk::new(origins.clone(), n)).collect();
    for n in 0..40 {
        sessions[n % 3].put(&key(n), "old").await.expect("written");
    }
    for session in &mut sessions {
        for n in 0..40 {
            assert_eq!(session.get(&key(n)).await, Ok(Some("old".into())));
        }
    }
    let client = Client::new();
    let events = client.open(&format!("{}/v1/changes?prefix=user", origins[0]), &[]).await.await.expect("a feed");
    let mut events = events.into_body();
    let incarnation = |gateway: &Running| gateway.process().map().borrow().epoch.incarnation;
    let before = incarnation(&gateways[0]);

    let begun = Instant::now();
    for server in 0..6 {
        // Functions, too: a server that starts on an empty disk has none. Replicas refuse, and hear of it.
        drop(cluster.ask::<String>(server, &["FLUSHALL"]));
        drop(cluster.ask::<String>(server, &["FUNCTION", "FLUSH"]));
    }
    until("a later incarnation", || gateways.iter().all(|gateway| incarnation(gateway) > before)).await;
    for gateway in &gateways {
        while !is_ready(&client, gateway).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    eprintln!("ready {} ms after FLUSHALL", begun.elapsed().as_millis());
    assert_eq!(incarnation(&gateways[0]), incarnation(&gateways[1]), "one map");

    // Sessions of before, whose positions mean nothing any more: nothing is left, and nothing fails.
    for (at, session) in sessions.iter_mut().enumerate() {
        for n in 0..40 {
            let found = session.get(&key(n)).await;
            assert_eq!(found, Ok(None), "session {at}, key {n}");
        }
    }
    for n in 0..40 {
        sessions[n % 3].put(&key(n), "new").await.expect("written");
        assert_eq!(sessions[n % 3].get(&key(n)).await, Ok(Some("new".into())));
    }
    let mut text = String::new();
    while !text.contains("event: reset") {
        let frame = events.frame().await.expect("it goes on").expect("it goes on");
        text.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap_or_default()));
    }
    // And on in the new store.
    while !text.contains("\"user/1/1\"") {
        let frame = events.frame().await.expect("it goes on").expect("it goes on");
        text.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap_or_default()));
    }
    // Whoever starts now finds the same layout and map.
    let third = start(options(&cluster, 3)).await.expect("started");
    assert_eq!(third.process().store.layout(), gateways[0].process().store.layout());
    assert_eq!(incarnation(&third), incarnation(&gateways[0]));
    for gateway in gateways.into_iter().chain([third]) {
        gateway.stop().await.expect("stopped");
    }
}
