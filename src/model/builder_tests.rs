use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::testing::{HOUR, Naive, Told, merger, population, rules, sized, snapshot, told};
use super::super::{ClientId, MergerConfig, Path, PathStep, Summary};
use super::*;
use crate::key::CompositeKey;

/// So many clients that went one way each.
fn clients(from: u64, count: u64, keys: &[&str]) -> Vec<Told> {
    (from..from + count).map(|client| told(client, 1, keys)).collect()
}

fn reads_back(snapshot: &ModelSnapshot) {
    assert_eq!(ModelSnapshot::decode(&snapshot.encode()).as_ref(), Ok(snapshot));
}

#[test]
fn nothing_makes_an_empty_snapshot() {
    let empty = snapshot(&Merger::new(MergerConfig::default()), 1);
    reads_back(&empty);
    assert_eq!(empty, ModelSnapshot { made: 7, name_bytes: 2, ..ModelSnapshot::default() });
    assert_eq!(sized(&merger(&clients(0, 9, &["a", "b"])), 1, 0), ModelSnapshot { name_bytes: 2, ..empty });
}

#[test]
fn what_follows_is_told_with_its_share_the_likeliest_first() {
    let mut all = clients(0, 6, &["a", "b"]);
    all.extend(clients(10, 2, &["a", "c"]));
    let snapshot = snapshot(&merger(&all), 1);
    reads_back(&snapshot);
    let next = &rules(&snapshot)[&(None, "a".to_owned())];
    assert_eq!(
        next,
        &[("b".to_owned(), QuantizedShare::of(0.75).step()), ("c".to_owned(), QuantizedShare::of(0.25).step())]
    );
}

#[test]
fn visits_are_told_as_a_power_of_two_of_at_most_sixteen() {
    for (count, exponent) in [(1, 0), (2, 1), (3, 1), (4, 2), (7, 2), (8, 3), (15, 3), (16, 4), (60, 4)] {
        let snapshot = snapshot(&merger(&clients(0, count, &["a", "b"])), 1);
        assert_eq!(snapshot.rules[0].then.visits, exponent, "{count}");
    }
}

#[test]
fn how_often_a_key_was_asked_for_is_told_as_a_power_of_two() {
    let mut all = clients(0, 40, &["a", "b", "c"]);
    all.extend(clients(100, 3, &["x", "a"]));
    let snapshot = snapshot(&merger(&all), 1);
    reads_back(&snapshot);
    assert_eq!(snapshot.keys, ["a", "b", "c", "x"]);
    // What nothing followed counts as asked for once.
    assert_eq!(snapshot.popularity, [5, 5, 0, 1]);
}

#[test]
fn what_the_client_has_already_is_no_use_but_a_visit() {
    let mut all = clients(0, 4, &["a", "b"]);
    for client in 10..14 {
        let (client, mut summary) = told(client, 1, &["a", "b"]);
        summary.paths[0].steps[1].repeated = true;
        all.push((client, summary));
    }
    let next = &rules(&snapshot(&merger(&all), 1))[&(None, "a".to_owned())];
    assert_eq!(next, &[("b".to_owned(), QuantizedShare::of(0.5).step())]);
}

#[test]
fn pairs_are_told_only_where_they_say_more_than_the_last_key_alone() {
    let mut all = clients(0, 5, &["x", "a", "b"]);
    all.extend(clients(10, 5, &["y", "a", "b"]));
    let same = rules(&snapshot(&merger(&all), 1));
    assert!(same.keys().all(|(before, _)| before.is_none()), "{same:?}");
    let mut all = clients(0, 5, &["x", "a", "b"]);
    all.extend(clients(10, 5, &["y", "a", "c"]));
    let differ = rules(&snapshot(&merger(&all), 1));
    let next = |before: &str| differ[&(Some(before.to_owned()), "a".to_owned())][0].clone();
    let nearly = QuantizedShare::of(0.95).step();
    assert!(next("x").0 == "b" && next("x").1 >= nearly, "{differ:?}");
    assert!(next("y").0 == "c" && next("y").1 >= nearly, "{differ:?}");
}

#[test]
fn what_gains_most_stays_when_bytes_shrink() {
    let mut all = Vec::new();
    for n in 0..40_u64 {
        all.extend(clients(100 * n, 1 + n, &[&format!("from/{n:02}"), &format!("to/{n:02}")]));
    }
    let merger = merger(&all);
    let told = |max_bytes| {
        let lasts: BTreeSet<String> = rules(&sized(&merger, 1, max_bytes)).into_keys().map(|(_, last)| last).collect();
        lasts
    };
    let (mut before, mut sizes) = (told(4_000), BTreeSet::new());
    assert_eq!(before.len(), 40);
    for max_bytes in [600, 300, 150, 75] {
        let fewer = told(max_bytes);
        assert!(fewer.is_subset(&before) && fewer.contains("from/39"), "{max_bytes}: {fewer:?}");
        // Those of which most clients tell, but for the bytes that a text has in common with the one before.
        let least = fewer.first().expect("one at least").clone();
        assert!(fewer.len() + 2 >= before.iter().filter(|last| **last >= least).count(), "{fewer:?}");
        sizes.insert(fewer.len());
        before = fewer;
    }
    assert!(sizes.len() > 2, "{sizes:?}");
}

