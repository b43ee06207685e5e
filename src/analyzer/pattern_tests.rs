use super::*;

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

fn analyzer() -> Analyzer {
    Analyzer::new(AnalyzerConfig::default())
}

fn feed(analyzer: &mut Analyzer, stream: &str, keys: &[&str]) {
    for text in keys {
        analyzer.observe(stream, &key(text), Access::Miss);
    }
}

fn next(analyzer: &Analyzer, context: &Context) -> Vec<(String, Expert, u16, u16)> {
    let mut out = Vec::new();
    analyzer.predict(context, &mut out);
    out.iter()
        .map(|candidate| {
            let Evidence { expert, count, total, .. } = candidate.evidence;
            (analyzer.key(candidate.id).expect("remembered").to_string(), expert, count, total)
        })
        .collect()
}

#[test]
fn counts_what_follows_a_key() {
    let mut analyzer = analyzer();
    feed(&mut analyzer, "s", &["a", "b", "a", "b", "a"]);
    let context = analyzer.context("s").expect("seen");
    assert_eq!(next(&analyzer, &context), [("b".to_owned(), Expert::Order1, 2, 2)]);
}

#[test]
fn the_longer_context_decides_where_the_shorter_is_ambiguous() {
    let mut analyzer = analyzer();
    for _ in 0..3 {
        feed(&mut analyzer, "s", &["a", "x", "1", "b", "x", "2"]);
    }
    feed(&mut analyzer, "s", &["a", "x"]);
    let context = analyzer.context("s").expect("seen");
    let known = next(&analyzer, &context);
    assert_eq!(known[0].0, "1");
    assert_eq!(known[0].1, Expert::Order2);
    assert_eq!((known[1].0.as_str(), known[1].1, known.len()), ("2", Expert::Backoff, 2));
    // Two last keys never seen together: back to the last one.
    let unknown = Context::default().then(analyzer.id(&key("z"))).then(analyzer.id(&key("x")));
    assert!(next(&analyzer, &unknown).iter().all(|known| known.1 == Expert::Order1));
}

#[test]
fn an_unambiguous_key_needs_no_longer_context() {
    let mut analyzer = analyzer();
    for _ in 0..5 {
        feed(&mut analyzer, "s", &["a", "b", "c"]);
    }
    assert_eq!(analyzer.stats().lines, 3);
}

#[test]
fn interleaved_streams_do_not_mix_and_share_what_they_learn() {
    let mut analyzer = analyzer();
    for (left, right) in [("a", "x"), ("b", "y"), ("c", "z"), ("a", "x")] {
        feed(&mut analyzer, "left", &[left]);
        feed(&mut analyzer, "right", &[right]);
    }
    feed(&mut analyzer, "third", &["y"]);
    let after = |stream: &str| next(&analyzer, &analyzer.context(stream).expect("seen"))[0].0.clone();
    assert_eq!((after("left"), after("right"), after("third")), ("b".to_owned(), "y".to_owned(), "z".to_owned()));
}

#[test]
fn a_repeated_key_changes_nothing() {
    let mut analyzer = analyzer();
    feed(&mut analyzer, "s", &["a", "b", "b", "b", "c", "a"]);
    let after_b = Context::default().then(analyzer.id(&key("b")));
    assert_eq!(next(&analyzer, &after_b), [("c".to_owned(), Expert::Order1, 1, 1)]);
}

#[test]
fn all_tables_stay_within_the_memory_cap() {
    let config = AnalyzerConfig { memory_bytes: 0, max_streams: usize::MAX, seed: 7 };
    let mut analyzer = Analyzer::new(config);
    let long = "x".repeat(900);
    for n in 0..20_000 {
        let stream = format!("stream {}", n / 10);
        analyzer.observe(&stream, &key(&format!("{long}/{n}")), Access::Hit);
    }
    let stats = analyzer.stats();
    assert!(stats.memory_bytes <= AnalyzerConfig::MIN_MEMORY, "{stats:?}");
    assert!(stats.keys_evicted > 0 && stats.streams_evicted > 0 && stats.lines_replaced > 0, "{stats:?}");
    assert!(stats.streams == stats.streams_max && stats.key_bytes <= stats.key_bytes_max, "{stats:?}");
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
    assert_eq!(analyzer.key(before), Some(&key("b")));
    for n in 0..5_000 {
        feed(&mut analyzer, "t", &[&format!("filler/{n}")]);
    }
    assert_eq!(analyzer.key(before), None);
}
