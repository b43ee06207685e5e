//! The model that clients share: what they tell, what gateways hand over, what the store keeps, what clients read.

use foremap::model::{
    ClientId, Handover, Merger, MergerConfig, SharedModel, SharedModelConfig, SnapshotOptions, Summary,
};
use foremap::prefetch::{PrefetchConfig, PrefetchEngine};
use foremap::protocol::ModelSnapshot;

use crate::wire::assert_only_form;

const OPTIONS: SnapshotOptions<'static> =
    SnapshotOptions { min_clients: 1, is_shared: &|_| false, max_bytes: 4_096, compressed: &<[u8]>::len };

/// `Summary::decode`, as a gateway reads it, and what the leader does with it.
pub fn summary(data: &[u8]) -> bool {
    let Ok(summary) = Summary::decode(data) else { return false };
    // Keys may share less than they could.
    let encoded = summary.encode();
    assert!(encoded.len() <= data.len());
    assert_eq!(Summary::decode(&encoded).as_ref(), Ok(&summary));
    assert!(summary.keys.iter().map(|key| key.as_str().len()).sum::<usize>() <= Summary::MAX_TEXTS);
    let mut model = SharedModel::new(SharedModelConfig::default());
    model.merge(0, ClientId(1), &summary);
    let counts = model.stats();
    model.merge(0, ClientId(1), &summary);
    assert_eq!((model.stats().observations, model.stats().ways), (counts.observations, counts.ways), "it counts once");
    model_snapshot(&model.snapshot(0, &OPTIONS).encode())
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

/// `ModelSnapshot::decode`, as a client reads it, and what it does with it.
pub fn model_snapshot(data: &[u8]) -> bool {
    let Ok(snapshot) = ModelSnapshot::decode(data) else { return false };
    assert_eq!(ModelSnapshot::decode(&snapshot.encode()).as_ref(), Ok(&snapshot));
    let may_read = |key: &str| key.len().is_multiple_of(2);
    let restricted = snapshot.restricted(may_read);
    assert!(restricted.keys.iter().all(|key| may_read(key)));
    assert_eq!(ModelSnapshot::decode(&restricted.encode()).as_ref(), Ok(&restricted));
    let mut engine = PrefetchEngine::new(PrefetchConfig::default());
    // One that cannot be trusted is refused whole.
    let _ = engine.import(&snapshot);
    true
}
