use super::*;
use crate::key::CompositeKey;
use crate::key::KeyPrefix;
use crate::node::{LogPage, NodeConfig};
use crate::partition::{MapNode, PartitionMap, StorageLayout};
use crate::protocol::{Change, FeedFrame, FeedStep, LateShard, MAX_CHANGES, ReadPoint};

fn node(feeds: usize, ring_entries: usize) -> Node {
    let node = MapNode { id: 3, origin: "http://a".into(), weight: 1 };
    let map = PartitionMap::new(7, 64, StorageLayout::default(), vec![node]);
    let node = Node::new(NodeConfig { feeds, ring_entries, ..NodeConfig::new(3, 9) }, Arc::new(map)).expect("a node");
    for shard in 0..256 {
        node.apply_log(0, &page(shard, 100, &[], 100));
    }
    node
}

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("a key")
}

fn page(shard: u16, after: u64, changes: &[(&str, u64)], position: u64) -> LogPage {
    let change = |&(text, version): &(&str, u64)| Change { shard, version, key: key(text), deleted: false };
    let changes = changes.iter().map(change).collect();
    LogPage { shard, after, changes, position, complete: true, reset: false }
}

fn cursor(shard: u16, position: u64) -> Cursor {
    Cursor { shard, position }
}

fn request(cursors: &[Cursor]) -> BatchRequest {
    BatchRequest { cursors: cursors.to_vec(), max_staleness_ms: 10_000, ..BatchRequest::default() }
}

fn open(node: &Node, now: Millis, cursors: &[Cursor]) -> FeedNumber {
    node.feeds().open(now, &request(cursors), Subscriber::default()).expect("a place")
}

fn next(node: &Node, now: Millis, number: FeedNumber) -> Option<FeedFrame> {
    let bytes = node.feeds().next_frame(now, number)?;
    let mut reader = crate::protocol::FeedReader::default();
    reader.push(&FeedFrame::PREAMBLE).expect("a beginning");
    let frames = reader.push(&bytes).expect("a frame");
    assert_eq!((frames.len(), reader.buffered()), (1, 0));
    frames.into_iter().next()
}

fn told(frame: &FeedFrame) -> Vec<u64> {
    frame.changes.iter().map(|change| change.version).collect()
}

fn step(shard: u16, from: u64, to: u64) -> FeedStep {
    FeedStep { shard, from, to }
}

#[test]
fn the_first_frame_introduces_the_feed_and_has_a_step_for_every_shard() {
    let node = node(4, 100);
    node.apply_log(40, &page(7, 100, &[("a/1", 120), ("a/2", 130)], 130));
    let number = open(&node, 50, &[cursor(7, 110), cursor(5, 100), cursor(9, 500)]);
    assert_eq!(node.feeds().due(50), [number]);
    let frame = next(&node, 50, number).expect("at once");
    let hello = frame.hello.expect("introduced");
    assert_eq!((hello.feed, hello.heartbeat_ms), (FeedId { node: 3, number }, 3_333));
    assert_eq!((hello.clock, frame.clock_ms), (node.clock(0).id, 50));
    // One is ahead of this node, and stays there.
    assert_eq!(frame.steps, [step(5, 100, 100), step(7, 110, 130), step(9, 500, 500)]);
    assert_eq!((told(&frame), frame.age_ms, frame.late), (vec![120, 130], 50, vec![]));
    assert_eq!(next(&node, 51, number), None);
    assert!(node.feeds().due(52).is_empty());
}

