use crate::adapter::Adapter;
use crate::adapter::GetRequest;
use crate::adapter::testing::{Host, ORIGIN, key, locator};
use crate::adapter::{Action, AdapterConfig, CallEnd, Own, OwnWrite, Served};
use crate::protocol::Class;
use crate::protocol::Consistency;
use crate::protocol::ErrorCode;
use crate::protocol::{BatchRequest, Cursor, KeymapFields};

#[test]
fn a_miss_asks_a_gateway_and_the_next_read_is_a_hit() {
    let mut host = Host::new();
    host.gateway.put("u/1/profile", "x");
    let first = host.read("u/1/profile").expect("found");
    assert_eq!((first.served, locator(&first)), (Served::Network, Some("x")));
    let second = host.read("u/1/profile").expect("found");
    assert_eq!((second.served, locator(&second)), (Served::Cache, Some("x")));
    assert_eq!(host.gateway.requests.len(), 1);
}

#[test]
fn a_missing_key_is_remembered() {
    let mut host = Host::new();
    assert_eq!(host.read("u/none").map(|a| (a.served, a.keymap)), Ok((Served::Network, None)));
    assert_eq!(host.read("u/none").map(|a| (a.served, a.keymap)), Ok((Served::Negative, None)));
}

#[test]
fn callers_of_one_key_share_one_flight_and_cancel_alone() {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    let ids: Vec<_> = (0..3).map(|_| host.get("u/1")).collect();
    host.pass(1);
    assert_eq!(host.sent.len(), 1);
    assert_eq!(BatchRequest::decode(&host.sent[0].body).expect("a batch").items.len(), 1);
    host.adapter.handle_cancel(host.now, ids[0]);
    host.deliver();
    assert_eq!(host.answers[&ids[0]], Err(ErrorCode::Aborted));
    assert_eq!(host.answers[&ids[1]].as_ref().map(|a| a.served), Ok(Served::Joined));
    assert_eq!(host.answers[&ids[2]].as_ref().map(|a| a.served), Ok(Served::Joined));
}

#[test]
fn the_flight_is_aborted_when_the_last_caller_leaves() {
    let mut host = Host::new();
    let ids = [host.get("u/1"), host.get("u/1")];
    host.pass(1);
    for id in ids {
        host.adapter.handle_cancel(host.now, id);
    }
    host.pass(1);
    assert_eq!(host.other, [Action::Abort { flight: host.sent[0].flight }]);
    host.deliver();
    assert_eq!(host.adapter.stats(host.now).waiting.used, 0);
    assert_eq!(host.adapter.stats(host.now).flights, 0);
}

#[test]
fn the_next_tier_is_told_the_stream_of_whoever_waits() {
    let mut host = Host::new();
    host.read("u/1").expect("answered");
    host.adapter.prefetch(host.now, 0, [key("u/2")], None, None);
    host.pass(1);
    host.deliver();
    let streams: Vec<_> = host.gateway.requests.iter().map(|request| request.stream.as_deref()).collect();
    assert_eq!(streams, [Some("s"), None]);
}

#[test]
fn keys_of_one_turn_travel_in_one_batch() {
    let mut host = Host::new();
    let ids: Vec<_> = (0..5).map(|n| host.get(&format!("u/{n}"))).collect();
    host.pass(1);
    assert_eq!(host.sent.len(), 1);
    host.deliver();
    assert!(ids.iter().all(|id| host.answers[id].is_ok()));
}

#[test]
fn an_exchange_keeps_the_cache_fresh_and_carries_changes() {
    let mut host = Host::new();
    host.gateway.put("u/1", "old");
    host.gateway.put("u/2", "x");
    host.read("u/1").expect("found");
    host.read("u/2").expect("found");
    for _ in 0..20 {
        host.pass(500);
        assert_eq!(host.read("u/2").map(|a| a.served), Ok(Served::Cache), "covered by the exchanges");
        host.pass(5);
        host.deliver();
    }
    host.gateway.put("u/1", "new");
    for _ in 0..5 {
        host.pass(300);
        host.read("u/2").expect("found");
        host.pass(5);
        host.deliver();
    }
    let after = host.read("u/1").expect("found");
    assert_eq!((after.served, locator(&after)), (Served::Network, Some("new")), "the change dropped it");
}

