//! [`Shifter`]: makes plans, and keeps each or takes it back.

use std::sync::Arc;

use serde::Serialize;

use super::input::PlanInput;
use super::moves::{Move, has, shift};
use super::outlook::Outlook;
use super::plan::{Plan, Reason};
use super::planner::plan;
use super::settings::PlanSettings;
use super::shift_history::ShiftHistory;
use super::snapshot::Snapshot;
use crate::Millis;
use crate::load::Forecast;
use crate::load::{LoadModel, ModelFill};
use crate::load::{LoadReport, ROUND_MS};
use crate::partition::{MapDelta, PartitionMap};

/// A task for the host.
#[derive(Debug, Clone, PartialEq)]
pub enum ShifterAction {
    /// Publish this map by compare-and-set on the epoch it was made from, then call [`Shifter::published`].
    Publish {
        /// The next map.
        map: Arc<PartitionMap>,
        /// The plan that leads to it.
        plan: Plan,
    },
}

/// Counts and fills.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct ShifterStats {
    /// Reports taken in.
    pub reports: u64,
    /// Reports refused: counted before, or of another time.
    pub refused: u64,
    /// Plans published.
    pub plans: u64,
    /// Of these, those that took another back.
    pub reverts: u64,
    /// Plans that no map can hold, as it would have too many rules or hot keys.
    pub unfit: u64,
    /// `true` while nothing is planned.
    pub frozen: bool,
    /// Load of the heaviest node over what it is to bear, as last measured.
    pub worst: f64,
    /// Fill of the load model.
    pub fill: ModelFill,
    /// Prefixes with a trend, and families of prefixes that may step.
    pub forecast: (usize, usize),
}

/// A plan that is being tried.
#[derive(Debug, Clone)]
struct Trial {
    plan: Plan,
    /// The map before it.
    before: Arc<PartitionMap>,
    /// Hash of the map it led to.
    after: u64,
    /// The round in which it was published.
    since: u64,
    is_revert: bool,
}

/// The coordinator's state: pure, told what happened and when.
///
/// A dead coordinator stops shifts, not traffic, and a new one starts with an empty `Shifter`: all it loses is
/// the changes of the past, and 16 s of loads.
#[derive(Debug)]
pub struct Shifter {
    settings: PlanSettings,
    map: Arc<PartitionMap>,
    base: Vec<u16>,
    load: LoadModel,
    forecast: Forecast,
    history: ShiftHistory,
    trial: Option<Trial>,
    proposed: Option<Trial>,
    planned: u64,
    /// Plans in a row that were worse than predicted.
    misses: u32,
    stats: ShifterStats,
}

impl Shifter {
    /// Rounds after which a plan's effect shows: it is published and spread in the first three quarters of a round.
    const SHOWS_AFTER: u64 = 1;
    /// Plans in a row that may be worse than predicted while the next one promises better.
    const BELIEVED: u32 = 2;
    /// Share of a node's mean load below which nothing is looked at.
    const LEAST: f64 = 0.007;
    /// The most that may be measured, over what was predicted.
    const WORSE: f64 = 1.2;

    /// Begins with `map`, which must be valid. O(partitions x nodes).
    pub fn new(map: Arc<PartitionMap>, settings: PlanSettings) -> Self {
        let base = map.rendezvous();
        let mut load = LoadModel::new(map.partitions);
        load.set_replicated(&map.hot);
        Self {
            settings,
            load,
            map,
            base,
            forecast: Forecast::default(),
            history: ShiftHistory::default(),
            trial: None,
            proposed: None,
            planned: 0,
            misses: 0,
            stats: ShifterStats::default(),
        }
    }

    /// Stops planning, or resumes it. Reports are taken in all the same.
    pub fn freeze(&mut self, frozen: bool) {
        self.stats.frozen = frozen;
    }

    /// Changes what is aimed at, for instance when the number of entries is known anew.
    pub fn set_settings(&mut self, settings: PlanSettings) {
        self.settings = settings;
    }

