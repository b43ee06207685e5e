use super::*;
use crate::key::CompositeKey;
use crate::model::{ClientId, MergerConfig, Path, PathStep};

const SIZES: [usize; 2] = [200, 100_000];

fn config() -> KeeperConfig {
    KeeperConfig {
        model: SharedModelConfig { every_ms: 60_000, ..SharedModelConfig::default() },
        min_clients: 2,
        shared: vec![KeyPrefix::parse("open").expect("valid")],
        sizes: SIZES.to_vec(),
        max_state_bytes: 1 << 20,
    }
}

fn told(client: u64, epoch: u64, keys: &[&str]) -> ToldSummary {
    let keys: Vec<CompositeKey> = keys.iter().map(|key| CompositeKey::parse(key).expect("valid")).collect();
    let steps = (0..keys.len() as u32).map(|key| PathStep { key, repeated: false }).collect();
    let summary = Summary { instance: client, epoch, keys, paths: vec![Path { told: 0, steps }] };
    ToldSummary { client: ClientId(client), summary: summary.encode().into() }
}

fn round(keeper: &mut ModelKeeper, now: Millis) -> RoundResults {
    keeper.round(now, &<[u8]>::len)
}

#[test]
fn nothing_is_due_without_news_and_everything_with_the_first() {
    let mut keeper = ModelKeeper::new(config());
    let kept = round(&mut keeper, 1_000_000);
    assert!(kept.snapshots.is_none() && kept.state.is_none());
    keeper.merge(1_000_000, &[told(1, 1, &["a/1", "a/2"]), told(2, 1, &["a/1", "a/2"])]);
    let kept = round(&mut keeper, 1_000_000);
    assert_eq!(kept.snapshots.expect("due")[0].keys, ["a/1", "a/2"]);
    assert!(kept.state.is_some());
    // The counts are due after half the time, the snapshot after all of it.
    keeper.merge(1_000_001, &[told(3, 1, &["a/1", "a/3"])]);
    for (now, snapshot, state) in
        [(1_000_001, false, false), (1_030_000, false, true), (1_059_000, false, false), (1_060_000, true, true)]
    {
        let kept = round(&mut keeper, now);
        assert_eq!((kept.snapshots.is_some(), kept.state.is_some()), (snapshot, state), "{now}");
    }
    let kept = round(&mut keeper, 2_000_000);
    assert!(kept.snapshots.is_none() && kept.state.is_none(), "no news");
    assert!(keeper.last(2_000_000).is_none());
    keeper.merge(2_000_000, &[told(4, 1, &["a/1", "a/3"])]);
    assert!(keeper.last(2_000_000).is_some());
}

#[test]
fn what_was_not_stored_is_made_again() {
    let mut keeper = ModelKeeper::new(config());
    keeper.merge(0, &[told(1, 1, &["a/1", "a/2"])]);
    round(&mut keeper, 0);
    keeper.failed();
    let kept = round(&mut keeper, 1);
    assert!(kept.snapshots.is_some() && kept.state.is_some());
    assert!(round(&mut keeper, 2).snapshots.is_none());
}

#[test]
fn the_next_one_goes_on() {
    let mut first = ModelKeeper::new(config());
    first.merge(60_000, &[told(1, 1, &["a/1", "a/2"]), told(2, 1, &["a/1", "a/2"]), told(1, 2, &["b/1", "b/2"])]);
    let kept = round(&mut first, 60_000);
    let (snapshots, state) = (kept.snapshots.expect("due"), kept.state.expect("due"));
    assert_eq!(snapshots[0].keys, ["a/1", "a/2"], "one went the other way");
    let mut next = ModelKeeper::resume(config(), &state, snapshots.last()).expect("its own bytes");
    assert_eq!(next.stats().observations, 3);
    assert!(round(&mut next, 61_000).snapshots.is_none(), "as fresh as it can be");
    next.merge(120_000, &[told(2, 1, &["a/1", "a/2"]), told(2, 2, &["b/1", "b/2"])]);
    assert_eq!((next.stats().merged, next.stats().known), (4, 1));
    let kept = round(&mut next, 120_000);
    assert_eq!(kept.snapshots.expect("due").pop().expect("one").keys, ["a/1", "a/2", "b/1", "b/2"]);
    for len in 0..state.len() {
        assert!(ModelKeeper::resume(config(), &state[..len], None).is_err(), "{len}");
    }
}

