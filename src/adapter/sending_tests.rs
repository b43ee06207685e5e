//! How long an origin is waited for.

use super::super::action::FailureKind;
use super::super::testing::{Host, ORIGIN, Sent};
use super::super::{AdapterConfig, Served};
use super::*;

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
    host.adapter.on_failure(host.now, frozen.flight, FailureKind::Timeout);
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
