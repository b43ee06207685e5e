//! The data of a server: keys with their versions, and one change log per shard.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::node::{LogPage, NoVersion, StoreAnswer, next_version};
use foremap::partition::StorageLayout;
use foremap::protocol::{Change, Cursor, Keymap};

use super::meta::Meta;
use super::record::{Record, Retention};
use super::write::{Expect, Outcome, Write};

/// One shard.
#[derive(Debug, Clone, Default)]
struct Shard {
    last: u64,
    /// Entries at or below are no longer kept.
    base: u64,
    log: VecDeque<Change>,
    /// Versions of each key, oldest first.
    keys: BTreeMap<CompositeKey, Vec<Record>>,
}

/// All data of a server. Cloned for each full synchronisation, so shards are shared until they change.
#[derive(Debug, Clone)]
pub(crate) struct Dataset {
    layout: StorageLayout,
    retention: Retention,
    shards: Vec<Arc<Shard>>,
    pub(crate) meta: Arc<Meta>,
}

impl Dataset {
    pub(crate) fn new(layout: StorageLayout, retention: Retention) -> Self {
        let shards = (0..layout.shards).map(|_| Arc::default()).collect();
        Self { layout, retention, shards, meta: Arc::default() }
    }

    fn of(&self, key: &CompositeKey) -> &Shard {
        &self.shards[usize::from(self.layout.shard(key))]
    }

    pub(crate) fn position(&self, shard: u16) -> u64 {
        self.shards[usize::from(shard)].last
    }

    pub(crate) fn read(&self, key: &CompositeKey) -> StoreAnswer {
        let shard = self.of(key);
        let newest = shard.keys.get(key).and_then(|records| records.last());
        StoreAnswer { value: newest.and_then(|record| keymap(key, record)), position: shard.last }
    }

    /// Newest first.
    pub(crate) fn versions(&self, key: &CompositeKey) -> Vec<Record> {
        self.of(key).keys.get(key).map_or_else(Vec::new, |records| records.iter().rev().cloned().collect())
    }

    pub(crate) fn poll(&self, cursor: Cursor, limit: usize) -> LogPage {
        let shard = &self.shards[usize::from(cursor.shard)];
        let after = cursor.position;
        let (position, complete) = (shard.last, true);
        let mut page = LogPage { shard: cursor.shard, after, position, complete, ..LogPage::default() };
        if after >= shard.last {
            return page;
        }
        if after < shard.base {
            page.reset = true;
            return page;
        }
        let from = shard.log.partition_point(|change| change.version <= after);
        page.changes = shard.log.range(from..).take(limit).cloned().collect();
        if shard.log.len() - from > limit {
            page.complete = false;
            page.position = page.changes.last().map_or(after, |change| change.version);
        }
        page
    }

    pub(crate) fn list(
        &self,
        shard: u16,
        prefix: &KeyPrefix,
        after: Option<&CompositeKey>,
        limit: usize,
    ) -> (Vec<Keymap>, bool) {
        let keys = &self.shards[usize::from(shard)].keys;
        let below = keys.iter().filter(|(key, _)| prefix.covers(key) && after.is_none_or(|after| *key > after));
        let mut items: Vec<Keymap> = below.filter_map(|(key, records)| keymap(key, records.last()?)).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        (items, more)
    }

    /// Decides about `write` at `now_us`: what to say, and the record to store if it happens.
    pub(crate) fn decide(&self, write: &Write, now_us: u64) -> (Outcome, Option<Record>) {
        let shard = self.of(&write.key);
        let records = shard.keys.get(&write.key).map_or(&[][..], Vec::as_slice);
        if let Some(id) = &write.id
            && let Some(earlier) = records.iter().find(|record| record.id.as_ref() == Some(id))
        {
            return (Outcome::Written { version: earlier.version, created: earlier.created }, None);
        }
        let current = records.last().filter(|record| record.fields.is_some()).map_or(0, |record| record.version);
        let holds = match write.expect {
            Expect::Any => true,
            Expect::Present => current != 0,
            Expect::Version(version) => current == version,
        };
        if !holds {
            return (Outcome::Conflict { current }, None);
        }
        if write.fields.is_none() && current == 0 {
            return (Outcome::Missing, None);
        }
        let version = match next_version(now_us, shard.last, write.latest_us) {
            Ok(version) => version,
            Err(NoVersion::ClockAhead { .. }) => return (Outcome::ClockAhead, None),
            Err(NoVersion::UsedUp) => return (Outcome::UsedUp, None),
        };
        let created = current == 0;
        let record = Record { version, fields: write.fields.clone().map(Arc::new), created, id: write.id.clone() };
        (Outcome::Written { version, created }, Some(record))
    }

    /// Stores a record and tells the log of it.
    pub(crate) fn store(&mut self, key: &CompositeKey, record: &Record) {
        let at = self.layout.shard(key);
        let Retention { versions, log_entries } = self.retention;
        let shard = Arc::make_mut(&mut self.shards[usize::from(at)]);
        let records = shard.keys.entry(key.clone()).or_default();
        records.push(record.clone());
        let surplus = records.len().saturating_sub(versions.max(1));
        records.drain(..surplus);
        let (version, deleted) = (record.version, record.fields.is_none());
        shard.log.push_back(Change { shard: at, version, key: key.clone(), deleted });
        shard.last = version;
        while shard.log.len() > log_entries.max(1) {
            shard.base = shard.log.pop_front().map_or(shard.base, |change| change.version);
        }
    }

    /// Tells whether `version` may be removed.
    pub(crate) fn decide_removal(&self, key: &CompositeKey, version: u64) -> Outcome {
        let records = self.of(key).keys.get(key).map_or(&[][..], Vec::as_slice);
        match records.iter().rposition(|record| record.version == version) {
            Some(at) if at + 1 == records.len() => Outcome::Conflict { current: version },
            Some(_) => Outcome::Written { version, created: false },
            None => Outcome::Missing,
        }
    }

    pub(crate) fn remove(&mut self, key: &CompositeKey, version: u64) {
        let at = usize::from(self.layout.shard(key));
        if let Some(records) = Arc::make_mut(&mut self.shards[at]).keys.get_mut(key) {
            records.retain(|record| record.version != version);
        }
    }

    /// Forgets log entries beyond the newest `keep`.
    pub(crate) fn trim(&mut self, shard: u16, keep: usize) {
        let shard = Arc::make_mut(&mut self.shards[usize::from(shard)]);
        while shard.log.len() > keep {
            shard.base = shard.log.pop_front().map_or(shard.base, |change| change.version);
        }
    }
}

fn keymap(key: &CompositeKey, record: &Record) -> Option<Keymap> {
    let fields = record.fields.as_deref()?.clone();
    Some(Keymap { key: key.clone(), version: record.version, fields })
}
