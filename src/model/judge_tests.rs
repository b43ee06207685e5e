use super::super::PathStep;
use super::super::testing::{Told, merger, snapshot, told};
use super::*;

const BUDGET: f64 = 0.25;

/// Adds what was found out to a snapshot, and judges that one from now on.
fn calibrate(judge: &mut Judge, model: &mut ModelSnapshot) {
    (model.calibration, model.threshold) = judge.calibration();
    judge.judge(model);
}

/// A judge of what these clients did.
fn judge(all: &[Told]) -> (Judge, ModelSnapshot) {
    let mut judge = Judge::new(BUDGET);
    let mut model = snapshot(&merger(all), 1);
    calibrate(&mut judge, &mut model);
    (judge, model)
}

fn pattern() -> Vec<Told> {
    (0..20).map(|client| told(client, 1, &["a", "b", "c", "d"])).collect()
}

/// Summary of a client of its own that asked for these keys.
fn summary(instance: u64, keys: &[&str]) -> Summary {
    Summary { instance, ..told(0, 1, keys).1 }
}

#[test]
fn learns_nothing_but_how_far_to_trust_the_model() {
    let (mut judge, _) = judge(&[]);
    for instance in 0..200 {
        judge.follow(&summary(instance, &["x", "y", "z"]));
    }
    let stats = judge.engine.stats();
    assert_eq!((stats.issued, stats.analyzer.lines, stats.analyzer.prior_lines), (0, 0, 0), "{stats:?}");
}

#[test]
fn good_rules_are_trusted_more_than_vain_ones() {
    let confidence = |asked: &[&str]| {
        let (mut judge, mut model) = judge(&pattern());
        for instance in 0..600 {
            judge.follow(&summary(1_000 + instance, asked));
        }
        calibrate(&mut judge, &mut model);
        let model = ModelSnapshot::decode(&model.encode()).expect("valid");
        let analyzer = AnalyzerConfig { prior_bytes: 1 << 16, ..AnalyzerConfig::default() };
        let mut engine = PrefetchEngine::new(PrefetchConfig { analyzer, ..PrefetchConfig::default() });
        engine.import(&model).expect("valid");
        let next = engine.predictions_after(&CompositeKey::parse("a").expect("valid"));
        next.iter().find(|next| next.key.as_str() == "b").expect("in the model").confidence
    };
    let (good, vain) = (confidence(&["a", "b", "c", "d"]), confidence(&["a", "x", "y", "z"]));
    assert!(good > 0.7 && vain < 0.1, "{good} {vain}");
}

#[test]
fn each_stream_wastes_what_a_client_may() {
    let (mut judge, _) = judge(&pattern());
    for instance in 0..3_000 {
        // What follows the first key is wrong for every other client.
        judge.follow(&summary(1_000 + instance, &["a", if instance % 2 == 0 { "b" } else { "x" }, "y", "z"]));
    }
    for (_, stream) in &judge.streams {
        let spent = f64::from(stream.wasted) + stream.ahead.len() as f64;
        assert!(spent <= BUDGET * f64::from(stream.requests) + 1.0, "{stream:?}");
    }
    let stats = judge.engine.stats();
    assert!(stats.used > 100 && stats.wasted > 100, "{stats:?}");
}

#[test]
fn an_interrupted_stream_is_no_waste() {
    let (mut judge, _) = judge(&pattern());
    for _ in 0..100 {
        judge.follow(&summary(7, &["a"]));
    }
    let stats = judge.engine.stats();
    assert!(stats.refunded > 0 && stats.wasted == 0, "{stats:?}");
    // One that goes on is another thing: what is not asked for within its patience was fetched for nothing.
    let (mut judge, _) = self::judge(&pattern());
    let others: Vec<String> = (0..50).map(|n| format!("other/{n}")).collect();
    let keys: Vec<&str> = ["a"].into_iter().chain(others.iter().map(String::as_str)).collect();
    judge.follow(&summary(8, &keys));
    assert!(judge.engine.stats().wasted > 0);
}

#[test]
fn a_stream_goes_on_where_its_last_summary_ended() {
    let (mut judge, _) = judge(&pattern());
    for instance in 0..100 {
        judge.follow(&summary(instance, &["a", "b"]));
        let mut next = summary(instance, &["a", "b", "c"]);
        next.paths[0].told = 2;
        judge.follow(&next);
    }
    let stats = judge.engine.stats();
    assert_eq!(stats.analyzer.accesses.misses + stats.analyzer.accesses.first_uses, 300, "{stats:?}");
    assert!(stats.used > 100 && stats.refunded == 0, "{stats:?}");
}

#[test]
fn what_is_kept_is_bounded() {
    let (mut judge, _) = judge(&pattern());
    let long = "x".repeat(900);
    let mut summary = Summary::default();
    let keys = ["a", "b", "c", "d"].into_iter().map(str::to_owned).chain((0..200).map(|n| format!("{long}/{n}")));
    summary.keys = keys.map(|text| CompositeKey::parse(&text).expect("valid")).collect();
    let steps = (0..204).map(|key| PathStep { key, repeated: false }).collect();
    summary.paths = vec![Path { told: 0, steps }; 3];
    for instance in 0..2 * STREAMS as u64 / 3 {
        summary.instance = instance;
        judge.follow(&summary);
    }
    assert_eq!(judge.streams.len(), STREAMS);
    for (_, stream) in &judge.streams {
        assert!(stream.cached.len() <= CACHED && stream.ahead.len() <= 16 * (PATIENCE as usize + 1));
        assert!(stream.ahead.iter().all(|(_, made)| stream.requests - made <= PATIENCE));
    }
    let stats = judge.engine.stats();
    assert!(stats.memory_bytes <= MEMORY, "{stats:?}");
}

#[test]
fn a_path_that_names_no_key_is_passed_over() {
    let (mut judge, _) = judge(&pattern());
    let mut wrong = summary(1, &["a", "b"]);
    wrong.paths[0].steps[1].key = 9;
    judge.follow(&wrong);
    judge.follow(&Summary { paths: vec![Path::default(); 3], ..Summary::default() });
    assert_eq!(judge.engine.stats().analyzer.accesses.misses, 1);
}
