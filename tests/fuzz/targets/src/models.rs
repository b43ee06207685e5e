//! Summaries that clients tell of their paths, and the model that they get.

use foremap::analyzer::{Access, AnalyzerConfig};
use foremap::key::CompositeKey;
use foremap::model::{
    ClientId, Handover, Merger, MergerConfig, SharedModel, SharedModelConfig, SnapshotOptions, Summary,
};
use foremap::prefetch::{PrefetchConfig, PrefetchEngine};
use foremap::protocol::{self, MAX_SNAPSHOT_BYTES, ModelSnapshot, apply_model_delta};

use crate::wire::assert_only_form;

const OPTIONS: SnapshotOptions<'static> =
    SnapshotOptions { min_clients: 1, is_shared: &|_| false, max_bytes: 4_096, compressed: &<[u8]>::len };
const HOUR: u64 = 3_600_000;
/// Small, so that bounds are reached.
const BOUNDS: MergerConfig = MergerConfig { max_ways: 64, max_shares: 64, max_instances: 2, expire_hours: 2 };

/// `Summary::decode`, and what becomes of it where summaries are merged.
pub fn summary(data: &[u8]) -> bool {
    let Ok(summary) = Summary::decode(data) else { return false };
    assert_eq!(Summary::decode(&summary.encode()).as_ref(), Ok(&summary));
    assert!(summary.keys.iter().map(|key| key.as_str().len()).sum::<usize>() <= Summary::MAX_KEY_TEXT);
    let options = OPTIONS;
    let (mut merger, other) =
        (Merger::new(MergerConfig::default()), Summary { instance: !summary.instance, ..summary.clone() });
    merger.merge(HOUR, ClientId(1), &summary);
    let once = merger.snapshot(1, &options).encode();
    assert!(once.len() <= 4_096);
    assert!(ModelSnapshot::decode(&once).is_ok_and(|model| model.encode() == once));
    merger.merge(HOUR, ClientId(1), &summary);
    assert_eq!(merger.snapshot(1, &options).encode(), once, "merged twice");
    let mut shared = SharedModel::new(SharedModelConfig { merger: BOUNDS, ..SharedModelConfig::default() });
    for (hour, summary) in [(1, &summary), (2, &other), (9, &summary)] {
        shared.merge(hour * HOUR, ClientId(hour), summary);
        let stats = shared.stats();
        assert!(stats.ways <= stats.ways_max && stats.shares <= stats.shares_max, "{stats:?}");
        assert!(stats.instances <= stats.instances_max && stats.keys <= 3 * stats.ways_max, "{stats:?}");
        let model = shared.snapshot(hour * HOUR, &options);
        assert_eq!(ModelSnapshot::decode(&model.encode()).as_ref(), Ok(&model));
    }
    true
}

/// `Handover::decode`, as a leader reads it.
pub fn handover(data: &[u8]) -> bool {
    let Ok(page) = Handover::decode(data) else { return false };
    assert_only_form(data, &page.encode());
    assert!(page.told.len() <= Handover::MAX_ENTRIES);
    true
}

/// `SharedModel::import`, as the next leader reads it from the store.
pub fn merged_counts(data: &[u8]) -> bool {
    let Ok(mut model) = SharedModel::import(SharedModelConfig::default(), data) else { return false };
    let exported = model.export(usize::MAX);
    let again = SharedModel::import(SharedModelConfig::default(), &exported).expect("its own bytes");
    assert_eq!(again.stats(), model.stats());
    let small = SharedModel::import(SharedModelConfig::default(), &model.export(64)).expect("its own bytes");
    assert!(small.stats().ways <= model.stats().ways);
    model.is_due(0);
    assert!(model_snapshot(&model.snapshot(0, &OPTIONS).encode()));
    // A bound is a bound.
    let config = MergerConfig { max_ways: 2, ..MergerConfig::default() };
    if let Ok(merger) = Merger::import(config, data) {
        assert!(merger.stats().ways <= 2);
    }
    true
}

/// `apply_model_delta`, where the first byte says how many bytes are the older model; and the way back.
pub fn model_delta(data: &[u8]) -> bool {
    let Some((&length, rest)) = data.split_first() else { return false };
    let (older, delta) = rest.split_at(rest.len().min(length.into()));
    let again = protocol::model_delta(older, delta);
    assert_eq!(apply_model_delta(older, &again).as_deref(), Ok(delta));
    let Ok(newer) = apply_model_delta(older, delta) else { return false };
    assert!(newer.len() <= MAX_SNAPSHOT_BYTES);
    true
}

/// `ModelSnapshot::decode`, and a client that starts from it.
pub fn model_snapshot(data: &[u8]) -> bool {
    let Ok(model) = ModelSnapshot::decode(data) else { return false };
    let may_read = |key: &str| key.len().is_multiple_of(2);
    let restricted = model.restricted(may_read);
    assert!(restricted.keys.iter().all(|key| may_read(key)));
    assert_eq!(ModelSnapshot::decode(&restricted.encode()).as_ref(), Ok(&restricted));
    let bytes = model.encode();
    assert!(bytes.len() <= MAX_SNAPSHOT_BYTES);
    assert_eq!(ModelSnapshot::decode(&bytes).as_ref(), Ok(&model));
    let analyzer = AnalyzerConfig {
        memory_bytes: PrefetchConfig::MIN_MEMORY,
        prior_bytes: 16 << 10,
        seed: 7,
        ..AnalyzerConfig::default()
    };
    let mut engine = PrefetchEngine::new(PrefetchConfig { analyzer, ..PrefetchConfig::default() });
    let before = engine.calibration();
    if engine.import(&model).is_err() {
        assert_eq!(engine.calibration(), before, "nothing is taken over");
        assert_eq!(engine.stats().analyzer.prior_lines, 0, "nothing is taken over");
    }
    let own = ["user/101/profile", "tile/4000", "a"].map(str::to_owned);
    let mut orders = Vec::new();
    for (now, text) in model.keys.iter().take(32).chain(&own).enumerate() {
        let key = CompositeKey::parse(text).expect("a key");
        engine.handle_access(now as u64, "s", &key, Access::Miss, &mut |_| false, &mut orders);
        for prediction in engine.predictions_after(&key) {
            assert!((0.0..=1.0).contains(&prediction.confidence), "{prediction:?}");
            let text = prediction.key.as_str();
            assert_eq!(CompositeKey::parse(text).expect("a key").as_str(), text);
        }
    }
    let stats = engine.stats();
    assert!(stats.analyzer.prior_bytes <= stats.analyzer.prior_bytes_max && stats.memory_bytes <= stats.memory_max);
    true
}
