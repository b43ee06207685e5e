//! The store below the nodes: every key of the trace, one log per storage shard, and so the truth that answers are held
//! against.

use std::collections::HashMap;

use foremap::Millis;
use foremap::key::CompositeKey;
use foremap::node::{LogPage, StoreAnswer};
use foremap::partition::StorageLayout;
use foremap::protocol::{Change, Keymap, KeymapFields};

use super::pace::START;

/// When every key was written, before the start: a year.
const LONG_AGO_MS: Millis = 365 * 86_400_000;

/// One write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// When it became durable.
    pub at: Millis,
    /// Its version, which is its position in the log.
    pub version: u64,
}

#[derive(Debug, Default)]
struct Shard {
    /// Ascending; what was there before the start is not in it.
    log: Vec<(Commit, u32)>,
    /// Position before the first of them.
    before: u64,
}

/// Keys, their versions and the logs. Nothing is ever deleted.
#[derive(Debug)]
pub struct Store {
    layout: StorageLayout,
    keys: Vec<CompositeKey>,
    ids: HashMap<CompositeKey, u32>,
    /// Of each key its writes, ascending.
    commits: Vec<Vec<Commit>>,
    shards: Vec<Shard>,
}

impl Store {
    /// A store in which every key has been written long ago.
    pub fn new(layout: StorageLayout, keys: &[CompositeKey]) -> Self {
        let long_ago = (START - LONG_AGO_MS) * 1_000;
        let mut shards: Vec<Shard> = (0..layout.shards).map(|_| Shard { log: Vec::new(), before: long_ago }).collect();
        let mut commits = Vec::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            let version = long_ago + 1 + at as u64;
            shards[usize::from(layout.shard(key))].before = version;
            commits.push(vec![Commit { at: START - LONG_AGO_MS, version }]);
        }
        let ids = keys.iter().cloned().zip(0..).collect();
        Self { layout, keys: keys.to_vec(), ids, commits, shards }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Tells whether there is nothing to ask for.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The storage shard of `key`.
    pub fn shard(&self, key: &CompositeKey) -> u16 {
        self.layout.shard(key)
    }

    /// The number of `key`; `None` where it was never written.
    pub fn id(&self, key: &CompositeKey) -> Option<u32> {
        self.ids.get(key).copied()
    }

    /// Writes a new version of a key.
    pub fn write(&mut self, now: Millis, id: u32) {
        let key = &self.keys[id as usize];
        let shard = &mut self.shards[usize::from(self.layout.shard(key))];
        let last = shard.log.last().map_or(shard.before, |(commit, _)| commit.version);
        let commit = Commit { at: now, version: (now.max(START) * 1_000).max(last + 1) };
        shard.log.push((commit, id));
        self.commits[id as usize].push(commit);
    }

    /// Answer of the store now.
    pub fn read(&self, key: &CompositeKey) -> StoreAnswer {
        let shard = &self.shards[usize::from(self.layout.shard(key))];
        let position = shard.log.last().map_or(shard.before, |(commit, _)| commit.version);
        let last = self.id(key).and_then(|id| self.commits[id as usize].last());
        let value = last.map(|commit| {
            let fields = fields(key, commit.version);
            Keymap { key: key.clone(), version: commit.version, fields }
        });
        StoreAnswer { value, position }
    }

    /// The log of `shard` behind `after`, or from the start, as it was at `as_of`.
    pub fn page(&self, shard: u16, after: Option<u64>, as_of: Millis) -> LogPage {
        let Shard { log, before } = &self.shards[usize::from(shard)];
        let after = after.unwrap_or(*before);
        let from = log.partition_point(|(commit, _)| commit.version <= after);
        let new = log[from..].iter().take_while(|(commit, _)| commit.at <= as_of);
        let changes: Vec<Change> = new
            .map(|&(Commit { version, .. }, id)| {
                let key = self.keys[id as usize].clone();
                Change { shard, version, key, deleted: false }
            })
            .collect();
        let position = changes.last().map_or(after, |change| change.version);
        LogPage { shard, after, changes, position, complete: true, reset: false }
    }

    /// Every write of a key, oldest first.
    pub fn commits(&self, id: u32) -> &[Commit] {
        &self.commits[id as usize]
    }
}

/// Fields that are written: they follow from key and version, so that an answer tells which write it is of.
pub fn fields(key: &CompositeKey, version: u64) -> KeymapFields {
    let locator = format!("s3://data/{}?v={version}", key.as_str());
    KeymapFields { locator, size: Some(version % 1_000_000), ..KeymapFields::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_what_was_committed_by_then() {
        let key = CompositeKey::parse("a/b").expect("valid");
        let mut store = Store::new(StorageLayout::default(), std::slice::from_ref(&key));
        let shard = store.shard(&key);
        let old = store.read(&key);
        store.write(START + 10, 0);
        store.write(START + 10, 0);
        store.write(START + 20, 0);
        let page = store.page(shard, None, START + 10);
        assert_eq!((page.after, page.changes.len()), (old.position, 2));
        assert_eq!(page.position, page.changes[1].version);
        let rest = store.page(shard, Some(page.position), START + 20);
        assert_eq!((rest.changes.len(), rest.position), (1, store.read(&key).position));
        let newest = store.read(&key).value.expect("written");
        assert_eq!(newest.version, store.commits(0)[3].version);
    }
}
