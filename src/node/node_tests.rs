//! A node driven by hand: the tests are the host.

use super::*;
use crate::node::{StoreAnswer, StoreFailure};
use crate::partition::{MapNode, StorageLayout};
use crate::protocol::{
    BatchItem, BatchResponse, Change, Class, Consistency, ItemResult, Keymap, KeymapFields, Outcome,
};

fn map(nodes: u32) -> PartitionMap {
    let node = |id| MapNode { id, origin: format!("http://node-{id}"), weight: 1 };
    PartitionMap::new(7, 64, StorageLayout { shards: 4, depth: 1, fan: 2 }, (1..=nodes).map(node).collect())
}

fn node(id: NodeId, nodes: u32) -> Node {
    let config = NodeConfig { ring_entries: 4, ..NodeConfig::new(id, 9) };
    let node = Node::new(config, Arc::new(map(nodes))).expect("valid map");
    for shard in 0..4 {
        node.apply_log(0, &page(shard, 0, &[], 100));
    }
    node
}

fn page(shard: u16, after: u64, changes: &[(&CompositeKey, u64)], position: u64) -> LogPage {
    let change = |&(key, version): &(&CompositeKey, u64)| Change { shard, version, key: key.clone(), deleted: false };
    LogPage { shard, after, changes: changes.iter().map(change).collect(), position, complete: true, reset: false }
}

/// The first `user/n` that `owner` owns.
fn key_of(node: &Node, owner: NodeId) -> CompositeKey {
    let keys = (0..).map(|n| CompositeKey::parse(&format!("user/{n}")).expect("valid"));
    keys.into_iter().find(|key| node.locate(key).node == owner).expect("every node owns some")
}

fn request(key: &CompositeKey) -> BatchRequest {
    let item = BatchItem { key: key.clone(), if_version: None, class: Class::Demand };
    BatchRequest { items: vec![item], max_staleness_ms: 2_000, ..BatchRequest::default() }
}

fn found(key: &CompositeKey, version: u64, position: u64) -> Vec<StoreAnswer> {
    let fields = KeymapFields { locator: format!("at-{version}"), ..KeymapFields::default() };
    vec![StoreAnswer { value: Some(Keymap { key: key.clone(), version, fields }), position }]
}

fn ok(answers: Vec<StoreAnswer>) -> Vec<Result<StoreAnswer, StoreFailure>> {
    answers.into_iter().map(Ok).collect()
}

fn shard_of(node: &Node, key: &CompositeKey) -> u16 {
    node.map().storage.shard(key)
}

fn version_of(answer: &BatchResponse) -> Option<u64> {
    match &answer.results[0].outcome {
        Outcome::Found { keymap } => Some(keymap.version),
        _ => None,
    }
}

/// One read, through the store if the node wants that; says whether it did.
fn read(node: &Node, now: Millis, request: &BatchRequest, store: Vec<StoreAnswer>) -> (BatchResponse, bool) {
    let mut pending = node.begin(now, request).expect("within limits");
    let reads = pending.take_reads();
    assert!(pending.take_forwards().is_empty());
    let asked = !reads.is_empty();
    if asked {
        node.finish_store(now, &mut pending, reads, now, ok(store));
    }
    assert!(pending.is_ready());
    (node.finish(now, pending), asked)
}

#[test]
fn the_second_read_comes_from_memory_and_tells_its_age() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let (answer, asked) = read(&node, 50, &request(&key), found(&key, 90, 100));
    assert!(asked);
    assert_eq!((version_of(&answer), answer.results[0].at.age_ms), (Some(90), 0));
    let (answer, asked) = read(&node, 80, &request(&key), vec![]);
    assert!(!asked);
    // The log was last polled at 0.
    assert_eq!((version_of(&answer), answer.results[0].at.age_ms), (Some(90), 80));
    assert_eq!((node.stats().memory_hits, node.stats().fills), (1, 1));
}

