//! Common parts of the suite.

use std::sync::Arc;
use std::time::Duration;

use foremap::key::CompositeKey;
use foremap::node::StoreAnswer;
use foremap::protocol::KeymapFields;
use foremap_gateway::store::{Expect, Store, Write, WriteOutcome, Written};

/// Retention of the store under test.
pub(crate) const VERSIONS: usize = 5;
pub(crate) const LOG_ENTRIES: u64 = 20;

/// Long enough that nothing expires by itself on a loaded machine.
pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) type Shared = Arc<dyn Store>;

pub(super) fn key(text: &str) -> CompositeKey {
    CompositeKey::parse(text).expect("a valid key")
}

pub(super) fn put(text: &str, locator: &str) -> Write {
    let fields = KeymapFields { locator: locator.into(), ..KeymapFields::default() };
    Write { key: key(text), fields: Some(fields), expect: Expect::Any, id: None }
}

pub(super) fn delete(text: &str) -> Write {
    Write { key: key(text), fields: None, expect: Expect::Any, id: None }
}

pub(super) async fn written(store: &Shared, write: Write) -> Written {
    match store.write(write).await.expect("a store that works").value {
        WriteOutcome::Written(written) => written,
        other => panic!("written, not {other:?}"),
    }
}

pub(super) async fn read(store: &Shared, keys: &[&str]) -> Vec<StoreAnswer> {
    let answers = store.read(keys.iter().map(|text| key(text)).collect()).await;
    answers.into_iter().map(|answer| answer.expect("a store that works")).collect()
}

pub(super) async fn locator(store: &Shared, text: &str) -> Option<String> {
    read(store, &[text]).await.remove(0).value.map(|keymap| keymap.fields.locator)
}
