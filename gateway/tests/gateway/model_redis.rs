//! The model that clients share, over a real Redis Cluster and by processes of several nodes.
//!
//! Needs `redis-server` and `redis-cli`; without them it fails and says what to install.

use std::time::Duration;

use foremap::partition::NodeId;
use foremap_gateway::auth::Verb;
use foremap_gateway::host::ShifterMode;
use foremap_gateway::run::{Options, Running, ShareOptions, StoreOptions, start};
use foremap_gateway::store::{Blob, RedisOptions};
use foremap_redis_cluster::RedisCluster;

use crate::model::{bearer, keys, knows, six_tell, with_tokens};
use crate::shared::until;

async fn gateway(cluster: &RedisCluster, first: NodeId) -> Running {
    let redis = RedisOptions::from_url(&format!("redis://{}", cluster.addresses().join(","))).expect("a URL");
    let options = Options {
        admin_listen: None,
        listen: vec![([127, 0, 0, 1], 0).into(); 2],
        origin: None,
        node: first,
        store: StoreOptions::Redis(Box::new(redis)),
        memory_entries: 1_000,
        patience: Duration::ZERO,
        shifter: ShifterMode::Off,
        share: ShareOptions { every: Duration::from_secs(2), ..ShareOptions::default() },
        http: with_tokens(),
    };
    start(options).await.expect("started")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_outlives_all_gateways_in_redis() {
    let cluster = tokio::task::block_in_place(|| RedisCluster::start(3, 1)).expect("a cluster");
    let gateways = [gateway(&cluster, 1).await, gateway(&cluster, 3).await];
    let all_joined = || gateways.iter().all(|gateway| gateway.process().map().borrow().nodes.len() == 4);
    until("all have joined", all_joined).await;
    let reader = bearer("reader", &[Verb::Get], &[""]);
    let origins: Vec<String> =
        gateways.iter().flat_map(|gateway| &gateway.addresses).map(|address| format!("http://{address}")).collect();
    six_tell(&origins, 100, &["a/1", "a/2", "a/3"]).await;
    for origin in &origins {
        knows(origin, &reader, "a/3", true).await;
    }
    let merged = |gateway: &Running| gateway.process().sharing.stats().merger.merged;
    let leads = |gateway: &Running| gateway.process().control().borrow().term.is_some();
    assert_eq!(gateways.iter().map(merged).sum::<u64>(), 6, "one merges");
    assert!(gateways.iter().all(|gateway| leads(gateway) == (merged(gateway) == 6)));
    let store = gateways[0].process().store.clone();
    for blob in [Blob::Model, Blob::ModelHead, Blob::ModelState] {
        assert!(store.blob(blob).await.expect("read").is_some(), "{blob:?}");
    }
    for gateway in gateways {
        gateway.stop().await.expect("stopped");
    }
    let alone = gateway(&cluster, 9).await;
    let origin = format!("http://{}", alone.addresses[0]);
    knows(&origin, &reader, "a/3", true).await;
    until("it goes on", || merged(&alone) == 6).await;
    assert_eq!(keys(&origin, &reader).await, ["a/1", "a/2", "a/3"]);
    alone.stop().await.expect("stopped");
}