#[test]
fn absences_are_remembered_until_the_log_says_otherwise() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let shard = shard_of(&node, &key);
    read(&node, 1, &request(&key), vec![StoreAnswer { value: None, position: 100 }]);
    let (answer, asked) = read(&node, 2, &request(&key), vec![]);
    assert_eq!((&answer.results[0].outcome, asked), (&Outcome::Missing, false));
    node.apply_log(3, &page(shard, 100, &[(&key, 105)], 105));
    let (answer, asked) = read(&node, 4, &request(&key), found(&key, 105, 105));
    assert_eq!((version_of(&answer), asked), (Some(105), true));
}

#[test]
fn a_fill_that_the_log_overtook_does_not_enter_memory() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let shard = shard_of(&node, &key);
    let mut pending = node.begin(10, &request(&key)).expect("within limits");
    let reads = pending.take_reads();
    // The store answered as of 100; before the answer arrives, the log tells of 110.
    node.apply_log(20, &page(shard, 100, &[(&key, 110)], 110));
    node.finish_store(30, &mut pending, reads, 10, ok(found(&key, 90, 100)));
    let answer = node.finish(30, pending);
    assert_eq!(version_of(&answer), Some(90));
    assert_eq!(answer.results[0].at, ReadPoint { shard, position: 100, age_ms: 20 });
    assert_eq!(node.stats().fills_refused, 1);
    let (answer, asked) = read(&node, 40, &request(&key), found(&key, 110, 110));
    assert_eq!((version_of(&answer), asked), (Some(110), true));
}

#[test]
fn a_fill_is_let_in_when_only_other_keys_changed_or_the_read_was_ahead_of_the_log() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let other = CompositeKey::parse("user/other").expect("valid");
    let shard = shard_of(&node, &key);
    let mut pending = node.begin(10, &request(&key)).expect("within limits");
    let reads = pending.take_reads();
    node.apply_log(20, &page(shard, 100, &[(&other, 110)], 110));
    node.finish_store(30, &mut pending, reads, 10, ok(found(&key, 90, 100)));
    assert_eq!(node.stats().fills, 1);
    // Read at 120, and the log only later tells of what the read has seen already.
    read(&node, 40, &BatchRequest { consistency: Consistency::Strong, ..request(&key) }, found(&key, 120, 120));
    node.apply_log(50, &page(shard, 110, &[(&key, 120)], 120));
    let (answer, asked) = read(&node, 60, &request(&key), vec![]);
    assert_eq!((version_of(&answer), asked), (Some(120), false));
}

#[test]
fn a_fill_older_than_the_recent_changes_is_refused() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let other = CompositeKey::parse("user/other").expect("valid");
    let shard = shard_of(&node, &key);
    let mut pending = node.begin(10, &request(&key)).expect("within limits");
    let reads = pending.take_reads();
    // Five entries of four: whether `key` was the first, the node no longer knows.
    let entries: Vec<_> = (101..=105).map(|version| (&other, version)).collect();
    node.apply_log(20, &page(shard, 100, &entries, 105));
    node.finish_store(30, &mut pending, reads, 10, ok(found(&key, 90, 100)));
    assert_eq!((node.stats().fills, node.stats().fills_refused), (0, 1));
}

#[test]
fn memory_that_is_ahead_of_the_log_says_so() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    // The store was at 120 already; the log is applied up to 100.
    read(&node, 1, &request(&key), found(&key, 110, 120));
    let (answer, asked) = read(&node, 2, &request(&key), vec![]);
    assert_eq!((version_of(&answer), answer.results[0].at.position, asked), (Some(110), 120, false));
    // A session that was told so is not sent back behind it, neither here nor elsewhere.
    let floors = vec![Cursor { shard: shard_of(&node, &key), position: 120 }];
    let (answer, asked) = read(&node, 3, &BatchRequest { floors, ..request(&key) }, vec![]);
    assert_eq!((version_of(&answer), asked), (Some(110), false));
}

