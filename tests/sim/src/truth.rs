//! Everything that was ever written, as nobody in the system knows it: the writes that every server of their group has held.

use std::collections::BTreeMap;
use std::sync::Arc;

use foremap::Millis;
use foremap::key::CompositeKey;
use foremap::partition::StorageLayout;
use foremap::protocol::KeymapFields;

use super::cluster::Stored;

/// One write that nothing undoes any more.
pub(crate) struct Commit {
    pub(crate) version: u64,
    /// Absent where it deleted.
    pub(crate) fields: Option<Arc<KeymapFields>>,
    /// When the last server came to hold it.
    pub(crate) at: Millis,
    /// Number of the simulation's step.
    pub(crate) step: u64,
}

pub(crate) struct Truth {
    layout: StorageLayout,
    commits: BTreeMap<CompositeKey, Vec<Commit>>,
}

impl Truth {
    pub(crate) fn new(layout: StorageLayout) -> Self {
        Self { layout, commits: BTreeMap::new() }
    }

    pub(crate) fn shard(&self, key: &CompositeKey) -> u16 {
        self.layout.shard(key)
    }

    /// Every write of `key`, oldest first.
    pub(crate) fn commits(&self, key: &CompositeKey) -> &[Commit] {
        self.commits.get(key).map_or(&[], Vec::as_slice)
    }

    /// Adds a write; says whether its version is the newest of its key.
    pub(crate) fn add(&mut self, at: Millis, step: u64, stored: &Stored) -> bool {
        let commits = self.commits.entry(stored.key.clone()).or_default();
        let (version, fields) = (stored.record.version, stored.record.fields.clone());
        let ascends = commits.last().is_none_or(|last| last.version < version);
        commits.push(Commit { version, fields, at, step });
        ascends
    }
}
