//! Readers, a writer and the log at once, each answer held against everything that was ever written.
//!
//! Where a rule's window is too narrow to be hit in a short run, the tests of [`Shard`](super::shard::Shard) and of the
//! memory tier put one step inside the other instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{LogPage, Node, NodeConfig, StoreAnswer};
use crate::Millis;
use crate::key::CompositeKey;
use crate::partition::{MapNode, PartitionMap, StorageLayout};
use crate::protocol::{BatchItem, BatchRequest, Change, Class, ItemResult, Keymap, KeymapFields, Outcome};

const KEYS: usize = 6;
const READERS: u64 = 2;
/// A reader ends after so many batches, and when the log told of changes so many times, however slow the machine.
const READS: u64 = 10_000;
const POLLS: u64 = 500;
/// Writes that the log's reader may be behind: fewer than the ring has room for, so that it falls out of the log only where
/// it is made to, and not whenever it waits for a processor.
const AHEAD: u64 = 8;

const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Node>();
};

/// One shard of a store, linearizable by its lock, and a clock that every step of anybody moves on.
struct Store {
    keys: Vec<CompositeKey>,
    /// Version, key, time of the commit.
    log: Mutex<Vec<(u64, usize, Millis)>>,
    clock: AtomicU64,
    polls: AtomicU64,
    /// Position up to which the log was read.
    polled: AtomicU64,
}

impl Store {
    fn tick(&self) -> Millis {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Does nothing while the log's reader is far behind.
    fn write(&self, at: usize) {
        let mut log = self.log.lock();
        let version = log.len() as u64 + 1;
        if version <= self.polled.load(Ordering::SeqCst) + AHEAD {
            log.push((version, at, self.tick()));
        }
    }

    fn read(&self, key: &CompositeKey) -> StoreAnswer {
        let log = self.log.lock();
        let version = log.iter().rev().find(|(_, at, _)| self.keys[*at] == *key).map(|(version, ..)| *version);
        let keymap = |version| Keymap { key: key.clone(), version, fields: KeymapFields::default() };
        StoreAnswer { value: version.map(keymap), position: log.len() as u64 }
    }

    fn poll(&self, after: u64) -> LogPage {
        let log = self.log.lock();
        let change = |&(version, at, _): &(u64, usize, Millis)| {
            let key = self.keys[at].clone();
            Change { shard: 0, version, key, deleted: false }
        };
        let changes = log[after as usize..].iter().map(change).collect();
        LogPage { shard: 0, after, changes, position: log.len() as u64, complete: true, reset: false }
    }

    /// The newest version of key `at` that an answer has to include: of all up to a log position, and of all that were
    /// committed before a moment.
    fn least(&self, at: usize, position: u64, moment: Millis) -> u64 {
        let log = self.log.lock();
        // Versions and times of commits ascend together.
        let until = log.partition_point(|(version, _, time)| *version <= position || *time < moment);
        log[..until].iter().rev().find(|(_, key, _)| *key == at).map_or(0, |(version, ..)| *version)
    }
}

fn batch(keys: &[CompositeKey]) -> BatchRequest {
    let item = |key: &CompositeKey| BatchItem { key: key.clone(), if_version: None, class: Class::Demand };
    BatchRequest { items: keys.iter().map(item).collect(), max_staleness_ms: 1_000_000, ..BatchRequest::default() }
}

/// Reads until enough is read; a fault as soon as one is found.
fn reader(node: &Node, store: &Store, stop: &AtomicBool) -> Result<(), String> {
    let request = batch(&store.keys);
    for round in 0_u64.. {
        let enough = round >= READS && store.polls.load(Ordering::Relaxed) >= POLLS;
        if enough || stop.load(Ordering::Relaxed) {
            break;
        }
        let mut pending = node.begin(store.tick(), &request).map_err(|problem| problem.detail)?;
        // Once more where what memory answered has grown too old meanwhile: a machine may be busy with others.
        while !pending.is_ready() {
            let reads = pending.take_reads();
            let sent_at = store.tick();
            let answers = reads.iter().map(|read| Ok(store.read(&read.key))).collect();
            if round % 3 == 0 {
                std::thread::yield_now();
            }
            node.finish_store(store.tick(), &mut pending, reads, sent_at, answers);
        }
        let now = store.tick();
        let response = node.finish(now, pending);
        for (at, ItemResult { outcome, at: point, .. }) in response.results.iter().enumerate() {
            let version = match outcome {
                Outcome::Found { keymap } => keymap.version,
                Outcome::Missing => 0,
                other => return Err(format!("{other:?}")),
            };
            let least = store.least(at, point.position, now - u64::from(point.age_ms));
            if version < least {
                return Err(format!("version {version} of key {at} claims {point:?} at {now}, which includes {least}"));
            }
        }
    }
    Ok(())
}

#[test]
fn no_answer_claims_more_than_it_includes() {
    let keys: Vec<_> = (0..KEYS).map(|n| CompositeKey::parse(&format!("user/{n}")).expect("valid")).collect();
    let map_node = MapNode { id: 1, origin: "http://node-1".to_owned(), weight: 1 };
    let map = PartitionMap::new(7, 64, StorageLayout { shards: 1, depth: 1, fan: 1 }, vec![map_node]);
    // Not room for all keys, and a log that now and then does not reach back.
    let config =
        NodeConfig { memory_entries: KEYS - 1, memory_bytes: 1 << 20, ring_entries: 12, ..NodeConfig::new(1, 9) };
    let node = Node::new(config, Arc::new(map)).expect("valid map");
    let store = Store {
        keys,
        log: Mutex::default(),
        clock: AtomicU64::new(1),
        polls: AtomicU64::new(0),
        polled: AtomicU64::new(0),
    };
    let stop = AtomicBool::new(false);
    let faults = std::thread::scope(|scope| {
        let (node, store, stop) = (&node, &store, &stop);
        let writer = scope.spawn(move || {
            let mut at = 0;
            while !stop.load(Ordering::Relaxed) {
                at = (at + 5) % (KEYS * KEYS);
                store.write(at % KEYS);
                (0..at).for_each(|_| std::thread::yield_now());
            }
        });
        let tailer = scope.spawn(move || {
            let mut after = 0;
            let mut told = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let sent_at = store.tick();
                let page = store.poll(after);
                after = page.position;
                store.polled.store(after, Ordering::SeqCst);
                if !page.changes.is_empty() {
                    told += 1;
                    // One in ten starts anew further on: what lies between is never heard of.
                    while told.is_multiple_of(10) && after == page.position && !stop.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                        after = store.poll(after).position;
                    }
                }
                node.apply_log(sent_at, &page);
                store.polls.store(told, Ordering::Relaxed);
            }
        });
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(move || {
                    let found = reader(node, store, stop);
                    if found.is_err() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    found
                })
            })
            .collect();
        let faults: Vec<_> = readers.into_iter().filter_map(|reader| reader.join().expect("no panic").err()).collect();
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("no panic");
        tailer.join().expect("no panic");
        faults
    });
    assert!(faults.is_empty(), "{faults:#?}");
    let stats = node.stats();
    // What can go wrong was tried.
    for (what, count) in [
        ("memory hits", stats.memory_hits),
        ("fills", stats.fills),
        ("fills refused", stats.fills_refused),
        ("invalidated", stats.invalidated),
        ("evictions", stats.evictions),
        ("gaps", stats.log_gaps),
    ] {
        assert!(count > 1, "{what}: {count}");
    }
    eprintln!("{stats:?}");
}
