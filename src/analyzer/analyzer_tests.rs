use super::*;

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

fn analyzer() -> Analyzer {
    Analyzer::new(AnalyzerConfig::default())
}

fn feed(analyzer: &mut Analyzer, stream: &str, keys: &[&str]) {
    for text in keys {
        analyzer.observe(stream, &key(text), Access::Miss, 1);
    }
}

/// Keys predicted after `last` in a context, with what each expert says.
fn next(analyzer: &Analyzer, context: &Context, last: &str) -> Vec<(String, [Grade; Expert::COUNT])> {
    let mut out = Proposals::default();
    analyzer.predict(context, last.as_bytes(), &mut out);
    let text = |candidate: &Candidate| match out.text(candidate.text()) {
        [] => analyzer.text(candidate.id, &mut Vec::new()).expect("remembered").to_vec(),
        made => made.to_vec(),
    };
    let named = |candidate: &Candidate| (String::from_utf8(text(candidate)).expect("text"), candidate.evidence.grades);
    out.candidates.iter().map(named).collect()
}

fn names(analyzer: &Analyzer, context: &Context, last: &str) -> Vec<String> {
    next(analyzer, context, last).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn counts_what_follows_a_key() {
    let mut analyzer = analyzer();
    feed(&mut analyzer, "s", &["a", "b", "a", "b", "a"]);
    let context = analyzer.context("s").expect("seen");
    let known = next(&analyzer, &context, "a");
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].0.as_str(), known[0].1[Expert::Order1 as usize]), ("b", Grade::of(2, 2, true)));
}

#[test]
fn an_expert_that_knows_the_context_but_not_the_key_says_so() {
    let mut analyzer = analyzer();
    feed(&mut analyzer, "s", &["user/1001/a", "user/1001/b", "user/2002/a", "user/2002/c", "user/1001/a"]);
    let known = next(&analyzer, &analyzer.context("s").expect("seen"), "user/1001/a");
    let (_, grades) = known.iter().find(|(name, _)| name == "user/1001/c").expect("by template");
    assert_eq!(grades[Expert::Order1 as usize], Grade::UNLISTED);
    assert!(grades[Expert::Template as usize].is_listed());
    assert_eq!(grades[Expert::Template2 as usize], Grade::SILENT);
}

#[test]
fn a_template_predicts_keys_never_seen() {
    let mut analyzer = analyzer();
    for user in 100..110 {
        feed(&mut analyzer, "s", &[&format!("user/{user}/profile"), &format!("user/{user}/avatar")]);
    }
    feed(&mut analyzer, "s", &["user/777/profile"]);
    let context = analyzer.context("s").expect("seen");
    assert_eq!(names(&analyzer, &context, "user/777/profile")[0], "user/777/avatar");
}

#[test]
fn a_step_goes_on() {
    let mut analyzer = analyzer();
    for block in 5_000..5_006 {
        feed(&mut analyzer, "s", &[&block.to_string()]);
    }
    feed(&mut analyzer, "t", &["9000", "9001"]);
    let context = analyzer.context("t").expect("seen");
    assert_eq!(names(&analyzer, &context, "9001")[0], "9002");
    let then = analyzer.then(&context, analyzer.id(&key("9002")), b"9002");
    assert_eq!(names(&analyzer, &then, "9002")[0], "9003");
}

#[test]
fn two_steps_tell_what_one_does_not() {
    let mut analyzer = analyzer();
    // Twice up by one, then on by a hundred: after a step of one, only the step before it tells.
    let mut at = 1_000;
    for n in 0..60 {
        analyzer.observe("s", &key(&format!("tile/{at}")), Access::Miss, 1);
        at += if n % 3 == 2 { 100 } else { 1 };
    }
    // The last step was one of a hundred and then one of one.
    let known = next(&analyzer, &analyzer.context("s").expect("seen"), &format!("tile/{}", at - 100));
    let (_, grades) = known.iter().find(|(name, _)| *name == format!("tile/{at}")).expect("proposed");
    let prior = |expert| grades[expert as usize].prior();
    assert!(prior(Expert::Template3) > 0.8 && prior(Expert::Template2) < 0.6, "{grades:?}");
}

