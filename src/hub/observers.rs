//! [`Observers`]: what an isolate sees its clients ask for, each client for itself.

use std::collections::{BTreeMap, VecDeque};

use fxhash::FxBuildHasher;
use lru::LruCache;
use serde::Serialize;

use super::shards::shares;
use crate::Millis;
use crate::key::CompositeKey;
use crate::model::{ClientId, Handover, ToldSummary, Trail};
use crate::partition::{mix, xxh3};

/// Clients that are followed; of more, the one that asked for nothing for longest is forgotten. Some 3 kB each, keys aside.
const MAX_CLIENTS: usize = 1_024;
/// Requests of a client that are known to be repeated when they come again.
const REMEMBERED: usize = 256;
/// Requests after which they are told.
const MUCH: usize = 256;
/// Time after which they are told, if there are fewer: every telling is a request that somebody pays for.
const PATIENCE: Millis = 20_000;
/// Most bytes of one client's summary: the most that a [`Trail`] surely tells with full credit.
const MAX_SUMMARY: usize = 8_000;
/// More than the credit of a trail.
const CREDIT: usize = 1 << 20;

/// Follows the clients of one isolate, and tells of each as if it had told itself: what leads the model to name a way is how
/// many clients went it, wherever their requests went through. Nothing travels over a client's line, so nothing of its
/// budget is spent. O(256) for a request; memory is bounded.
#[derive(Debug)]
pub struct Observers {
    seed: u64,
    born: u64,
    clients: LruCache<u64, Observed, FxBuildHasher>,
    /// Requests that were not told, and when the first of them came.
    pending: usize,
    since: Millis,
    told: u64,
}

#[derive(Debug)]
struct Observed {
    trail: Trail,
    asked: VecDeque<u64>,
}

/// Fill and bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObserversStats {
    /// Clients that are followed.
    pub clients: usize,
    /// Most of them.
    pub clients_max: usize,
    /// Requests that were not told yet.
    pub pending: usize,
    /// With so many they are told.
    pub pending_max: usize,
    /// Pages told.
    pub told: u64,
}

impl Observers {
    /// Knows nobody. `seed` is another one for each isolate, as it names who tells.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            born: 0,
            clients: LruCache::unbounded_with_hasher(FxBuildHasher::default()),
            pending: 0,
            since: 0,
            told: 0,
        }
    }

    /// A client asked for a key, in one of its streams.
    pub fn note(&mut self, now: Millis, client: ClientId, stream: &str, key: &CompositeKey) {
        if self.pending == 0 {
            self.since = now;
        }
        self.pending += 1;
        let mut observed = self.clients.pop(&client.0).unwrap_or_else(|| {
            self.born += 1;
            Observed { trail: Trail::new(mix(self.seed ^ mix(self.born))), asked: VecDeque::new() }
        });
        let name = mix(xxh3(0, stream.as_bytes()) ^ mix(xxh3(0, key.as_str().as_bytes())));
        let is_repeated = observed.asked.contains(&name);
        if !is_repeated {
            if observed.asked.len() == REMEMBERED {
                observed.asked.pop_front();
            }
            observed.asked.push_back(name);
        }
        observed.trail.note(stream, key, is_repeated);
        while self.clients.len() >= MAX_CLIENTS && self.clients.pop_lru().is_some() {}
        self.clients.put(client.0, observed);
    }

    /// Tells whether there is enough to tell.
    pub fn is_due(&self, now: Millis) -> bool {
        self.pending >= MUCH || (self.pending > 0 && now.saturating_sub(self.since) >= PATIENCE)
    }

    /// Makes pages of what there is to tell, for [`Hub::take_page`](super::Hub::take_page), each with the shard that it
    /// belongs to where the first `depth` components of a key choose the hub. Of more than a page what has no room is left
    /// out.
    pub fn tell(&mut self, depth: usize) -> BTreeMap<String, Vec<u8>> {
        self.pending = 0;
        let mut pages: BTreeMap<String, (Vec<ToldSummary>, usize)> = BTreeMap::new();
        for (client, observed) in self.clients.iter_mut() {
            observed.trail.earn(CREDIT);
            let Some(summary) = observed.trail.tell(MAX_SUMMARY) else { continue };
            for (shard, summary) in shares(&summary, depth, None).unwrap_or_default() {
                let (told, bytes) = pages.entry(shard).or_default();
                if told.len() < Handover::MAX_ENTRIES && *bytes + summary.len() <= Handover::MAX_BYTES {
                    *bytes += summary.len();
                    told.push(ToldSummary { client: ClientId(*client), summary: summary.into() });
                }
            }
        }
        self.told += pages.len() as u64;
        let encode = |told| Handover { told, ..Handover::default() }.encode();
        pages.into_iter().map(|(shard, (told, _))| (shard, encode(told))).collect()
    }

    /// Fill and bounds.
    pub fn stats(&self) -> ObserversStats {
        let (clients, pending) = (self.clients.len(), self.pending);
        ObserversStats { clients, clients_max: MAX_CLIENTS, pending, pending_max: MUCH, told: self.told }
    }
}

#[cfg(test)]
#[path = "observers_tests.rs"]
mod tests;
