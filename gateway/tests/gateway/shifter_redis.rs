//! A shift over a real Redis Cluster, seen from the servers: of all that is stored, only the map changes.
//!
//! Needs `redis-server` and `redis-cli`; without them it fails and says what to install.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use foremap::partition::{HotKey, NodeId, PartitionMap, Rule};
use foremap::protocol::KeymapFields;
use foremap_gateway::host::{Process, ShifterMode};
use foremap_gateway::http::HttpOptions;
use foremap_gateway::run::{Options, Running, ShareOptions, StoreOptions, start};
use foremap_gateway::store::{Expect, RedisOptions, Write};
use foremap_redis_cluster::RedisCluster;

use crate::demand::{Demand, hot_key};
use crate::shared::until;
use crate::shifter::freeze;

/// Nodes of each of two processes.
const NODES: NodeId = 3;
const KEYMAPS: u64 = 40;

/// Tells whether `name` may change without a shift, or as its result; what is left must stay as it is, to the byte.
///
/// - `map`: the partition map. It must change.
/// - `members`: every heartbeat sets when a registration ends.
/// - `office`, `blob:office-record`: every heartbeat sets when the lease is free; who holds it and who froze it.
/// - `fence`, one at each shard too: a counter, raised by whatever is asked of a master, reads included.
fn may_change(name: &str) -> bool {
    let meta = ["map", "members", "office", "blob:office-record"].map(|name| format!("{{meta}}{name}"));
    meta.iter().any(|allowed| name.ends_with(allowed)) || name.ends_with("}fence")
}

/// Every key of every master with its value, serialized.
fn dump(cluster: &RedisCluster) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for shard in cluster.shards().expect("answers") {
        let names: Vec<String> = cluster.ask(shard.master, &["KEYS", "*"]).expect("names");
        for name in names {
            let value = cluster.ask(shard.master, &["DUMP", &name]).expect("a value");
            all.insert(name, value);
        }
    }
    all
}

/// The same once no map is proposed any more: while nothing new is planned, that is soon.
async fn settled(cluster: &RedisCluster) -> BTreeMap<String, Vec<u8>> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let all = tokio::task::block_in_place(|| dump(cluster));
        if !all.keys().any(|name| name.ends_with("blob:proposal")) {
            return all;
        }
        assert!(tokio::time::Instant::now() < deadline, "a proposal is never carried out");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Names that differ: removed, added or changed.
fn differing(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// Three nodes in a process, from `first` on.
async fn gateway(cluster: &RedisCluster, first: NodeId) -> Running {
    let redis = RedisOptions::from_url(&format!("redis://{}", cluster.addresses().join(","))).expect("a URL");
    let options = Options {
        admin_listen: None,
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0)); NODES as usize],
        origin: None,
        node: first,
        store: StoreOptions::Redis(Box::new(redis)),
        memory_entries: 10_000,
        patience: Duration::ZERO,
        share: ShareOptions::default(),
        shifter: ShifterMode::Auto,
        http: HttpOptions::default(),
    };
    start(options).await.expect("started")
}

/// Parts of a map that plans decide, and nobody else.
fn planned(map: &PartitionMap) -> (&[Rule], &BTreeMap<u32, NodeId>, &[HotKey]) {
    (&map.rules, &map.exceptions, &map.hot)
}

async fn fill(process: &Process) {
    for n in 0..KEYMAPS {
        let fields = KeymapFields { locator: format!("at-{n}"), ..KeymapFields::default() };
        let write = Write { key: hot_key(n), fields: Some(fields), expect: Expect::Any, id: None };
        process.store.write(write).await.expect("written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shift_writes_nothing_to_redis_but_the_map() {
    let cluster = tokio::task::block_in_place(|| RedisCluster::start(3, 1)).expect("a cluster");
    let gateways = [gateway(&cluster, 1).await, gateway(&cluster, 1 + NODES).await];
    let processes = gateways.each_ref().map(|gateway| gateway.process().clone());
    let origin = format!("http://{}", gateways[1].addresses[0]);
    fill(&processes[0]).await;
    let all_joined = || processes.iter().all(|process| process.map().borrow().nodes.len() == 2 * NODES as usize);
    until("all have joined", all_joined).await;
    until("the shifter is at work", || processes.iter().any(|process| process.control().borrow().is_planning)).await;

    let demand = Demand::start(&processes);
    freeze(&origin, true).await;
    let before = settled(&cluster).await;
    let map = processes[0].map().borrow().clone();
    let kept: Vec<_> = before.keys().filter(|name| !may_change(name)).collect();
    assert_eq!(kept.iter().filter(|name| name.contains("}/t0/files/")).count() as u64, KEYMAPS, "{kept:?}");
    for name in ["}log", "}state", "}index", "{meta}format"] {
        assert!(kept.iter().any(|kept| kept.ends_with(name)), "no {name} among {kept:?}");
    }

    demand.turn_hot();
    freeze(&origin, false).await;
    until("a plan is in force", || processes.iter().all(|process| planned(&process.map().borrow()) != planned(&map)))
        .await;
    // What has changed its home is asked for there, so that whatever that would write is written.
    demand.next(10_000).await;
    freeze(&origin, true).await;
    let after = settled(&cluster).await;

    let changed = differing(&before, &after);
    assert!(changed.iter().any(|name| name.ends_with("{meta}map")), "{changed:?}");
    let others: Vec<_> = changed.iter().filter(|name| !may_change(name)).collect();
    assert!(others.is_empty(), "written besides the map: {others:?}");
    let told: Vec<_> = changed.iter().filter(|name| !name.ends_with("}fence")).collect();
    eprintln!(
        "{} -> {}: {told:?} changed, {} stay as they were",
        map.epoch,
        processes[0].map().borrow().epoch,
        kept.len()
    );
    assert_eq!(demand.end().await, Vec::<String>::new());
    for gateway in gateways {
        gateway.stop().await.expect("stopped");
    }
}
