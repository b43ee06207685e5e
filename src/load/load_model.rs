//! [`LoadModel`]: the load of all nodes in the last rounds.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::attendance::Attendance;
use super::report::{Count, LoadReport, PrefixLoad};
use super::series::{ROUNDS, Series, begin};
use crate::key::{CompositeKey, KeyPrefix};
use crate::partition::{HotKey, MapNode, NodeId};

/// The load of all nodes together in the last eight rounds: per partition, heavy prefix and heavy key, and which
/// prefixes are fetched together.
///
/// Reports add up to the same in any order, and one that comes twice counts once. Counts are whole numbers by round;
/// age only weighs them when they are read. Everything is bounded; what is over a bound goes when the next round
/// begins, lightest first. About 10 MB at most, with 65,536 partitions, and 64 KB for each node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadModel {
    newest: u64,
    /// The oldest round of a report.
    oldest: u64,
    /// Counts below this are not taken in.
    least: u32,
    /// Except for these keys.
    replicated: BTreeSet<CompositeKey>,
    seen: BTreeMap<(NodeId, u64), CountedReports>,
    attendance: BTreeMap<NodeId, Attendance>,
    requests: Series,
    /// Distinct keys by round of report, summed over the nodes.
    distinct: [u64; ROUNDS],
    partitions: Vec<Series>,
    prefixes: BTreeMap<KeyPrefix, PrefixState>,
    /// Cells of all prefixes.
    cells: usize,
    keys: BTreeMap<CompositeKey, Series>,
    together: BTreeMap<(KeyPrefix, KeyPrefix), Series>,
}