#[test]
fn interleaved_streams_do_not_mix_and_share_what_they_learn() {
    let mut analyzer = analyzer();
    for (left, right) in [("a", "x"), ("b", "y"), ("c", "z"), ("a", "x")] {
        feed(&mut analyzer, "left", &[left]);
        feed(&mut analyzer, "right", &[right]);
    }
    feed(&mut analyzer, "third", &["y"]);
    let after = |stream: &str, last: &str| names(&analyzer, &analyzer.context(stream).expect("seen"), last)[0].clone();
    let after = (after("left", "a"), after("right", "x"), after("third", "y"));
    assert_eq!(after, ("b".to_owned(), "y".to_owned(), "z".to_owned()));
}

#[test]
fn a_repeated_key_changes_nothing() {
    let mut analyzer = analyzer();
    feed(&mut analyzer, "s", &["a", "b", "b", "b", "c", "a"]);
    let known = next(&analyzer, &analyzer.context_of(&key("b")), "b");
    let (_, grades) = known.iter().find(|(name, _)| name == "c").expect("predicted");
    assert_eq!(grades[Expert::Order1 as usize], Grade::of(1, 1, true));
}

#[test]
fn past_success_is_evidence() {
    let mut analyzer = analyzer();
    feed(&mut analyzer, "s", &["a", "b", "a", "b", "a"]);
    let (a, b) = (analyzer.id(&key("a")), analyzer.id(&key("b")));
    let evidence = |analyzer: &Analyzer| {
        let mut out = Proposals::default();
        analyzer.predict(&analyzer.context_of(&key("a")), b"a", &mut out);
        (out.candidates[0].evidence.predicted, out.candidates[0].evidence.predicts)
    };
    assert_eq!(evidence(&analyzer), (0, 0));
    analyzer.predicted(b, a);
    let failed = evidence(&analyzer);
    analyzer.came_true(b, a);
    let succeeded = evidence(&analyzer);
    assert!(failed.0 > 0 && failed.1 > 0 && succeeded.0 > failed.0 && succeeded.1 > failed.1);
}

#[test]
fn all_tables_stay_within_the_memory_cap() {
    let config = AnalyzerConfig { memory_bytes: 0, max_streams: usize::MAX, seed: 7, ..AnalyzerConfig::default() };
    let mut analyzer = Analyzer::new(config);
    let long = "x".repeat(900);
    for n in 0..20_000 {
        let stream = format!("stream {}", n / 10);
        analyzer.observe(&stream, &key(&format!("{long}/{n}")), Access::Hit, 1);
    }
    let stats = analyzer.stats();
    assert!(stats.memory_bytes <= AnalyzerConfig::MIN_MEMORY, "{stats:?}");
    assert!(stats.keys_evicted > 0 && stats.streams_evicted > 0, "{stats:?}");
    assert!(stats.streams == stats.streams_max && stats.key_bytes <= stats.key_bytes_max, "{stats:?}");
    assert!(stats.lines <= stats.lines_max && stats.template_bytes <= stats.template_bytes_max, "{stats:?}");
    assert_eq!(stats.accesses, AccessCounts { hits: 20_000, ..AccessCounts::default() });
}

#[test]
fn one_stream_at_least_is_kept() {
    let mut analyzer = Analyzer::new(AnalyzerConfig { max_streams: 0, ..AnalyzerConfig::default() });
    feed(&mut analyzer, "s", &["a", "b"]);
    feed(&mut analyzer, "t", &["a"]);
    assert_eq!((analyzer.context("s"), analyzer.stats().streams), (None, 1));
    assert!(analyzer.context("t").is_some());
}

#[test]
fn the_text_of_keys_not_asked_for_long_is_dropped() {
    let mut analyzer = Analyzer::new(AnalyzerConfig { memory_bytes: 0, ..AnalyzerConfig::default() });
    feed(&mut analyzer, "s", &["a", "b"]);
    let before = analyzer.id(&key("b"));
    assert_eq!(analyzer.text(before, &mut Vec::new()), Some(&b"b"[..]));
    for n in 0..5_000 {
        feed(&mut analyzer, "t", &[&format!("filler/{n}")]);
    }
    assert_eq!(analyzer.text(before, &mut Vec::new()), None);
}
