//! The store: one change log per storage shard, linearizable, with a memory of all that was ever written.

use std::collections::BTreeMap;

use foremap::Millis;
use foremap::key::CompositeKey;
use foremap::node::{LogPage, StoreAnswer};
use foremap::partition::StorageLayout;
use foremap::protocol::{Change, Keymap, KeymapFields};

/// One write.
pub(crate) struct Commit {
    pub(crate) version: u64,
    /// Absent where it deleted.
    pub(crate) fields: Option<KeymapFields>,
    pub(crate) at: Millis,
    /// Number of the simulation's step.
    pub(crate) step: u64,
}

#[derive(Default)]
struct Log {
    entries: Vec<Change>,
    /// Entries at or below are no longer handed out.
    base: u64,
}

impl Log {
    fn last(&self) -> u64 {
        self.entries.last().map_or(0, |change| change.version)
    }
}

pub(crate) struct Store {
    layout: StorageLayout,
    logs: Vec<Log>,
    commits: BTreeMap<CompositeKey, Vec<Commit>>,
    /// Outcomes by write id: a repeated write happens once.
    writes: BTreeMap<u64, u64>,
}

impl Store {
    pub(crate) fn new(layout: StorageLayout) -> Self {
        let logs = (0..layout.shards).map(|_| Log::default()).collect();
        Self { layout, logs, commits: BTreeMap::new(), writes: BTreeMap::new() }
    }

    pub(crate) fn shard(&self, key: &CompositeKey) -> u16 {
        self.layout.shard(key)
    }

    pub(crate) fn position(&self, shard: u16) -> u64 {
        self.logs[usize::from(shard)].last()
    }

    pub(crate) fn positions(&self) -> Vec<u64> {
        self.logs.iter().map(Log::last).collect()
    }

    /// Every write of `key`, oldest first.
    pub(crate) fn commits(&self, key: &CompositeKey) -> &[Commit] {
        self.commits.get(key).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn write(
        &mut self,
        at: Millis,
        step: u64,
        id: u64,
        key: &CompositeKey,
        fields: Option<KeymapFields>,
    ) -> u64 {
        if let Some(&version) = self.writes.get(&id) {
            return version;
        }
        let shard = self.shard(key);
        let log = &mut self.logs[usize::from(shard)];
        let version = (at * 1_000).max(log.last() + 1);
        log.entries.push(Change { shard, version, key: key.clone(), deleted: fields.is_none() });
        self.commits.entry(key.clone()).or_default().push(Commit { version, fields, at, step });
        self.writes.insert(id, version);
        version
    }

    pub(crate) fn read(&self, key: &CompositeKey) -> StoreAnswer {
        let newest = self.commits(key).last();
        let value = newest.and_then(|commit| {
            let (version, fields) = (commit.version, commit.fields.clone()?);
            Some(Keymap { key: key.clone(), version, fields })
        });
        StoreAnswer { value, position: self.position(self.shard(key)) }
    }

    /// At most `limit` entries above `after`.
    pub(crate) fn poll(&self, shard: u16, after: u64, limit: usize) -> LogPage {
        let log = &self.logs[usize::from(shard)];
        let mut page = LogPage { shard, after, position: log.last().max(after), complete: true, ..LogPage::default() };
        if after < log.base {
            page.reset = true;
            return page;
        }
        let from = log.entries.partition_point(|change| change.version <= after);
        let rest = &log.entries[from..];
        page.changes = rest.iter().take(limit).cloned().collect();
        if rest.len() > limit {
            page.complete = false;
            page.position = page.changes.last().map_or(after, |change| change.version);
        }
        page
    }

    /// Forgets the older entries of a log.
    pub(crate) fn truncate(&mut self, shard: u16, keep: usize) {
        let log = &mut self.logs[usize::from(shard)];
        if let Some(at) = log.entries.len().checked_sub(keep + 1) {
            log.base = log.base.max(log.entries[at].version);
        }
    }
}
