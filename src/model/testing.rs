//! Populations of clients, and what is known of them without a merger.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{ClientId, Merger, MergerConfig, Path, PathStep, SnapshotOptions, Summary};
use crate::Millis;
use crate::key::CompositeKey;
use crate::protocol::ModelSnapshot;

pub(super) const HOUR: Millis = 3_600_000;

/// A summary and the client that it counts for.
pub(super) type Told = (ClientId, Summary);

/// Summary of what one stream asked for, each key for the first time where it comes first.
pub(super) fn told(client: u64, epoch: u64, keys: &[&str]) -> Told {
    let mut names: Vec<&str> = Vec::new();
    let mut steps = Vec::new();
    for key in keys {
        let known = names.iter().position(|name| name == key);
        steps.push(PathStep { key: known.unwrap_or(names.len()) as u32, repeated: known.is_some() });
        if known.is_none() {
            names.push(key);
        }
    }
    let keys = names.into_iter().map(|name| CompositeKey::parse(name).expect("valid")).collect();
    let summary = Summary { instance: client, epoch, keys, paths: vec![Path { told: 0, steps }] };
    (ClientId(client), summary)
}

pub(super) fn merger(all: &[Told]) -> Merger {
    let mut merger = Merger::new(MergerConfig::default());
    all.iter().for_each(|(client, summary)| _ = merger.merge(HOUR, *client, summary));
    merger
}

/// Everything that `min_clients` went, however much it is.
pub(super) fn snapshot(merger: &Merger, min_clients: u32) -> ModelSnapshot {
    sized(merger, min_clients, 1 << 20)
}

pub(super) fn sized(merger: &Merger, min_clients: u32, max_bytes: usize) -> ModelSnapshot {
    let options = SnapshotOptions { min_clients, is_shared: &|_| false, max_bytes, compressed: &<[u8]>::len };
    merger.snapshot(7, &options)
}

/// The rules of a snapshot by the texts of their keys: before, last, next.
pub(super) type Rules = BTreeMap<(Option<String>, String), Vec<(String, u8)>>;

pub(super) fn rules(snapshot: &ModelSnapshot) -> Rules {
    let text = |key: u32| snapshot.keys[key as usize].clone();
    let rules = snapshot.rules.iter().map(|rule| {
        let next = rule.then.next.iter().map(|&(next, share)| (text(next), share.step())).collect();
        ((rule.before.map(text), text(rule.last)), next)
    });
    rules.collect()
}

/// A population of up to 12 clients on few keys, of which some are made from each other.
pub(super) fn population() -> impl Strategy<Value = Vec<Told>> {
    let key = (0_usize..KEYS.len()).prop_map(|at| CompositeKey::parse(KEYS[at]).expect("valid"));
    let keys = prop::collection::vec(key, 1..10);
    let summary = (0_u64..12, 0_u64..16, 1_u64..4, keys).prop_flat_map(|(client, instance, epoch, keys)| {
        let step =
            (0..keys.len() as u32, prop::bool::weighted(0.3)).prop_map(|(key, repeated)| PathStep { key, repeated });
        let path = (prop::collection::vec(step, 0..16), 0_u8..3)
            .prop_map(|(steps, told)| Path { told: told.min(steps.len() as u8), steps });
        prop::collection::vec(path, 1..4).prop_map(move |paths| {
            let keys = keys.clone();
            (ClientId(client), Summary { instance, epoch, keys, paths })
        })
    });
    // An instance tells one thing under one epoch, as one client.
    prop::collection::vec(summary, 1..40).prop_map(|all| {
        let mut once = BTreeSet::new();
        all.into_iter().filter(|(_, summary)| once.insert((summary.instance, summary.epoch))).collect()
    })
}

const KEYS: [&str; 16] = [
    "user/101/profile",
    "user/101/avatar",
    "user/102/profile",
    "user/102/avatar",
    "user/103/profile",
    "user/103/avatar",
    "shared/home",
    "shared/news",
    "tile/4000",
    "tile/4001",
    "tile/4002",
    "a",
    "b",
    "caf\u{e9}",
    "caf\u{ea}/x",
    "secret/kind/x",
];

/// Clients that went each way, counted without bounds; a way without what came before counts for all that came before.
#[derive(Debug, Default)]
pub(super) struct Naive {
    pub(super) pairs: BTreeMap<(String, String, String), BTreeSet<u64>>,
    pub(super) singles: BTreeMap<(String, String), BTreeSet<u64>>,
    /// Clients that asked for each key at all.
    pub(super) keys: BTreeMap<String, BTreeSet<u64>>,
}

impl Naive {
    pub(super) fn of(all: &[Told]) -> Self {
        let mut naive = Self::default();
        for (client, summary) in all {
            for path in &summary.paths {
                let mut keys: Vec<(usize, &str)> = Vec::new();
                for (at, step) in path.steps.iter().enumerate() {
                    let text = summary.keys[step.key as usize].as_str();
                    naive.keys.entry(text.to_owned()).or_default().insert(client.0);
                    if keys.last().is_none_or(|(_, last)| *last != text) {
                        keys.push((at, text));
                    }
                }
                let new = |at: usize| at >= path.told.into();
                for way in keys.windows(2).filter(|way| new(way[1].0)) {
                    let way = (way[0].1.to_owned(), way[1].1.to_owned());
                    naive.singles.entry(way).or_default().insert(client.0);
                }
                for way in keys.windows(3).filter(|way| new(way[2].0)) {
                    let way = (way[0].1.to_owned(), way[1].1.to_owned(), way[2].1.to_owned());
                    naive.pairs.entry(way).or_default().insert(client.0);
                }
            }
        }
        naive
    }

    /// Clients that went from one key to another.
    pub(super) fn clients(&self, before: Option<&str>, last: &str, next: &str) -> usize {
        let clients = match before {
            None => self.singles.get(&(last.to_owned(), next.to_owned())),
            Some(before) => self.pairs.get(&(before.to_owned(), last.to_owned(), next.to_owned())),
        };
        clients.map_or(0, BTreeSet::len)
    }
}
