use crate::adapter::testing::{Host, locator};
use crate::protocol::{BatchRequest, Consistency, Cursor, ErrorCode, Outcome};

#[test]
fn a_delta_that_comes_twice_leaves_the_map_as_it_is() {
    let mut host = Host::new();
    host.read("u/1").expect("answered");
    host.gateway.publish(|map| map.nodes[1].weight = 3);
    host.get_in(1, "u/2", Consistency::Bounded);
    host.get_in(2, "u/3", Consistency::Bounded);
    host.pass(1);
    assert!(host.sent.len() >= 2);
    host.deliver();
    assert_eq!(host.adapter.map().map(|map| map.hash()), Some(host.gateway.map.hash()));
    assert_eq!(host.adapter.stats(host.now).map_errors, 0);
}

#[test]
fn a_joined_read_of_the_store_is_repeated_for_those_whom_it_is_too_old_for() {
    let mut host = Host::new();
    host.gateway.put("u/1", "old");
    let strong = host.get_in(0, "u/1", Consistency::Strong);
    host.pass(1);
    let sent = host.sent.remove(0);
    let response = host.gateway.answer(&sent.body).encode();
    host.gateway.put("u/1", "new");
    host.pass(2_500);
    let joined = host.get("u/1");
    host.pass(100);
    assert!(host.sent.is_empty(), "it waits for what is under way");
    host.respond(sent.flight, 200, &response);
    assert_eq!(host.answers[&strong].as_ref().map(locator), Ok(Some("old")));
    assert!(!host.answers.contains_key(&joined), "2.6 s old, and asked for long after");
    host.pass(1);
    host.deliver();
    assert_eq!(host.answers[&joined].as_ref().map(locator), Ok(Some("new")));
    assert_eq!(host.adapter.stats(host.now).fetching, 0);
}

#[test]
fn nothing_is_asked_again_for_those_who_gave_up() {
    let mut host = Host::new();
    let given_up = host.get("u/1");
    let waits = host.get("u/2");
    host.pass(1);
    let sent = host.sent.remove(0);
    host.adapter.handle_cancel(host.now, given_up);
    let request = BatchRequest::decode(&sent.body).expect("a batch");
    let mut response = host.gateway.answer(&sent.body);
    for (item, result) in request.items.iter().zip(&mut response.results) {
        if item.key.as_str() == "u/1" {
            result.outcome = Outcome::Unchanged { version: 99 };
        }
    }
    host.respond(sent.flight, 200, &response.encode());
    assert!(host.answers.contains_key(&waits));
    let stats = host.adapter.stats(host.now);
    assert_eq!((stats.fetching, stats.waiting.used), (0, 0));
    host.pass(5_000);
    assert!(host.sent.is_empty());
}

#[test]
fn a_stale_answer_counts_the_time_that_its_caller_waited() {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    host.read("u/1").expect("found");
    host.pass(60_000);
    let id = host.get_in(0, "u/1", Consistency::Any);
    host.pass(10_000);
    let stale = host.answers[&id].as_ref().expect("the stale entry");
    assert!(stale.age_ms >= 70_000 && u64::from(stale.at.age_ms) == stale.age_ms, "{stale:?}");
}

#[test]
fn a_stale_answer_is_never_below_the_floor_of_its_scope() {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    let seen = host.read("u/1").expect("found").at;
    host.adapter.raise_scope_token(1, [Cursor { shard: seen.shard, position: seen.position + 1 }]);
    host.adapter.raise_scope_token(2, [Cursor { shard: seen.shard, position: seen.position }]);
    host.pass(60_000);
    let (behind, level) = (host.get_in(1, "u/1", Consistency::Any), host.get_in(2, "u/1", Consistency::Any));
    host.pass(10_000);
    assert_eq!(host.answers[&behind], Err(ErrorCode::Timeout));
    assert_eq!(host.answers[&level].as_ref().map(locator), Ok(Some("x")));
}