#[test]
fn owners_are_warmed_by_exchanges_and_then_addressed_directly() {
    let mut host = Host::new();
    for n in 0..20 {
        host.gateway.put(&format!("u/{n}"), "x");
    }
    host.read("u/0").expect("found");
    assert_eq!(host.adapter.stats(host.now).warm_origins, 1);
    for _ in 0..3 {
        host.pass(1_000);
        host.read("u/0").expect("found");
        host.pass(5);
        host.deliver();
    }
    assert_eq!(host.adapter.stats(host.now).warm_origins, 2);
    for n in 1..20 {
        host.get(&format!("u/{n}"));
    }
    host.pass(1);
    let origins: std::collections::BTreeSet<_> = host.sent.iter().map(|sent| sent.origin.clone()).collect();
    assert_eq!(origins.len(), 2, "one batch to each owner");
}

#[test]
fn beyond_the_bound_the_version_is_confirmed_instead_of_sent() {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    host.read("u/1").expect("found");
    host.pass(5_000);
    let again = host.read("u/1").expect("found");
    assert_eq!((again.served, locator(&again)), (Served::Revalidated, Some("x")));
    let asked = host.gateway.requests.iter().rfind(|request| !request.items.is_empty()).expect("sent");
    assert!(asked.items[0].if_version.is_some());
    host.gateway.delete("u/1");
    host.pass(5_000);
    assert_eq!(host.read("u/1").map(|a| a.keymap), Ok(None));
}

#[test]
fn an_own_write_is_read_back_although_the_gateway_lags() {
    let mut host = Host::new();
    host.gateway.put("u/1", "old");
    host.read("u/1").expect("found");
    host.gateway.lag_at = Some(1);
    let version = host.gateway.put("u/1", "new");
    host.wrote("u/1", version);
    assert_eq!(host.read("u/1").as_ref().map(locator), Ok(Some("new")));
    assert_eq!(host.adapter.stats(host.now).asked_again, 1);
}

#[test]
fn an_answer_that_left_before_an_own_write_reaches_nobody_after_it() {
    let mut host = Host::new();
    host.gateway.put("u/1", "old");
    host.get("u/1");
    host.pass(1);
    let early = host.sent.remove(0);
    let response = host.gateway.answer(&early.body);
    let version = host.gateway.put("u/1", "new");
    host.wrote("u/1", version);
    let late = host.get("u/1");
    host.respond(early.flight, 200, &response.encode());
    host.pass(1);
    host.deliver();
    assert_eq!(host.answers[&late].as_ref().map(locator), Ok(Some("new")));
    assert_eq!(host.read("u/1").as_ref().map(locator), Ok(Some("new")));
}

#[test]
fn floors_of_one_scope_do_not_bind_another() {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    host.read("u/1").expect("found");
    let shard = host.gateway.map.storage.shard(&key("u/1"));
    let version = host.gateway.put("u/1", "y");
    host.adapter.raise_scope_token(7, [Cursor { shard, position: version }]);
    let (bound, free) = (host.get_in(7, "u/1", Consistency::Bounded), host.get_in(8, "u/1", Consistency::Bounded));
    assert_eq!(host.answers[&free].as_ref().map(locator), Ok(Some("x")), "within its own bound");
    host.pass(1);
    host.deliver();
    assert_eq!(host.answers[&bound].as_ref().map(locator), Ok(Some("y")));
}

#[test]
fn a_failed_attempt_is_repeated_at_another_gateway() {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    let id = host.get("u/1");
    host.pass(1);
    let failed = host.sent.remove(0);
    host.fail(failed.flight);
    host.pass(150);
    assert_eq!(host.sent.len(), 1);
    assert_ne!(host.sent[0].origin, failed.origin);
    host.deliver();
    assert!(host.answers[&id].is_ok());
}

#[test]
fn a_dead_gateway_gets_no_more_than_the_budget_of_retries() {
    let mut host = Host::new();
    for n in 0..300 {
        host.get(&format!("u/{n}"));
        host.pass(100);
        for sent in std::mem::take(&mut host.sent) {
            host.fail(sent.flight);
        }
    }
    let stats = host.adapter.stats(host.now);
    assert!((10..=45).contains(&stats.retries), "{} retries for 300 requests", stats.retries);
}