    /// The aims.
    pub fn settings(&self) -> &PlanSettings {
        &self.settings
    }

    /// The map now in force, whoever made it.
    pub fn set_map(&mut self, map: Arc<PartitionMap>) {
        if map == self.map {
            return;
        }
        if map.nodes.iter().map(|n| (n.id, n.weight)).ne(self.map.nodes.iter().map(|n| (n.id, n.weight))) {
            self.base = map.rendezvous();
        }
        // What was tried cannot be judged any more. A plan may have come in force together with a join, though.
        self.trial = None;
        if let Some(trial) = self.proposed.take()
            && has(&map, &trial.plan.moves)
        {
            self.came(&trial);
        }
        self.use_map(map);
    }

    fn use_map(&mut self, map: Arc<PartitionMap>) {
        self.load.set_replicated(&map.hot);
        self.map = map;
    }

    /// A node's report arrived. `now` is in milliseconds since 1970.
    pub fn observe(&mut self, report: &LoadReport, now: Millis) {
        let taken = self.load.merge(report, now / ROUND_MS);
        self.stats.reports += u64::from(taken);
        self.stats.refused += u64::from(!taken);
    }

    /// The plan that would be made now, without making it: the dry run. Works while frozen.
    pub fn dry_run(&self, now: Millis) -> Plan {
        let load = self.load.filled(&self.map.nodes);
        let mut forecast = self.forecast.clone();
        if self.settings.foresee {
            forecast.update(&load, now, self.mean(&load));
        }
        plan(&PlanInput { forecast: &forecast, ..self.input(&load) })
    }

    /// Asks for what to do; to be called once a round, when the reports of the round are there. A second call in a round
    /// does nothing.
    pub fn plan(&mut self, now: Millis) -> Option<ShifterAction> {
        let round = self.load.round();
        if round == self.planned {
            return None;
        }
        self.planned = round;
        self.load.ignore_below((self.mean(&self.load) * Self::LEAST) as u32);
        // Taken out for as long as it is looked at beside the other fields.
        let known = std::mem::take(&mut self.load);
        let load = known.filled(&self.map.nodes);
        if self.settings.foresee {
            self.forecast.update(&load, now, self.mean(&load));
        }
        let plan = plan(&self.input(&load));
        let revert = self.judge(&load, &plan);
        drop(load);
        self.load = known;
        if let Some(revert) = revert {
            return self.propose(revert, true);
        }
        self.stats.worst = plan.before.worst;
        if self.stats.frozen || plan.is_empty() {
            return None;
        }
        self.propose(plan, false)
    }

    /// Puts what [`Shifter::dry_run`] tells on its way, also while frozen; `None` where that is nothing.
    pub fn apply(&mut self, now: Millis) -> Option<ShifterAction> {
        let plan = self.dry_run(now);
        if plan.is_empty() { None } else { self.propose(plan, false) }
    }

    fn propose(&mut self, plan: Plan, is_revert: bool) -> Option<ShifterAction> {
        let Ok(map) = shift(&self.map, &plan.moves).map(Arc::new) else {
            self.stats.unfit += 1;
            return None;
        };
        let trial = Trial {
            plan: plan.clone(),
            before: Arc::clone(&self.map),
            after: map.hash(),
            since: self.load.round(),
            is_revert,
        };
        self.proposed = Some(trial);
        Some(ShifterAction::Publish { map, plan })
    }

    /// The map that was asked to be published is in force.
    pub fn published(&mut self, map: &Arc<PartitionMap>) {
        if let Some(trial) = self.proposed.take()
            && trial.after == map.hash()
        {
            self.came(&trial);
            self.use_map(Arc::clone(map));
            // It may have taken a while to get there.
            self.trial = Some(Trial { since: self.load.round(), ..trial });
        } else {
            self.set_map(Arc::clone(map));
        }
    }

    fn came(&mut self, trial: &Trial) {
        self.stats.plans += 1;
        self.stats.reverts += u64::from(trial.is_revert);
        self.history.applied(&trial.plan.moves, self.load.round());
    }

