//! [`Merger`]: folds summaries into counts.

use fxhash::FxHashMap;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::clients::{ClientContributions, ClientId, Clients};
use super::summary::{Path, Summary};
use crate::Millis;
use crate::codec::DecodeError;
use crate::partition::mix;

/// Bounds of a [`Merger`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergerConfig {
    /// Most ways from one key or two to the next. When there are more, the heaviest stay, half as many. At most about 140
    /// bytes each, texts aside.
    pub max_ways: usize,
    /// Most pairs of a client and a way whose counts are bounded by the hour; 10 bytes each.
    pub max_shares: usize,
    /// Most instances whose epochs are remembered; 32 bytes each.
    pub max_instances: usize,
    /// Hours after which a key that nobody asks for is forgotten, and all ways over it.
    pub expire_hours: u32,
}

impl Default for MergerConfig {
    fn default() -> Self {
        Self { max_ways: 1 << 20, max_shares: 1 << 20, max_instances: 1 << 16, expire_hours: 90 * 24 }
    }
}

/// From one key, or the two last ones, to the next. Keys by number.
///
/// A request counts on both, each of them bounded by itself: if a way from one key were the sum of those from two, whoever
/// claims to have come to a key from everywhere would weigh as much as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Way {
    /// [`Way::NONE`] on a way from one key, whatever came before it.
    pub(super) before: u32,
    pub(super) last: u32,
    pub(super) next: u32,
}

impl Way {
    pub(super) const NONE: u32 = u32::MAX;

    /// The keys on it.
    pub(super) fn keys(&self) -> impl Iterator<Item = u32> + use<> {
        [self.before, self.last, self.next].into_iter().filter(|&key| key != Self::NONE)
    }
}

/// A number that tells a way from others, from the hashes of its keys' texts: numbers of keys change when ways leave.
fn way_id(before: u64, last: u64, next: u64) -> u64 {
    mix(mix(mix(last) ^ next) ^ before)
}

/// The times that a way was gone, in [`COUNT`]ths, and those who went it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Traffic {
    pub(super) all: u64,
    /// Without the times that the stream knew the key already.
    pub(super) fresh: u64,
    pub(super) clients: Clients,
}

impl Traffic {
    pub(super) fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.fresh += other.fresh;
        self.clients.join(other.clients);
    }
}

/// The count of one time.
pub(super) const COUNT: u64 = 256;
/// Times that a key's successors are counted, at most, when a snapshot is made; more of them are scaled down to so many,
/// so that a changed pattern outweighs the old one after about as many visits.
const WINDOW: u64 = 128 * COUNT;
/// The count at which a way is given up: a quarter of a time.
const LEAST: u64 = COUNT / 4;
/// Visits of all keys after which those of each are halved: they tell which keys matter, lately.
const VISITS: u64 = 1 << 22;

/// A key on the ways.
#[derive(Debug, Clone)]
pub(super) struct KnownKey {
    pub(super) text: Box<str>,
    hash: u64,
    /// Times that something followed it, the recent ones weighing most.
    pub(super) visits: u64,
    /// The hour in which it was asked for last.
    pub(super) seen: u32,
}

impl KnownKey {
    pub(super) fn new(text: &str, visits: u64, seen: u32) -> Self {
        Self { text: text.into(), hash: xxh3_64(text.as_bytes()), visits, seen }
    }
}

/// A key of a summary that is being merged.
struct SummaryKey<'a> {
    text: &'a str,
    hash: u64,
    /// Its number, if it is on a way already.
    number: Option<u32>,
}

/// The fate of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeOutcome {
    /// It counts, with so many requests that followed another.
    Merged(u64),
    /// It was merged before.
    Known,
}

/// Fill, bounds and counts of a [`Merger`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MergerStats {
    /// Summaries merged.
    pub merged: u64,
    /// Summaries that were merged before.
    pub known: u64,
    /// Requests that followed another.
    pub observations: u64,
    /// Requests that did not count, as their client had counted often enough in that hour.
    pub capped: u64,
    /// Ways from one key or two to the next.
    pub ways: usize,
    /// Most of them.
    pub ways_max: usize,
    /// Ways dropped for want of room, or because they had faded.
    pub ways_dropped: u64,
    /// Keys known.
    pub keys: usize,
    /// Bytes of their texts.
    pub key_bytes: usize,
    /// Pairs of a client and a way in the present hour.
    pub shares: usize,
    /// Most of them.
    pub shares_max: usize,
    /// Instances whose epochs are remembered.
    pub instances: usize,
    /// Most of them.
    pub instances_max: usize,
}

