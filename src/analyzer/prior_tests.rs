use proptest::prelude::*;

use super::super::{Access, Analyzer, AnalyzerConfig, Evidence, Proposals};
use crate::key::CompositeKey;
use crate::protocol::{KeyRule, ModelSnapshot, QuantizedShare, Successors, TemplateContext, TemplateRule};

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

fn analyzer(seed: u64, prior_bytes: usize) -> Analyzer {
    Analyzer::new(AnalyzerConfig { prior_bytes, seed, ..AnalyzerConfig::default() })
}

fn then(visits: u8, next: &[(u32, f32)]) -> Successors {
    Successors { visits, next: next.iter().map(|&(next, share)| (next, QuantizedShare::of(share))).collect() }
}

/// A model in which one key follows another, sixteen times of sixteen.
fn model(last: &str, next: &str) -> ModelSnapshot {
    let mut keys = vec![last.to_owned(), next.to_owned()];
    keys.sort_unstable();
    let number = |text: &str| keys.iter().position(|key| key == text).expect("one of them") as u32;
    let rule = KeyRule { before: None, last: number(last), then: then(4, &[(number(next), 1.0)]) };
    ModelSnapshot { made: 1, name_bytes: 2, rules: vec![rule], keys, ..ModelSnapshot::default() }
}

/// Keys predicted after the last key of a stream, best first.
fn after(analyzer: &Analyzer, stream: &str, last: &str) -> Vec<String> {
    let mut out = Proposals::default();
    analyzer.predict(&analyzer.context(stream).expect("seen"), last.as_bytes(), &mut out);
    let mut buffer = Vec::new();
    let mut names = Vec::new();
    for candidate in &out.candidates {
        let made = out.text(candidate.text());
        let text = if made.is_empty() { analyzer.text(candidate.id, &mut buffer).expect("remembered") } else { made };
        names.push(String::from_utf8(text.to_vec()).expect("text"));
    }
    names
}

fn feed(analyzer: &mut Analyzer, stream: &str, keys: &[&str]) {
    keys.iter().for_each(|text| _ = analyzer.observe(stream, &key(text), Access::Miss, 1));
}

#[test]
fn what_others_learned_predicts_keys_never_seen_whatever_the_seed() {
    for seed in [0, 1, u64::MAX] {
        let mut analyzer = analyzer(seed, 1 << 16);
        analyzer.import(&model("a", "never/seen"));
        feed(&mut analyzer, "s", &["a"]);
        assert_eq!(after(&analyzer, "s", "a"), ["never/seen"], "{seed}");
    }
}

#[test]
fn how_popular_a_key_is_elsewhere_is_evidence() {
    let popularity = |model: &ModelSnapshot, asked: &[&str]| {
        let mut analyzer = analyzer(1, 1 << 16);
        analyzer.import(model);
        feed(&mut analyzer, "s", asked);
        let mut out = Proposals::default();
        analyzer.predict(&analyzer.context("s").expect("seen"), b"a", &mut out);
        out.candidates[0].evidence.popularity
    };
    let unknown = model("a", "b");
    let [rare, usual] = [1, 9].map(|log2| ModelSnapshot { popularity: vec![0, log2], ..unknown.clone() });
    assert_eq!(popularity(&unknown, &["a"]), 0);
    let (rare, usual) = (popularity(&rare, &["a"]), popularity(&usual, &["b", "a"]));
    assert_eq!(usual - rare, 8, "whether or not it was asked for here");
    let here = popularity(&unknown, &["b", "a"]);
    assert!(here > 0 && here < rare, "told apart from what is known here");
    assert!(usize::from(usual) < Evidence::POPULARITIES);
}

#[test]
fn the_last_two_keys_tell_more_than_one() {
    let keys = ["a", "b", "c", "x", "y"].map(str::to_owned).to_vec();
    let rule = |before, last, next| KeyRule { before, last, then: then(4, &[(next, 1.0)]) };
    let rules = vec![rule(Some(3), 0, 1), rule(Some(4), 0, 2)];
    let mut analyzer = analyzer(3, 1 << 16);
    analyzer.import(&ModelSnapshot { keys, rules, ..ModelSnapshot::default() });
    feed(&mut analyzer, "s", &["x", "a"]);
    assert_eq!(after(&analyzer, "s", "a"), ["b"]);
    feed(&mut analyzer, "t", &["y", "a"]);
    assert_eq!(after(&analyzer, "t", "a"), ["c"]);
}

