//! How long an origin is waited for, and which replica is asked.

use crate::adapter::transport::retry::ATTEMPT_MS;
use crate::protocol::BatchRequest;
use crate::protocol::Consistency;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::adapter::FailureKind;
use crate::adapter::testing::{Host, ORIGIN, Sent, key};
use crate::adapter::{AdapterConfig, GetRequest, Served};
use crate::key::CompositeKey;
use crate::partition::{HotKey, MapNode, PartitionMap, Placement, StorageLayout, replica, xxh3};

/// The time-out of the one flight with keys that is under way; others only exchange cursors.
fn waits(host: &mut Host) -> u32 {
    host.pass(1);
    let has_keys = |sent: &Sent| BatchRequest::decode(&sent.body).is_ok_and(|request| !request.items.is_empty());
    host.sent.retain(has_keys);
    assert_eq!(host.sent.len(), 1);
    host.sent[0].timeout_ms
}

#[test]
fn a_frozen_gateway_is_left_for_another_after_a_first_short_wait() {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    host.get("u/1");
    assert_eq!(waits(&mut host), ATTEMPT_MS, "nothing is usual yet");
    host.pass(10);
    host.deliver();
    let id = host.get("u/2");
    let first = waits(&mut host);
    assert!((700..1_000).contains(&first), "{first}");
    let frozen = host.sent.remove(0);
    host.pass(first.into());
    host.adapter.handle_failure(host.now, frozen.flight, FailureKind::Timeout);
    host.pass(150);
    assert_ne!(host.sent[0].origin, frozen.origin);
    assert_eq!(waits(&mut host), ATTEMPT_MS, "the second attempt is patient");
    host.deliver();
    assert_eq!(host.answers[&id].as_ref().map(|answer| answer.served), Ok(Served::Network));
}

#[test]
fn patience_is_kept_where_leaving_early_could_not_help() {
    let mut host = Host::with(AdapterConfig { origins: vec![ORIGIN.into()], ..AdapterConfig::default() });
    host.read("u/1").expect("answered");
    host.get("u/2");
    assert_eq!(waits(&mut host), ATTEMPT_MS, "there is nobody else to ask");

    let mut host = Host::new();
    host.read("u/1").expect("answered");
    host.get_in(0, "u/2", Consistency::Strong);
    assert_eq!(waits(&mut host), ATTEMPT_MS, "it waits for the store, whoever is asked");
    host.deliver();
    for n in 0..20 {
        host.get(&format!("u/3/{n}"));
    }
    assert_eq!(waits(&mut host), ATTEMPT_MS, "the budget does not cover asking again for so many");
}

#[test]
fn a_retry_is_promised_to_one_flight_only() {
    let mut host = Host::new();
    host.read("u/1").expect("answered");
    // The budget covers ten retries: the first six are promised, so the next six cannot be.
    (0..6).for_each(|n| _ = host.get(&format!("u/2/{n}")));
    assert!(waits(&mut host) < ATTEMPT_MS);
    host.sent.clear();
    (0..6).for_each(|n| _ = host.get(&format!("u/3/{n}")));
    assert_eq!(waits(&mut host), ATTEMPT_MS);
}

const SEED: u64 = 77;
const HOT: [&str; 2] = ["u/hot", "u/hot too"];

/// Three nodes, all of them known and warm, and two keys with replicas on each.
fn replicated() -> Host {
    let nodes: Vec<_> = (1..=3).map(|id| MapNode { id, origin: format!("http://{id}.example"), weight: 1 }).collect();
    let origins: Vec<String> = nodes.iter().map(|node| node.origin.clone()).collect();
    let mut host = Host::with(AdapterConfig { seed: SEED, origins: origins.clone(), ..AdapterConfig::default() });
    host.gateway.map = PartitionMap::new(1, 64, StorageLayout::default(), nodes);
    host.gateway.map.hot = HOT.map(|hot| HotKey { key: key(hot), nodes: vec![3, 1, 2] }).to_vec();
    host.read("u/0").expect("answered, with the map");
    for origin in &origins {
        host.adapter.transport.succeeded(host.now, origin, 5);
    }
    host
}

/// Asks a gateway for `keys` in one flush; which origin each was sent to.
fn flush(host: &mut Host, keys: &[CompositeKey]) -> BTreeMap<CompositeKey, String> {
    for key in keys {
        let request = GetRequest { stream: "s", bypass_cache: true, observe: false, ..GetRequest::new(key.clone()) };
        host.adapter.handle_request(host.now, request);
    }
    host.adapter.handle_timeout(host.now, 0);
    // Nothing is due: only what it asked for is sent.
    host.pass(0);
    let sent = host.sent.iter().flat_map(|sent| {
        let request = BatchRequest::decode(&sent.body).expect("a batch");
        request.items.into_iter().map(|item| (item.key, sent.origin.to_string()))
    });
    let sent = sent.collect();
    host.now += 5;
    host.deliver();
    sent
}

#[test]
fn replicas_take_turns_flush_by_flush_and_other_keys_stay_with_their_owner() {
    let mut host = replicated();
    let placement = Placement::new(Arc::new(host.gateway.map.clone()));
    let origin = |node| format!("http://{node}.example");
    let cold: Vec<CompositeKey> = (1..30).map(|n| key(&format!("u/{n}/x"))).collect();
    let keys: Vec<CompositeKey> = HOT.map(key).into_iter().chain(cold.iter().cloned()).collect();
    // It begins where its seed says, and has flushed once.
    let (first, mut turns) = (xxh3(SEED, b"replica").wrapping_add(1), BTreeMap::new());
    for n in 1..=300 {
        let sent = flush(&mut host, &keys);
        assert_eq!(sent.len(), keys.len(), "each key once, in flush {n}");
        let turn = origin([3, 1, 2][replica(first + n, 3)]);
        assert!(HOT.iter().all(|hot| sent[&key(hot)] == turn), "flush {n}: {sent:?} instead of {turn}");
        for cold in &cold {
            assert_eq!(sent[cold], origin(placement.locate(cold).node), "{cold:?} in flush {n}");
        }
        *turns.entry(turn).or_insert(0_u32) += 1;
    }
    // A third each: within four standard deviations, of a sequence that never changes.
    assert!(turns.len() == 3 && turns.values().all(|n| n.abs_diff(100) < 33), "{turns:?}");
    let owners: BTreeMap<_, _> = cold.iter().map(|cold| (placement.locate(cold).node, cold)).collect();
    assert_eq!(owners.len(), 3, "every node owns some of the others");
}