#[test]
fn a_fill_never_replaces_a_newer_one() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let mut slow = node.begin(1, &request(&key)).expect("within limits");
    let reads = slow.take_reads();
    read(&node, 2, &request(&key), found(&key, 110, 120));
    node.finish_store(3, &mut slow, reads, 1, ok(found(&key, 90, 105)));
    let (answer, asked) = read(&node, 4, &request(&key), vec![]);
    assert_eq!((version_of(&answer), asked), (Some(110), false));
}

#[test]
fn memory_behind_a_floor_is_passed_over() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let shard = shard_of(&node, &key);
    read(&node, 1, &request(&key), found(&key, 90, 100));
    // The caller has seen position 110, of a write to this very key; this node has not.
    let floors = vec![Cursor { shard, position: 105 }, Cursor { shard, position: 110 }];
    let behind = BatchRequest { floors, ..request(&key) };
    let (answer, asked) = read(&node, 2, &behind, found(&key, 110, 110));
    assert_eq!((version_of(&answer), asked), (Some(110), true));
    node.apply_log(3, &page(shard, 100, &[(&key, 110)], 110));
    let (answer, asked) = read(&node, 4, &behind, vec![]);
    assert_eq!((version_of(&answer), asked, answer.results[0].at.position), (Some(110), false, 110));
}

#[test]
fn bounded_reads_over_the_bound_and_strong_reads_go_to_the_store() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    read(&node, 1, &request(&key), found(&key, 90, 100));
    assert!(!read(&node, 2_000, &request(&key), vec![]).1);
    let (answer, asked) = read(&node, 2_001, &request(&key), found(&key, 90, 100));
    assert_eq!((asked, answer.results[0].at.age_ms), (true, 0));
    let strong = BatchRequest { consistency: Consistency::Strong, ..request(&key) };
    assert!(read(&node, 3, &strong, found(&key, 90, 100)).1);
    assert_eq!(node.stats().memory_too_old, 1);
}

#[test]
fn what_ages_over_the_bound_while_others_wait_is_read_again() {
    let node = node(1, 1);
    let (first, second) = (key_of(&node, 1), CompositeKey::parse("user/second").expect("valid"));
    read(&node, 1, &request(&first), found(&first, 90, 100));
    let mut both = request(&first);
    both.items.extend(request(&second).items);
    let mut pending = node.begin(1_990, &both).expect("within limits");
    let reads = pending.take_reads();
    assert_eq!(reads.len(), 1);
    node.finish_store(2_010, &mut pending, reads, 1_990, ok(found(&second, 91, 100)));
    let reads = pending.take_reads();
    assert_eq!(reads.iter().map(|r| &r.key).collect::<Vec<_>>(), [&first]);
    node.finish_store(2_020, &mut pending, reads, 2_010, ok(found(&first, 90, 100)));
    let ages: Vec<u32> = node.finish(2_020, pending).results.iter().map(|r| r.at.age_ms).collect();
    assert_eq!(ages, [10, 30]);
}

#[test]
fn any_serves_what_it_has_when_the_store_fails_but_never_behind_a_floor() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let shard = shard_of(&node, &key);
    read(&node, 1, &request(&key), found(&key, 90, 100));
    let failure = || StoreFailure { code: ErrorCode::Unavailable, detail: "down".into() };
    let fail = |request: &BatchRequest| {
        let mut pending = node.begin(9_000, request).expect("within limits");
        let reads = pending.take_reads();
        node.finish_store(9_000, &mut pending, reads, 9_000, vec![Err(failure())]);
        assert!(pending.is_ready());
        node.finish(9_000, pending)
    };
    let code = |answer: &BatchResponse| match &answer.results[0].outcome {
        Outcome::Error { code, .. } => Some(*code),
        _ => None,
    };
    assert_eq!(code(&fail(&request(&key))), Some(ErrorCode::Unavailable));
    let any = BatchRequest { consistency: Consistency::Any, ..request(&key) };
    let answer = fail(&any);
    assert_eq!((version_of(&answer), answer.results[0].at.age_ms), (Some(90), 9_000));
    let ahead = BatchRequest { floors: vec![Cursor { shard, position: 101 }], ..any };
    assert_eq!(code(&fail(&ahead)), Some(ErrorCode::Unavailable));
}

