use crate::adapter::Listing;
use crate::adapter::Own;
use crate::adapter::OwnWrite;
use crate::adapter::Served;
use crate::adapter::testing::{Host, key, locator};
use crate::cache::Fence;
use crate::cache::Invalidate;
use crate::key::KeyPrefix;
use crate::protocol::Consistency;
use crate::protocol::KeymapFields;

/// Lists `prefix` with a fence taken before, as the gateway stands now.
fn list(host: &mut Host, prefix: &str, fence: Fence) {
    let prefix = KeyPrefix::parse(prefix).expect("a prefix");
    let page = host.gateway.list(&prefix);
    let listing = Listing { prefix: &prefix, fence, page: &page, first: true };
    host.adapter.handle_list(host.now, 0, "s", &listing);
    host.pass(0);
}

fn own(host: &Host, text: &str, version: u64, own: Own, fence: Fence) -> OwnWrite {
    OwnWrite { key: key(text), version, shard: host.gateway.shard(text), position: version, own, fence }
}

fn put(locator: &str) -> Own {
    Own::Put(KeymapFields { locator: locator.into(), ..KeymapFields::default() })
}

#[test]
fn a_list_fills_the_cache_with_what_is_on_it_as_old_as_its_asking() {
    let mut host = Host::new();
    host.gateway.put("u/1", "a");
    host.gateway.put("u/2", "b");
    let fence = host.adapter.fence(host.now);
    host.pass(40);
    list(&mut host, "u", fence);
    for (text, value) in [("u/1", "a"), ("u/2", "b")] {
        let answer = host.read(text).expect("found");
        assert_eq!((answer.served, locator(&answer), answer.age_ms), (Served::Cache, Some(value), 45));
    }
    assert!(host.gateway.requests.is_empty());
    host.pass(2_000);
    assert_eq!(host.read("u/1").map(|answer| answer.served), Ok(Served::Revalidated));
}

#[test]
fn a_list_that_was_asked_for_before_an_invalidation_is_not_cached() {
    let mut host = Host::new();
    host.gateway.put("u/1", "a");
    let fence = host.adapter.fence(host.now);
    host.pass(10);
    host.adapter.invalidate(host.now, &Invalidate::Key(key("u/1")));
    list(&mut host, "u", fence);
    assert!(host.adapter.cached_answer(host.now, &key("u/1"), u32::MAX).is_none());
}

#[test]
fn a_list_raises_the_floor_and_what_is_below_it_is_only_looked_at() {
    let mut host = Host::new();
    host.gateway.put("u/1", "a");
    host.read("u/1").expect("found, so that it is cached");
    let fence = host.adapter.fence(host.now);
    host.gateway.put("u/1", "b");
    let prefix = KeyPrefix::parse("u").expect("a prefix");
    let page = host.gateway.list(&prefix);
    // Another read of the shard has seen more by the time that the page arrives.
    host.adapter.raise_session_token(crate::protocol::Cursor { shard: host.gateway.shard("u/1"), position: 1_000 });
    host.adapter.handle_list(host.now, 0, "s", &Listing { prefix: &prefix, fence, page: &page, first: true });
    assert!(host.adapter.cache.peek(host.now, &key("u/1"), u32::MAX) == crate::cache::Lookup::Miss);
}

#[test]
fn a_list_of_something_else_fills_nothing() {
    let mut host = Host::new();
    host.gateway.put("u/1", "a");
    let (fence, prefix) = (host.adapter.fence(host.now), KeyPrefix::parse("v").expect("a prefix"));
    let page = host.gateway.list(&KeyPrefix::parse("u").expect("a prefix"));
    host.adapter.handle_list(host.now, 0, "s", &Listing { prefix: &prefix, fence, page: &page, first: true });
    assert!(host.adapter.cached_answer(host.now, &key("u/1"), u32::MAX).is_none());
}

#[test]
fn a_list_of_a_store_that_is_gone_fills_nothing() {
    let mut host = Host::new();
    host.gateway.put("u/1", "a");
    let fence = host.adapter.fence(host.now);
    let prefix = KeyPrefix::parse("u").expect("a prefix");
    let page = host.gateway.list(&prefix);
    host.renew_store(2);
    host.read("u/2").expect("answered");
    host.adapter.handle_list(host.now, 0, "s", &Listing { prefix: &prefix, fence, page: &page, first: true });
    assert!(host.adapter.cached_answer(host.now, &key("u/1"), u32::MAX).is_none());
}

