use crate::adapter::Action;
use crate::adapter::testing::{Host, key, locator};
use crate::adapter::{GetRequest, Served};
use crate::cache::Lookup;
use crate::protocol::{Consistency, ErrorCode};

/// Two clients of one store.
fn two() -> (Host, Host) {
    let (mut here, mut there) = (Host::new(), Host::new());
    for host in [&mut here, &mut there] {
        host.gateway.put("u/1", "old");
        host.read("u/1").expect("found");
    }
    (here, there)
}

#[test]
fn a_bookmark_takes_along_what_was_seen_although_the_cache_here_is_still_fresh() {
    let (mut here, mut there) = two();
    for host in [&mut here, &mut there] {
        host.gateway.put("u/1", "new");
    }
    assert_eq!(there.get_strong("u/1").as_ref().map(locator), Ok(Some("new")));
    assert_eq!(here.read("u/1").as_ref().map(locator), Ok(Some("old")), "two seconds are allowed");
    here.adapter.open_bookmark(here.now, &there.adapter.bookmark()).expect("a bookmark");
    assert!(here.adapter.cached_answer(here.now, &key("u/1"), 2_000).is_none());
    let after = here.read("u/1").expect("found");
    assert_eq!((after.served, locator(&after)), (Served::Network, Some("new")));
    assert_eq!(here.read("u/1").map(|answer| answer.served), Ok(Served::Cache), "and from then on it is cached");
}

#[test]
fn what_was_seen_elsewhere_binds_stale_answers_too() {
    let (mut here, mut there) = two();
    there.gateway.put("u/1", "new");
    there.get_strong("u/1").expect("found");
    here.adapter.open_bookmark(here.now, &there.adapter.bookmark()).expect("a bookmark");
    let request = GetRequest { stale_while_revalidate_ms: 60_000, ..GetRequest::new(key("u/1")) };
    here.adapter.handle_request(here.now, request);
    let request = GetRequest { consistency: Consistency::Any, ..GetRequest::new(key("u/1")) };
    here.adapter.handle_request(here.now, request);
    here.pass(20_000);
    assert!(here.answers.values().all(|outcome| *outcome == Err(ErrorCode::Timeout)), "{:?}", here.answers);
}

#[test]
fn a_bookmark_of_a_store_that_is_gone_says_nothing() {
    let (mut here, mut there) = two();
    let bookmark = there.adapter.bookmark();
    here.renew_store(7);
    here.pass(3_000);
    here.read("u/1").expect("answered");
    here.adapter.open_bookmark(here.now, &bookmark).expect("a bookmark");
    assert!(here.adapter.session_token().all(|floor| floor.position == 0), "none of the old store");
    there.adapter.open_bookmark(there.now, &here.adapter.bookmark()).expect("a bookmark");
    assert_eq!(there.adapter.stats(there.now).sessions_reset, 1, "one of the new store is heeded");
}

#[test]
fn what_is_no_bookmark_is_refused_and_changes_nothing() {
    let (mut here, _) = two();
    let bookmark = here.adapter.bookmark();
    let floors: Vec<_> = here.adapter.session_token().collect();
    for end in 0..bookmark.len() {
        assert!(here.adapter.open_bookmark(here.now, &bookmark[..end]).is_err());
    }
    assert!(here.adapter.open_bookmark(here.now, b"FMBM\x09").is_err());
    assert_eq!(here.adapter.session_token().collect::<Vec<_>>(), floors);
}

#[test]
fn a_new_store_resets_the_session_once_and_says_so() {
    let mut host = Host::new();
    host.gateway.put("u/1", "old");
    host.read("u/1").expect("found");
    host.renew_store(2);
    host.pass(3_000);
    assert_eq!(host.read("u/1").map(|answer| answer.keymap), Ok(None));
    host.gateway.put("u/1", "new");
    host.pass(3_000);
    assert_eq!(host.read("u/1").as_ref().map(locator), Ok(Some("new")));
    let resets = host.other.iter().filter(|action| matches!(action, Action::SessionReset { incarnation: 2 }));
    assert_eq!((resets.count(), host.adapter.stats(host.now).sessions_reset), (1, 1));
}

#[test]
fn answers_of_the_old_store_are_not_used_any_more() {
    let mut host = Host::new();
    host.gateway.put("u/1", "old");
    host.read("u/2").expect("answered");
    host.get("u/1");
    host.pass(1);
    let early = host.sent.remove(0);
    let old = host.gateway.answer(&early.body).encode();
    host.renew_store(2);
    host.read("u/3").expect("answered");
    host.respond(early.flight, 200, &old);
    assert!(host.adapter.cached_answer(host.now, &key("u/1"), u32::MAX).is_none());
    host.pass(3_000);
    host.deliver();
    assert_eq!(host.read("u/1").map(|answer| answer.keymap), Ok(None));
}

#[test]
fn changes_since_cursors_of_the_old_store_say_nothing_about_the_new_one() {
    let mut host = Host::new();
    (0..5).for_each(|_| _ = host.gateway.put("u/1", "old"));
    host.read("u/1").expect("found");
    host.pass(1_900);
    host.read("u/1").expect("from the cache");
    host.pass(1);
    let exchange = host.sent.remove(0);
    host.renew_store(2);
    host.read("u/9").expect("answered: the session begins anew");
    host.gateway.put("u/1", "first");
    assert_eq!(host.get_strong("u/1").as_ref().map(locator), Ok(Some("first")));
    host.gateway.put("u/1", "second");
    // The gateway knows no change after a cursor that is beyond its log.
    let answer = host.gateway.answer(&exchange.body);
    assert!(answer.changes.is_empty());
    let before = host.adapter.cache.peek(host.now, &key("u/1"), u32::MAX);
    host.pass(1_000);
    host.respond(exchange.flight, 200, &answer.encode());
    let (Lookup::Hit(before), Lookup::Hit(after)) = (before, host.adapter.cache.peek(host.now, &key("u/1"), u32::MAX))
    else {
        panic!("it is cached")
    };
    assert_eq!((after.at.position, after.at.age_ms), (before.at.position, before.at.age_ms + 1_000), "it ages");
}

#[test]
fn what_was_cached_of_the_old_store_is_no_stale_answer_of_the_new_one() {
    let mut host = Host::new();
    host.gateway.put("u/1", "old");
    host.read("u/1").expect("found");
    host.pass(60_000);
    let id = host.get_in(0, "u/1", Consistency::Any);
    host.pass(1);
    host.sent.clear();
    host.renew_store(2);
    host.read("u/2").expect("answered");
    host.pass(20_000);
    assert_eq!(host.answers[&id], Err(ErrorCode::Timeout));
}

#[test]
fn a_stale_answer_is_no_older_than_what_was_read_meanwhile() {
    let mut host = Host::new();
    host.gateway.put("u/1", "old");
    host.read("u/1").expect("found");
    host.pass(60_000);
    let id = host.get_in(0, "u/1", Consistency::Any);
    host.pass(1);
    host.sent.clear();
    host.gateway.put("u/1", "new");
    assert_eq!(host.get_strong("u/1").as_ref().map(locator), Ok(Some("new")));
    host.pass(20_000);
    assert_eq!(host.answers[&id].as_ref().map(locator), Ok(Some("new")));
}