#[test]
fn what_is_beyond_the_form_is_left_out_however_small_it_is_compressed() {
    // More rules than a snapshot may have, and more text.
    let mut merger = Merger::new(MergerConfig::default());
    for client in 0..9_u32 {
        let keys =
            (0..9_000).map(|n| format!("{client}/{n}{}", if n % 9 == 0 { "x".repeat(900) } else { String::new() }));
        let keys: Vec<_> = keys.map(|text| CompositeKey::parse(&text).expect("valid")).collect();
        let steps: Vec<_> = (0..9_000).map(|key| PathStep { key, repeated: false }).collect();
        let paths = steps.chunks(3_000).map(|steps| Path { told: 0, steps: steps.to_vec() }).collect();
        merger.merge(HOUR, ClientId(client.into()), &Summary { instance: client.into(), epoch: 1, keys, paths });
    }
    let options = SnapshotOptions { min_clients: 1, is_shared: &|_| false, max_bytes: usize::MAX, compressed: &|_| 1 };
    let snapshot = merger.snapshot(7, &options);
    assert!(snapshot.rules.len() > 1_000, "{}", snapshot.rules.len());
    reads_back(&snapshot);
}

#[test]
fn a_place_is_told_only_if_enough_clients_came_to_it() {
    // A word is part of the hash of the places behind it, and who guesses it could look whether that is there.
    let mut all = Vec::new();
    for client in 0..5 {
        all.push(told(client, 1, &["open/101/a", "open/101/b", "open/102/a", "open/102/b"]));
    }
    let without = snapshot(&merger(&all), 4);
    assert!(!without.places.is_empty() && without.places.is_sorted_by_key(|place| place.place));
    all.push(told(9, 1, &["secret/word/of/one", "secret/word/of/two", "secret/word/of/one"]));
    let with = snapshot(&merger(&all), 4);
    let places = |snapshot: &ModelSnapshot| snapshot.places.iter().map(|place| place.place).collect::<BTreeSet<_>>();
    assert_eq!(places(&with), places(&without));
    let options = SnapshotOptions {
        min_clients: 4,
        is_shared: &|key| key.starts_with("secret/"),
        max_bytes: 4_000,
        compressed: &<[u8]>::len,
    };
    assert!(places(&merger(&all).snapshot(7, &options)).len() > places(&without).len(), "declared to be shared");
}

/// The words that a template names.
fn constants(mut template: &[u8]) -> Vec<String> {
    let mut words = Vec::new();
    while let [op, rest @ ..] = template {
        match op {
            1 => template = &rest[1..],
            4 => {
                let (word, rest) = rest[1..].split_at(rest[0].into());
                words.push(String::from_utf8(word.to_vec()).expect("a component"));
                template = rest;
            }
            _ => template = &rest[4..],
        }
    }
    words
}

/// Clients that asked for a key which names a word.
fn clients_of_word(naive: &Naive, word: &str) -> usize {
    let named = naive.keys.iter().filter(|(key, _)| key.split('/').any(|part| part == word));
    named.flat_map(|(_, clients)| clients).collect::<BTreeSet<_>>().len()
}

#[test]
fn the_word_that_one_client_asked_for_is_no_template() {
    let mut all = Vec::new();
    for client in 0..6 {
        for user in ["user/101", "user/102"] {
            let word = if client == 0 { "secret" } else { "avatar" };
            let (profile, other) = (format!("{user}/profile"), format!("{user}/{word}"));
            all.push(told(client, u64::from(user == "user/102") + 1, &[&profile, &other]));
        }
    }
    let snapshot = snapshot(&merger(&all), 3);
    let words: Vec<String> = snapshot.templates.iter().flat_map(|template| constants(template)).collect();
    assert!(words.contains(&"avatar".to_owned()), "{words:?}");
    assert!(!String::from_utf8_lossy(&snapshot.encode()).contains("secret"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_more_bytes_than_allowed(all in population(), max_bytes in 20_usize..1_500, min_clients in 1_u32..4) {
        let snapshot = sized(&merger(&all), min_clients, max_bytes);
        prop_assert!(snapshot.encode().len() <= max_bytes);
        reads_back(&snapshot);
    }

    #[test]
    fn nothing_is_told_of_fewer_clients_than_the_least_number(
        all in population(),
        min_clients in 1_u32..6,
        shares in any::<bool>(),
    ) {
        let is_shared = |key: &str| shares && key.starts_with("shared/");
        let options = SnapshotOptions { min_clients, is_shared: &is_shared, max_bytes: 1 << 16, compressed: &<[u8]>::len };
        let (merger, naive) = (merger(&all), Naive::of(&all));
        let snapshot = merger.snapshot(7, &options);
        reads_back(&snapshot);
        let least = min_clients as usize;
        let mut named = BTreeSet::new();
        for ((before, last), next) in rules(&snapshot) {
            for (next, _) in next {
                let clients = naive.clients(before.as_deref(), &last, &next);
                let keys = [before.clone(), Some(last.clone()), Some(next)];
                let open = keys.iter().flatten().all(|key| is_shared(key));
                prop_assert!(clients >= least || (clients > 0 && open), "{before:?} {last} {keys:?}: {clients}");
                named.extend(keys.into_iter().flatten());
            }
        }
        prop_assert!(snapshot.keys.iter().all(|key| named.contains(key)), "a key that no rule names");
        for template in &snapshot.templates {
            for word in constants(template) {
                prop_assert!(clients_of_word(&naive, &word) >= least, "{word}");
            }
        }
    }
}
