use super::*;
use crate::adapter::testing::{BEAT_MS, FEED, Host, ORIGIN, key, locator};
use crate::adapter::{GetRequest, Served};
use crate::protocol::{Consistency, Cursor};

fn served(host: &mut Host, text: &str) -> Served {
    host.read(text).expect("found").served
}

/// A host with an open feed and one cached key.
fn fed() -> Host {
    fed_with(0)
}

/// The same with another seed.
fn fed_with(seed: u64) -> Host {
    let mut host = Host::fed_with(seed);
    host.gateway.put("u/1", "x");
    host.follow("u/1");
    host
}

#[test]
fn it_opens_when_what_is_cached_is_about_to_grow_too_old_and_not_before() {
    let mut host = Host::fed();
    host.gateway.put("u/1", "x");
    host.read("u/1").expect("found");
    host.pass(1_400);
    assert!(host.stream.is_none(), "a quarter of the bound is left");
    host.pass(200);
    let stream = host.stream.as_ref().expect("now it is open");
    assert_eq!(&*stream.origin, ORIGIN);
    let shard = host.gateway.shard("u/1");
    assert_eq!(stream.cursors, [Cursor { shard, position: 1 }]);
}

#[test]
fn requests_of_another_scope_open_it_too() {
    let mut host = Host::fed();
    host.gateway.put("u/1", "x");
    host.get_in(3, "u/1", Consistency::Bounded);
    host.pass(1);
    host.deliver();
    host.pass(1_600);
    assert!(host.stream.is_some());
}

#[test]
fn a_client_that_holds_none_opens_none() {
    let mut host = Host::new();
    host.gateway.put("u/1", "x");
    host.read("u/1").expect("found");
    host.pass(60_000);
    assert!(host.stream.is_none());
}

#[test]
fn while_it_speaks_everything_stays_fresh_and_changes_are_heard() {
    let mut host = fed();
    host.listen(20_000);
    assert_eq!(served(&mut host, "u/1"), Served::Cache);
    host.gateway.put("u/1", "new");
    host.listen(500);
    let answer = host.read("u/1").expect("found");
    assert_eq!((answer.served, locator(&answer)), (Served::Network, Some("new")));
    let stats = host.adapter.stats(host.now);
    assert_eq!((stats.feed.open, stats.exchanges, stats.changes), (true, 0, 1));
}

#[test]
fn a_frame_that_is_cut_counts_when_it_is_whole() {
    let mut host = fed();
    host.pass(1_000);
    let frame = host.frame();
    let frames = host.adapter.stats(host.now).feed.frames;
    for byte in &frame[..frame.len() - 1] {
        host.hear(&[*byte]);
        assert_eq!(host.adapter.stats(host.now).feed.frames, frames);
    }
    host.hear(&frame[frame.len() - 1..]);
    let stats = host.adapter.stats(host.now).feed;
    assert_eq!((stats.frames, stats.buffered), (frames + 1, 0));
}

#[test]
fn it_closes_when_nobody_looks_and_opens_on_return() {
    let mut host = fed();
    host.adapter.handle_attention(host.now, Attention::Away);
    host.pass(0);
    assert!(host.stream.is_none());
    host.pass(60_000);
    assert!(host.stream.is_none(), "and stays closed");
    host.adapter.handle_attention(host.now, Attention::Active);
    host.pass(0);
    assert!(host.stream.is_some(), "before anything is asked for");
    host.beat();
    assert_eq!(served(&mut host, "u/1"), Served::Cache, "its first frame made all of it current");
}

#[test]
fn it_closes_when_nobody_asks() {
    let mut host = fed();
    let idle = FeedConfig::default().idle_ms;
    host.listen(idle - 4_000);
    assert!(host.stream.is_some());
    host.listen(1_000);
    host.pass(1_600);
    assert!(host.stream.is_none());
    host.pass(2 * idle);
    assert!(host.stream.is_none());
}

#[test]
fn a_silent_feed_is_given_up_and_opened_at_another_gateway() {
    let mut host = fed();
    let silent = SILENT_BEATS * Millis::from(BEAT_MS) + SILENT_MS;
    host.pass(silent - 1);
    assert_eq!(host.adapter.stats(host.now).feed.lost, 0);
    host.pass(1);
    let stats = host.adapter.stats(host.now).feed;
    assert_eq!((stats.lost, stats.open), (1, false));
    host.pass(2 * FIRST_WAIT_MS);
    let stream = host.stream.as_ref().expect("after a moment drawn at random, it is opened again");
    assert_eq!(&*stream.origin, "http://b.example");
}