/// The epochs of an instance that were merged: those of the last 64 each for itself, older ones all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MergedEpochs {
    pub(super) newest: u64,
    /// Bit `n`: the one `n` before the newest.
    pub(super) merged: u64,
    /// The time when it was heard of last.
    pub(super) heard: u64,
}

impl MergedEpochs {
    /// Notes an epoch; `false` if it was noted before.
    fn note(&mut self, epoch: u64) -> bool {
        if epoch > self.newest {
            let by = epoch - self.newest;
            self.merged = if by < 64 { self.merged << by } else { 0 } | 1;
            self.newest = epoch;
            return true;
        }
        let back = self.newest - epoch;
        let is_new = back < 64 && self.merged >> back & 1 == 0;
        if is_new {
            self.merged |= 1 << back;
        }
        is_new
    }
}

/// The sum of all summaries. Merging is O(steps); memory is bounded by the configuration and the texts of the keys on
/// the ways that are kept.
#[derive(Debug)]
pub struct Merger {
    pub(super) config: MergerConfig,
    pub(super) hour: u32,
    pub(super) numbers: FxHashMap<Box<str>, u32>,
    pub(super) keys: Vec<KnownKey>,
    pub(super) visits: u64,
    pub(super) key_bytes: usize,
    pub(super) ways: FxHashMap<Way, Traffic>,
    shares: ClientContributions,
    pub(super) instances: FxHashMap<u64, MergedEpochs>,
    pub(super) stats: MergerStats,
}

impl Merger {
    /// Knows nothing yet.
    pub fn new(config: MergerConfig) -> Self {
        Self {
            config,
            hour: 0,
            numbers: FxHashMap::default(),
            keys: Vec::new(),
            visits: 0,
            key_bytes: 0,
            ways: FxHashMap::default(),
            shares: ClientContributions::default(),
            instances: FxHashMap::default(),
            stats: MergerStats::default(),
        }
    }

    /// Adds what an instance tells, once, as from `client`. `now` is wall-clock time, of which the hour counts.
    pub fn merge(&mut self, now: Millis, client: ClientId, summary: &Summary) -> MergeOutcome {
        self.hour = self.hour.max((now / 3_600_000) as u32);
        if !self.note_instance(summary) {
            self.stats.known += 1;
            return MergeOutcome::Known;
        }
        self.stats.merged += 1;
        let mut keys: Vec<SummaryKey<'_>> = summary.keys.iter().map(|key| self.told(key.as_str())).collect();
        let counted = summary.paths.iter().map(|path| self.add(client, path, &mut keys)).sum();
        self.stats.observations += counted;
        if self.ways.len() > self.config.max_ways {
            self.drop_lightest();
        }
        MergeOutcome::Merged(counted)
    }

    /// Fill, bounds and counts.
    pub fn stats(&self) -> MergerStats {
        MergerStats {
            ways: self.ways.len(),
            ways_max: self.config.max_ways,
            keys: self.keys.len(),
            key_bytes: self.key_bytes,
            shares: self.shares.len(),
            shares_max: self.config.max_shares,
            instances: self.instances.len(),
            instances_max: self.config.max_instances,
            ..self.stats
        }
    }

    /// Lets fade what is more than a window holds, and forgets what was not asked for in a long time: at the end of each
    /// epoch of snapshots, so that nothing depends on the order in which summaries came before it. O(ways).
    pub fn end_epoch(&mut self) {
        let mut sums = vec![0; self.keys.len()];
        for (way, traffic) in self.ways.iter().filter(|(way, _)| way.before == Way::NONE) {
            sums[way.last as usize] += traffic.all;
        }
        for (way, traffic) in &mut self.ways {
            let sum = sums[way.last as usize];
            if sum > WINDOW {
                (traffic.all, traffic.fresh) = (traffic.all * WINDOW / sum, traffic.fresh * WINDOW / sum);
            }
        }
        if self.visits > VISITS {
            for key in &mut self.keys {
                key.visits /= 2;
            }
            self.visits /= 2;
        }
        let oldest = self.hour.saturating_sub(self.config.expire_hours);
        let expired: Vec<bool> = self.keys.iter().map(|key| key.seen < oldest).collect();
        self.retain(|way, traffic| traffic.all >= LEAST && !way.keys().any(|key| expired[key as usize]));
    }

