//! [`LoadModel`]: what all nodes served in the last rounds.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{LoadReport, PrefixLoad};
use super::series::{ROUNDS, Series};
use crate::key::{CompositeKey, KeyPrefix};
use crate::partition::NodeId;

/// What all nodes together served in the last eight rounds: per partition, heavy prefix and heavy key, and which
/// prefixes are fetched together.
///
/// Reports add up to the same in any order, and one that comes twice counts once. Counts are whole numbers by round;
/// age only weighs them when they are read. Everything is bounded; what is over a bound goes when the next round
/// begins, lightest first. About 10 MB at most, with 65,536 partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadModel {
    newest: u64,
    /// The oldest round of a report.
    oldest: u64,
    /// Counts below this are not taken in.
    least: u32,
    seen: BTreeMap<(NodeId, u64), Seen>,
    /// Nodes that reported in the newest round, and in the one before.
    reported: [BTreeSet<NodeId>; 2],
    requests: Series,
    partitions: Vec<Series>,
    prefixes: BTreeMap<KeyPrefix, PrefixState>,
    keys: BTreeMap<CompositeKey, Series>,
    together: BTreeMap<(KeyPrefix, KeyPrefix), Series>,
}

/// The reports of an incarnation that were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    highest: u64,
    /// Bit n: number `highest - n`.
    counted: u64,
    round: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct PrefixState {
    series: Series,
    /// Distinct keys by round of report, summed over the nodes.
    keys: [u32; ROUNDS],
    cells: BTreeMap<u16, Series>,
}

/// Load of a heavy prefix, in requests a round.
#[derive(Debug, Clone, PartialEq)]
pub struct PrefixNow {
    /// The prefix.
    pub prefix: KeyPrefix,
    /// Its load, without the keys that have replicas.
    pub load: f64,
    /// Distinct keys below it, of those asked for.
    pub keys: u32,
    /// Load by the low ten bits of the spread hash of the next component, where it is heavy.
    pub cells: Vec<(u16, f64)>,
}

/// Fill and bounds of a [`LoadModel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct ModelFill {
    /// Prefixes, of [`LoadModel::MAX_PREFIXES`].
    pub prefixes: usize,
    /// Cells, of [`LoadModel::MAX_CELLS`].
    pub cells: usize,
    /// Keys, of [`LoadModel::MAX_KEYS`].
    pub keys: usize,
    /// Pairs, of [`LoadModel::MAX_PAIRS`].
    pub pairs: usize,
    /// Incarnations of nodes, of [`LoadModel::MAX_INCARNATIONS`].
    pub incarnations: usize,
}

impl LoadModel {
    /// Most prefixes kept from one round to the next.
    pub const MAX_PREFIXES: usize = 8_192;
    /// Most cells kept from one round to the next.
    pub const MAX_CELLS: usize = 65_536;
    /// Most keys kept from one round to the next.
    pub const MAX_KEYS: usize = 8_192;
    /// Most pairs kept from one round to the next.
    pub const MAX_PAIRS: usize = 8_192;
    /// Most incarnations of nodes that are told apart: twice as many as a map has nodes.
    pub const MAX_INCARNATIONS: usize = 8_192;
    /// Within a round, tables may hold so many times their bound; then new items are left out.
    const SLACK: usize = 8;

    /// A model that knows nothing, of a namespace with so many partitions.
    pub fn new(partitions: u32) -> Self {
        let partitions = vec![Series::default(); partitions as usize];
        Self { partitions, oldest: u64::MAX, ..Self::default() }
    }

    /// From now on, prefixes, cells and keys for which a report counts fewer requests than this are not taken in: of a large
    /// fleet, each node's light ones would crowd out another's heavy ones.
    pub fn ignore_below(&mut self, least: u32) {
        self.least = least;
    }