#[test]
fn later_frames_have_steps_for_shards_with_news_only_and_chain() {
    let node = node(4, 100);
    let (one, two) = (open(&node, 10, &[cursor(1, 100), cursor(2, 100)]), open(&node, 10, &[cursor(2, 100)]));
    assert_eq!(node.feeds().due(10), [one, two]);
    assert!(next(&node, 10, one).is_some() && next(&node, 10, two).is_some());
    node.apply_log(20, &page(1, 100, &[("a/1", 110)], 110));
    assert_eq!(node.feeds().due(25), [one], "the other does not follow it");
    assert!(node.feeds().due(26).is_empty(), "once is enough");
    node.apply_log(30, &page(2, 100, &[("a/2", 105)], 106));
    assert_eq!(node.feeds().due(31), [two], "and the first knows already");
    let frame = next(&node, 35, one).expect("news");
    assert_eq!(frame.steps, [step(1, 100, 110), step(2, 100, 106)]);
    assert_eq!((told(&frame), frame.hello), (vec![110, 105], None));
    assert_eq!(next(&node, 35, two).map(|frame| frame.steps), Some(vec![step(2, 100, 106)]));
    node.apply_log(40, &page(1, 110, &[("a/1", 115)], 115));
    assert_eq!(node.feeds().due(40), [one]);
    assert_eq!(next(&node, 40, one).map(|frame| frame.steps), Some(vec![step(1, 110, 115)]));
}

#[test]
fn a_feed_without_news_says_so_before_it_is_missed() {
    let node = node(4, 100);
    let number = open(&node, 0, &[cursor(1, 100)]);
    assert_eq!(node.feeds().due(0), [number]);
    let mut last = 0;
    next(&node, 0, number).expect("the first");
    let mut beats = 0;
    for now in (0..20_000).step_by(20) {
        for due in node.feeds().due(now) {
            let Some(frame) = next(&node, now, due) else { continue };
            assert!(frame.steps.is_empty() && now - last <= 3_333, "{last} {now}");
            assert_eq!(u64::from(frame.age_ms), now, "the log was last polled at 0");
            (last, beats) = (now, beats + 1);
        }
    }
    assert_eq!(beats, 6);
    // Whoever calls only when told to is told in time.
    let due = node.feeds().next_due().expect("a time");
    assert!(due <= last + 3_333, "{due}");
    for (bound, heartbeat) in [(0, 1_000), (2_000, 1_000), (9_000, 3_000), (60_000, 10_000)] {
        let request = BatchRequest { max_staleness_ms: bound, ..request(&[]) };
        let number = node.feeds().open(0, &request, Subscriber::default()).expect("a place");
        assert_eq!(next(&node, 0, number).and_then(|f| f.hello).map(|h| h.heartbeat_ms), Some(heartbeat));
        assert!(node.feeds().close(number) && !node.feeds().close(number));
    }
}

#[test]
fn a_log_that_does_not_reach_back_is_a_gap() {
    let node = node(4, 2);
    let number = open(&node, 0, &[cursor(1, 100), cursor(2, 100)]);
    next(&node, 0, number).expect("the first");
    node.apply_log(5, &page(1, 100, &[("a/1", 101), ("a/2", 102), ("a/3", 103)], 103));
    let frame = next(&node, 6, number).expect("news");
    assert_eq!((frame.steps, frame.changes.len()), (vec![step(1, 103, 103)], 0));
    node.apply_log(7, &page(1, 103, &[("a/1", 104)], 104));
    assert_eq!(next(&node, 8, number).map(|frame| frame.steps), Some(vec![step(1, 103, 104)]));
    let late = open(&node, 9, &[cursor(1, 100), cursor(2, 3)]);
    let frame = next(&node, 9, late).expect("the first");
    assert_eq!(frame.steps, [step(1, 104, 104), step(2, 100, 100)], "the first frame, too");
    assert_eq!(node.stats().feed_gaps, 3);
}