#[test]
fn a_read_is_forwarded_once_and_its_age_goes_on_counting() {
    let (near, owner) = (node(1, 2), node(2, 2));
    let key = key_of(&near, 2);
    read(&owner, 10, &BatchRequest { forwarded: true, ..request(&key) }, found(&key, 90, 100));

    let mut pending = near.begin(500, &request(&key)).expect("within limits");
    assert!(pending.take_reads().is_empty());
    let forward = pending.take_forwards().pop().expect("to the owner");
    assert_eq!((forward.node, forward.request.forwarded), (2, true));
    // The owner's clock is another one: only the age travels.
    let (answer, asked) = read(&owner, 40, &forward.request, vec![]);
    assert_eq!((asked, answer.results[0].at.age_ms, answer.map), (false, 40, None));
    let answer = BatchResponse { epoch: answer.epoch, results: answer.results, ..BatchResponse::default() };
    near.finish_forward(520, &mut pending, forward, 505, Some(answer));
    assert!(pending.is_ready());
    let answer = near.finish(530, pending);
    assert_eq!((version_of(&answer), answer.results[0].node), (Some(90), 2));
    assert_eq!(answer.results[0].at.age_ms, 40 + 25);

    // Arriving marked at a node that does not own the key either: the store, not a second hop.
    let marked = BatchRequest { forwarded: true, ..request(&key) };
    let (answer, asked) = read(&near, 600, &marked, found(&key, 90, 100));
    assert_eq!((version_of(&answer), asked), (Some(90), true));
    // And it stays out of the memory of a node that does not own it.
    assert_eq!(near.stats().memory_entries, 0);
}

#[test]
fn a_forward_that_fails_or_answers_too_old_is_read_from_the_store() {
    let near = node(1, 2);
    let key = key_of(&near, 2);
    let shard = shard_of(&near, &key);
    let answer = |version, position, age_ms| {
        let found = found(&key, version, position).remove(0).value.expect("found");
        let at = ReadPoint { shard, position, age_ms };
        let result = ItemResult { outcome: Outcome::Found { keymap: found }, at, node: 2 };
        Some(BatchResponse { epoch: map(1).epoch, results: vec![result], ..BatchResponse::default() })
    };
    let floor = BatchRequest { floors: vec![Cursor { shard, position: 100 }], ..request(&key) };
    // 1,995 ms is longer than this clock has been running.
    let answers = [None, Some(BatchResponse::default()), answer(90, 99, 0), answer(90, 100, 1_995)];
    for (at, response) in answers.into_iter().enumerate() {
        let mut pending = near.begin(100, &floor).expect("within limits");
        let forward = pending.take_forwards().remove(0);
        assert_eq!(forward.request.floors, floor.floors);
        near.finish_forward(110, &mut pending, forward, 100, response);
        let reads = pending.take_reads();
        assert_eq!(reads.len(), 1, "answer {at}");
        near.finish_store(120, &mut pending, reads, 115, ok(found(&key, 120, 120)));
        let answer = near.finish(120, pending);
        assert_eq!((version_of(&answer), answer.results[0].node), (Some(120), 1));
    }
}

#[test]
fn a_caller_that_has_the_version_gets_unchanged() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let mut request = request(&key);
    request.items[0].if_version = Some(90);
    let unchanged = Outcome::Unchanged { version: 90 };
    assert_eq!(read(&node, 1, &request, found(&key, 90, 100)).0.results[0].outcome, unchanged);
    assert_eq!(read(&node, 2, &request, vec![]).0.results[0].outcome, unchanged);
    request.items[0].if_version = Some(89);
    assert_eq!(version_of(&read(&node, 3, &request, vec![]).0), Some(90));
}

