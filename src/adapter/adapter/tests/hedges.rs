use crate::adapter::testing::{Host, locator};
use crate::adapter::{Action, GetRequest};
use crate::protocol::{BatchRequest, ErrorCode};

/// A host that knows how long answers usually take, and has earned hedges.
fn experienced() -> Host {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    for n in 0..120 {
        host.get(&format!("v/{n}"));
        host.pass(10);
        host.deliver();
    }
    host.other.clear();
    host
}

/// Asks for `u/1` and waits until a second gateway is asked as well: the first flight and the hedge.
fn hedged(host: &mut Host) -> (u32, [crate::adapter::testing::Sent; 2]) {
    let id = host.get("u/1");
    host.pass(60);
    let asks = |sent: &crate::adapter::testing::Sent| {
        BatchRequest::decode(&sent.body).expect("a batch").items.iter().any(|item| item.key.as_str() == "u/1")
    };
    let mut both: Vec<_> = std::mem::take(&mut host.sent).into_iter().filter(asks).collect();
    assert_eq!((both.len(), host.adapter.stats(host.now).hedges), (2, 1));
    let (second, first) = (both.pop().expect("two"), both.pop().expect("two"));
    assert_ne!(first.origin, second.origin);
    (id, [first, second])
}

#[test]
fn whichever_answers_first_is_taken_and_the_other_one_aborted() {
    for winner in [0, 1] {
        let mut host = experienced();
        let (id, both) = hedged(&mut host);
        let response = host.gateway.answer(&both[winner].body).encode();
        host.respond(both[winner].flight, 200, &response);
        assert_eq!(host.answers[&id].as_ref().map(locator), Ok(Some("x")));
        let loser = both[1 - winner].flight;
        let aborted = host.other.contains(&Action::Abort { flight: loser });
        let exchanges = !BatchRequest::decode(&both[1 - winner].body).expect("a batch").cursors.is_empty();
        assert!(aborted || exchanges, "{winner}: what carries cursors is waited for");
        host.respond(loser, 200, &response);
        host.pass(1);
        assert_eq!(host.adapter.stats(host.now).fetching, 0);
    }
}

#[test]
fn the_failure_of_one_keeps_the_other() {
    for failing in [0, 1] {
        let mut host = experienced();
        let retries = host.adapter.stats(host.now).retries;
        let (id, both) = hedged(&mut host);
        host.fail(both[failing].flight);
        assert!(!host.answers.contains_key(&id));
        let response = host.gateway.answer(&both[1 - failing].body).encode();
        host.respond(both[1 - failing].flight, 200, &response);
        assert_eq!(host.answers[&id].as_ref().map(locator), Ok(Some("x")));
        assert_eq!(host.adapter.stats(host.now).retries, retries, "nothing is asked a third time");
    }
}

#[test]
fn where_both_fail_the_request_is_retried() {
    let mut host = experienced();
    let (id, both) = hedged(&mut host);
    both.iter().for_each(|sent| host.fail(sent.flight));
    host.pass(200);
    host.deliver();
    assert_eq!(host.answers[&id].as_ref().map(locator), Ok(Some("x")));
}

#[test]
fn an_answer_that_is_too_old_leaves_it_to_the_other_one() {
    let mut host = experienced();
    let version = host.gateway.put("u/1", "y");
    host.gateway.lag_at = Some(version - 1);
    let (id, both) = hedged(&mut host);
    let old = host.gateway.answer(&both[0].body).encode();
    host.adapter.raise_session_token(crate::protocol::Cursor { shard: host.gateway.shard("u/1"), position: version });
    host.respond(both[0].flight, 200, &old);
    assert!(!host.answers.contains_key(&id));
    host.gateway.lag_at = None;
    let new = host.gateway.answer(&both[1].body).encode();
    host.respond(both[1].flight, 200, &new);
    assert_eq!(host.answers[&id].as_ref().map(locator), Ok(Some("y")));
}

#[test]
fn neither_strong_reads_nor_those_that_decline_are_hedged() {
    let mut host = experienced();
    let unhedged = GetRequest { hedge: false, ..GetRequest::new(crate::adapter::testing::key("u/1")) };
    host.adapter.handle_request(host.now, unhedged);
    host.pass(500);
    host.get_in(0, "u/2", crate::protocol::Consistency::Strong);
    host.pass(500);
    assert_eq!(host.adapter.stats(host.now).hedges, 0);
}

#[test]
fn a_cancelled_request_takes_both_along() {
    let mut host = experienced();
    let (id, both) = hedged(&mut host);
    host.adapter.handle_cancel(host.now, id);
    host.pass(1);
    assert_eq!(host.answers[&id], Err(ErrorCode::Aborted));
    for sent in both {
        host.fail(sent.flight);
    }
    let stats = host.adapter.stats(host.now);
    assert_eq!((stats.fetching, stats.flights), (0, 0));
}
