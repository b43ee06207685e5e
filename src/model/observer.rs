//! [`Observer`]: what a gateway sees its clients do.

use fxhash::{FxBuildHasher, FxHashMap, FxHashSet};
use lru::LruCache;

use super::clients::ClientId;
use super::outbox::ToldSummary;
use super::summary::{Path, PathStep, Summary};
use crate::Millis;
use crate::key::CompositeKey;
use crate::partition::{mix, xxh3};
use crate::protocol::{BatchItem, Class, Fetched, Rider};

/// Time that requests wait to be told of, so that a summary holds several: a fraction of the minute after which a snapshot
/// is made at the latest.
const DUE_AFTER: Millis = 5_000;
/// Requests that are told of at once, however new.
const DUE_REQUESTS: usize = 64;
/// Keys of a client that are known to have been asked for. Whoever asks for more begins anew: a visit has tens.
const ASKED: usize = 1_024;
/// Most bytes of a step in a summary, text aside.
const STEP_BYTES: usize = 12;
/// Bytes of one that is followed, texts and sets aside.
const FOLLOWED_BYTES: usize = 256;
/// Bytes of a key in one of its tables, text aside.
const KEY_BYTES: usize = 32;

/// Follows clients whose batches carry a [`Rider`], and makes [`Summary`]s of what they asked for. O(items + names) a
/// batch.
#[derive(Debug)]
pub struct Observer {
    /// Makes the numbers of its instances different from those of other observers.
    seed: u64,
    begun: u64,
    /// By client and by the link of the latest batch.
    clients: LruCache<u64, Box<FollowedClient>, FxBuildHasher>,
    bytes: usize,
    stats: ObserverStats,
}

/// Fill, bounds and counts of an [`Observer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ObserverStats {
    /// Batches followed.
    pub batches: u64,
    /// Of them, those that followed one that is known.
    pub continued: u64,
    /// Keys named by riders that are not known here.
    pub unknown: u64,
    /// Clients followed.
    pub clients: usize,
    /// Most of them.
    pub max_clients: usize,
    /// Bytes of what is known of them, about.
    pub bytes: usize,
    /// Most of them.
    pub max_bytes: usize,
}

/// One client, as far as it was followed.
#[derive(Debug)]
struct FollowedClient {
    client: ClientId,
    instance: u64,
    epoch: u64,
    fetched: Fetched,
    asked: FxHashSet<u64>,
    /// Requests not told of, and before them at most two that were.
    steps: Vec<ObservedRequest>,
    told: u8,
    /// When the first of them was made.
    since: Millis,
    bytes: usize,
}

#[derive(Debug)]
struct ObservedRequest {
    /// `None` where something unknown was asked for.
    key: Option<CompositeKey>,
    repeated: bool,
}

impl FollowedClient {
    fn step(&mut self, key: Option<CompositeKey>) {
        let hash = key.as_ref().map(|key| xxh3(0, key.as_str().as_bytes()));
        let repeated = hash.is_some_and(|hash| !self.asked.insert(hash));
        self.steps.push(ObservedRequest { key, repeated });
    }

    fn size(&self) -> usize {
        let of_steps = self.steps.iter().map(|step| step.key.as_ref().map_or(0, |key| key.as_str().len()) + KEY_BYTES);
        FOLLOWED_BYTES
            + self.fetched.bytes()
            + 2 * Rider::REACH * KEY_BYTES
            + self.asked.len() * 16
            + of_steps.sum::<usize>()
    }

    fn has_news(&self) -> bool {
        self.steps.len() > usize::from(self.told)
    }

    /// Makes a summary of what there is to tell. Keeps the last two requests, for what will follow them.
    fn tell(&mut self) -> Option<ToldSummary> {
        self.epoch += 1;
        let mut summary = Summary { instance: self.instance, epoch: self.epoch, ..Summary::default() };
        let mut numbers: FxHashMap<&CompositeKey, u32> = FxHashMap::default();
        let mut path = Path { told: self.told, steps: Vec::new() };
        // What is too long for one summary is not told: a page of some hundred long keys.
        let mut room = Summary::MAX_BYTES - 64;
        for step in &self.steps {
            let length = STEP_BYTES + step.key.as_ref().map_or(0, |key| key.as_str().len());
            let Some(left) = room.checked_sub(length) else { break };
            room = left;
            let Some(key) = &step.key else {
                summary.paths.push(std::mem::take(&mut path));
                continue;
            };
            let number = *numbers.entry(key).or_insert_with(|| {
                summary.keys.push(key.clone());
                summary.keys.len() as u32 - 1
            });
            path.steps.push(PathStep { key: number, repeated: step.repeated });
        }
        let kept = path.steps.len().min(Summary::MAX_TOLD.into());
        summary.paths.push(path);
        // A single request leads nowhere.
        summary.paths.retain(|path| path.steps.len() > usize::from(path.told).max(1));
        self.steps.drain(..self.steps.len() - kept);
        self.told = kept as u8;
        (!summary.paths.is_empty()).then(|| ToldSummary { client: self.client, summary: summary.encode().into() })
    }
}