#[test]
fn one_that_never_speaks_is_given_up_too() {
    let mut host = Host::fed();
    host.gateway.put("u/1", "x");
    host.read("u/1").expect("found");
    host.pass(1_600);
    let first = host.stream.as_ref().expect("asked for").feed;
    host.pass(Millis::from(ATTEMPT_MS) + 2 * FIRST_WAIT_MS);
    let second = host.stream.as_ref().expect("asked for again");
    assert!(second.feed != first && &*second.origin == "http://b.example");
}

#[test]
fn feeds_that_break_come_back_at_different_times() {
    let back = |seed| {
        let mut host = fed_with(seed);
        for failures in 0..5 {
            let feed = host.stream.as_ref().map(|stream| stream.feed).expect("open");
            host.adapter.handle_feed_end(host.now, feed, FeedEnd::Broken);
            host.drain();
            while host.stream.is_none() {
                host.pass(1);
            }
            assert!(host.now < 60_000, "after {failures} failures");
        }
        host.now
    };
    let times: std::collections::BTreeSet<_> = (0..6).map(back).collect();
    assert!(times.len() > 3, "{times:?}");
}

#[test]
fn a_refused_feed_is_not_asked_for_again_soon() {
    for (status, wait) in [(404, REFUSED_MS), (401, REFUSED_MS), (503, 10_000)] {
        let mut host = fed();
        let feed = host.stream.as_ref().map(|stream| stream.feed).expect("open");
        let end = FeedEnd::Refused { status, retry_after: Some(10_000) };
        host.adapter.handle_feed_end(host.now, feed, end);
        host.pass(wait - 1);
        assert!(host.stream.is_none(), "{status}");
        host.pass(2_100);
        assert!(host.stream.is_some(), "{status}");
    }
}

#[test]
fn without_a_feed_requests_exchange_as_ever() {
    let mut host = fed();
    let feed = host.stream.as_ref().map(|stream| stream.feed).expect("open");
    host.adapter.handle_feed_end(host.now, feed, FeedEnd::Refused { status: 404, retry_after: None });
    host.pass(1_100);
    host.read("u/1").expect("within the bound");
    host.pass(1);
    assert_eq!(host.adapter.stats(host.now).exchanges, 1);
}

#[test]
fn heartbeats_that_a_frozen_tab_finds_in_its_buffer_are_as_old_as_they_are() {
    let mut host = fed();
    let mut buffered = Vec::new();
    for _ in 0..20 {
        host.now += 500;
        buffered.extend(host.frame());
    }
    host.gateway.put("u/1", "new");
    host.now += 200_000;
    host.hear(&buffered);
    assert!(host.stream.is_some(), "it speaks");
    assert!(host.adapter.cached_answer(host.now, &key("u/1"), 199_000).is_none(), "but of three minutes ago");
    assert!(host.adapter.cached_answer(host.now, &key("u/1"), 202_000).is_some());
    host.beat();
    let answer = host.read("u/1").expect("found");
    assert_eq!(locator(&answer), Some("new"));
}

#[test]
fn a_host_that_woke_up_waits_for_no_stream() {
    let mut host = fed();
    let before = host.stream.as_ref().map(|stream| stream.feed);
    host.now += 7_200_000;
    host.adapter.handle_resume(host.now);
    host.pass(0);
    let after = host.stream.as_ref().map(|stream| stream.feed);
    assert!(after.is_some() && after != before);
    host.beat();
    assert_eq!(served(&mut host, "u/1"), Served::Cache);
}

#[test]
fn a_clock_that_broke_ends_the_feed_and_every_age() {
    let mut host = fed();
    host.listen(2_000);
    assert!(host.adapter.cached_answer(host.now, &key("u/1"), 2_000).is_some());
    host.adapter.handle_clock_break(host.now);
    host.pass(0);
    assert!(host.adapter.cached_answer(host.now, &key("u/1"), u32::MAX - 1).is_none());
    assert_eq!(host.adapter.stats(host.now).clock_breaks, 1);
    host.pass(10);
    assert_eq!(served(&mut host, "u/1"), Served::Revalidated);
}

