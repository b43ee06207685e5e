//! The hot set against exact counts.

use super::*;
use crate::partition::xxh3;

fn key(n: usize) -> CompositeKey {
    CompositeKey::parse(&format!("user/{n}")).expect("valid")
}

fn count(hot: &mut HotSet, n: usize) {
    let key = key(n);
    hot.count(xxh3(1, key.as_str().as_bytes()), &key);
}

fn check(hot: &HotSet) {
    assert_eq!(hot.places.len(), hot.counters.len());
    assert!(hot.heads.len() <= hot.counters.len());
    for (at, counter) in hot.counters.iter().enumerate() {
        assert_eq!(hot.places[&counter.id], at as u32);
        assert!(counter.count > counter.error);
        assert_eq!(at > 0 && hot.counters[at - 1].count == counter.count, hot.heads[&counter.count] != at as u32);
        assert!(at == 0 || hot.counters[at - 1].count >= counter.count, "{at}");
    }
}

#[test]
fn the_hottest_come_first() {
    let mut hot = HotSet::default();
    for n in 0..5 {
        (0..=n).for_each(|_| count(&mut hot, n));
    }
    assert_eq!(hot.hottest(3), [key(4), key(3), key(2)]);
    count(&mut hot, 3);
    assert_eq!(hot.hottest(2), [key(3), key(4)]);
    assert_eq!((hot.hottest(9).len(), hot.len()), (5, 5));
}

#[test]
fn frequent_keys_are_found_among_ever_new_ones_and_counts_err_within_their_bound() {
    let mut hot = HotSet::default();
    let mut exact = std::collections::BTreeMap::new();
    let total = HotSet::HALVED_EVERY - 1;
    for n in 0..total {
        // Every fourth access goes to one of 64 keys, the others to keys asked for once.
        let n = if n % 4 == 0 { n / 4 % 64 } else { 1_000 + n };
        *exact.entry(key(n)).or_insert(0_u32) += 1;
        count(&mut hot, n);
        if n % 50_021 == 0 {
            check(&hot);
        }
    }
    check(&hot);
    assert_eq!(hot.len(), HotSet::CAPACITY);
    let mut hottest = hot.hottest(64);
    hottest.sort();
    let mut expected: Vec<_> = (0..64).map(key).collect();
    expected.sort();
    assert_eq!(hottest, expected);
    for counter in &hot.counters {
        let truth = exact[&counter.key];
        assert!((counter.count - counter.error..=counter.count).contains(&truth), "{}", counter.key.as_str());
        assert!(counter.error as usize <= total / HotSet::CAPACITY);
    }
}

#[test]
fn what_was_hot_once_gives_way() {
    let mut hot = HotSet::default();
    let keys: Vec<_> = (0..=200).map(|n| (n as u64, key(n))).collect();
    let mut count = |times: usize, among: std::ops::Range<usize>| {
        let counted = &keys[among];
        (0..times).for_each(|n| hot.count(counted[n % counted.len()].0, &counted[n % counted.len()].1));
        check(&hot);
        hot.hottest(HotSet::CAPACITY)
    };
    count(HotSet::HALVED_EVERY / 2, 0..100);
    // Less of each than before, but lately.
    let hottest = count(HotSet::HALVED_EVERY * 3, 100..200);
    assert!(hottest[..100].iter().all(|key| key.as_str().len() == "user/100".len()), "{hottest:?}");
    assert_eq!(count(HotSet::HALVED_EVERY * 16, 200..201), [key(200)]);
}