impl Observer {
    /// Most clients that are followed at once.
    pub const MAX_CLIENTS: usize = 1 << 14;
    /// Most bytes of what is known of them, about: 2 KiB each, as a visit of 20 keys takes.
    pub const MAX_BYTES: usize = 32 << 20;

    /// One that has seen nothing; `seed` differs from that of any other.
    pub fn new(seed: u64) -> Self {
        Self {
            seed: mix(seed ^ 0x6f62_7365_7276),
            begun: 0,
            clients: LruCache::unbounded_with_hasher(FxBuildHasher::default()),
            bytes: 0,
            stats: ObserverStats::default(),
        }
    }

    /// One batch of a client. Appends to `told` what is not to wait.
    pub fn observe(
        &mut self,
        now: Millis,
        client: ClientId,
        rider: &Rider,
        items: &[BatchItem],
        told: &mut Vec<ToldSummary>,
    ) {
        self.stats.batches += 1;
        let before = rider.after.and_then(|after| self.clients.pop(&place(client, after)));
        let mut followed = match before {
            Some(followed) => {
                self.stats.continued += 1;
                self.bytes -= followed.bytes;
                followed
            }
            None => Box::new(self.begin(client)),
        };
        if !followed.has_news() {
            followed.since = now;
        }
        for &name in &rider.asked {
            let key = followed.fetched.key(name).cloned();
            self.stats.unknown += u64::from(key.is_none());
            followed.step(key);
        }
        for item in items.iter().filter(|item| item.class == Class::Demand) {
            followed.step(Some(item.key.clone()));
        }
        followed.fetched.push(items);
        if followed.steps.len() >= DUE_REQUESTS {
            told.extend(followed.tell());
        }
        if followed.asked.len() > ASKED {
            followed.asked.clear();
        }
        followed.bytes = followed.size();
        self.keep(place(client, rider.link(items)), followed, told);
    }

    fn begin(&mut self, client: ClientId) -> FollowedClient {
        self.begun += 1;
        FollowedClient {
            client,
            instance: mix(self.seed ^ self.begun),
            epoch: 0,
            fetched: Fetched::default(),
            asked: FxHashSet::default(),
            steps: Vec::new(),
            told: 0,
            since: 0,
            bytes: 0,
        }
    }

    fn keep(&mut self, place: u64, followed: Box<FollowedClient>, told: &mut Vec<ToldSummary>) {
        self.bytes += followed.bytes;
        if let Some(mut other) = self.clients.put(place, followed) {
            self.bytes -= other.bytes;
            told.extend(other.tell());
        }
        while (self.clients.len() > Self::MAX_CLIENTS || self.bytes > Self::MAX_BYTES)
            && let Some((_, mut oldest)) = self.clients.pop_lru()
        {
            self.bytes -= oldest.bytes;
            told.extend(oldest.tell());
        }
    }

    /// Adds to `told` what has waited long enough. O(clients).
    pub fn due(&mut self, now: Millis, told: &mut Vec<ToldSummary>) {
        for (_, followed) in self.clients.iter_mut() {
            if followed.has_news() && now >= followed.since + DUE_AFTER {
                self.bytes -= followed.bytes;
                told.extend(followed.tell());
                followed.bytes = followed.size();
                self.bytes += followed.bytes;
            }
        }
    }

    /// Fill and counts.
    pub fn stats(&self) -> ObserverStats {
        ObserverStats {
            clients: self.clients.len(),
            max_clients: Self::MAX_CLIENTS,
            bytes: self.bytes,
            max_bytes: Self::MAX_BYTES,
            ..self.stats
        }
    }
}

/// Place of a client that continues behind a batch of this link.
fn place(client: ClientId, link: u8) -> u64 {
    mix(client.0 ^ mix(u64::from(link) + 1))
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "observer_tests.rs"]
mod tests;
