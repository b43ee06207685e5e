use crate::analyzer::Access;
use crate::key::CompositeKey;
use crate::prefetch::{PrefetchConfig, PrefetchEngine, PrefetchOutcome};

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

/// Every stream asks for `a` and then `b`; returns the streams for which `b` was issued.
fn issued(engine: &mut PrefetchEngine, streams: u32) -> Vec<String> {
    let mut issued = Vec::new();
    for n in 0..streams {
        let stream = format!("s{n}");
        let mut prefetches = Vec::new();
        engine.handle_access(0, &stream, &key("a"), Access::Miss, &mut |_| false, &mut prefetches);
        if prefetches.iter().any(|prefetch| prefetch.key == key("b")) {
            issued.push(stream);
        } else {
            engine.handle_access(0, &stream, &key("b"), Access::Miss, &mut |_| true, &mut Vec::new());
        }
    }
    issued
}

#[test]
fn a_report_without_a_stream_is_about_whose_turn_it_is() {
    let mut engine = PrefetchEngine::new(PrefetchConfig { private_caches: true, ..PrefetchConfig::default() });
    let issued = issued(&mut engine, 40);
    let [first, second, ..] = issued.as_slice() else { panic!("{issued:?}") };
    let open = engine.stats().outstanding;
    assert_eq!(open, issued.len());
    engine.act_for("nobody");
    engine.handle_outcome(0, &key("b"), PrefetchOutcome::Used);
    assert_eq!(engine.stats().outstanding, open, "nobody has issued it");
    for stream in [first, second] {
        engine.act_for(stream);
        engine.handle_arrival("", &key("b"));
        engine.handle_outcome(0, &key("b"), PrefetchOutcome::Used);
        engine.handle_outcome(0, &key("b"), PrefetchOutcome::Used);
    }
    assert_eq!((engine.stats().outstanding, engine.stats().used), (open - 2, 2), "each has one prefetch");
}

#[test]
fn without_private_caches_there_is_nobody_to_act_for() {
    let mut engine = PrefetchEngine::new(PrefetchConfig::default());
    engine.act_for("s0");
    assert_eq!(
        engine.hint(0, &key("b"), Some(0.99), None, false),
        crate::prefetch::Verdict::Fetch,
        "a prefetch of the one cache"
    );
    engine.handle_outcome(0, &key("b"), PrefetchOutcome::Used);
    assert_eq!(engine.stats().used, 1);
}