#[test]
fn cursors_get_the_changes_since_and_a_reset_where_those_are_gone() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let entries: Vec<_> = (101..=106).map(|version| (&key, version)).collect();
    node.apply_log(20, &page(2, 100, &entries, 106));
    let cursor = |position| [Cursor { shard: 2, position }];
    let versions = |set: &ChangeSet| set.changes.iter().map(|c| c.version).collect::<Vec<_>>();
    let point = ReadPoint { shard: 2, position: 106, age_ms: 10 };

    let set = node.changes(30, &cursor(104));
    assert_eq!((versions(&set), &set.positions[..], set.resets.len()), (vec![105, 106], &[point][..], 0));
    let set = node.changes(30, &cursor(106));
    assert_eq!((versions(&set), &set.positions[..]), (vec![], &[point][..]));
    // The ring of four reaches back to 102, exclusively.
    assert_eq!(versions(&node.changes(30, &cursor(102))), [103, 104, 105, 106]);
    let set = node.changes(30, &cursor(101));
    assert_eq!((versions(&set), &set.positions[..], set.resets), (vec![], &[point][..], vec![2]));
    assert_eq!(node.stats().ring_entries, 4);
}

#[test]
fn more_changes_than_one_answer_holds_are_covered_as_far_as_they_go() {
    let config = NodeConfig { ring_entries: MAX_CHANGES * 2, ..NodeConfig::new(1, 9) };
    let node = Node::new(config, Arc::new(map(1))).expect("valid map");
    let key = CompositeKey::parse("user/1").expect("valid");
    let last = MAX_CHANGES as u64 + 10;
    let entries: Vec<_> = (1..=last).map(|version| (&key, version)).collect();
    node.apply_log(0, &page(1, 0, &entries, last));
    node.apply_log(0, &page(2, 0, &[(&key, 5)], 5));
    let set = node.changes(1, &[Cursor { shard: 1, position: 0 }, Cursor { shard: 2, position: 0 }]);
    assert_eq!(set.changes.len(), MAX_CHANGES);
    let reached = |shard, position| ReadPoint { shard, position, age_ms: u32::MAX };
    assert_eq!(set.positions, [reached(1, MAX_CHANGES as u64), reached(2, 0)]);
    let next: Vec<Cursor> = set.positions.iter().map(|p| Cursor { shard: p.shard, position: p.position }).collect();
    let set = node.changes(1, &next);
    assert_eq!(set.changes.len(), 11);
    assert_eq!(set.positions.iter().map(|p| (p.position, p.age_ms)).collect::<Vec<_>>(), [(last, 1), (5, 1)]);
}

#[test]
fn a_gap_in_the_log_voids_the_shard_in_memory_and_for_cursors() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let shard = shard_of(&node, &key);
    read(&node, 1, &request(&key), found(&key, 90, 100));
    // A page that begins behind what is known.
    node.apply_log(5, &page(shard, 200, &[], 200));
    let (_, asked) = read(&node, 6, &request(&key), found(&key, 150, 200));
    assert!(asked);
    assert_eq!(node.changes(6, &[Cursor { shard, position: 100 }]).resets, [shard]);
    // A store whose log does not reach back.
    node.apply_log(7, &LogPage { reset: true, ..page(shard, 200, &[], 300) });
    assert!(read(&node, 8, &request(&key), found(&key, 300, 300)).1);
    assert_eq!(node.changes(8, &[Cursor { shard, position: 200 }]).resets, [shard]);
    // Late and overlapping pages change nothing.
    node.apply_log(6, &page(shard, 200, &[(&key, 250)], 300));
    let (answer, asked) = read(&node, 9, &request(&key), vec![]);
    assert_eq!((version_of(&answer), asked, answer.results[0].at.age_ms), (Some(300), false, 2));
}