#[test]
fn client_errors_are_final_and_keep_their_code() {
    let mut host = Host::new();
    let id = host.get("u/1");
    host.pass(1);
    let flight = host.sent.remove(0).flight;
    host.respond(flight, 403, br#"{"type":"about:blank","code": "FORBIDDEN","status":403}"#);
    assert_eq!(host.answers[&id], Err(ErrorCode::Forbidden));
}

#[test]
fn garbage_is_an_error_and_never_a_value() {
    let mut host = Host::new();
    let id = host.get("u/1");
    for _ in 0..8 {
        host.pass(2_500);
        for sent in std::mem::take(&mut host.sent) {
            host.respond(sent.flight, 200, b"<html>");
        }
    }
    assert!(host.answers[&id].is_err());
}

#[test]
fn any_serves_stale_where_nothing_else_answers() {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    host.read("u/1").expect("found");
    host.pass(60_000);
    let (any, bounded) = (host.get_in(0, "u/1", Consistency::Any), host.get_in(0, "u/1", Consistency::Bounded));
    for _ in 0..12 {
        host.pass(1_000);
        for sent in std::mem::take(&mut host.sent) {
            host.fail(sent.flight);
        }
    }
    let stale = host.answers[&any].as_ref().expect("the stale entry");
    assert_eq!((stale.served, locator(stale)), (Served::Stale, Some("x")));
    assert!(stale.age_ms >= 60_000);
    assert!(host.answers[&bounded].is_err());
}

#[test]
fn what_is_fresh_by_the_time_that_a_request_fails_answers_it_unmarked() {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    host.read("u/1").expect("found");
    host.pass(60_000);
    let ids = [Consistency::Any, Consistency::Bounded].map(|consistency| host.get_in(0, "u/1", consistency));
    host.pass(9_000);
    // Meanwhile this client wrote it.
    let version = host.gateway.put("u/1", "y");
    let fence = host.adapter.fence(host.now);
    let (key, shard) = (key("u/1"), host.gateway.shard("u/1"));
    let own = Own::Put(KeymapFields { locator: "y".into(), ..KeymapFields::default() });
    host.adapter.handle_write(host.now, OwnWrite { key, version, shard, position: version, own, fence });
    host.pass(1_001);
    for id in ids {
        let answer = host.answers[&id].as_ref().expect("answered");
        assert_eq!((answer.served, locator(answer), answer.stale), (Served::Cache, Some("y"), false));
    }
}

#[test]
fn a_request_times_out() {
    let mut host = Host::new();
    let id = host.get("u/1");
    host.pass(10_001);
    assert_eq!(host.answers[&id], Err(ErrorCode::Timeout));
}

#[test]
fn a_strong_read_never_joins_what_is_already_sent() {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    host.get_in(0, "u/1", Consistency::Strong);
    host.pass(1);
    host.get_in(0, "u/1", Consistency::Strong);
    host.get_in(0, "u/1", Consistency::Strong);
    host.pass(1);
    assert_eq!(host.sent.len(), 2, "the third joins the second, which was not sent yet");
}

/// Trains the predictor on a sequence in scope 0.
fn train(host: &mut Host, keys: &[String], rounds: usize) {
    for text in keys {
        host.gateway.put(text, text);
    }
    for _ in 0..rounds {
        for text in keys {
            host.read(text).expect("found");
            host.pass(20);
            host.deliver();
        }
    }
}

/// A host with an empty cache whose predictor knows a sequence of `count` keys.
fn trained(count: usize) -> (Host, Vec<String>) {
    let mut host = Host::new();
    let keys: Vec<String> = (0..count).map(|n| format!("u/{n}/profile")).collect();
    train(&mut host, &keys, 12);
    host.adapter.clear(host.now);
    (host, keys)
}

#[test]
fn what_is_likely_next_rides_on_the_batch_of_a_miss() {
    let (mut host, keys) = trained(6);
    let before = host.adapter.stats(host.now).prefetch;
    host.gateway.requests.clear();
    host.read(&keys[0]).expect("found");
    let items = &host.gateway.requests[0].items;
    assert_eq!(items[0].class, Class::Demand);
    assert!(items.len() > 1 && items[1..].iter().all(|item| item.class == Class::Prefetch));
    assert_eq!(host.read(&keys[1]).map(|a| a.served), Ok(Served::Cache));
    let stats = host.adapter.stats(host.now).prefetch;
    assert_eq!((stats.used, stats.wasted), (before.used + 1, before.wasted));
}

#[test]
fn a_read_that_is_not_observed_teaches_nothing() {
    let mut host = Host::new();
    for _ in 0..12 {
        for text in ["u/1/x", "u/2/x"] {
            let (key, stream) = (key(text), "s");
            host.adapter.handle_request(host.now, GetRequest { stream, observe: false, ..GetRequest::new(key) });
            host.pass(10);
            host.deliver();
        }
    }
    assert_eq!(host.adapter.stats(host.now).prefetch.requests, 0);
    assert!(host.adapter.predictions("s").is_empty());
}

#[test]
fn a_prefetch_below_the_session_token_of_who_asks_for_it_has_its_outcome() {
    let (mut host, keys) = trained(6);
    host.read(&keys[0]).expect("found");
    let before = host.adapter.stats(host.now).prefetch;
    let shard = host.gateway.map.storage.shard(&key(&keys[1]));
    host.adapter.raise_scope_token(2, [Cursor { shard, position: u64::MAX }]);
    host.get_in(2, &keys[1], Consistency::Bounded);
    assert_eq!(host.adapter.stats(host.now).prefetch.outdated, before.outdated + 1);
    host.adapter.clear(host.now);
    host.adapter.handle_scope_end(host.now, 2);
    assert_eq!(host.adapter.stats(host.now).prefetch.outstanding, 0);
}

#[test]
fn a_prefetch_does_not_get_the_outcome_of_an_entry_that_left_before_it() {
    let (mut host, keys) = trained(6);
    let before = host.adapter.stats(host.now).prefetch;
    host.adapter.prefetch(host.now, 0, [key(&keys[1])], None, None);
    host.pass(1);
    host.deliver();
    let version = host.gateway.put(&keys[1], "new");
    host.wrote(&keys[1], version);
    host.read(&keys[0]).expect("found");
    // The hint's entry; not that of the prefetch that followed.
    assert_eq!(host.adapter.stats(host.now).prefetch.wasted, before.wasted + 1);
    assert_eq!(host.read(&keys[1]).map(|a| a.served), Ok(Served::Cache));
    assert_eq!(host.adapter.stats(host.now).prefetch.used, before.used + 1);
}

#[test]
fn demand_in_another_scope_waits_beside_a_prefetch_and_not_for_ever() {
    let (mut host, keys) = trained(2);
    host.get_in(1, &keys[0], Consistency::Bounded);
    host.pass(1);
    assert_eq!(host.sent.len(), 1);
    let beside = host.get_in(2, &keys[1], Consistency::Bounded);
    host.pass(2);
    assert_eq!(host.sent.len(), 1, "parked");
    let patient = host.sent.remove(0);
    let response = host.gateway.answer(&patient.body).encode();
    host.pass(300);
    assert_eq!(host.sent.len(), 1, "patience is over: its own fetch");
    assert_eq!(host.sent[0].scope, 2);
    host.respond(patient.flight, 200, &response);
    let third = host.get_in(3, &keys[1], Consistency::Bounded);
    assert_eq!(host.answers[&third].as_ref().map(|a| a.served), Ok(Served::Cache));
    host.deliver();
    assert!(host.answers[&beside].is_ok());
}

#[test]
fn an_order_below_a_callers_floor_is_settled_too() {
    let (mut host, keys) = trained(3);
    host.read(&keys[0]).expect("found");
    let before = host.adapter.stats(host.now).prefetch;
    assert!(before.outstanding > 0);
    // Another session has seen more of the shard than the prefetched entry includes.
    let shard = host.gateway.map.storage.shard(&key(&keys[1]));
    let position = host.gateway.put("u/1/other", "x") + 1_000;
    host.adapter.raise_scope_token(7, [Cursor { shard, position }]);
    host.adapter.set_caution(crate::prefetch::Caution::Off);
    host.get_in(7, &keys[1], Consistency::Bounded);
    let after = host.adapter.stats(host.now).prefetch;
    assert_eq!((after.outdated - before.outdated, before.outstanding - after.outstanding), (1, 1));
}

#[test]
fn a_parked_request_takes_what_lands() {
    let (mut host, keys) = trained(3);
    host.get_in(1, &keys[0], Consistency::Bounded);
    host.pass(1);
    let beside = host.get_in(2, &keys[1], Consistency::Bounded);
    host.deliver();
    host.pass(10);
    assert_eq!(host.answers[&beside].as_ref().map(|a| a.served), Ok(Served::Joined));
}

#[test]
fn closing_a_scope_rejects_aborts_and_forgets() {
    let mut host = Host::new();
    let id = host.get_in(9, "u/1", Consistency::Bounded);
    host.pass(1);
    host.adapter.handle_scope_end(host.now, 9);
    host.pass(1);
    assert_eq!(host.answers[&id], Err(ErrorCode::Aborted));
    let stats = host.adapter.stats(host.now);
    assert_eq!((stats.scopes, stats.flights, stats.fetching, stats.waiting.used), (0, 0, 0, 0));
}

#[test]
fn the_map_arrives_whole_then_by_delta() {
    let mut host = Host::new();
    host.read("u/1").expect("answered");
    assert_eq!(host.adapter.map().map(|m| m.epoch), Some(host.gateway.map.epoch));
    host.gateway.publish(|map| map.nodes[1].weight = 3);
    host.read("u/2").expect("answered");
    assert_eq!(host.adapter.map().map(|m| m.hash()), Some(host.gateway.map.hash()));
    let stats = host.adapter.stats(host.now);
    assert_eq!((stats.maps, stats.map_errors), (2, 0));
}

#[test]
fn waiting_requests_are_bounded() {
    let mut host =
        Host::with(AdapterConfig { origins: vec![ORIGIN.into()], max_waiting: 2, ..AdapterConfig::default() });
    let ids: Vec<_> = (0..3).map(|n| host.get(&format!("u/{n}"))).collect();
    assert_eq!(host.answers[&ids[2]], Err(ErrorCode::TooManyRequests));
    let calls: Vec<_> = (0..3).map(|_| host.adapter.call(host.now, 0, 1_000, None)).collect();
    host.pass(0);
    let refused = Action::CallEnd { call: calls[2], end: CallEnd::Failed(ErrorCode::TooManyRequests) };
    assert_eq!(host.other.last(), Some(&refused));
    assert_eq!(host.adapter.stats(host.now).calling.used, 2);
}

#[test]
fn a_call_is_repeated_until_the_host_holds_an_answer() {
    let mut host = Host::new();
    let call = host.adapter.call(host.now, 0, 10_000, Some(key("u/1")));
    host.pass(0);
    let flight = |host: &mut Host| match host.other.pop() {
        Some(Action::Attempt { flight, .. }) => flight,
        other => panic!("{other:?}"),
    };
    let first = flight(&mut host);
    host.adapter.handle_call_response(host.now, first, 503, None);
    host.pass(500);
    let second = flight(&mut host);
    host.adapter.handle_call_response(host.now, second, 412, None);
    host.pass(1);
    assert_eq!(host.other, [Action::CallEnd { call, end: CallEnd::Response }]);
}

#[test]
fn a_call_between_two_attempts_ends_with_its_scope() {
    let mut host = Host::new();
    host.adapter.call(host.now, 3, 10_000, Some(key("u/1")));
    host.pass(0);
    let Some(Action::Attempt { flight, .. }) = host.other.pop() else { panic!("an attempt") };
    host.adapter.handle_call_response(host.now, flight, 503, None);
    host.adapter.handle_scope_end(host.now, 3);
    assert!(host.adapter.stats(host.now).calling.used == 0);
}

#[test]
fn the_same_events_give_the_same_actions() {
    let run = || {
        let mut host = Host::new();
        let keys: Vec<String> = (0..9).map(|n| format!("u/{n}/x")).collect();
        train(&mut host, &keys, 4);
        host.get("u/3/x");
        host.pass(1);
        host.sent.iter().map(|sent| (sent.origin.clone(), sent.body.clone())).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn options_that_cannot_work_are_refused() {
    for origins in [vec![], vec!["ftp://a".to_owned()], vec!["http://a/path".into()], vec!["https://*.x".into()]] {
        assert!(Adapter::new(AdapterConfig { origins, ..AdapterConfig::default() }).is_err());
    }
}