/// The reports of an incarnation that were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct CountedReports {
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

    /// Has counts of these keys taken in however low they are: each replica serves little of what they add up to.
    pub fn set_replicated(&mut self, replicated: &[HotKey]) {
        self.replicated = replicated.iter().map(|hot| hot.key.clone()).collect();
    }

    /// Adds a report. `now` is the round of the coordinator's clock. Returns `false`, with nothing changed, for one that was
    /// counted before, is older than the model remembers, or more than one round ahead of `now`.
    /// If `now` is behind what was counted, the model begins anew.
    pub fn merge(&mut self, report: &LoadReport, now: u64) -> bool {
        if self.newest > now + 1 {
            // The clock was ahead, and what was counted then would be taken for the newest until it gets there again.
            let (least, replicated) = (self.least, std::mem::take(&mut self.replicated));
            *self = Self { least, replicated, ..Self::new(self.partitions.len() as u32) };
        }
        if report.round > now + 1 || report.round + ROUNDS as u64 <= self.newest || !self.is_new(report) {
            return false;
        }
        self.advance(report.round);
        self.oldest = self.oldest.min(report.round);
        let age = (self.newest - report.round) as usize;
        if self.attendance.len() < Self::MAX_INCARNATIONS || self.attendance.contains_key(&report.node) {
            self.attendance.entry(report.node).or_default().note(age, report);
        }
        self.add(age, report);
        true
    }

    /// Counts a report for the round `age` rounds before the newest.
    fn add(&mut self, age: usize, report: &LoadReport) {
        self.requests.add(age, report.requests);
        self.distinct[age] += u64::from(report.distinct);
        for &(partition, count) in &report.partitions {
            if let Some(series) = self.partitions.get_mut(partition as usize) {
                series.add(age, count);
            }
        }
        for load in &report.prefixes {
            self.merge_prefix(age, load);
        }
        let counts = |(key, count): &&(CompositeKey, Count)| {
            count.all > 0 && (count.all >= self.least || self.replicated.contains(key))
        };
        for (key, count) in report.keys.iter().filter(counts) {
            if let Some(series) = slot(&mut self.keys, key, Self::MAX_KEYS) {
                series.add(age, *count);
            }
        }
        for (one, other, count) in report.together.iter().filter(|pair| pair.2 > 0) {
            if let Some(series) = slot(&mut self.together, &(one.clone(), other.clone()), Self::MAX_PAIRS) {
                series.add(age, Count { all: *count, late: 0 });
            }
        }
    }

    /// The model as it would be had each of `nodes` reported in each of the last rounds: its newest report stands in for those that
    /// are missing, for two rounds at most where it is silent now. O(1) where none is missing, otherwise O(model).
    pub fn filled(&self, nodes: &[MapNode]) -> Cow<'_, Self> {
        let mut model = Cow::Borrowed(self);
        let known = nodes.iter().filter_map(|node| self.attendance.get(&node.id));
        for attendance in known.filter(|attendance| attendance.holes().next().is_some()) {
            let Some(report) = attendance.stand_in() else { continue };
            let model = model.to_mut();
            attendance.holes().for_each(|age| model.add(age, &report));
        }
        model
    }

    fn merge_prefix(&mut self, age: usize, load: &PrefixLoad) {
        if load.count.all < self.least.max(1) {
            return;
        }
        let Self { prefixes, cells, .. } = self;
        let Some(state) = slot(prefixes, &load.prefix, Self::MAX_PREFIXES) else { return };
        state.series.add(age, load.count);
        state.keys[age] = state.keys[age].saturating_add(load.keys);
        for &(cell, count) in load.cells.iter().filter(|(_, count)| count.all >= self.least.max(1)) {
            if *cells < Self::SLACK * Self::MAX_CELLS || state.cells.contains_key(&cell) {
                let series = state.cells.entry(cell).or_default();
                *cells += usize::from(series.is_empty());
                series.add(age, count);
            }
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
        self.attendance.retain(|_, attendance| attendance.advance(rounds));
        self.requests.advance(rounds);
        begin(&mut self.distinct, rounds);
        self.partitions.iter_mut().for_each(|series| series.advance(rounds));
        self.prefixes.retain(|_, state| {
            state.series.advance(rounds);
            begin(&mut state.keys, rounds);
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

    /// Keeps the heaviest cells, of equals the first.
    fn prune_cells(&mut self) {
        let mut totals: Vec<u64> =
            self.prefixes.values().flat_map(|state| state.cells.values().map(Series::total)).collect();
        self.cells = totals.len();
        if totals.len() > Self::MAX_CELLS {
            let over = totals.len() - Self::MAX_CELLS;
            let least = *totals.select_nth_unstable(over).1;
            let mut equals = Self::MAX_CELLS - totals.iter().filter(|&&total| total > least).count();
            let mut stays = |series: &Series| {
                let is_one = series.total() == least && equals > 0;
                equals -= usize::from(is_one);
                series.total() > least || is_one
            };
            self.prefixes.values_mut().for_each(|state| state.cells.retain(|_, series| stays(series)));
            self.cells = Self::MAX_CELLS;
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

    /// `true` for a node whose load is known: it has reported in one of the last three rounds.
    pub fn is_known(&self, node: NodeId) -> bool {
        self.attendance.get(&node).is_some_and(Attendance::is_recent)
    }

    /// All requests a round.
    pub fn requests(&self) -> f64 {
        self.read(&self.requests)
    }

    /// Distinct keys asked for in a round, of those known the one with the most.
    pub fn distinct(&self) -> u64 {
        self.distinct.iter().copied().max().unwrap_or(0)
    }

    /// Load of a partition, in requests a round, without the keys that have replicas.
    pub fn partition(&self, partition: u32) -> f64 {
        self.partitions.get(partition as usize).map_or(0.0, |series| self.read(series))
    }

    /// Heavy prefixes, by ascending prefix, of at least `least` requests a round.
    pub fn prefixes(&self, least: f64) -> impl Iterator<Item = PrefixNow> + '_ {
        self.prefixes.iter().filter_map(move |(prefix, state)| {
            let load = self.read(&state.series);
            (load >= least).then(|| {
                let cells = state.cells.iter().map(|(&cell, series)| (cell, self.read(series))).collect();
                let keys = state.keys.iter().copied().max().unwrap_or(0);
                PrefixNow { prefix: prefix.clone(), load, keys, cells }
            })
        })
    }

    /// Load of one prefix, 0 where it is not among the heavy ones.
    pub fn prefix(&self, prefix: &KeyPrefix) -> f64 {
        self.prefixes.get(prefix).map_or(0.0, |state| self.read(&state.series))
    }

    /// Heavy keys, by ascending key, of at least `least` requests a round.
    pub fn keys(&self, least: f64) -> impl Iterator<Item = (&CompositeKey, f64)> {
        let loads = self.keys.iter().map(move |(key, series)| (key, self.read(series)));
        loads.filter(move |&(_, load)| load >= least)
    }

    /// Load of one key, 0 where it is not among the heavy ones.
    pub fn key(&self, key: &CompositeKey) -> f64 {
        self.keys.get(key).map_or(0.0, |series| self.read(series))
    }

    /// Pairs of prefixes and how often they were fetched together in the rounds that are known, by ascending pair.
    pub fn together(&self) -> impl Iterator<Item = (&KeyPrefix, &KeyPrefix, u64)> {
        self.together.iter().map(|((one, other), series)| (one, other, series.total()))
    }

    /// The fill of the tables.
    pub fn fill(&self) -> ModelFill {
        ModelFill {
            prefixes: self.prefixes.len(),
            cells: self.cells,
            keys: self.keys.len(),
            pairs: self.together.len(),
            incarnations: self.seen.len(),
        }
    }

    fn read(&self, series: &Series) -> f64 {
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
#[path = "load_model_tests.rs"]
mod tests;