#[test]
fn an_incomplete_page_makes_nothing_fresh() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let shard = shard_of(&node, &key);
    node.apply_log(1_000, &LogPage { complete: false, ..page(shard, 100, &[(&key, 101)], 101) });
    assert_eq!(node.positions(1_500)[usize::from(shard)], ReadPoint { shard, position: 101, age_ms: 1_500 });
    node.apply_log(1_001, &page(shard, 101, &[], 101));
    assert_eq!(node.positions(1_500)[usize::from(shard)].age_ms, 499);
}

#[test]
fn before_the_first_poll_nothing_is_kept_and_nothing_is_claimed() {
    let node = Node::new(NodeConfig::new(1, 9), Arc::new(map(1))).expect("valid map");
    let key = CompositeKey::parse("user/1").expect("valid");
    assert!(read(&node, 1, &request(&key), found(&key, 90, 100)).1);
    assert!(read(&node, 2, &request(&key), found(&key, 90, 100)).1);
    assert_eq!((node.stats().fills_refused, node.positions(2)[0].age_ms), (2, u32::MAX));
}

#[test]
fn callers_get_the_whole_map_a_delta_or_nothing() {
    let node = node(1, 1);
    let first = node.map_knowledge();
    let next = |epoch, nodes| {
        let mut map = map(nodes);
        map.epoch.number = epoch;
        Arc::new(map)
    };
    assert!(matches!(node.map_update(None), Some(MapUpdate::Full(_))));
    assert_eq!(node.map_update(Some(first)), None);
    assert_eq!(node.publish_map(next(2, 40)), Ok(true));
    assert_eq!(node.publish_map(next(2, 3)), Ok(false));
    let old = node.map().clone();
    let mut newest = (*next(3, 40)).clone();
    newest.nodes[0].weight = 2;
    assert_eq!(node.publish_map(Arc::new(newest.clone())), Ok(true));
    let known = MapKnowledge { epoch: old.epoch, hash: old.hash() };
    let Some(MapUpdate::Delta(delta)) = node.map_update(Some(known)) else { panic!("a delta") };
    let delta = crate::partition::MapDelta::decode(&delta).expect("a delta");
    assert_eq!(delta.apply(&old), Ok(newest));
    // A map that nobody here has seen.
    assert!(matches!(node.map_update(Some(MapKnowledge { hash: 1, ..first })), Some(MapUpdate::Full(_))));
    let ahead = crate::partition::Epoch { incarnation: 1, number: 9 };
    assert_eq!(node.map_update(Some(MapKnowledge { epoch: ahead, hash: 1 })), None);
    assert!(node.publish_map(Arc::new(PartitionMap { partitions: 65, ..(*next(4, 1)).clone() })).is_err());
}

#[test]
fn hot_keys_are_served_by_their_replicas() {
    let node = node(1, 2);
    let key = key_of(&node, 2);
    let mut hot = map(2);
    hot.epoch.number = 2;
    hot.hot = vec![crate::partition::HotKey { key: key.clone(), nodes: vec![2, 1] }];
    node.publish_map(Arc::new(hot)).expect("valid map");
    assert!(read(&node, 1, &request(&key), found(&key, 90, 100)).1);
    assert!(!read(&node, 2, &request(&key), vec![]).1);
}

#[test]
fn memory_keeps_within_its_bounds() {
    let config = NodeConfig { memory_entries: 10, memory_bytes: 4_000, ..NodeConfig::new(1, 9) };
    let node = Node::new(config, Arc::new(map(1))).expect("valid map");
    (0..4).for_each(|shard| node.apply_log(0, &page(shard, 0, &[], 100)));
    for n in 0..100 {
        let key = CompositeKey::parse(&format!("user/{n}")).expect("valid");
        read(&node, 1, &request(&key), found(&key, 90, 100));
        let stats = node.stats();
        assert!(stats.memory_entries <= 10 && stats.memory_bytes <= 4_000, "{stats:?}");
    }
    let stats = node.stats();
    assert!(stats.memory_entries > 3, "{stats:?}");
    assert_eq!(stats.evictions, 100 - stats.memory_entries);
}