    /// Holds what is measured against what was predicted, once, as soon as the last plan's effect shows. Returns what takes
    /// that plan back, if the heaviest node bears a fifth more than predicted, and more than it would without the plan
    /// under the loads as they are now; unless `forward`, the next plan, promises to be better still. That promise is
    /// believed twice in a row.
    fn judge(&mut self, load: &LoadModel, forward: &Plan) -> Option<Plan> {
        let round = load.round();
        if self.stats.frozen || round < self.trial.as_ref()?.since + Self::SHOWS_AFTER {
            return None;
        }
        let trial = self.trial.take()?;
        if trial.is_revert || trial.after != self.map.hash() {
            return None;
        }
        let snapshot = Snapshot::new(&self.input(load));
        let measured = Outlook::of(&snapshot.assignment, &snapshot.pairs, self.map.exceptions.len());
        let predicted = trial.plan.after.worst;
        if measured.worst <= predicted * Self::WORSE {
            self.misses = 0;
            return None;
        }
        let moves = back(&self.map, &trial.before);
        let assignment = snapshot.with(&moves);
        let without = Outlook::of(&assignment, &snapshot.pairs, assignment.exceptions());
        if without.worst * 1.05 >= measured.worst {
            return None;
        }
        self.misses += 1;
        if self.misses <= Self::BELIEVED && forward.after.worst < without.worst {
            return None;
        }
        self.misses = 0;
        self.history.hold(&trial.plan.moves, round);
        let why = format!(
            "measured {:.3} where {predicted:.3} was predicted, and {:.3} without it: taken back",
            measured.worst, without.worst
        );
        let reason = Reason { subject: format!("plan of round {}", trial.plan.round), why };
        Some(Plan {
            base: self.map.epoch,
            round,
            moves,
            reasons: vec![reason],
            before: measured,
            after: without,
            entries: trial.plan.entries,
            beyond: trial.plan.beyond,
            churn: trial.plan.churn,
            deferred: 0,
        })
    }

    fn input<'a>(&'a self, load: &'a LoadModel) -> PlanInput<'a> {
        PlanInput {
            map: &self.map,
            base: &self.base,
            load,
            forecast: &self.forecast,
            history: &self.history,
            settings: &self.settings,
        }
    }

    fn mean(&self, load: &LoadModel) -> f64 {
        load.requests() / self.map.nodes.len() as f64
    }

    /// The map in force, as far as the shifter knows.
    pub fn map(&self) -> &Arc<PartitionMap> {
        &self.map
    }

    /// The load model.
    pub fn load(&self) -> &LoadModel {
        &self.load
    }

    /// The changes of the past.
    pub fn history(&self) -> &ShiftHistory {
        &self.history
    }

    /// The load that is to come.
    pub fn forecast(&self) -> &Forecast {
        &self.forecast
    }

    /// Counts and fills.
    pub fn stats(&self) -> ShifterStats {
        ShifterStats { fill: self.load.fill(), forecast: self.forecast.len(), ..self.stats }
    }
}

/// The moves from one map back to another of the same nodes.
fn back(from: &PartitionMap, to: &PartitionMap) -> Vec<Move> {
    let MapDelta { rules, rules_gone, exceptions, hot, hot_gone, .. } = MapDelta::between(from, to).unwrap_or_default();
    let rules = rules.into_iter().map(|rule| Move::Place { prefix: rule.prefix, portion: rule.portion });
    let rules_gone = rules_gone.into_iter().map(|prefix| Move::Merge { prefix });
    let exceptions = exceptions.into_iter().map(|(partition, node)| Move::Assign { partition, node });
    let hot = hot.into_iter().map(|hot| Move::Replicate { key: hot.key, nodes: hot.nodes });
    let hot_gone = hot_gone.into_iter().map(|key| Move::Replicate { key, nodes: Vec::new() });
    rules.chain(rules_gone).chain(exceptions).chain(hot).chain(hot_gone).collect()
}

#[cfg(test)]
#[path = "shifter_tests.rs"]
mod tests;
