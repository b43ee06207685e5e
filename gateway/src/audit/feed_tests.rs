use foremap::key::CompositeKey;
use foremap::protocol::{Change, FeedId, Hello, LateShard};

use super::*;

const BOUND: Time = 2_000 * MS;
const SHARD: u16 = 3;
const CLOCK: u64 = 77;

/// A feed that was opened at 1,000 ms, when its gateway's clock showed 50,000 to 50,010.
fn follower() -> Follower {
    let mut follower = Follower::default();
    follower.follow(SHARD, 10);
    follower.opens(1_000 * MS);
    let feed = FeedId { node: 1, number: 5 };
    let hello = Some(Hello { feed, clock: CLOCK, heartbeat_ms: 1_000, incarnation: 1, relayed: false });
    let step = FeedStep { shard: SHARD, from: 10, to: 10 };
    let first = FeedFrame { hello, clock_ms: 50_000, age_ms: 20, steps: vec![step], ..FeedFrame::default() };
    let told = follower.frame(1_010 * MS, &first, BOUND, |_| true).expect("a first frame");
    assert_eq!(told, [FeedNews::Frame { at_least: 0, claimed: 20 * MS, findings: vec![] }]);
    follower
}

/// The next frame, made `ms` after the feed was opened.
fn frame(number: u32, ms: u64, age_ms: u32) -> FeedFrame {
    FeedFrame { number, clock_ms: 50_000 + ms, age_ms, ..FeedFrame::default() }
}

fn with(step: [u64; 2], versions: &[u64], frame: FeedFrame) -> FeedFrame {
    let key = CompositeKey::parse("_audit/r/1").expect("valid");
    let change = |&version: &u64| Change { shard: SHARD, version, key: key.clone(), deleted: false };
    let steps = vec![FeedStep { shard: SHARD, from: step[0], to: step[1] }];
    FeedFrame { steps, changes: versions.iter().map(change).collect(), ..frame }
}

fn findings(follower: &mut Follower, frame: &FeedFrame) -> Vec<Finding> {
    let told = follower.frame(0, frame, BOUND, |_| true).expect("the next frame");
    let found = told.into_iter().map(|told| match told {
        FeedNews::Frame { findings, .. } => findings,
        _ => Vec::new(),
    });
    found.flatten().collect()
}

#[test]
fn a_change_is_told_so_long_after_its_write() {
    let mut follower = follower();
    assert_eq!(follower.wrote(SHARD, 20, 1_500 * MS), None);
    let told = follower.frame(1_540 * MS, &with([10, 20], &[20], frame(1, 530, 10)), BOUND, |_| true);
    assert!(told.expect("a frame").contains(&FeedNews::Change { delay: 40 * MS }));
    // Told before its write was acknowledged.
    let told = follower.frame(1_600 * MS, &with([20, 30], &[30], frame(2, 590, 10)), BOUND, |_| true);
    assert_eq!(told.expect("a frame").len(), 1);
    assert_eq!(follower.wrote(SHARD, 30, 1_700 * MS), Some(FeedNews::Change { delay: 0 }));
    assert_eq!(follower.cursors(), [Cursor { shard: SHARD, position: 30 }]);
    assert_eq!(follower.wrote(SHARD + 1, 40, 1_700 * MS), None, "a shard that is not followed");
}

#[test]
fn a_step_has_every_change_in_it() {
    let mut follower = follower();
    follower.wrote(SHARD, 20, 1_500 * MS);
    let told = follower.frame(1_540 * MS, &with([10, 25], &[], frame(1, 530, 10)), BOUND, |_| true);
    assert!(told.expect("a frame").contains(&FeedNews::Omitted));
    assert_eq!(follower.wrote(SHARD, 22, 1_600 * MS), Some(FeedNews::Omitted));
    // What is not the auditor's says nothing about what is.
    let told = follower.frame(1_640 * MS, &with([25, 30], &[30], frame(2, 600, 10)), BOUND, |_| false);
    assert_eq!(told.expect("a frame").len(), 1);
    assert_eq!(follower.wrote(SHARD, 30, 1_700 * MS), Some(FeedNews::Omitted));
}

#[test]
fn coverage_without_a_change_that_was_committed_before_is_a_lie() {
    let mut follower = follower();
    follower.wrote(SHARD, 20, 1_500 * MS);
    // Made at 1,599.7 ms at the earliest.
    assert_eq!(findings(&mut follower, &frame(1, 600, 95)), []);
    assert_eq!(findings(&mut follower, &frame(2, 600, 94)), [Finding::Age]);
    assert_eq!(findings(&mut follower, &frame(3, 2_400, 1_850)), [Finding::Age]);
    assert_eq!(findings(&mut follower, &frame(4, 3_600, 3_100)), []);
    assert_eq!(findings(&mut follower, &frame(5, 3_600, 2_000)), [Finding::Age, Finding::Broken]);
}

#[test]
fn a_late_shard_has_an_age_of_its_own() {
    let mut follower = follower();
    follower.wrote(SHARD, 20, 1_500 * MS);
    let late = |age_ms, frame| FeedFrame { late: vec![LateShard { shard: SHARD, age_ms }], ..frame };
    assert_eq!(findings(&mut follower, &late(700, frame(1, 1_000, 10))), []);
    assert_eq!(findings(&mut follower, &late(u32::MAX, frame(2, 9_000, 10))), []);
    assert_eq!(findings(&mut follower, &late(10, frame(3, 1_000, 700))), [Finding::Age]);
}

#[test]
fn what_a_gap_left_out_is_not_expected() {
    let mut follower = follower();
    follower.wrote(SHARD, 20, 1_500 * MS);
    let told = follower.frame(1_600 * MS, &with([40, 40], &[], frame(1, 600, 10)), BOUND, |_| true);
    let expected = [FeedNews::Gap, FeedNews::Frame { at_least: 0, claimed: 10 * MS, findings: vec![] }];
    assert_eq!(told.expect("a frame"), expected);
    assert_eq!(follower.wrote(SHARD, 30, 1_700 * MS), None);
    assert_eq!(follower.wrote(SHARD, 50, 1_700 * MS), None);
}

#[test]
fn a_missing_frame_ends_it_and_a_clock_is_known_better_from_answers() {
    let mut follower = follower();
    assert!(follower.frame(0, &frame(2, 600, 10), BOUND, |_| true).is_err());
    follower.wrote(SHARD, 20, 1_500 * MS);
    // The same clock showed 51,000 only at 2,500: the frame was made half a second later than it seemed.
    follower.showed(ClockReading { id: CLOCK + 1, ms: 51_000 }, 9_000 * MS);
    follower.showed(ClockReading { id: CLOCK, ms: 51_000 }, 2_500 * MS);
    assert_eq!(findings(&mut follower, &frame(1, 1_000, 990)), [Finding::Age]);
    assert_eq!(findings(&mut follower, &frame(2, 1_000, 1_000)), []);
    assert_eq!(findings(&mut follower, &frame(3, 900, 900)), []);
    follower.opens(9_000 * MS);
    assert_eq!(follower.cursors(), [Cursor { shard: SHARD, position: 10 }]);
}
