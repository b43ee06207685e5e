use super::*;
use crate::model::{ClientId, MergeOutcome, Path, PathStep, Summary};

fn summary(instance: u64, epoch: u64, keys: &[String]) -> Summary {
    let keys: Vec<CompositeKey> = keys.iter().map(|key| CompositeKey::parse(key).expect("valid")).collect();
    let steps = (0..keys.len() as u32).map(|key| PathStep { key, repeated: key % 3 == 2 }).collect();
    Summary { instance, epoch, keys, paths: vec![Path { told: 0, steps }] }
}

/// Counts of `people` who each go their own way, and one that all go.
fn merged(people: u64) -> Merger {
    let mut merger = Merger::new(MergerConfig::default());
    for person in 0..people {
        let own: Vec<String> = (0..10).map(|n| format!("p%2F{person}/{n}")).collect();
        let common: Vec<String> = (0..5).map(|n| format!("common/{n}")).collect();
        merger.merge(7_200_000, ClientId(person), &summary(person, 1, &own));
        merger.merge(7_200_000, ClientId(person), &summary(person, 2, &common));
    }
    merger
}

/// Ways by the texts of their keys, which do not depend on numbers.
fn ways(merger: &Merger) -> Vec<(Vec<String>, Traffic)> {
    let text = |key: u32| merger.keys.get(key as usize).map_or(String::new(), |key| key.text.to_string());
    let mut ways: Vec<_> = merger
        .ways
        .iter()
        .map(|(way, traffic)| (vec![text(way.before), text(way.last), text(way.next)], *traffic))
        .collect();
    ways.sort_by(|a, b| a.0.cmp(&b.0));
    ways
}

#[test]
fn counts_go_on_where_they_were() {
    let merger = merged(40);
    let bytes = merger.export(1 << 20);
    let mut again = Merger::import(MergerConfig::default(), &bytes).expect("its own bytes");
    assert_eq!(ways(&again), ways(&merger));
    assert_eq!((again.hour, again.visits, again.key_bytes), (merger.hour, merger.visits, merger.key_bytes));
    let without_shares = |merger: &Merger| MergerStats { shares: 0, ..merger.stats() };
    assert_eq!(without_shares(&again), without_shares(&merger));
    assert_eq!(again.export(1 << 20), bytes, "one form");
    // What was merged before is known, and what is new is added to the same keys.
    let keys = ["common/0".to_owned(), "common/1".to_owned()];
    assert_eq!(again.merge(0, ClientId(3), &summary(3, 1, &keys)), MergeOutcome::Known);
    assert_eq!(again.merge(0, ClientId(3), &summary(3, 3, &keys)), MergeOutcome::Merged(1));
    assert_eq!(again.keys.len(), merger.keys.len());
}

#[test]
fn the_heaviest_ways_stay_where_there_is_no_room_for_all() {
    let merger = merged(200);
    let whole = merger.export(usize::MAX).len();
    for max in [whole - 1, whole / 2, whole / 5] {
        let bytes = merger.export(max);
        assert!(bytes.len() <= max && bytes.len() > max / 2, "{} of {max}", bytes.len());
        let again = Merger::import(MergerConfig::default(), &bytes).expect("its own bytes");
        let common = |(way, _): &&(Vec<String>, Traffic)| way[1].starts_with("common/");
        assert_eq!(ways(&again).iter().filter(common).count(), 7, "{max}");
        assert_eq!(again.visits, again.keys.iter().map(|key| key.visits).sum::<u64>());
    }
    // Instances are no ways.
    let least = merger.export(0);
    assert!(Merger::import(MergerConfig::default(), &least).is_ok_and(|merger| merger.ways.is_empty()));
}

#[test]
fn what_is_no_export_is_refused() {
    let bytes = merged(3).export(1 << 20);
    let import = |bytes: &[u8]| Merger::import(MergerConfig::default(), bytes).map(|_| ());
    for len in 0..bytes.len() {
        assert!(import(&bytes[..len]).is_err(), "{len}");
    }
    assert!(import(&[&bytes[..], &[0]].concat()).is_err());
    // Whatever is changed, it is refused or makes counts that can be used.
    for at in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            if let Ok(mut merger) = Merger::import(MergerConfig::default(), &changed) {
                merger.end_epoch();
                merger.export(1 << 20);
            }
        }
    }
    let small = MergerConfig { max_ways: 3, ..MergerConfig::default() };
    assert!(Merger::import(small, &bytes).is_err(), "more than there is room for");
}