    fn note_instance(&mut self, summary: &Summary) -> bool {
        if self.instances.len() >= self.config.max_instances.max(1) && !self.instances.contains_key(&summary.instance) {
            // The half not heard of for longest: they are gone, more likely than not.
            let mut heard: Vec<u64> = self.instances.values().map(|epochs| epochs.heard).collect();
            let middle = heard.len() / 2;
            let (_, &mut median, _) = heard.select_nth_unstable(middle);
            self.instances.retain(|_, epochs| epochs.heard > median);
        }
        let epochs = self.instances.entry(summary.instance).or_default();
        epochs.heard = self.stats.merged;
        epochs.note(summary.epoch)
    }

    fn told<'s>(&self, text: &'s str) -> SummaryKey<'s> {
        SummaryKey { text, hash: xxh3_64(text.as_bytes()), number: self.numbers.get(text).copied() }
    }

    /// The number of a key on a way that counts. Others get none, or whoever names keys without end would fill the memory.
    fn number(&mut self, told: &mut SummaryKey<'_>) -> u32 {
        let known = told.number.or_else(|| self.numbers.get(told.text).copied());
        let number = known.unwrap_or_else(|| {
            let number = self.keys.len() as u32;
            self.numbers.insert(told.text.into(), number);
            self.keys.push(KnownKey { text: told.text.into(), hash: told.hash, visits: 0, seen: 0 });
            self.key_bytes += told.text.len();
            number
        });
        self.keys[number as usize].seen = self.hour;
        told.number = Some(number);
        number
    }

    /// Adds a path; returns the requests that followed another.
    fn add(&mut self, client: ClientId, path: &Path, keys: &mut [SummaryKey<'_>]) -> u64 {
        let (mut before, mut last, mut counted) = (None, None::<usize>, 0);
        for (at, step) in path.steps.iter().enumerate() {
            let next = step.key as usize;
            let Some(SummaryKey { text, number, .. }) = keys.get(next) else { continue };
            if let Some(known) = number.and_then(|number| self.keys.get_mut(number as usize)) {
                known.seen = self.hour;
            }
            // Asked twice in a row, as in the analyzer, changes nothing.
            if last.is_some_and(|last| keys[last].text == *text) {
                continue;
            }
            if let Some(last) = last.filter(|_| at >= path.told.into()) {
                counted += 1;
                self.count(client, [before, Some(last), Some(next)], !step.repeated, keys);
            }
            (before, last) = (last, Some(next));
        }
        counted
    }

    /// Counts one visit of a client: to the way from the last key, and to that from the two last ones.
    fn count(
        &mut self,
        client: ClientId,
        [before, last, next]: [Option<usize>; 3],
        is_fresh: bool,
        keys: &mut [SummaryKey<'_>],
    ) {
        match self.count_way(client, [None, last, next], is_fresh, keys) {
            Some(last) => {
                self.keys[last as usize].visits += 1;
                self.visits += 1;
            }
            None => self.stats.capped += 1,
        }
        if before.is_some() {
            self.count_way(client, [before, last, next], is_fresh, keys);
        }
    }

    /// Counts one visit of a client to a way; returns the number of its last key, if that counts.
    fn count_way(
        &mut self,
        client: ClientId,
        way: [Option<usize>; 3],
        is_fresh: bool,
        keys: &mut [SummaryKey<'_>],
    ) -> Option<u32> {
        let [before, last, next] = way.map(|at| at.map_or(0, |at| keys[at].hash));
        let id = way_id(before, last, next);
        let counts = self.shares.take(self.hour, client, id, is_fresh, self.config.max_shares);
        let mut counted = None;
        if counts.all {
            let [before, last, next] = way.map(|at| at.map_or(Way::NONE, |at| self.number(&mut keys[at])));
            let traffic = self.ways.entry(Way { before, last, next }).or_default();
            traffic.all += COUNT;
            traffic.clients.join(Clients::of(client));
            counted = Some(last);
        }
        if counts.fresh {
            let [before, last, next] =
                way.map(|at| at.map_or(Some(Way::NONE), |at| self.numbers.get(keys[at].text).copied()));
            let way = before.zip(last).zip(next).map(|((before, last), next)| Way { before, last, next });
            // It may have faded, or left, since the visits were counted that this is one of.
            if let Some(traffic) = way.and_then(|way| self.ways.get_mut(&way)) {
                traffic.fresh = (traffic.fresh + COUNT).min(traffic.all);
            }
        }
        counted
    }

    /// Numbers that tell ways from each other whatever numbers their keys have.
    pub(super) fn way_ids(&self) -> impl Fn(&Way) -> u64 + use<> {
        let hashes: Vec<u64> = self.keys.iter().map(|key| key.hash).collect();
        move |way| {
            let hash = |key: u32| hashes.get(key as usize).copied().unwrap_or(0);
            way_id(hash(way.before), hash(way.last), hash(way.next))
        }
    }

    /// Drops all but the heaviest half of what there is room for.
    fn drop_lightest(&mut self) {
        let ids = self.way_ids();
        let weight = |way: &Way, traffic: &Traffic| (traffic.all, ids(way));
        let mut weights: Vec<(u64, u64)> = self.ways.iter().map(|(way, traffic)| weight(way, traffic)).collect();
        let dropped = weights.len() - self.config.max_ways / 2;
        let (_, &mut heaviest, _) = weights.select_nth_unstable(dropped - 1);
        self.retain(|way, traffic| weight(way, traffic) > heaviest);
    }

    /// Keeps some ways, and the keys on them.
    fn retain(&mut self, is_kept: impl Fn(&Way, &Traffic) -> bool) {
        let before = self.ways.len();
        self.ways.retain(|way, traffic| is_kept(way, traffic));
        if self.ways.len() == before {
            return;
        }
        self.stats.ways_dropped += (before - self.ways.len()) as u64;
        let mut numbers = vec![Way::NONE; self.keys.len()];
        for way in self.ways.keys() {
            for key in way.keys() {
                numbers[key as usize] = 0;
            }
        }
        let (mut keys, mut bytes) = (Vec::new(), 0);
        for (key, number) in std::mem::take(&mut self.keys).into_iter().zip(&mut numbers) {
            if *number == 0 {
                *number = keys.len() as u32;
                bytes += key.text.len();
                keys.push(key);
            }
        }
        (self.keys, self.key_bytes) = (keys, bytes);
        self.numbers = self.keys.iter().enumerate().map(|(at, key)| (key.text.clone(), at as u32)).collect();
        let renumber = |key: u32| if key == Way::NONE { key } else { numbers[key as usize] };
        let ways = std::mem::take(&mut self.ways).into_iter().map(|(way, traffic)| {
            let way = Way { before: renumber(way.before), last: renumber(way.last), next: renumber(way.next) };
            (way, traffic)
        });
        self.ways = ways.collect();
    }

    /// The contributions of each client in the present hour, which [`Merger::export`] leaves out. O(pairs x log pairs).
    pub fn export_shares(&self) -> Vec<u8> {
        self.shares.export()
    }

    /// Goes on from what [`Merger::export_shares`] wrote, so that nobody counts anew.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not those, or more than the configuration has room for.
    pub fn import_shares(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.shares = ClientContributions::import(bytes, self.config.max_shares)?;
        Ok(())
    }

    /// Forgets every way over a key that `is_forgotten` names. O(ways).
    pub fn forget(&mut self, is_forgotten: impl Fn(&str) -> bool) {
        let forgotten: Vec<bool> = self.keys.iter().map(|key| is_forgotten(&key.text)).collect();
        self.retain(|way, _| !way.keys().any(|key| forgotten[key as usize]));
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "merger_tests.rs"]
mod tests;
