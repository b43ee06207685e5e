use crate::analyzer::{Access, Expert};
use crate::key::CompositeKey;
use crate::prefetch::{Fate, PrefetchConfig, PrefetchEngine};

fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("valid")
}

/// Every stream asks for `a` and then `b`; returns the streams for which `b` was ordered.
fn ordered(engine: &mut PrefetchEngine, streams: u32) -> Vec<String> {
    let mut ordered = Vec::new();
    for n in 0..streams {
        let stream = format!("s{n}");
        let mut orders = Vec::new();
        engine.on_access(0, &stream, &key("a"), Access::Miss, &mut |_| false, &mut orders);
        if orders.iter().any(|order| order.key == key("b")) {
            ordered.push(stream);
        } else {
            engine.on_access(0, &stream, &key("b"), Access::Miss, &mut |_| true, &mut Vec::new());
        }
    }
    ordered
}

#[test]
fn a_report_without_a_stream_is_about_whose_turn_it_is() {
    let mut engine = PrefetchEngine::new(PrefetchConfig { private_caches: true, ..PrefetchConfig::default() });
    let ordered = ordered(&mut engine, 40);
    let [first, second, ..] = ordered.as_slice() else { panic!("{ordered:?}") };
    let open = engine.stats().outstanding;
    assert_eq!(open, ordered.len());
    engine.act_for("nobody");
    engine.on_fate(0, &key("b"), Fate::Used);
    assert_eq!(engine.stats().outstanding, open, "nobody has ordered it");
    for stream in [first, second] {
        engine.act_for(stream);
        engine.on_landed("", &key("b"));
        engine.on_fate(0, &key("b"), Fate::Used);
        engine.on_fate(0, &key("b"), Fate::Used);
    }
    assert_eq!((engine.stats().outstanding, engine.stats().used), (open - 2, 2), "each has one order");
}

#[test]
fn without_private_caches_there_is_nobody_to_act_for() {
    let mut engine = PrefetchEngine::new(PrefetchConfig::default());
    engine.act_for("s0");
    assert_eq!(
        engine.prefetch_keymap(0, &key("b"), 0.99, Expert::Order1),
        crate::prefetch::Verdict::Fetch,
        "an order of the one cache"
    );
    engine.on_fate(0, &key("b"), Fate::Used);
    assert_eq!(engine.stats().used, 1);
}
