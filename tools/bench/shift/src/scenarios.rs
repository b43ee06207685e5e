//! Scenarios, and the figures that come out of them.

use foremap::shifter::PlanSettings;
use foremap_replay::Random;
use serde::Serialize;

use crate::fleet::{Fleet, STEPS, Settings, max_over_mean};
use crate::peers;
use crate::workload::Workload;

/// Rounds before anything is measured.
const WARM_UP: u64 = 24;
/// Shortest and longest time from one change of the hot set to the next, in steps.
const GAP: (u64, u64) = (10 * STEPS, 14 * STEPS);
/// Steps after a change from which on loads count as settled: the 10 s that are allowed.
const SETTLED: u64 = 100;
/// Masters of the store that figures are printed for.
const MASTERS: usize = 6;

/// Percentiles of a figure.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// The largest.
    pub worst: f64,
}

impl Spread {
    /// Of `values`, in any order.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut all: Vec<f64> = values.into_iter().collect();
        all.sort_by(f64::total_cmp);
        let at = |share: f64| all.get(((all.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied();
        Self { median: at(0.5).unwrap_or(0.0), p99: at(0.99).unwrap_or(0.0), worst: at(1.0).unwrap_or(0.0) }
    }
}

/// Figures of [`drift`].
#[derive(Debug, Default, Serialize)]
pub struct Drift {
    /// Changes of the hot set.
    pub changes: usize,
    /// Max over mean while settled.
    pub settled: Spread,
    /// Seconds from a change until the imbalance stays below 1.25.
    pub recovery_s: Spread,
    /// Share of all entries that a plan re-homed.
    pub entries: Spread,
    /// Bytes of a delta.
    pub delta: Spread,
    /// Bytes of the last map.
    pub map_bytes: usize,
    /// Rules, exceptions, keys with replicas and replicas of the last map.
    pub map: [usize; 4],
    /// Milliseconds to plan.
    pub plan_ms: Spread,
    /// Milliseconds to take in the reports of a round.
    pub merge_ms: Spread,
    /// Mean bytes of a report.
    pub report_bytes: f64,
    /// Plans in all, those after the warm-up, and those taken back.
    pub plans: [usize; 3],
    /// Imbalance that counting the requests of one round would show of a fleet with perfectly even load.
    pub floor: f64,
    /// Max over mean where whole keys are hashed, mean over the changes.
    pub whole_key: f64,
    /// The same where prefixes are hashed, and nothing is done.
    pub static_prefix: f64,
    /// Of the storage shards, and of six masters.
    pub storage: (f64, f64),
}

/// The hot set is replaced `changes` times at random instants.
pub fn drift(settings: Settings, changes: usize, seed: u64) -> Drift {
    let (nodes, rate) = (settings.nodes, settings.rate);
    let mut fleet = Fleet::new(settings, Workload::nested(seed));
    let mut out = Drift { changes, floor: floor(nodes, rate), ..Drift::default() };
    let (mut settled, mut recovery, mut static_prefix, mut whole) = (vec![], vec![], vec![], vec![]);
    while fleet.step() < WARM_UP * STEPS {
        fleet.advance();
    }
    let before = fleet.done.len();
    let mut first = crate::view::View::new(std::sync::Arc::new(unruled(&fleet)), fleet.base(), &fleet.workload);
    for change in 0..changes {
        fleet.change(Workload::replace_hot_set);
        let since = fleet.step();
        let until = since + GAP.0 + fleet.rng.index((GAP.1 - GAP.0) as usize) as u64;
        let mut last_bad = since;
        while fleet.step() < until {
            fleet.advance();
            let imbalance = fleet.imbalance();
            if imbalance >= 1.25 {
                last_bad = fleet.step();
            }
            if fleet.step() >= since + SETTLED {
                settled.push(imbalance);
            }
        }
        recovery.push((last_bad - since) as f64 / 10.0);
        if change % 10 == 0 {
            first.weigh(&fleet.workload);
            static_prefix.push(max_over_mean(&first.loads));
            whole.push(peers::whole_key(&fleet.workload, fleet.base(), nodes));
        }
    }
    out.storage = peers::storage(&fleet.workload, MASTERS);
    out.settled = Spread::of(settled);
    out.recovery_s = Spread::of(recovery);
    out.whole_key = mean(&whole);
    out.static_prefix = mean(&static_prefix);
    out.fill(&fleet, before);
    out
}

impl Drift {
    fn fill(&mut self, fleet: &Fleet, before: usize) {
        let done = &fleet.done[before..];
        self.entries = Spread::of(done.iter().map(|done| done.entries));
        self.delta = Spread::of(done.iter().map(|done| done.delta.len() as f64));
        self.plan_ms = Spread::of(fleet.plan_ms.iter().copied());
        self.merge_ms = Spread::of(fleet.merge_ms.iter().copied());
        let map = &fleet.newest().map;
        let replicas = map.hot.iter().map(|hot| hot.nodes.len()).sum();
        self.map = [map.rules.len(), map.exceptions.len(), map.hot.len(), replicas];
        self.map_bytes = map.encode().len();
        self.report_bytes = fleet.reports.0 as f64 / fleet.reports.1.max(1) as f64;
        self.plans = [fleet.done.len(), done.len(), fleet.shifter.stats().reverts as usize];
    }
}

fn unruled(fleet: &Fleet) -> foremap::partition::PartitionMap {
    let mut map = foremap::partition::PartitionMap::clone(&fleet.newest().map);
    map.rules.clear();
    map.exceptions.clear();
    map.hot.clear();
    map
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Mean of the largest of so many Poisson counts over their mean, for requests of one round.
fn floor(nodes: usize, rate: usize) -> f64 {
    let mean = 2.0 * rate as f64;
    let mut rng = Random::apart(1);
    let normal =
        |rng: &mut Random| (-2.0 * (1.0 - rng.unit()).ln()).sqrt() * (std::f64::consts::TAU * rng.unit()).cos();
    let largest = |rng: &mut Random| (0..nodes).map(|_| normal(rng)).fold(f64::MIN, f64::max);
    let times = 200;
    1.0 + (0..times).map(|_| largest(&mut rng)).sum::<f64>() / f64::from(times) / mean.sqrt()
}

/// A balancer that only moves partitions by their load, as Slicer and Dicer do with slices: no splits below a key's prefix, no
/// replicas.
pub fn moves_only(plan: PlanSettings) -> PlanSettings {
    PlanSettings { split_from: f64::INFINITY, replicate_from: f64::INFINITY, ..plan }
}

/// Figures of [`clock`].
#[derive(Debug, Serialize)]
pub struct Clock {
    /// Imbalance in the last 2 s before an hour began, the worst of all hours.
    pub before: f64,
    /// In the first 5 s of an hour, at its worst, by hour.
    pub after: Vec<f64>,
    /// Seconds from the beginning of an hour until the imbalance stayed below 1.25, by hour.
    pub recovery_s: Vec<f64>,
    /// Share of all entries that a plan re-homed.
    pub entries: Spread,
}

/// A prefix with 30 % of all requests follows the clock: `logs/<hour>/...`.
pub fn clock(mut settings: Settings, hours: usize, forecast: bool, seed: u64) -> Clock {
    const HOUR_MS: u64 = 3_600_000;
    // 44 s before an hour of November 2026.
    let first = 1_793_491_200_000_u64 / HOUR_MS;
    let november = first - first % 24;
    settings.start_ms = (november + 11) * HOUR_MS - 44_000;
    settings.plan.foresee = forecast;
    let start = day_start_of_november_2026(november);
    let mut workload = Workload::clock(seed, 0.3, start, 10 + hours + 2);
    for _ in 0..10 {
        workload.next_hour();
    }
    let mut fleet = Fleet::new(settings, workload);
    let mut out = Clock { before: 0.0, after: Vec::new(), recovery_s: Vec::new(), entries: Spread::default() };
    for hour in 0..hours {
        let since = fleet.step();
        while fleet.step() < since + 440 {
            fleet.advance();
            if fleet.step() >= since + 420 {
                out.before = out.before.max(fleet.imbalance());
            }
        }
        fleet.change(|workload, _| workload.next_hour());
        let mut worst = fleet.imbalance();
        let mut last_bad = 0;
        for step in 1..=100_u64 {
            fleet.advance();
            let imbalance = fleet.imbalance();
            if step <= 50 {
                worst = worst.max(imbalance);
            }
            if imbalance >= 1.25 {
                last_bad = step;
            }
        }
        out.after.push(worst);
        out.recovery_s.push(last_bad as f64 / 10.0);
        if hour + 1 < hours {
            fleet.skip(HOUR_MS - 54_000);
        }
    }
    out.entries = Spread::of(fleet.done.iter().map(|done| done.entries));
    out
}

/// The number of hours that `Workload::clock` counts from for the first day of its month.
fn day_start_of_november_2026(hour: u64) -> u64 {
    // The first day of the workload is the one that `hour` is in; its number in the month is taken from the calendar.
    let days_before_november_2026 = 20_758;
    hour - days_before_november_2026 * 24
}

/// Figures of [`together`].
#[derive(Debug, Serialize)]
pub struct Together {
    /// Share of the batches that one node serves.
    pub one_node: f64,
    /// The same where whole keys are hashed.
    pub one_node_whole_key: f64,
    /// Mean number of nodes a batch goes to, and where whole keys are hashed.
    pub fan_out: (f64, f64),
    /// Max over mean, at the same moments.
    pub imbalance: Spread,
    /// The same where whole keys are hashed.
    pub imbalance_whole_key: f64,
    /// Share of all entries that a plan re-homed.
    pub entries: Spread,
    /// Rules, exceptions, keys with replicas and replicas.
    pub map: [usize; 4],
}

/// Batches of keys that belong together, one in ten of them over two prefixes.
pub fn together(settings: Settings, rounds: u64, seed: u64) -> Together {
    let nodes = settings.nodes;
    let mut fleet = Fleet::new(settings, Workload::together(seed, 0.1));
    while fleet.step() < rounds * STEPS {
        fleet.advance();
    }
    let mut imbalances = Vec::new();
    let (mut own, mut whole, mut fan) = (0_u32, 0_u32, (0_usize, 0_usize));
    let mut batches = 0_u32;
    let mut rng = Random::apart(seed ^ 0x77);
    let mut batch = Vec::new();
    for _ in 0..10 * STEPS {
        fleet.advance();
        imbalances.push(fleet.imbalance());
        let view = fleet.newest();
        for _ in 0..1_000 {
            fleet.workload.draw(&mut rng, &mut batch);
            let salt = rng.bits();
            let distinct = |nodes: Vec<u16>| nodes.into_iter().collect::<std::collections::BTreeSet<_>>().len();
            let here = distinct(batch.iter().map(|&key| view.node(key, salt)).collect());
            let there =
                distinct(batch.iter().map(|&key| peers::whole_key_node(&fleet.workload, fleet.base(), key)).collect());
            batches += 1;
            own += u32::from(here == 1);
            whole += u32::from(there == 1);
            fan = (fan.0 + here, fan.1 + there);
        }
    }
    let share = |n: f64| n / f64::from(batches);
    let mut drift = Drift::default();
    drift.fill(&fleet, 0);
    Together {
        one_node: share(own.into()),
        one_node_whole_key: share(whole.into()),
        fan_out: (share(fan.0 as f64), share(fan.1 as f64)),
        imbalance: Spread::of(imbalances),
        imbalance_whole_key: peers::whole_key(&fleet.workload, fleet.base(), nodes),
        entries: drift.entries,
        map: drift.map,
    }
}

/// Figures of [`trace`].
#[derive(Debug, Serialize)]
pub struct OfTrace {
    /// Distinct keys.
    pub keys: usize,
    /// The most asked-for key's share, over that of a node.
    pub hottest: f64,
    /// Max over mean with the shifter, once settled.
    pub settled: Spread,
    /// The same where whole keys are hashed.
    pub whole_key: f64,
    /// The same where prefixes are hashed, and nothing is done.
    pub static_prefix: f64,
    /// The same where partitions are moved, without splits or replicas.
    pub moves: f64,
    /// Of the storage shards, and of six masters.
    pub storage: (f64, f64),
    /// Rules, exceptions, keys with replicas and replicas.
    pub map: [usize; 4],
}

/// A recorded trace: its keys as they are, each asked for as often as there, in random order.
pub fn trace(settings: &Settings, trace: &foremap_replay::trace::Trace, rounds: u64) -> OfTrace {
    let run = |settings: Settings| {
        let mut fleet = Fleet::new(settings, Workload::of_trace(trace));
        let first = max_over_mean(&fleet.newest().loads);
        let mut settled = Vec::new();
        while fleet.step() < rounds * STEPS {
            fleet.advance();
            if fleet.step() > (rounds - 10) * STEPS {
                settled.push(fleet.imbalance());
            }
        }
        (fleet, first, Spread::of(settled))
    };
    let (fleet, static_prefix, settled) = run(settings.clone());
    let moves = run(Settings { plan: moves_only(settings.plan), ..settings.clone() }).2.median;
    let mut drift = Drift::default();
    drift.fill(&fleet, 0);
    OfTrace {
        keys: fleet.workload.keys.len(),
        hottest: fleet.workload.rates.iter().copied().fold(0.0, f64::max) * settings.nodes as f64,
        settled,
        whole_key: peers::whole_key(&fleet.workload, fleet.base(), settings.nodes),
        static_prefix,
        moves,
        storage: peers::storage(&fleet.workload, MASTERS),
        map: drift.map,
    }
}

/// Figures of [`planning`], in milliseconds.
#[derive(Debug, Serialize)]
pub struct Planning {
    /// A plan after a change of the hot set.
    pub first_ms: f64,
    /// A plan when little happens.
    pub steady_ms: f64,
    /// Taking in the reports of a round.
    pub merge_ms: f64,
    /// Owner of each partition without exceptions.
    pub owners_ms: f64,
}

/// Time that it takes to plan: the fastest of seven runs.
pub fn planning(mut settings: Settings, seed: u64) -> Planning {
    // What is heavy is heavy at any rate.
    settings.rate = settings.rate.min(1_000);
    let mut fleet = Fleet::new(settings, Workload::nested(seed));
    let rounds = |fleet: &mut Fleet, count: u64| (0..count * STEPS).for_each(|_| fleet.advance());
    rounds(&mut fleet, 6);
    fleet.plan_runs = 7;
    rounds(&mut fleet, 2);
    let steady_ms = fleet.plan_ms.iter().rev().take(2).copied().fold(f64::INFINITY, f64::min);
    fleet.change(Workload::replace_hot_set);
    rounds(&mut fleet, 2);
    let first_ms = fleet.plan_ms.iter().rev().take(2).copied().fold(0.0, f64::max);
    let owners = |_| {
        let begun = std::time::Instant::now();
        let winners = fleet.newest().map.rendezvous();
        (begun.elapsed().as_secs_f64() * 1e3, winners.len()).0
    };
    let owners_ms = (0..3).map(owners).fold(f64::INFINITY, f64::min);
    let merge_ms = Spread::of(fleet.merge_ms.iter().copied()).median;
    Planning { first_ms, steady_ms, merge_ms, owners_ms }
}

/// Tells second by second how a fleet fares after a start without rules, and after a change of its hot set: for those who
/// vary the settings.
pub fn trail(settings: Settings, rounds: u64, seed: u64) -> Vec<String> {
    let mut fleet = Fleet::new(settings, Workload::nested(seed));
    let mut lines = Vec::new();
    let mut told = 0;
    for half in 0..2 {
        for step in 0..rounds * STEPS {
            fleet.advance();
            for done in &fleet.done[told..] {
                let (plan, map) = (&done.plan, &fleet.newest().map);
                lines.push(format!(
                    "plan: {:.3} -> {:.3}, {} moves, re-homes {:.3} % ({:.3} counted), {} wait, {} B, {:.0} ms; {} rules {} exceptions {} hot",
                    plan.before.worst, plan.after.worst, plan.moves.len(), 100.0 * plan.entries, 100.0 * done.entries,
                    plan.deferred, done.delta.len(), done.took_ms, map.rules.len(), map.exceptions.len(), map.hot.len()
                ));
            }
            told = fleet.done.len();
            if step % 10 == 9 {
                lines.push(format!("{half}.{:>3} s: {:.3}", (step + 1) / 10, fleet.imbalance()));
            }
        }
        lines.extend(heaviest(&fleet));
        fleet.change(Workload::replace_hot_set);
    }
    lines
}

/// Causes of the heaviest node's load: its keys with their loads over that of a node.
fn heaviest(fleet: &Fleet) -> Vec<String> {
    let view = fleet.newest();
    let nodes = view.loads.len() as f64;
    let worst = (0..view.loads.len()).max_by(|&a, &b| view.loads[a].total_cmp(&view.loads[b])).unwrap_or(0);
    let share = |key: u32| {
        let rate = fleet.workload.rates[key as usize] * nodes;
        match view.hot.get(&key) {
            Some(replicas) => {
                if replicas.contains(&(worst as u16)) {
                    rate / replicas.len() as f64
                } else {
                    0.0
                }
            }
            None => {
                if usize::from(view.owners[view.places[key as usize].0 as usize]) == worst {
                    rate
                } else {
                    0.0
                }
            }
        }
    };
    let mut keys: Vec<(f64, u32)> = (0..fleet.workload.keys.len() as u32).map(|key| (share(key), key)).collect();
    keys.sort_by(|a, b| b.0.total_cmp(&a.0));
    let tell = |&(load, key): &(f64, u32)| {
        let text = &fleet.workload.keys[key as usize];
        let rule = view.map.rules.iter().find(|rule| rule.prefix.covers(text)).map(|rule| rule.portion);
        format!(
            "    {text}: {load:.3}, partition {}, {rule:?}, replicas {:?}",
            view.places[key as usize].0,
            view.hot.get(&key).map(Vec::len)
        )
    };
    keys.iter().take(8).map(tell).collect()
}
