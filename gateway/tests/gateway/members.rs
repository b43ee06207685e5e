//! Membership: many processes over one shared store, joining, leaving, dying, under load.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use foremap::control::{Member, MemberState};
use foremap::node::Node;
use foremap::partition::{MapNode, PartitionMap};
use foremap::shifter::{Move, shift};
use foremap_gateway::http::HttpOptions;
use foremap_gateway::store::{Blob, Namespace as _, Registry as _, Values as _};

use crate::client::Client;
use crate::load::{Load, key};
use crate::sdk::Sdk;
use crate::shared::{Gate, Shared, agree, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_join_leave_and_come_back_and_one_id_is_one_process() {
    let store = Shared::new();
    let one = Gate::start(&store, 1).await;
    assert_eq!((one.nodes(), one.epoch()), (vec![1], 1));
    let two = Gate::start(&store, 2).await;
    eprintln!("two joined after {:?}", agree(&[&one, &two], &[1, 2]).await);
    let three = Gate::start(&store, 3).await;
    eprintln!("three joined after {:?}", agree(&[&one, &two, &three], &[1, 2, 3]).await);
    assert_eq!(three.epoch(), 3, "one epoch a change");

    let failure = Gate::try_start(&store, 2, 0, HttpOptions::default()).await.err().expect("refused");
    assert!(failure.to_string().contains("another live process is node 2"), "{failure}");
    assert_eq!(failure.to_string().lines().count(), 1);

    // Whoever ends says so: it is gone from the map before it is gone.
    let begun = tokio::time::Instant::now();
    two.stop().await;
    eprintln!("two left after {:?}", begun.elapsed());
    assert_eq!(store.map().await.expect("a map").expect("a map").nodes.len(), 2);
    assert_eq!(store.members().await.expect("members").len(), 2);
    agree(&[&one, &three], &[1, 3]).await;
    let two = Gate::start(&store, 2).await;
    agree(&[&one, &two, &three], &[1, 2, 3]).await;

    let leaders: Vec<bool> = [&one, &two, &three].iter().map(|gate| gate.term() > 0).collect();
    assert_eq!(leaders.iter().filter(|leads| **leads).count(), 1, "{leaders:?}");
    for gate in [one, two, three] {
        gate.stop().await;
    }
    assert_eq!(store.members().await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_within_the_grace_moves_nothing_and_a_dead_node_is_dropped_after_it() {
    let store = Shared::new();
    let (one, two) = (Gate::start(&store, 1).await, Gate::start(&store, 2).await);
    agree(&[&one, &two], &[1, 2]).await;
    let epoch = one.epoch();
    let port = two.kill().await;
    let two = Gate::try_start(&store, 2, port, HttpOptions::default()).await.expect("started again at once");
    // Long enough for whatever might be decided.
    store.beats(2, 3).await;
    assert_eq!((one.epoch(), two.epoch()), (epoch, epoch));
    two.kill().await;
    eprintln!("two was dropped {:?} after its death", agree(&[&one], &[1]).await);
    assert_eq!(one.epoch(), epoch + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_of_every_node_fails_no_call() {
    let store = Shared::new();
    let mut gates = Vec::new();
    for id in 1..=3 {
        gates.push(Gate::start(&store, id).await);
    }
    agree(&gates.iter().collect::<Vec<_>>(), &[1, 2, 3]).await;
    let (origins, epoch): (Vec<String>, u64) = (gates.iter().map(Gate::origin).collect(), gates[0].epoch());
    let load = Load::start(&origins, 6);
    load.goes_on(100).await;
    for _ in 1..=3 {
        let gate = gates.remove(0);
        let (id, port) = (gate.id, gate.address.port());
        gate.stop().await;
        load.goes_on(50).await;
        gates.push(Gate::try_start(&store, id, port, HttpOptions::default()).await.expect("started again"));
        agree(&gates.iter().collect::<Vec<_>>(), &[1, 2, 3]).await;
        load.goes_on(50).await;
    }
    let calls = load.end().await;
    eprintln!("{calls} calls, none failed, epoch {}", gates[0].epoch());
    assert_eq!(gates[0].epoch(), epoch + 6, "each of them left and came back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_takes_over_from_a_dead_coordinator_and_traffic_goes_on() {
    let store = Shared::new();
    let one = Gate::start(&store, 1).await;
    until("the first leads", || one.term() > 0).await;
    let (two, three) = (Gate::start(&store, 2).await, Gate::start(&store, 3).await);
    agree(&[&one, &two, &three], &[1, 2, 3]).await;
    let term = one.term();
    let load = Load::start(&[one.origin(), two.origin(), three.origin()], 4);
    load.goes_on(50).await;
    one.kill().await;
    let begun = tokio::time::Instant::now();
    load.goes_on(50).await;
    until("another leads", || two.term().max(three.term()) > term).await;
    eprintln!("another took over after {:?}", begun.elapsed());
    agree(&[&two, &three], &[2, 3]).await;
    eprintln!("and dropped the dead one after {:?}", begun.elapsed());
    load.goes_on(50).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_registry_stops_shifts_only() {
    let store = Shared::new();
    let (one, two) = (Gate::start(&store, 1).await, Gate::start(&store, 2).await);
    agree(&[&one, &two], &[1, 2]).await;
    let (epoch, client) = (one.epoch(), Client::new());
    let load = Load::start(&[one.origin(), two.origin()], 4);
    store.set_meta_down(true);
    until("rounds fail", || one.control().failures > 0 && two.control().failures > 0).await;
    assert!(one.term() == 0 && two.term() == 0);
    load.goes_on(200).await;
    assert_eq!(client.get(&one.url("/readyz")).await.status, StatusCode::OK);
    // Longer than any registration holds: when it is back, everybody is there before anybody is missed.
    store.beats(2, 4).await;
    store.set_meta_down(false);
    until("one leads", || one.term() + two.term() > 0).await;
    load.goes_on(200).await;
    load.end().await;
    assert_eq!((one.nodes(), one.epoch()), (vec![1, 2], epoch));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_deposed_coordinator_still_sends_is_refused() {
    let store = Shared::new();
    let one = Gate::start(&store, 1).await;
    until("it leads", || one.term() > 0).await;
    let old = one.term();
    // It is away for longer than its term, as by SIGSTOP, and another one takes over.
    let stopped = one.freeze();
    let mut taken = None;
    while taken.is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        taken = store.take_lease(77, Duration::from_secs(2)).await.expect("a store that works");
    }
    let map = store.map().await.expect("a map").expect("a map");
    let node = MapNode { id: 9, origin: "http://127.0.0.1:9".into(), weight: 1 };
    let next = Arc::new(shift(&map, &[Move::Members { nodes: vec![node] }]).expect("valid"));
    assert_eq!(store.put_blob(Blob::Proposal, Some(next.encode()), old).await, Ok(false));
    assert_eq!(store.put_map(Some(map.epoch), next, old).await, Ok(false));
    drop(stopped);
    // When it comes to itself it does not lead until the other one's time is over, and then begins a new term.
    until("it has a term of its own again", || one.term() > taken.unwrap_or(0)).await;
    assert_eq!((one.nodes(), one.epoch()), (vec![1], map.epoch.number));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_of_a_dead_coordinator_is_carried_on() {
    let store = Shared::new();
    // It has proposed the next map, with a plan besides, and died.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let one = MapNode { id: 1, origin: format!("http://{free}"), weight: 1 };
    let first = Arc::new(PartitionMap::new(5, 1_024, store.layout(), vec![one]));
    assert_eq!(store.put_map(None, first.clone(), 0).await, Ok(true));
    let term = store.take_lease(77, Duration::from_millis(10)).await.expect("a store that works").expect("the lease");
    let wanted = shift(&first, &[Move::Assign { partition: 3, node: Some(1) }]).expect("valid");
    assert_eq!(store.put_blob(Blob::Proposal, Some(wanted.encode()), term).await, Ok(true));
    let gate = Gate::try_start(&store, 1, free.port(), HttpOptions::default()).await.expect("started");
    until("the plan is in force", || !gate.process.map().borrow().exceptions.is_empty()).await;
    assert_eq!(*gate.process.map().borrow().as_ref(), wanted);
    assert!(gate.term() > term && gate.control().proposals == 0);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while store.blob(Blob::Proposal).await != Ok(None) {
        assert!(tokio::time::Instant::now() < deadline, "it is never cleared");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_owner_has_what_was_hot_before_the_flip() {
    let store = Shared::new();
    let one = Gate::start(&store, 1).await;
    let mut sdk = Sdk::quiet(vec![one.origin()], 1);
    for n in 0..200 {
        sdk.put(&key(n), &n.to_string()).await.expect("written");
    }
    for n in (0..200).chain(0..200) {
        assert_eq!(sdk.get(&key(n)).await, Ok(Some(n.to_string())));
    }
    let stats =
        |gate: &Gate| -> foremap::node::NodeStats { gate.process.nodes().next().expect("a node").node().stats() };
    until("the owner keeps them", || stats(&one).memory_entries == 200).await;
    let two = Gate::start(&store, 2).await;
    agree(&[&one, &two], &[1, 2]).await;
    let node: &Node = two.process.nodes().next().map(|handle| handle.node()).expect("a node");
    let own: Vec<u64> = (0..200).filter(|&n| node.locate(&key(n)).node == 2).collect();
    assert!(own.len() > 50, "{}", own.len());
    let warm = two.control();
    assert_eq!((warm.warm_keys, warm.warm_failures), (own.len() as u64, 0));
    assert_eq!(stats(&two).memory_entries, own.len() as u64, "only what it owns now");
    let mut sdk = Sdk::quiet(vec![two.origin()], 2);
    // A client that does not know yet how long an answer takes has its first one from the store.
    sdk.get(&key(own[0])).await.expect("found");
    let before = stats(&two);
    for &n in &own {
        assert_eq!(sdk.get(&key(n)).await, Ok(Some(n.to_string())));
    }
    let after = stats(&two);
    // But for what the bound forbids, should this machine stand still for longer than that.
    let too_old = after.memory_too_old - before.memory_too_old;
    assert!(too_old < own.len() as u64 / 4, "{too_old}");
    assert_eq!(after.store_reads, before.store_reads + too_old, "every one of them from memory");
    assert!(after.memory_hits >= before.memory_hits + own.len() as u64 - too_old);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_warm_up_is_not_waited_for_for_long() {
    let store = Shared::new();
    let one = Gate::start(&store, 1).await;
    until("it leads", || one.term() > 0).await;
    // A member that takes connections, answers nothing and reports nothing.
    let hangs = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = Member {
        id: 2,
        incarnation: 7,
        origin: format!("http://{}", hangs.local_addr().expect("an address")),
        weight: 1,
        state: MemberState::Serving,
        warm_for: 0,
    };
    assert_eq!(store.announce(silent, Duration::from_secs(60)).await, Ok(true));
    eprintln!("the map names a silent member after {:?}", agree(&[&one], &[1, 2]).await);
    // What it owns is answered all the same.
    let mut sdk = Sdk::quiet(vec![one.origin()], 1);
    for n in 0..100 {
        sdk.put(&key(n), "x").await.expect("written");
        assert_eq!(sdk.get(&key(n)).await, Ok(Some("x".to_owned())));
    }
    assert!(one.process.peers().breaker_opens > 0, "it was tried");
    // Nor does it keep the hot keys of others from one who joins.
    let three = Gate::start(&store, 3).await;
    agree(&[&one, &three], &[1, 2, 3]).await;
    let warm = three.control();
    assert!(warm.warm_keys > 0 && warm.warm_failures == 1, "{warm:?}");
}