    /// Adds a report. `now` is the round of the coordinator's clock. Returns `false`, with nothing changed, for one that was
    /// counted before, is older than the model remembers, or more than one round ahead of `now`.
    pub fn merge(&mut self, report: &LoadReport, now: u64) -> bool {
        if report.round > now + 1 || report.round + ROUNDS as u64 <= self.newest || !self.is_new(report) {
            return false;
        }
        self.advance(report.round);
        self.oldest = self.oldest.min(report.round);
        let age = (self.newest - report.round) as usize;
        if let Some(reported) = self.reported.get_mut(age) {
            reported.insert(report.node);
        }
        self.requests.add(age, report.requests);
        for &(partition, count) in &report.partitions {
            if let Some(series) = self.partitions.get_mut(partition as usize) {
                series.add(age, count);
            }
        }
        for load in &report.prefixes {
            self.merge_prefix(age, load);
        }
        for (key, count) in report.keys.iter().filter(|(_, count)| count.all >= self.least.max(1)) {
            if let Some(series) = slot(&mut self.keys, key, Self::MAX_KEYS) {
                series.add(age, *count);
            }
        }
        for (one, other, count) in report.together.iter().filter(|pair| pair.2 > 0) {
            if let Some(series) = slot(&mut self.together, &(one.clone(), other.clone()), Self::MAX_PAIRS) {
                series.add(age, super::report::Count { all: *count, late: 0 });
            }
        }
        true
    }

    fn merge_prefix(&mut self, age: usize, load: &PrefixLoad) {
        if load.count.all < self.least.max(1) {
            return;
        }
        let Some(state) = slot(&mut self.prefixes, &load.prefix, Self::MAX_PREFIXES) else { return };
        state.series.add(age, load.count);
        state.keys[age] = state.keys[age].saturating_add(load.keys);
        for &(cell, count) in load.cells.iter().filter(|(_, count)| count.all >= self.least.max(1)) {
            state.cells.entry(cell).or_default().add(age, count);
        }
    }

    fn is_new(&mut self, report: &LoadReport) -> bool {
        let id = (report.node, report.incarnation);
        if !self.seen.contains_key(&id) && self.seen.len() >= Self::MAX_INCARNATIONS {
            let oldest = self.seen.iter().min_by_key(|(id, seen)| (seen.round, **id)).map(|(id, _)| *id);
            oldest.and_then(|id| self.seen.remove(&id));
        }
        let seen = self.seen.entry(id).or_default();
        seen.round = seen.round.max(report.round);
        if report.number > seen.highest {
            let ahead = report.number - seen.highest;
            seen.counted = if ahead < 64 { seen.counted << ahead | 1 } else { 1 };
            seen.highest = report.number;
            return true;
        }
        let back = seen.highest - report.number;
        let fresh = back < 64 && seen.counted >> back & 1 == 0;
        if fresh {
            seen.counted |= 1 << back;
        }
        fresh
    }

    /// Begins the round `round`, where it is a new one. O(model).
    pub fn advance(&mut self, round: u64) {
        if round <= self.newest {
            return;
        }
        let rounds = (round - self.newest).min(ROUNDS as u64) as usize;
        self.newest = round;
        let last = std::mem::take(&mut self.reported[0]);
        self.reported[1] = if rounds == 1 { last } else { BTreeSet::new() };
        self.requests.advance(rounds);
        self.partitions.iter_mut().for_each(|series| series.advance(rounds));
        self.prefixes.retain(|_, state| {
            state.series.advance(rounds);
            state.keys.copy_within(..ROUNDS - rounds, rounds);
            state.keys[..rounds].fill(0);
            state.cells.retain(|_, series| {
                series.advance(rounds);
                !series.is_empty()
            });
            !state.series.is_empty()
        });
        for series in self.keys.values_mut().chain(self.together.values_mut()) {
            series.advance(rounds);
        }
        self.keys.retain(|_, series| !series.is_empty());
        self.together.retain(|_, series| !series.is_empty());
        prune(&mut self.prefixes, Self::MAX_PREFIXES, |state| state.series.total());
        prune(&mut self.keys, Self::MAX_KEYS, Series::total);
        prune(&mut self.together, Self::MAX_PAIRS, Series::total);
        self.prune_cells();
    }

    fn prune_cells(&mut self) {
        let cells: usize = self.prefixes.values().map(|state| state.cells.len()).sum();
        if cells > Self::MAX_CELLS {
            let mut totals: Vec<u64> =
                self.prefixes.values().flat_map(|state| state.cells.values().map(Series::total)).collect();
            let least = *totals.select_nth_unstable(cells - Self::MAX_CELLS).1;
            self.prefixes.values_mut().for_each(|state| state.cells.retain(|_, series| series.total() > least));
        }
    }

    /// The newest round.
    pub fn round(&self) -> u64 {
        self.newest
    }

