//! The rules by which threads share a shard, one step inside the other.

use super::*;
use crate::key::CompositeKey;

fn page(after: u64, position: u64) -> LogPage {
    let key = CompositeKey::parse("user/1").expect("valid");
    let change = |version| Change { shard: 0, version, key: key.clone(), deleted: false };
    let changes = (after + 1..=position).map(change).collect();
    LogPage { shard: 0, after, changes, position, complete: true, reset: false }
}

#[test]
fn readers_hear_of_a_page_after_it_has_dropped_what_it_outdates() {
    let shard = Shard::new(1);
    shard.apply(1, 10, &page(0, 5), 100, |_| assert_eq!(shard.point(), Point::default()));
    let first = Point { position: 5, sent_at: Some(10), generation: 1 };
    assert_eq!(shard.point(), first);
    let mut dropped = 0;
    shard.apply(1, 20, &page(5, 7), 100, |_| {
        dropped += 1;
        assert_eq!(shard.point(), first);
    });
    assert_eq!((dropped, shard.point()), (2, Point { position: 7, sent_at: Some(20), generation: 1 }));
    // A gap is told with all that comes with it.
    shard.apply(1, 30, &page(8, 9), 100, |_| assert_eq!(shard.point().generation, 1));
    assert_eq!(shard.point(), Point { position: 9, sent_at: Some(30), generation: 2 });
}

#[test]
fn what_is_found_is_claimed_to_include_no_more_than_before_the_look() {
    let shard = Shard::new(1);
    shard.apply(1, 10, &page(0, 5), 100, |_| {});
    let before = shard.point();
    // Found while it is held, dropped and told of right after.
    let (point, ()) = shard.recall(|| assert!(!shard.apply(1, 20, &page(5, 7), 100, |_| {})));
    assert_eq!(point, before);
}

#[test]
fn the_log_waits_for_a_fill_and_a_fill_for_the_log() {
    let shard = Shard::new(1);
    let key = CompositeKey::parse("user/1").expect("valid");
    shard.apply(1, 10, &page(0, 5), 100, |_| assert!(shard.log.try_lock().is_none()));
    let mut generation = None;
    let filled = shard.fill(&key, 5, 1, |current| {
        assert!(shard.log.try_lock().is_none());
        generation = Some(current);
    });
    assert_eq!((filled, generation), (true, Some(1)));
    assert!(!shard.fill(&key, 4, 1, |_| panic!("the log has a newer entry")));
}

#[test]
fn nothing_of_a_store_that_was_replaced_is_applied_or_kept() {
    let shard = Shard::new(1);
    shard.apply(1, 10, &page(0, 5), 100, |_| {});
    let before = shard.point();
    shard.begin_anew(2);
    assert_eq!(shard.point(), Point { generation: before.generation + 1, ..Point::default() });
    // What was on its way from the old one.
    assert!(!shard.apply(1, 20, &page(5, 7), 100, |_| panic!("a change of another store")));
    assert_eq!(shard.point().position, 0);
    let key = CompositeKey::parse("a").expect("valid");
    shard.apply(2, 30, &page(0, 2), 100, |_| {});
    assert!(!shard.fill(&key, 5, 1, |_| panic!("a value of another store")));
    assert!(shard.fill(&key, 2, 2, |_| {}));
}