#[test]
fn what_happens_here_overrides_it_after_sixteen_visits_at_most() {
    // Numbers that no template leads to, so that the last key alone tells.
    let (ours, theirs) = ("ours/90000", "theirs/10000");
    let after_visits = |visits| {
        let mut analyzer = analyzer(1, 1 << 16);
        analyzer.import(&model("a", theirs));
        for _ in 0..visits {
            feed(&mut analyzer, "s", &["a", ours]);
        }
        feed(&mut analyzer, "t", &["a"]);
        after(&analyzer, "t", "a")[0].clone()
    };
    for visits in [16, 17, 40, 200] {
        assert_eq!(after_visits(visits), ours, "{visits}");
    }
    assert_eq!(after_visits(3), theirs);
}

#[test]
fn a_second_model_takes_the_place_of_the_first_and_what_was_learnt_here_stays() {
    let mut analyzer = analyzer(1, 1 << 16);
    analyzer.import(&model("a", "first"));
    for _ in 0..3 {
        feed(&mut analyzer, "s", &["a", "ours"]);
    }
    analyzer.import(&model("a", "second"));
    feed(&mut analyzer, "t", &["a"]);
    assert_eq!(after(&analyzer, "t", "a"), ["second", "ours"]);
    assert_eq!(analyzer.stats().prior_lines, 1);
    analyzer.import(&ModelSnapshot::default());
    assert_eq!(after(&analyzer, "t", "a"), ["ours"]);
    assert_eq!((analyzer.stats().prior_lines, analyzer.stats().prior_bytes), (0, 0));
}

#[test]
fn a_model_is_cut_to_the_memory_that_was_set_aside_for_it_the_last_rules_first() {
    let keys: Vec<String> = (0..2_000).map(|n| format!("key/{n:04}")).collect();
    let rules = (0..1_999).map(|last| KeyRule { before: None, last, then: then(4, &[(last + 1, 1.0)]) }).collect();
    let model = ModelSnapshot { keys, rules, ..ModelSnapshot::default() };
    let mut lines = Vec::new();
    for bytes in [0, 100, 5_000, 50_000, 1 << 20] {
        let mut analyzer = analyzer(1, bytes);
        analyzer.import(&model);
        let stats = analyzer.stats();
        assert!(stats.prior_bytes <= bytes && stats.prior_bytes_max == bytes, "{stats:?}");
        assert!(stats.memory_bytes <= AnalyzerConfig::DEFAULT_MEMORY, "{stats:?}");
        lines.push(stats.prior_lines);
        feed(&mut analyzer, "s", &["key/0000"]);
        assert_eq!(after(&analyzer, "s", "key/0000").len(), usize::from(bytes > 0), "the first rule is there");
    }
    assert_eq!((lines[0], lines[1], lines[4]), (0, 1, 1_999));
    assert!(lines[2] > 40 && lines[3] > 400, "{lines:?}");
}

#[test]
fn a_template_that_makes_no_key_is_passed_over() {
    // `user/` copied, then words that are no component.
    for word in ["", "..", "a/b", "%zz", "\n"] {
        let template = [&[1, 0, 4, word.len() as u8][..], word.as_bytes()].concat();
        let mut analyzer = analyzer(1, 1 << 16);
        feed(&mut analyzer, "s", &["user/101"]);
        for shape in 0..2 {
            let rule = TemplateRule { context: TemplateContext::Step(0), shape, then: then(4, &[(0, 1.0)]) };
            let shape_rule = TemplateRule { context: TemplateContext::Shape, ..rule.clone() };
            let template_rules = vec![shape_rule, rule];
            analyzer.import(&ModelSnapshot {
                templates: vec![template.clone()],
                template_rules,
                ..ModelSnapshot::default()
            });
        }
        assert_eq!(analyzer.stats().prior_bytes, analyzer.stats().prior_lines * 32, "{word:?}: no text is taken over");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_rule_does_harm(
        rules in prop::collection::vec((prop::option::of(0_u32..12), 0_u32..12, 0_u8..5, prop::collection::vec(0_u32..12, 1..8)), 0..30),
        bytes in 0_usize..2_000,
        walk in prop::collection::vec(0_u32..12, 1..20),
    ) {
        // Two numbers lead nowhere.
        let keys: Vec<String> = (0..10).map(|n| format!("key/{n}")).collect();
        let rule = |(before, last, visits, next): (Option<u32>, u32, u8, Vec<u32>)| {
            KeyRule { before, last, then: then(visits, &next.into_iter().map(|next| (next, 0.5)).collect::<Vec<_>>()) }
        };
        let rules = rules.into_iter().map(rule).collect();
        let mut analyzer = analyzer(1, bytes);
        analyzer.import(&ModelSnapshot { keys, rules, ..ModelSnapshot::default() });
        prop_assert!(analyzer.stats().prior_bytes <= bytes);
        for n in walk {
            let last = format!("key/{n}");
            feed(&mut analyzer, "s", &[&last]);
            let names = after(&analyzer, "s", &last);
            prop_assert!(!names.contains(&last));
        }
    }
}