#[test]
fn forgetting_takes_effect_with_the_next_round() {
    let mut keeper = ModelKeeper::new(config());
    let both = ["a/1", "a/2", "ab/1"];
    keeper.merge(0, &[told(1, 1, &both), told(2, 1, &both), told(1, 2, &["a", "c"]), told(2, 2, &["a", "c"])]);
    round(&mut keeper, 0);
    keeper.merge(0, &[told(1, 3, &["ab/1", "ab/2"]), told(2, 3, &["ab/1", "ab/2"])]);
    keeper.forget(&KeyPrefix::parse("a").expect("valid"));
    let kept = round(&mut keeper, 1);
    let [snapshot] = &kept.snapshots.expect("due")[..] else { panic!("all fits the first size") };
    assert_eq!(snapshot.keys, ["ab/1", "ab/2"]);
    assert!(!kept.state.expect("due").windows(3).any(|part| part == b"a/1"));
}

#[test]
fn few_suffice_where_everybody_may_know() {
    let mut keeper = ModelKeeper::new(config());
    keeper.merge(0, &[told(1, 1, &["open/1", "open/2"]), told(1, 2, &["a/1", "a/2"]), told(1, 3, &["open/3", "a/3"])]);
    let snapshots = round(&mut keeper, 60_000).snapshots.expect("due");
    assert_eq!(snapshots[0].keys, ["open/1", "open/2"]);
}

#[test]
fn what_cannot_be_read_is_counted_and_changes_nothing() {
    let mut keeper = ModelKeeper::new(config());
    let mut bad = told(1, 1, &["a/1", "a/2"]);
    bad.summary = bad.summary[1..].into();
    keeper.merge(0, &[bad]);
    assert_eq!((keeper.malformed(), keeper.stats().merged), (1, 0));
    assert!(keeper.last(0).is_none());
}

#[test]
fn each_size_holds_what_fits() {
    let mut keeper = ModelKeeper::new(KeeperConfig {
        model: SharedModelConfig { merger: MergerConfig::default(), ..config().model },
        sizes: vec![500, 1_000, 1 << 20, 2 << 20],
        ..config()
    });
    for client in 0..4 {
        let keys: Vec<String> = (0..200).map(|n| format!("a/{}", n * 7_919 % 1_000)).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        keeper.merge(0, &[told(client, 1, &keys)]);
    }
    let snapshots = round(&mut keeper, 0).snapshots.expect("due");
    assert_eq!(snapshots.len(), 3, "the third has everything");
    let sizes: Vec<usize> = snapshots.iter().map(|snapshot| snapshot.encode().len()).collect();
    assert!(sizes[0] <= 500 && sizes[1] <= 1_000 && sizes[2] > 1_000, "{sizes:?}");
    assert!(sizes.is_sorted() && snapshots[2].keys.len() == 200, "{sizes:?}");
}

#[test]
fn whoever_takes_long_is_asked_less_often() {
    let mut keeper = ModelKeeper::new(config());
    let news = |keeper: &mut ModelKeeper, epoch| {
        let keys: Vec<String> = (0..100).map(|n| format!("a/{n}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        keeper.merge(100_000, &[told(1, epoch, &keys)]);
    };
    for (epoch, now, took, is_due) in [
        (1, 100_000, 1_000, true),
        (2, 103_999, 0, false),
        (3, 104_000, 100_000, true),
        (4, 163_999, 0, false),
        (5, 164_000, 0, true),
        (6, 164_000, 0, true),
    ] {
        news(&mut keeper, epoch);
        assert_eq!(round(&mut keeper, now).snapshots.is_some(), is_due, "{now}");
        if is_due {
            keeper.took(now, took);
        }
    }
    keeper.took(200_000, 10_000);
    keeper.failed();
    assert!(round(&mut keeper, 200_000).snapshots.is_some(), "forced");
}
