//! Real gateway processes over a real Redis Cluster: started anew one after the other, stopped and killed, under
//! load.
//!
//! Needs `redis-server` and `redis-cli`; without them it fails and says what to install.

use std::time::{Duration, Instant};

use foremap_redis_cluster::RedisCluster;

use crate::binary::Process;
use crate::client::Client;
use crate::load::Load;

/// Waits until every one of `processes` has a map of exactly `nodes`; returns how long that took.
async fn agree(client: &Client, processes: &[Process], nodes: &[u64]) -> Duration {
    let begun = Instant::now();
    for process in processes {
        loop {
            let map = client.get(&format!("{}/v1/map", process.origins[0])).await.json();
            let ids: Vec<u64> =
                map["nodes"].as_array().expect("nodes").iter().filter_map(|node| node["id"].as_u64()).collect();
            if ids == nodes {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "a map of {ids:?} instead of {nodes:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    begun.elapsed()
}

fn address(process: &Process) -> String {
    process.origins[0].trim_start_matches("http://").to_owned()
}

/// SIGTERM and a new start for each, one after the other.
async fn restart_all(client: &Client, store: &str, processes: &mut Vec<Process>, load: &Load) {
    for id in 1..=3 {
        let mut process = processes.remove(0);
        let begun = Instant::now();
        process.signal("TERM");
        assert_eq!(tokio::task::block_in_place(|| process.wait()), Some(0));
        eprintln!("{id} ended after {:?}", begun.elapsed());
        load.goes_on(30).await;
        processes.push(Process::serve(store, id, &address(&process)));
        eprintln!("{id} joined after {:?}", agree(client, processes, &[1, 2, 3]).await);
        load.goes_on(30).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_process_is_started_anew_one_is_stopped_one_is_killed_and_no_call_fails() {
    let cluster = RedisCluster::start(3, 1).expect("a cluster");
    let store = format!("redis://{}", cluster.addresses().join(","));
    let client = Client::new();
    let mut processes: Vec<Process> = (1..=3).map(|id| Process::serve(&store, id, "127.0.0.1:0")).collect();
    eprintln!("three joined after {:?}", agree(&client, &processes, &[1, 2, 3]).await);
    let load = Load::start(&processes.iter().map(|process| process.origins[0].clone()).collect::<Vec<_>>(), 4);
    load.goes_on(100).await;
    restart_all(&client, &store, &mut processes, &load).await;

    // Stopped for longer than anything holds: it is missed, and welcome when it is back.
    let stopped = processes.pop().expect("the third");
    stopped.signal("STOP");
    load.goes_on(30).await;
    eprintln!("3 was dropped {:?} after it was stopped", agree(&client, &processes, &[1, 2]).await);
    stopped.signal("CONT");
    processes.push(stopped);
    eprintln!("3 was back after {:?}", agree(&client, &processes, &[1, 2, 3]).await);
    load.goes_on(30).await;

    let mut killed = processes.remove(0);
    killed.child.kill().expect("alive");
    killed.child.wait().expect("a child");
    load.goes_on(30).await;
    eprintln!("1 was dropped {:?} after its death", agree(&client, &processes, &[2, 3]).await);
    load.goes_on(30).await;
    // Several nodes of one process are as many members; an id that is taken is none.
    processes.push(Process::dev_over(&store, 5, 2));
    agree(&client, &processes, &[2, 3, 5, 6]).await;
    crate::binary::fails_in_one_line(
        &["serve", "--listen", "127.0.0.1:0", "--store", &store, "--node", "6"],
        "another live process is node 6",
    );
    load.goes_on(30).await;
    eprintln!("{} calls, none failed", load.end().await);
}