#[test]
fn an_own_write_is_cached_as_old_as_its_first_attempt() {
    let mut host = Host::new();
    let fence = host.adapter.fence(host.now);
    host.pass(60);
    let version = host.gateway.put("u/1", "mine");
    host.adapter.handle_write(host.now, own(&host, "u/1", version, put("mine"), fence));
    let answer = host.read("u/1").expect("found");
    assert_eq!((answer.served, locator(&answer), answer.age_ms), (Served::Cache, Some("mine"), 60));
    let version = host.gateway.delete("u/1");
    let fence = host.adapter.fence(host.now);
    host.adapter.handle_write(host.now, own(&host, "u/1", version, Own::Deleted, fence));
    assert_eq!(host.read("u/1").map(|answer| (answer.served, answer.keymap)), Ok((Served::Negative, None)));
    assert!(host.gateway.requests.is_empty());
}

#[test]
fn an_own_write_of_unknown_outcome_is_asked_for() {
    let mut host = Host::new();
    host.gateway.put("u/1", "old");
    host.read("u/1").expect("found");
    let fence = host.adapter.fence(host.now);
    let version = host.gateway.put("u/1", "merged");
    host.adapter.handle_write(host.now, own(&host, "u/1", version, Own::Unknown, fence));
    assert_eq!(host.read("u/1").as_ref().map(locator), Ok(Some("merged")));
}

#[test]
fn an_own_write_that_is_acknowledged_late_does_not_come_before_what_was_read_meanwhile() {
    let mut host = Host::new();
    host.gateway.put("u/0", "x");
    host.read("u/0").expect("found");
    let fence = host.adapter.fence(host.now);
    let mine = host.gateway.put("u/1", "mine");
    host.gateway.put("u/1", "theirs");
    assert_eq!(host.get_strong("u/1").as_ref().map(locator), Ok(Some("theirs")));
    // It has to leave, as in a cache that is full.
    host.adapter.invalidate(host.now, &Invalidate::Key(key("u/2")));
    host.adapter.cache.saw(&key("u/1"), u64::MAX);
    host.adapter.handle_write(host.now, own(&host, "u/1", mine, put("mine"), fence));
    assert_eq!(host.read("u/1").as_ref().map(locator), Ok(Some("theirs")));
}

#[test]
fn an_own_write_before_an_invalidation_is_not_cached_after_it() {
    let mut host = Host::new();
    let fence = host.adapter.fence(host.now);
    let version = host.gateway.put("u/1", "mine");
    host.pass(5);
    host.adapter.invalidate(host.now, &Invalidate::All);
    host.gateway.put("u/1", "theirs");
    host.adapter.handle_write(host.now, own(&host, "u/1", version, put("mine"), fence));
    host.pass(5);
    assert_eq!(host.read("u/1").as_ref().map(locator), Ok(Some("theirs")));
}

#[test]
fn an_invalidation_beats_a_fetch_under_way() {
    let mut host = Host::new();
    host.gateway.put("u/1", "old");
    let before = host.get("u/1");
    host.pass(1);
    let early = host.sent.remove(0);
    let response = host.gateway.answer(&early.body).encode();
    host.pass(5);
    host.adapter.invalidate(host.now, &Invalidate::Key(key("u/1")));
    host.gateway.put("u/1", "new");
    host.pass(10);
    let after = host.get("u/1");
    host.pass(1);
    assert_eq!(host.sent.len(), 1, "a flight of its own");
    host.respond(early.flight, 200, &response);
    assert_eq!(host.answers[&before].as_ref().map(locator), Ok(Some("old")), "it was asked for before");
    assert!(!host.answers.contains_key(&after));
    host.deliver();
    assert_eq!(host.answers[&after].as_ref().map(locator), Ok(Some("new")));
}

#[test]
fn a_round_trip_longer_than_the_bound_takes_one_request_and_is_marked_stale() {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    for n in 0..5 {
        host.get(&format!("v/{n}"));
        host.pass(300);
        host.deliver();
    }
    host.gateway.requests.clear();
    let request = crate::adapter::GetRequest { max_staleness_ms: 100, ..crate::adapter::GetRequest::new(key("u/1")) };
    let id = host.adapter.handle_request(host.now, request);
    host.pass(300);
    host.deliver();
    let answer = host.answers[&id].as_ref().expect("answered");
    assert!(answer.stale && (299..=300).contains(&answer.age_ms), "{answer:?}");
    let asked: Vec<_> = host.gateway.requests.iter().map(|request| request.consistency).collect();
    assert_eq!(asked, [Consistency::Strong], "memory could not help any more");
}

#[test]
fn a_clock_that_was_set_ahead_makes_nothing_newer_than_an_invalidation() {
    let mut host = Host::new();
    host.gateway.put("u/1", "a");
    host.read("u/1").expect("found");
    host.pass(10);
    host.adapter.invalidate(host.now, &Invalidate::Prefix(KeyPrefix::parse("u").expect("a prefix")));
    // It counts a second and more of which nothing has passed.
    host.now += 1_100;
    host.adapter.handle_clock_break(host.now);
    host.pass(5);
    host.read("u/1").expect("found");
    let request = host.gateway.requests.last().expect("asked");
    assert_eq!(request.consistency, Consistency::Strong, "a gateway may remember it from before");
}