#[test]
fn a_frame_from_the_future_tells_that_the_clock_here_stood_still() {
    let mut host = fed();
    host.gateway.clock = host.gateway.clock.map(|ahead| ahead + 3_600_000);
    host.beat();
    assert_eq!(host.adapter.stats(host.now).clock_breaks, 1);
    assert!(host.adapter.cached_answer(host.now, &key("u/1"), u32::MAX - 1).is_none());
}

#[test]
fn frames_that_come_twice_are_passed_over_and_a_missing_one_ends_the_feed() {
    let mut host = fed();
    host.pass(500);
    let second = host.frame();
    host.hear(&second);
    let frames = host.adapter.stats(host.now).feed.frames;
    host.hear(&second);
    assert_eq!(host.adapter.stats(host.now).feed.frames, frames);
    host.gateway.put("u/1", "new");
    let _lost = host.frame();
    let after = host.frame();
    host.hear(&after);
    let stats = host.adapter.stats(host.now).feed;
    assert_eq!((stats.open, stats.lost, stats.frames), (false, 1, frames));
}

#[test]
fn the_feed_of_a_new_store_says_nothing_about_what_the_old_one_held() {
    let mut host = Host::fed();
    host.gateway.put("u/1", "x");
    host.read("u/1").expect("found");
    host.gateway.map.epoch.incarnation += 1;
    host.pass(1_600);
    assert!(host.stream.is_some(), "it is asked for while the client knows of no new one");
    host.beat();
    let stats = host.adapter.stats(host.now);
    assert_eq!((stats.sessions_reset, stats.feed.open, stats.cache.entries), (1, false, 0));
    assert!(host.stream.is_none() && host.adapter.cached_answer(host.now, &key("u/1"), u32::MAX - 1).is_none());
}

#[test]
fn the_feed_of_a_store_that_is_gone_is_not_heard() {
    let mut host = fed();
    let old = host.gateway.map.epoch.incarnation;
    host.listen(500);
    // Another gateway knows of the new one already.
    host.gateway.map.epoch.incarnation = old + 1;
    host.gateway.put("u/2", "y");
    host.read("u/2").expect("found");
    assert!(host.stream.is_none(), "its positions are those of the old one");
    host.read("u/2").expect("found, and kept");
    host.gateway.map.epoch.incarnation = old;
    host.pass(1_600);
    assert!(host.stream.is_some(), "what is held of the new one is to be followed");
    let frames = host.adapter.stats(host.now).feed.frames;
    host.beat();
    let stats = host.adapter.stats(host.now);
    assert_eq!((stats.feed.open, stats.feed.frames, stats.sessions_reset), (false, frames, 1));
}

#[test]
fn what_is_no_feed_ends_it() {
    let mut host = fed();
    host.hear(&[0xff; 12]);
    assert_eq!(host.adapter.stats(host.now).feed.lost, 1);
    host.pass(2_000);
    host.hear(b"<html>");
    assert_eq!(host.adapter.stats(host.now).feed.lost, 2);
    assert_eq!(served(&mut host, "u/1"), Served::Revalidated, "no answer is lost with it");
}

#[test]
fn a_feed_that_ends_in_good_order_comes_back_when_it_is_needed() {
    let mut host = fed();
    host.listen(3_000);
    for _ in 0..COST {
        assert_eq!(served(&mut host, "u/1"), Served::Cache, "which the feed has kept fresh");
    }
    let feed = host.stream.as_ref().map(|stream| stream.feed).expect("open");
    host.adapter.handle_feed_end(host.now, feed, FeedEnd::Ended);
    host.pass(5_000);
    assert!(host.stream.is_none(), "nobody asks");
    assert_eq!(served(&mut host, "u/1"), Served::Revalidated);
    assert!(host.stream.is_some());
    assert_eq!(host.adapter.stats(host.now).feed.lost, 0);
}