    /// Rounds that are known, at most eight.
    pub fn rounds_known(&self) -> usize {
        let known = self.newest.saturating_sub(self.oldest).saturating_add(1);
        known.min(ROUNDS as u64) as usize
    }

    /// Whether `node` has reported in the newest round.
    pub fn has_reported(&self, node: NodeId) -> bool {
        self.reported[0].contains(&node)
    }

    /// Nodes that reported in the round before and not in the newest.
    pub fn missing(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.reported[1].difference(&self.reported[0]).copied()
    }

    /// All requests a round.
    pub fn requests(&self) -> f64 {
        self.read(&self.requests, self.missing().next().is_some())
    }

    /// Load of a partition, in requests a round, without the keys that have replicas. `owner` is who reports it.
    pub fn partition(&self, partition: u32, owner: NodeId) -> f64 {
        let missing = !self.reported[0].contains(&owner) && self.reported[1].contains(&owner);
        self.partitions.get(partition as usize).map_or(0.0, |series| self.read(series, missing))
    }

    /// Heavy prefixes, by ascending prefix, of at least `least` requests a round.
    pub fn prefixes(&self, least: f64) -> impl Iterator<Item = PrefixNow> + '_ {
        let missing = self.missing().next().is_some();
        self.prefixes.iter().filter_map(move |(prefix, state)| {
            let load = self.read(&state.series, missing);
            (load >= least).then(|| {
                let cells = state.cells.iter().map(|(&cell, series)| (cell, self.read(series, missing))).collect();
                let keys = state.keys.iter().copied().max().unwrap_or(0);
                PrefixNow { prefix: prefix.clone(), load, keys, cells }
            })
        })
    }

    /// Load of one prefix, 0 where it is not among the heavy ones.
    pub fn prefix(&self, prefix: &KeyPrefix) -> f64 {
        let missing = self.missing().next().is_some();
        self.prefixes.get(prefix).map_or(0.0, |state| self.read(&state.series, missing))
    }

    /// Heavy keys, by ascending key, of at least `least` requests a round.
    pub fn keys(&self, least: f64) -> impl Iterator<Item = (&CompositeKey, f64)> {
        let missing = self.missing().next().is_some();
        let loads = self.keys.iter().map(move |(key, series)| (key, self.read(series, missing)));
        loads.filter(move |&(_, load)| load >= least)
    }

    /// Load of one key, 0 where it is not among the heavy ones.
    pub fn key(&self, key: &CompositeKey) -> f64 {
        self.keys.get(key).map_or(0.0, |series| self.read(series, self.missing().next().is_some()))
    }

    /// Pairs of prefixes and how often they were fetched together in the rounds that are known, by ascending pair.
    pub fn together(&self) -> impl Iterator<Item = (&KeyPrefix, &KeyPrefix, u64)> {
        self.together.iter().map(|((one, other), series)| (one, other, series.total()))
    }

    /// How full the tables are.
    pub fn fill(&self) -> ModelFill {
        ModelFill {
            prefixes: self.prefixes.len(),
            cells: self.prefixes.values().map(|state| state.cells.len()).sum(),
            keys: self.keys.len(),
            pairs: self.together.len(),
            incarnations: self.seen.len(),
        }
    }

    fn read(&self, series: &Series, missing: bool) -> f64 {
        let series = if missing { series.completed() } else { *series };
        series.load(self.rounds_known())
    }
}

/// The value of `key`; `None` where the table is full for this round.
fn slot<'a, K: Ord + Clone, V: Default>(table: &'a mut BTreeMap<K, V>, key: &K, bound: usize) -> Option<&'a mut V> {
    if table.len() >= LoadModel::SLACK * bound && !table.contains_key(key) {
        return None;
    }
    Some(table.entry(key.clone()).or_default())
}

/// Lets the lightest go, equals by descending key, so that at most `bound` are left.
fn prune<K: Ord + Clone, V>(table: &mut BTreeMap<K, V>, bound: usize, weight: impl Fn(&V) -> u64) {
    if table.len() > bound {
        let mut all: Vec<_> =
            table.iter().map(|(key, value)| (std::cmp::Reverse(weight(value)), key.clone())).collect();
        all.sort_unstable();
        for (_, key) in all.drain(bound..) {
            table.remove(&key);
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