#[test]
fn what_has_no_room_comes_in_the_next_frame_and_is_not_called_fresh() {
    let node = node(4, 10_000);
    let many: Vec<(String, u64)> = (0..5_000).map(|n| (format!("a/{n}"), 101 + n)).collect();
    let many: Vec<(&str, u64)> = many.iter().map(|(key, at)| (key.as_str(), *at)).collect();
    node.apply_log(0, &page(1, 100, &many, 5_100));
    node.apply_log(0, &page(2, 100, &[("b/1", 101)], 101));
    let number = open(&node, 1, &[cursor(0, 100), cursor(1, 100), cursor(2, 100)]);
    let first = next(&node, 1, number).expect("the first");
    assert_eq!(first.changes.len(), MAX_CHANGES);
    assert_eq!(first.steps, [step(0, 100, 100), step(1, 100, 100 + MAX_CHANGES as u64)]);
    let late = |shard| LateShard { shard, age_ms: u32::MAX };
    assert_eq!((first.age_ms, first.late), (1, vec![late(1), late(2)]));
    let second = next(&node, 1, number).expect("the rest");
    assert_eq!(second.steps, [step(1, 100 + MAX_CHANGES as u64, 5_100), step(2, 100, 101)]);
    assert_eq!((first.changes.len() + second.changes.len(), second.age_ms), (5_001, 1));
    assert_eq!((second.late, next(&node, 1, number)), (vec![], None));

    // Long keys: split by bytes.
    let long = "x".repeat(250);
    let many: Vec<(String, u64)> = (0..4_000).map(|n| (format!("{long}/{long}/{n}"), 101 + n)).collect();
    let many: Vec<(&str, u64)> = many.iter().map(|(key, at)| (key.as_str(), *at)).collect();
    node.apply_log(2, &page(3, 100, &many, 4_100));
    let number = open(&node, 3, &[cursor(3, 100)]);
    let mut told = 0;
    while let Some(bytes) = node.feeds().next_frame(3, number) {
        assert!(bytes.len() <= FeedFrame::MAX_BYTES);
        let (length, frame) = (bytes.len(), FeedFrame::decode(&bytes[3..]).expect("a frame"));
        assert!(length > 128 && frame.age_ms == if told + frame.changes.len() == 4_000 { 1 } else { u32::MAX });
        told += frame.changes.len();
    }
    assert_eq!(told, 4_000);
}

#[test]
fn a_shard_that_is_known_much_less_well_has_an_age_of_its_own() {
    let node = node(4, 100);
    for shard in 0..255 {
        node.apply_log(1_000 + u64::from(shard % 3) * 50, &page(shard, 100, &[], 100));
    }
    let number = open(&node, 1_200, &[cursor(0, 100), cursor(1, 100), cursor(255, 100)]);
    let frame = next(&node, 1_200, number).expect("the first");
    assert_eq!((frame.age_ms, frame.late), (200, vec![LateShard { shard: 255, age_ms: 1_200 }]));
    let alone = open(&node, 1_200, &[cursor(255, 100)]);
    let frame = next(&node, 1_200, alone).expect("the first");
    assert_eq!((frame.age_ms, frame.late), (1_200, vec![]));
}

#[test]
fn a_shard_that_nothing_is_known_of_has_no_age() {
    let nodes = vec![MapNode { id: 3, origin: "http://a".into(), weight: 1 }];
    let map = PartitionMap::new(7, 64, StorageLayout::default(), nodes);
    let node = Node::new(NodeConfig::new(3, 9), Arc::new(map)).expect("a node");
    let number = open(&node, 5, &[cursor(1, 100)]);
    let frame = next(&node, 5, number).expect("the first");
    assert_eq!((frame.steps, frame.age_ms), (vec![step(1, 100, 100)], u32::MAX));
}

#[test]
fn shards_are_added_from_where_they_were_answered_and_told_at_once() {
    let node = node(4, 100);
    let number = open(&node, 0, &[cursor(1, 100)]);
    next(&node, 0, number).expect("the first");
    assert_eq!(node.feeds().due(1), [number], "once, as it was opened");
    assert_eq!(next(&node, 1, number), None);
    assert!(node.feeds().due(2).is_empty());
    node.apply_log(3, &page(2, 100, &[("a/1", 105)], 105));
    assert!(node.feeds().due(4).is_empty(), "it does not follow it yet");
    assert!(node.feeds().extend(1, number, Subject::default(), &[cursor(2, 103), cursor(1, 4), cursor(999, 0)]));
    assert_eq!(node.feeds().next_due(), Some(0));
    assert_eq!(node.feeds().due(5), [number]);
    let frame = next(&node, 5, number).expect("the addition");
    assert_eq!((told(&frame), frame.steps), (vec![105], vec![step(2, 103, 105)]));
    // Also where there is nothing new; and not again.
    assert!(node.feeds().extend(1, number, Subject::default(), &[cursor(3, 100)]));
    assert_eq!(next(&node, 6, number).map(|frame| frame.steps), Some(vec![step(3, 100, 100)]));
    assert!(node.feeds().extend(1, number, Subject::default(), &[cursor(3, 50)]));
    assert_eq!(next(&node, 7, number), None);
    node.apply_log(8, &page(3, 100, &[("a/1", 108)], 108));
    assert_eq!(node.feeds().due(9), [number]);
    let stats = node.stats();
    assert_eq!((stats.feeds, stats.feed_shards, stats.feed_shards_added), (1, 3, 2));
    assert!(!node.feeds().extend(1, number + 1, Subject::default(), &[cursor(3, 50)]), "nobody's");
}