#[test]
fn batches_over_their_limits_are_refused_with_the_limit() {
    let node = node(1, 1);
    let key = key_of(&node, 1);
    let mut large = request(&key);
    large.items = vec![large.items[0].clone(); MAX_BATCH_KEYS + 1];
    let refused = |node: &Node, request| node.begin(1, request).map(|_| ()).map_err(|p| (p.code, p.limit));
    assert_eq!(refused(&node, &large), Err((ErrorCode::TooManyKeys, Some(MAX_BATCH_KEYS as u64))));
    let unknown = BatchRequest { cursors: vec![Cursor { shard: 4, position: 0 }], ..request(&key) };
    assert_eq!(refused(&node, &unknown), Err((ErrorCode::BadRequest, Some(4))));
    assert_eq!(node.stats().keys, 0);
}

/// Answers that are under way when the store is replaced, from memory, from the store and from a peer, and what follows.
#[test]
fn no_answer_names_the_new_store_and_has_something_of_the_old_one() {
    let replaced = || {
        let mut next = map(2);
        next.epoch.incarnation += 1;
        Arc::new(next)
    };
    let refused = |answer: &BatchResponse| {
        let is_refused = matches!(answer.results[0].outcome, Outcome::Error { code: ErrorCode::Unavailable, .. });
        is_refused && answer.epoch == replaced().epoch && answer.results[0].at.position == 0
    };
    let near = node(1, 2);
    let (own, other) = (key_of(&near, 1), key_of(&near, 2));
    read(&near, 10, &request(&own), found(&own, 90, 100));
    let recalled = near.begin(20, &request(&own)).expect("within limits");
    assert!(recalled.is_ready(), "from memory");
    let strong = BatchRequest { consistency: Consistency::Strong, ..request(&own) };
    let mut reading = near.begin(20, &strong).expect("within limits");
    let reads = reading.take_reads();
    let mut forwarding = near.begin(20, &request(&other)).expect("within limits");
    let forward = forwarding.take_forwards().pop().expect("to the owner");

    assert_eq!(near.publish_map(replaced()), Ok(true));
    assert!(refused(&near.finish(30, recalled)));
    near.finish_store(30, &mut reading, reads, 20, ok(found(&own, 90, 100)));
    assert!(refused(&near.finish(30, reading)));
    // The log of the new store begins low; what of the old one comes late stays out.
    let shard = shard_of(&near, &own);
    near.apply_log(40, &page(shard, 0, &[], 5));
    near.apply_log_of(map(2).epoch.incarnation, 50, &page(shard, 100, &[], 200));
    let (answer, asked) = read(&near, 60, &request(&own), vec![StoreAnswer { value: None, position: 5 }]);
    assert!(asked, "nothing of the old store is left in memory");
    assert_eq!((&answer.results[0].outcome, answer.results[0].at.position), (&Outcome::Missing, 5));
    let (answer, asked) = read(&near, 70, &request(&own), vec![]);
    assert_eq!((asked, answer.results[0].at.position), (false, 5));

    // A peer that answers for the old one is not believed: the key is read from the store.
    let result = ItemResult {
        outcome: Outcome::Missing,
        at: ReadPoint { shard: shard_of(&near, &other), position: 100, age_ms: 1 },
        node: 2,
    };
    let of = |epoch| Some(BatchResponse { epoch, results: vec![result.clone()], ..BatchResponse::default() });
    near.finish_forward(80, &mut forwarding, forward, 20, of(replaced().epoch));
    assert_eq!(forwarding.take_reads().len(), 1, "begun for the old store, answered for the new one");
    let mut asking = near.begin(90, &request(&other)).expect("within limits");
    let forward = asking.take_forwards().pop().expect("to the owner");
    near.finish_forward(95, &mut asking, forward, 90, of(map(2).epoch));
    assert_eq!(asking.take_reads().len(), 1);
}