#[test]
fn batches_add_their_shards_to_the_feed() {
    let mut host = fed();
    host.gateway.put("v/1", "y");
    let (old, new) = (host.gateway.shard("u/1"), host.gateway.shard("v/1"));
    assert_ne!(old, new);
    host.gateway.requests.clear();
    host.read("v/1").expect("found");
    host.read("u/1").expect("found");
    let feeds: Vec<_> = host.gateway.requests.iter().map(|request| request.feed).collect();
    assert_eq!(feeds, [Some(FEED)]);
    // The gateway follows it from where it answered.
    let position = host.gateway.position();
    host.stream.as_mut().expect("open").cursors.push(Cursor { shard: new, position });
    host.listen(5_000);
    assert_eq!(served(&mut host, "v/1"), Served::Cache);
}

#[test]
fn a_feed_that_has_nothing_to_add_is_named_now_and_then() {
    let mut host = fed();
    let shard = host.gateway.shard("u/1");
    let same = (2..).map(|n| format!("u/{n}")).filter(|text| host.gateway.shard(text) == shard);
    let keys: Vec<String> = same.take(3).collect();
    let named = |host: &mut Host, text: &str| {
        host.read(text).expect("answered");
        host.gateway.requests.last().and_then(|request| request.feed)
    };
    assert_eq!(named(&mut host, &keys[0]), None, "what it asks for is followed");
    host.listen(20 * 60_000);
    assert_eq!(named(&mut host, &keys[1]), Some(FEED), "or its gateway would end it");
    assert_eq!(named(&mut host, &keys[2]), None);
}

#[test]
fn one_client_passes_its_feed_on_to_another() {
    let mut host = fed();
    host.adapter.set_relaying(true);
    let mut other = Host::fed();
    other.gateway.put("u/1", "x");
    other.now = host.now - 1_600;
    other.read("u/1").expect("found");
    other.pass(1_600);
    other.now = host.now + 3;
    let opening = host.adapter.feed_opening(host.now).expect("a feed to follow");
    other.hear(&opening);
    assert!(other.adapter.stats(other.now).feed.open);
    for _ in 0..20 {
        host.listen(500);
        other.now += 500;
        let relayed = std::mem::take(&mut host.other).into_iter().filter_map(|action| match action {
            Action::Relay { frame, .. } => Some(frame),
            _ => None,
        });
        let relayed: Vec<Vec<u8>> = relayed.collect();
        assert!(!relayed.is_empty());
        relayed.iter().for_each(|frame| other.hear(frame));
    }
    assert_eq!(served(&mut other, "u/1"), Served::Cache, "ten seconds later");
    host.gateway.put("u/1", "new");
    host.listen(500);
    other.now += 500;
    for action in std::mem::take(&mut host.other) {
        if let Action::Relay { frame, .. } = action {
            other.hear(&frame);
        }
    }
    assert!(other.adapter.cached_answer(other.now, &key("u/1"), u32::MAX).is_none(), "the change reached it");
    assert_eq!(other.adapter.stats(other.now).feed.clocks, 1);
}

#[test]
fn a_client_that_knows_the_clock_less_well_breaks_nobody_elses() {
    // Its only answers took a second: by its bounds the gateway's clock may be that much ahead of where it is.
    let mut slow = Host::fed();
    slow.gateway.put("u/1", "x");
    let id = slow.get("u/1");
    slow.pass(1_000);
    slow.deliver();
    assert!(slow.answers[&id].is_ok());
    slow.pass(800);
    let hello = slow.frame();
    slow.pass(1_000);
    slow.hear(&hello);
    let mut quick = fed();
    quick.now = slow.now + 5_000;
    quick.adapter.handle_resume(quick.now);
    quick.pass(0);
    let breaks = quick.adapter.stats(quick.now).clock_breaks;
    quick.hear(&slow.adapter.feed_opening(quick.now).expect("a feed to follow"));
    let stats = quick.adapter.stats(quick.now);
    assert_eq!((stats.clock_breaks, stats.feed.open), (breaks, true));
}

#[test]
fn the_scope_of_the_feed_takes_it_along() {
    let mut host = fed();
    host.adapter.handle_scope_end(host.now, OWN_SCOPE);
    host.drain();
    assert!(host.stream.is_none());
    host.adapter.handle_request(host.now, GetRequest::new(key("u/1")));
    host.pass(2_000);
    assert!(host.stream.is_some(), "and it comes back with the next request");
}