#[test]
fn a_batch_adds_its_cursors_and_the_shards_of_its_answers() {
    let result =
        |shard, position, outcome| ItemResult { outcome, at: ReadPoint { shard, position, age_ms: 0 }, node: 1 };
    let failed = Outcome::Error { code: ErrorCode::Unavailable, detail: String::new() };
    let results = [
        result(4, 90, Outcome::Missing),
        result(4, 80, Outcome::Unchanged { version: 3 }),
        result(2, 70, Outcome::Missing),
        result(9, 0, failed),
    ];
    let added = additions(&[cursor(7, 5), cursor(2, 60), cursor(7, 3)], &results);
    assert_eq!(added, [cursor(2, 60), cursor(4, 80), cursor(7, 3)]);
}

#[test]
fn a_feed_belongs_to_who_opened_it_and_tells_what_that_one_may_hear() {
    let node = node(40, 100);
    let prefixes: Arc<[KeyPrefix]> = [KeyPrefix::parse("user/1").expect("a prefix")].into();
    let reader = Subscriber { subject: Subject(5), share: Subject(5), prefixes: Some(prefixes), until: Some(5_000) };
    let number = node.feeds().open(0, &request(&[cursor(1, 100)]), reader.clone()).expect("a place");
    next(&node, 0, number).expect("the first");
    assert!(!node.feeds().extend(1, number, Subject(6), &[cursor(2, 100)]));
    assert!(!node.feeds().extend(1, number, Subject::default(), &[cursor(2, 100)]));
    assert_eq!(next(&node, 1, number), None);
    node.apply_log(2, &page(1, 100, &[("user/1/a", 101), ("user/2/a", 102), ("user/1", 103), ("user/11", 104)], 104));
    let frame = next(&node, 3, number).expect("news");
    assert_eq!((told(&frame), frame.steps), (vec![101, 103], vec![step(1, 100, 104)]));
    // Its right to read ends before its life.
    assert!(!node.feeds().is_over(4_999, number));
    assert!(node.feeds().is_over(5_000, number) && next(&node, 5_000, number).is_none());
    assert!(node.feeds().due(5_000).contains(&number), "the host hears of it");

    // A quarter of the places, and one for whoever has none.
    let more: Vec<_> = std::iter::from_fn(|| node.feeds().open(0, &request(&[]), reader.clone()).ok()).collect();
    let last = more.last().copied();
    assert_eq!(more.len(), 9);
    let refused = node.feeds().open(0, &request(&[]), reader.clone()).expect_err("too many");
    assert_eq!((refused.code, refused.limit), (ErrorCode::TooManyRequests, Some(10)));
    assert!(node.feeds().open(0, &request(&[]), Subscriber { share: Subject(6), ..reader.clone() }).is_ok());
    assert!(node.feeds().close(number));
    assert!(node.feeds().open(0, &request(&[]), reader.clone()).is_err(), "a quarter of what the others leave");
    assert!(node.feeds().close(last.expect("opened")));
    assert!(node.feeds().open(0, &request(&[]), reader).is_ok());
    assert_eq!((node.stats().feeds, node.stats().feeds_max, node.stats().feeds_refused), (10, 40, 3));
}

