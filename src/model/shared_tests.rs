use super::super::testing::told;
use super::*;
use crate::analyzer::{Access, Analyzer, AnalyzerConfig, Proposals};
use crate::key::CompositeKey;
use crate::prefetch::{PrefetchConfig, PrefetchEngine};

const EVERY: Millis = 60_000;

fn options(min_clients: u32) -> SnapshotOptions<'static> {
    SnapshotOptions { min_clients, is_shared: &|_| false, max_bytes: 8_000, compressed: &<[u8]>::len }
}

fn shared() -> SharedModel {
    SharedModel::new(SharedModelConfig { every_ms: EVERY, ..SharedModelConfig::default() })
}

fn merge(shared: &mut SharedModel, client: u64, epoch: u64, keys: &[&str]) -> MergeOutcome {
    let (client, summary) = told(client, epoch, keys);
    shared.merge(1_000_000, client, &summary)
}

#[test]
fn a_snapshot_is_due_by_time_or_by_news() {
    let mut shared = shared();
    assert!(!shared.is_due(u64::MAX), "nothing is known");
    merge(&mut shared, 1, 1, &["a", "b"]);
    assert!(shared.is_due(1_000_000));
    shared.snapshot(1_000_000, &options(1));
    assert!(!shared.is_due(u64::MAX), "nothing is new");
    merge(&mut shared, 1, 1, &["a", "b"]);
    assert!(!shared.is_due(u64::MAX), "the same again is nothing new");
    merge(&mut shared, 1, 2, &["a", "b"]);
    assert!(!shared.is_due(1_000_000 + EVERY - 1) && shared.is_due(1_000_000 + EVERY));
    for client in 0..63 {
        assert!(!shared.is_due(1_000_001), "{client}");
        merge(&mut shared, 10 + client, 1, &["a", "b"]);
    }
    assert!(shared.is_due(1_000_001), "64 observations are news");
}

#[test]
fn a_newer_snapshot_has_a_greater_number_whatever_the_clock_does() {
    let mut shared = shared();
    merge(&mut shared, 1, 1, &["a", "b"]);
    let mut before = 0;
    for now in [1_000_000, 1_000_000, 5, 1_000_000, 2_000_000] {
        let made = shared.snapshot(now, &options(1)).made;
        assert!(made > before, "{made} after {before}");
        before = made;
    }
    assert_eq!(before, 2_000_000);
}

#[test]
fn a_template_learned_of_many_clients_predicts_for_a_new_one_whatever_its_seed() {
    let mut shared = shared();
    for client in 0..8_u64 {
        for epoch in 1..=4 {
            let user = 100 + 4 * client + epoch;
            merge(&mut shared, client, epoch, &[&format!("user/{user}/profile"), &format!("user/{user}/avatar")]);
        }
    }
    let model = shared.snapshot(1_000_000, &options(4));
    let model = ModelSnapshot::decode(&model.encode()).expect("valid");
    assert!(model.keys.is_empty() && !model.templates.is_empty(), "no user's own key: {model:?}");
    let last = "user/942/profile";
    for seed in [0, 7, u64::MAX] {
        let mut analyzer = Analyzer::new(AnalyzerConfig { prior_bytes: 1 << 16, seed, ..AnalyzerConfig::default() });
        analyzer.import(&model);
        analyzer.observe("s", &CompositeKey::parse(last).expect("valid"), Access::Miss, 1);
        let mut out = Proposals::default();
        analyzer.predict(&analyzer.context("s").expect("seen"), last.as_bytes(), &mut out);
        let best = out.candidates.first().expect("one at least");
        assert_eq!(std::str::from_utf8(out.text(best.text())), Ok("user/942/avatar"), "{seed}");
    }
}

#[test]
fn a_client_that_starts_from_it_fetches_what_it_never_saw() {
    let mut shared = shared();
    for round in 1..=20 {
        for client in 0..20 {
            merge(&mut shared, client, round, &["home", "news", "sport", "weather"]);
        }
        shared.snapshot(1_000_000 + round, &options(4));
    }
    let model = shared.snapshot(1_000_100, &options(4));
    assert!(!model.calibration.is_empty() && model.threshold > 0);
    let analyzer = AnalyzerConfig { prior_bytes: 1 << 16, seed: 3, ..AnalyzerConfig::default() };
    let mut engine = PrefetchEngine::new(PrefetchConfig { analyzer, ..PrefetchConfig::default() });
    engine.import(&model).expect("valid");
    let mut orders = Vec::new();
    let home = CompositeKey::parse("home").expect("valid");
    engine.handle_access(0, "s", &home, Access::Miss, &mut |_| false, &mut orders);
    // The one that may be wasted before any request has earned more.
    let ordered: Vec<&str> = orders.iter().map(|order| order.key.as_str()).collect();
    assert!(ordered == ["news"] || ordered == ["sport"], "{ordered:?}");
    assert!(engine.predictions_after(&home).iter().any(|next| next.key.as_str() == "news" && next.confidence > 0.5));
    // A calibration that cannot be read leaves everything as it was.
    let mut fresh = PrefetchEngine::new(PrefetchConfig { analyzer, ..PrefetchConfig::default() });
    let before = fresh.calibration();
    assert!(fresh.import(&ModelSnapshot { calibration: vec![1, 255], threshold: 200, ..model }).is_err());
    assert_eq!(fresh.calibration(), before);
    assert!(fresh.predictions_after(&home).is_empty());
}
