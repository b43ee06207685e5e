//! Holds every answer against what was written and when.

use std::collections::HashMap;

use foremap::Millis;
use foremap::adapter::Answer;
use foremap::key::CompositeKey;

use super::store::{Commit, Store, fields};

/// Promise that an answer must keep.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// Greatest age, in milliseconds.
    pub bound_ms: u32,
    /// True if the age and the position that the answer states count, too. A plain cache knows neither.
    pub stated: bool,
}

/// Knowledge of one session: of each key the version that no later answer may be older than.
#[derive(Debug, Clone, Default)]
pub struct Seen(HashMap<u32, u64>);

impl Seen {
    /// Version that was seen of a key; 0 if none was.
    pub fn of(&self, id: u32) -> u64 {
        self.0.get(&id).copied().unwrap_or(0)
    }

    /// An answer has shown this version.
    pub fn raise(&mut self, id: u32, version: u64) {
        let seen = self.0.entry(id).or_default();
        *seen = version.max(*seen);
    }
}

/// A read as its caller saw it begin.
#[derive(Debug, Clone, Copy)]
pub struct Read {
    /// The key.
    pub key: u32,
    /// When it was asked for.
    pub asked_at: Millis,
    /// Version that its session had seen by then.
    pub seen: u64,
}

/// Way in which an answer broke its promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It is older than it may be, or than it says.
    Bound,
    /// Its session had seen something newer.
    Backwards,
    /// Nobody wrote it.
    Invented,
}

/// Judges `answer` to `read`, told at `now`. Returns the version that it shows.
///
/// Every key exists from before the start, so an absence is an answer from before that.
///
/// # Errors
/// The first promise that it breaks.
pub fn judge(
    store: &Store,
    key: &CompositeKey,
    promise: Promise,
    now: Millis,
    read: &Read,
    answer: &Answer,
) -> Result<u64, Broken> {
    let commits = store.commits(read.key);
    let version = answer.keymap.as_ref().map_or(0, |keymap| keymap.version);
    if let Some(keymap) = &answer.keymap {
        let written = commits.iter().any(|commit| commit.version == version);
        if !written || keymap.key != *key || keymap.fields != fields(key, version) {
            return Err(Broken::Invented);
        }
    }
    if version < read.seen {
        return Err(Broken::Backwards);
    }
    let last = |included: &dyn Fn(&Commit) -> bool| {
        commits.iter().rfind(|commit| included(commit)).map_or(0, |commit| commit.version)
    };
    let bound = Millis::from(promise.bound_ms);
    // Where nobody can answer within the bound, an answer is read from the store after it was asked for.
    let old = promise.stated && answer.age_ms > bound;
    let limit = if old { read.asked_at } else { now.saturating_sub(bound) };
    let mut needed = last(&|commit| commit.at < limit);
    if promise.stated {
        let as_of = now.saturating_sub(answer.age_ms);
        needed =
            needed.max(last(&|commit| commit.at < as_of)).max(last(&|commit| commit.version <= answer.at.position));
    }
    if version < needed { Err(Broken::Bound) } else { Ok(version) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use foremap::adapter::Served;
    use foremap::partition::StorageLayout;
    use foremap::protocol::{Keymap, ReadPoint};

    use super::*;
    use crate::pace::START;

    const PROMISE: Promise = Promise { bound_ms: 2_000, stated: true };

    fn answer(key: &CompositeKey, version: u64, age_ms: u64) -> Answer {
        let keymap = Keymap { key: key.clone(), version, fields: fields(key, version) };
        Answer { keymap: Some(Arc::new(keymap)), served: Served::Cache, age_ms, at: ReadPoint::default(), stale: false }
    }

    #[test]
    fn each_promise_is_noticed_when_it_is_broken() {
        let key = CompositeKey::parse("a").expect("valid");
        let mut store = Store::new(StorageLayout::default(), std::slice::from_ref(&key));
        let old = store.commits(0)[0].version;
        store.write(START, 0);
        let new = store.commits(0)[1].version;
        let read = |asked_at, seen| Read { key: 0, asked_at, seen };
        let check = |now, read: &Read, answer: &Answer| judge(&store, &key, PROMISE, now, read, answer);
        // Within the bound the old version may still be told, and not beyond.
        assert_eq!(check(START + 2_000, &read(START, 0), &answer(&key, old, 2_000)), Ok(old));
        assert_eq!(check(START + 2_001, &read(START, 0), &answer(&key, old, 2_000)), Err(Broken::Bound));
        assert_eq!(check(START + 2_001, &read(START, 0), &answer(&key, new, 0)), Ok(new));
        // Nor with an age that says it would be newer.
        assert_eq!(check(START + 500, &read(START, 0), &answer(&key, old, 499)), Err(Broken::Bound));
        assert_eq!(check(START + 500, &read(START, 0), &answer(&key, old, 500)), Ok(old));
        // Beyond the bound it must be from after it was asked for.
        assert_eq!(check(START + 9_000, &read(START + 1, 0), &answer(&key, old, 9_500)), Err(Broken::Bound));
        assert_eq!(check(START + 9_000, &read(START, 0), &answer(&key, old, 9_500)), Ok(old));
        assert_eq!(check(START + 100, &read(START, new), &answer(&key, old, 500)), Err(Broken::Backwards));
        assert_eq!(check(START, &read(START, 0), &answer(&key, old + 1, 0)), Err(Broken::Invented));
        let absent = Answer { keymap: None, ..answer(&key, old, 0) };
        assert_eq!(check(START, &read(START, 0), &absent), Err(Broken::Bound));
        let included = Answer { at: ReadPoint { position: new, ..ReadPoint::default() }, ..answer(&key, old, 500) };
        assert_eq!(check(START + 1, &read(START, 0), &included), Err(Broken::Bound), "it claims to include the write");
    }

    #[test]
    fn a_plain_cache_promises_its_bound_alone() {
        let key = CompositeKey::parse("a").expect("valid");
        let mut store = Store::new(StorageLayout::default(), std::slice::from_ref(&key));
        store.write(START, 0);
        let (old, read) = (store.commits(0)[0].version, Read { key: 0, asked_at: START, seen: 0 });
        let promise = Promise { stated: false, ..PROMISE };
        let check = |now| judge(&store, &key, promise, now, &read, &answer(&key, old, 0));
        assert_eq!((check(START + 2_000), check(START + 2_001)), (Ok(old), Err(Broken::Bound)));
    }
}