#[test]
fn every_feed_ends_and_those_that_came_together_do_not_go_together() {
    let node = node(100, 100);
    let numbers: Vec<FeedNumber> = (0..50).map(|_| open(&node, 1_000, &[cursor(1, 100)])).collect();
    let over = |now| numbers.iter().filter(|&&number| node.feeds().is_over(now, number)).count();
    assert_eq!((over(1_000 + 13_800_000 - 1), over(1_000 + 15_000_000)), (0, 50));
    assert!((10..40).contains(&over(1_000 + 14_400_000)), "{}", over(1_000 + 14_400_000));
    let problem =
        node.feeds().open(0, &BatchRequest { cursors: vec![cursor(256, 0)], ..request(&[]) }, Subscriber::default());
    assert_eq!(problem.expect_err("no such shard").code, ErrorCode::BadRequest);
    numbers.iter().for_each(|&number| assert!(node.feeds().close(number)));
    let stats = node.stats();
    assert_eq!((stats.feeds, stats.feed_shards, node.feeds().next_due()), (0, 0, None));
    assert!(node.feeds().is_over(0, numbers[0]) && next(&node, 0, numbers[0]).is_none());
}

#[test]
fn a_feed_that_batches_name_lives_as_long_as_its_token() {
    let node = node(4, 100);
    let subscriber = Subscriber { until: Some(40_000_000), ..Subscriber::default() };
    let number = node.feeds().open(0, &request(&[cursor(1, 100)]), subscriber).expect("a place");
    assert!(node.feeds().extend(12_000_000, number, Subject::default(), &[]));
    assert!(!node.feeds().is_over(25_000_000, number) && node.feeds().is_over(27_000_000, number));
    assert!(!node.feeds().extend(25_000_000, number, Subject(6), &[]), "nobody else prolongs it");
    assert!(node.feeds().is_over(27_000_000, number));
    assert!(node.feeds().extend(25_000_000, number, Subject::default(), &[]));
    assert!(node.feeds().extend(38_000_000, number, Subject::default(), &[]));
    assert!(!node.feeds().is_over(39_999_999, number) && node.feeds().is_over(40_000_000, number));
}

#[test]
fn feeds_of_a_store_that_was_replaced_end_and_new_ones_name_the_new_one() {
    let node = node(4, 100);
    let mut map = (*node.map()).clone();
    let number = open(&node, 0, &[cursor(1, 100)]);
    assert_eq!(node.feeds().due(0), [number]);
    let hello = |number| next(&node, 0, number).expect("the first").hello.expect("introduced");
    let old = hello(number).incarnation;
    map.epoch.number += 1;
    assert_eq!(node.publish_map(Arc::new(map.clone())), Ok(true));
    assert!(!node.feeds().is_over(0, number), "another map of the same store changes nothing");
    map.epoch.incarnation += 1;
    assert_eq!(node.publish_map(Arc::new(map)), Ok(true));
    node.apply_log(1, &page(1, 100, &[("a/1", 101)], 101));
    assert_eq!(node.feeds().due(1), [number], "its host is to look");
    assert!(node.feeds().is_over(1, number) && next(&node, 1, number).is_none());
    let number = open(&node, 0, &[cursor(1, 100)]);
    assert_eq!(hello(number).incarnation, old + 1);
}

#[test]
fn readers_at_the_same_place_are_told_the_same_bytes() {
    let node = node(100, 100);
    let numbers: Vec<FeedNumber> = (0..5).map(|_| open(&node, 1, &[cursor(1, 100), cursor(2, 100)])).collect();
    numbers.iter().for_each(|&number| assert!(next(&node, 1, number).is_some()));
    let behind = open(&node, 1, &[cursor(1, 100)]);
    node.apply_log(2, &page(1, 100, &[("a/1", 101)], 101));
    next(&node, 2, behind).expect("the first");
    node.apply_log(3, &page(1, 101, &[("a/2", 103)], 104));
    let frames: Vec<_> = numbers.iter().map(|&number| next(&node, 3, number).expect("news")).collect();
    assert!(frames.iter().all(|frame| *frame == frames[0] && told(frame) == [101, 103]));
    assert_eq!(next(&node, 3, behind).map(|frame| told(&frame)), Some(vec![103]));
}
