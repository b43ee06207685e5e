//! [`plan`]: from a map and what its nodes serve to the moves that are worth it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::balance;
use super::draft::{Draft, heaviest, part_loads};
use super::history::History;
use super::hot;
use super::moves::Move;
use super::plan::{Outlook, Plan, Reason};
use super::settings::{PlanSettings, WEIGHTS};
use crate::key::KeyPrefix;
use crate::load::Forecast;
use crate::load::{LoadModel, PrefixNow};
use crate::partition::{MAX_DEPTH, MAX_SPREAD, PartitionMap, Placement, Portion};

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// The map as it is, [valid](PartitionMap::validate).
    pub map: &'a Arc<PartitionMap>,
    /// Its [`PartitionMap::rendezvous`], which changes with its nodes alone.
    pub base: &'a [u16],
    /// What nodes served.
    pub load: &'a LoadModel,
    /// What they are about to serve.
    pub forecast: &'a Forecast,
    /// What was changed when.
    pub history: &'a History,
    /// What to aim at.
    pub settings: &'a PlanSettings,
}

/// Reasons that a plan states at most.
const MAX_REASONS: usize = 256;
/// Share of what a plan may re-home that is free for steps that are foreseen.
const FOR_STEPS: f64 = 0.6;
/// Share of what a plan may re-home that splits leave for moves.
const FOR_MOVES: f64 = 0.35;
/// Where more than one in so many nodes does not report, nothing is planned: what is known is then no picture of the whole.
const MOST_SILENT: usize = 4;

/// What is worth doing about a map. The same input gives the same plan.
///
/// Greedy, in the order of what an entry re-homed buys: replicas for hot keys, splits of hot prefixes, moves of
/// partitions, then, with what is left, bringing together what is fetched together, and merging what has cooled. The
/// phases are those of Slicer (Adya et al., 2016) and Dicer, with replicas placed by load as what evens out the
/// rest. By its own prediction, what a plan leads to never costs more than what is there. It re-homes no more than its
/// settings allow, except for one split that cannot wait ([`Plan::beyond`]). O(partitions + what is heavy).
pub fn plan(input: &PlanInput<'_>) -> Plan {
    let mut planner = Planner::new(input);
    if planner.total <= 0.0 {
        return planner.finish(Outlook::default());
    }
    let before = planner.outlook(true);
    let silent = planner.draft.silent.iter().filter(|&&silent| silent).count();
    if planner.mean < planner.settings.quiet_below || silent * MOST_SILENT > planner.draft.silent.len() {
        return planner.finish(before);
    }
    planner.foresee();
    hot::replicate(&mut planner);
    planner.split();
    balance::relieve(&mut planner);
    hot::spread_replicas(&mut planner);
    balance::relieve(&mut planner);
    if planner.draft.worst() <= planner.settings.urgent {
        balance::bring_together(&mut planner);
        planner.merge();
        balance::bring_home(&mut planner);
    }
    planner.finish(before)
}

/// What a map leads to under the loads as they are.
pub(super) fn outlook(input: &PlanInput<'_>) -> Outlook {
    Planner::new(input).outlook(true)
}

/// What a map would lead to with other rules, owners and replicas, under the loads as they are.
pub(super) fn outlook_with(input: &PlanInput<'_>, moves: &[Move]) -> Outlook {
    let mut planner = Planner::new(input);
    for change in moves {
        match change {
            Move::Place { prefix, portion } => planner.replace(prefix, Some(*portion)),
            Move::Merge { prefix } => planner.replace(prefix, None),
            Move::Assign { partition, node } => {
                let home = planner.draft.base[*partition as usize];
                let at = node.and_then(|id| input.map.index_of(id));
                planner.draft.assign(*partition, at.unwrap_or(home));
            }
            Move::Replicate { key, nodes } => hot::replace(&mut planner, key, nodes),
            Move::Members { .. } => {}
        }
    }
    planner.outlook(false)
}

/// Entries that shares are of, as far as is known.
fn all_entries(input: &PlanInput<'_>) -> f64 {
    input.settings.entries.unwrap_or(input.load.distinct()).max(1) as f64
}

/// A plan in the making.
pub(super) struct Planner<'a> {
    pub(super) input: PlanInput<'a>,
    pub(super) settings: &'a PlanSettings,
    pub(super) placement: Placement,
    pub(super) draft: Draft<'a>,
    /// Prefixes that matter, by ascending prefix; without what goes to replicas.
    pub(super) prefixes: BTreeMap<KeyPrefix, PrefixNow>,
    /// Load of all nodes, and the mean.
    total: f64,
    pub(super) mean: f64,
    /// Share of all entries that this plan may re-home.
    pub(super) limit: f64,
    /// Share of all entries that one split re-homes although it does not fit.
    beyond: f64,
    pub(super) reasons: Vec<Reason>,
    pub(super) deferred: usize,
    /// Partitions that one node serves for a reason: pairs with their frequency.
    pub(super) pairs: Vec<(u32, u32, f64)>,
    pairs_apart: f64,
}

impl<'a> Planner<'a> {
    fn new(input: &PlanInput<'a>) -> Self {
        let load = input.load;
        let placement = Placement::new(Arc::clone(input.map));
        let mut draft =
            Draft::new(input.map, input.base, |partition| load.partition(partition), |node| load.is_known(node));
        for group in hot::groups_of(input, &placement) {
            draft.add_group(group);
        }
        draft.set_targets();
        let total: f64 = draft.nodes.iter().sum();
        let mean = draft.mean();
        let settings = input.settings;
        let least = mean * settings.merge_below.min(settings.piece) / 4.0;
        let prefixes: BTreeMap<_, _> = load.prefixes(least.max(1.0)).map(|now| (now.prefix.clone(), now)).collect();
        // The worse it is, the more may be re-homed to mend it.
        let urgency = ((draft.worst() - settings.calm) / (settings.urgent - settings.calm)).clamp(0.0, 1.0);
        let limit = settings.entries_usually + (settings.entries_at_most - settings.entries_usually) * urgency;
        let free = settings.entries_free as f64 / all_entries(input);
        let limit = limit.min(settings.entries_at_most).max(free);
        let mut planner = Self {
            input: *input,
            settings,
            placement,
            draft,
            prefixes,
            total,
            mean,
            limit,
            beyond: 0.0,
            reasons: Vec::new(),
            deferred: 0,
            pairs: Vec::new(),
            pairs_apart: 0.0,
        };
        planner.find_pairs();
        planner.find_entries();
        planner
    }

    pub(super) fn because(&mut self, subject: impl ToString, why: String) {
        if self.reasons.len() < MAX_REASONS {
            self.reasons.push(Reason { subject: subject.to_string(), why });
        }
    }

    /// From which load on a node is relieved, and until which. What a node serves is known with the deviation of chance, and of
    /// many nodes the heaviest seems heavier than it is: by `sqrt(2 ln nodes)` deviations, over the rounds that count.
    pub(super) fn band(&self) -> (f64, f64) {
        const ROUNDS_THAT_COUNT: f64 = 6.0;
        let nodes = self.draft.nodes.len() as f64;
        let chance = (2.0 * nodes.ln() / (ROUNDS_THAT_COUNT * self.mean.max(1.0))).sqrt().min(0.2);
        (self.settings.relieve_from + chance, self.settings.relieve_to + chance / 2.0)
    }

    /// Whether something may change again that was changed in the round, or whether it is held off.
    pub(super) fn is_settled(&self, changed: Option<u64>) -> bool {
        changed.is_none_or(|round| self.input.load.round() >= round + self.settings.residence)
    }

    /// Share of all entries that are below a prefix, as far as is known.
    fn share(&self, prefix: &PrefixNow) -> f64 {
        (f64::from(prefix.keys.max(1)) / all_entries(&self.input)).min(1.0)
    }

    /// The prefixes that step with the clock: the next one gets the portion and the homes of the one that is hot now, and so
    /// its load is where it was when the step comes.
    fn foresee(&mut self) {
        // It is due at a time that is known, whatever the load is now.
        let limit = self.limit.max(self.settings.entries_at_most * FOR_STEPS);
        for step in self.input.forecast.upcoming() {
            // The loads known are of before: afterwards there is nothing to copy.
            if step.at < self.input.load.round() * crate::load::ROUND_MS {
                continue;
            }
            let mut count = 0;
            let stepped = |text: &str| {
                let rest = text.strip_prefix(step.from.slashed()).unwrap_or_default();
                KeyPrefix::from_canonical(format!("{}{rest}", step.to.slashed()).trim_end_matches('/'))
            };
            let below = |prefix: &&PrefixNow| prefix.prefix.slashed().starts_with(step.from.slashed());
            let heavy: Vec<PrefixNow> = self.prefixes.values().filter(below).cloned().collect();
            for now in heavy {
                let (portion, own) = self.draft.portion(&now.prefix);
                let Some(to) = stepped(now.prefix.slashed()) else { continue };
                if usize::from(portion.depth) != now.prefix.depth() {
                    continue;
                }
                if own && self.draft.rules.get(&to) != Some(&portion) {
                    // Nothing is known to be there yet, so that nothing is re-homed.
                    self.draft.rules.insert(to.clone(), portion);
                    count += 1;
                }
                let parts = self.draft.map.parts(&now.prefix, portion).zip(self.draft.map.parts(&to, portion));
                let loads = part_loads(now.load, &now.cells, portion.spread);
                let Some((from, next)) = parts else { continue };
                for ((from, next), load) in from.into_iter().zip(next).zip(loads) {
                    let home = self.draft.owner[from as usize];
                    let affordable = self.draft.entries + self.draft.share(next) <= limit;
                    if load < 0.03 * self.mean || self.draft.owner[next as usize] == home || !affordable {
                        continue;
                    }
                    self.draft.assign(next, home);
                    self.draft.tied.insert(next);
                    count += 1;
                }
            }
            count += hot::foresee(self, step);
            if count > 0 {
                let why = format!("follows {} at {}: gets its portion and its homes before", step.from, step.at);
                self.because(&step.to, why);
            }
        }
    }

    /// One entry, as a share of all.
    pub(super) fn entry(&self) -> f64 {
        self.settings.entries.map_or(0.0, |all| 1.0 / all.max(1) as f64)
    }

    /// Notes which partitions hold the entries of heavy prefixes.
    fn find_entries(&mut self) {
        for prefix in self.prefixes.values() {
            let (portion, _) = self.draft.portion(&prefix.prefix);
            // What is one component deeper is below another one that is among them.
            if usize::from(portion.depth) == prefix.prefix.depth()
                && let Some(parts) = self.draft.map.parts(&prefix.prefix, portion)
            {
                let share = self.share(prefix) / parts.len() as f64;
                for part in parts {
                    *self.draft.extra.entry(part).or_default() += share;
                }
            }
        }
    }

    /// Whether a partition may be moved without re-homing too much.
    pub(super) fn affords(&self, partition: u32) -> bool {
        self.draft.entries + self.draft.share(partition) <= self.limit
    }

    /// Splits prefixes that are too heavy for one node, as finely as it takes and at once.
    fn split(&mut self) {
        let from = self.settings.split_from * self.mean;
        let mut heavy: Vec<(KeyPrefix, f64)> =
            self.prefixes.values().map(|p| (p.prefix.clone(), self.expected(p))).collect();
        heavy.retain(|&(_, load)| load > from);
        heavy.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let mut limit = self.limit * (1.0 - FOR_MOVES);
        let mut pressing = self.settings.urgent * self.mean;
        for (prefix, load) in heavy {
            let Some((portion, parts)) = self.finer(&prefix, load) else { continue };
            // What alone is too much for a node stays too much until it is split, however much that re-homes; one a plan.
            let cannot_wait = load > std::mem::replace(&mut pressing, f64::INFINITY);
            let before = self.draft.entries;
            self.place(&prefix, portion, load, parts, if cannot_wait { f64::INFINITY } else { limit });
            if self.draft.entries > limit && cannot_wait {
                self.beyond = self.draft.entries - before;
                self.limit += self.beyond;
                limit += self.beyond;
            }
        }
    }

    /// The load of a prefix a little later.
    fn expected(&self, prefix: &PrefixNow) -> f64 {
        prefix.load * self.input.forecast.factor(&prefix.prefix)
    }

    /// A portion that leaves no part above what a part may have, if one is needed and helps; with the loads of its parts.
    fn finer(&self, prefix: &KeyPrefix, load: f64) -> Option<(Portion, Vec<f64>)> {
        let now = self.prefixes.get(prefix)?;
        let (portion, _) = self.draft.portion(prefix);
        let (depth, len) = (usize::from(portion.depth), prefix.depth());
        if depth > len || len > usize::from(MAX_DEPTH) || self.input.history.is_held(prefix, self.input.load.round()) {
            return None;
        }
        let loads = |spread| part_loads(load, &now.cells, spread);
        // One component too short: all of it lies in one part of the prefix above.
        let (now_at, first) = if depth == len { (portion.spread, portion.spread + 1) } else { (0, 0) };
        let current = heaviest(&loads(now_at));
        if current <= self.settings.split_from * self.mean || first > MAX_SPREAD {
            return None;
        }
        let finest = heaviest(&loads(MAX_SPREAD));
        let enough = (self.settings.piece * self.mean).max(finest * 1.1);
        let spread = (first.max(1)..=MAX_SPREAD).find(|&spread| heaviest(&loads(spread)) <= enough)?;
        let parts = loads(spread);
        (heaviest(&parts) < 0.85 * current).then_some((Portion { depth: len as u8, spread }, parts))
    }

    /// Hashes another portion below a prefix, whatever that costs.
    fn replace(&mut self, prefix: &KeyPrefix, portion: Option<Portion>) {
        let portion = portion.unwrap_or_else(|| super::draft::covering(&self.draft.rules, prefix));
        if let Some(now) = self.prefixes.get(prefix) {
            let spread = if usize::from(portion.depth) == prefix.depth() { portion.spread } else { 0 };
            let (load, parts) = (now.load, part_loads(now.load, &now.cells, spread));
            self.place(prefix, portion, load, parts, f64::INFINITY);
        }
    }

    /// Hashes another portion below a prefix, unless that re-homes too much.
    fn place(&mut self, prefix: &KeyPrefix, portion: Portion, load: f64, parts: Vec<f64>, limit: f64) {
        let Some(now) = self.prefixes.get(prefix) else { return };
        let (old, _) = self.draft.portion(prefix);
        let map = self.draft.map;
        let (Some(from), Some(to)) = (map.parts(prefix, old), map.parts(prefix, portion)) else { return };
        let kept =
            if old.depth == portion.depth { (-f64::from(portion.spread.abs_diff(old.spread))).exp2() } else { 0.0 };
        let entries = self.share(now) * (1.0 - kept);
        if self.draft.entries + entries > limit {
            self.deferred += 1;
            return;
        }
        let spread = if usize::from(old.depth) == prefix.depth() { old.spread } else { 0 };
        let loads = part_loads(now.load, &now.cells, spread);
        for (&partition, of_part) in from.iter().zip(loads) {
            self.draft.add(partition, -of_part);
        }
        // A part that one child makes up lies there already, if it is the one with the prefix's own place.
        for (&partition, &of_part) in to.iter().zip(&parts) {
            self.draft.add(partition, of_part);
        }
        self.draft.entries += entries;
        let covering = super::draft::covering(&self.draft.rules, prefix);
        if covering == portion {
            self.draft.rules.remove(prefix);
        } else {
            self.draft.rules.insert(prefix.clone(), portion);
        }
        let (of_mean, of_heaviest) = (load / self.mean, heaviest(&parts) / self.mean);
        let why = format!(
            "{of_mean:.2} of a node's load: {}.{} -> {}.{} (depth.spread), its heaviest part then {of_heaviest:.2}; re-homes {:.4} %",
            old.depth,
            old.spread,
            portion.depth,
            portion.spread,
            100.0 * entries
        );
        self.because(prefix, why);
    }

    /// Merges prefixes that have cooled, a little at a time.
    fn merge(&mut self) {
        let limit = (self.draft.entries + self.settings.entries_for_order).min(self.limit);
        let below = self.settings.merge_below * self.mean;
        if self.input.load.rounds_known() < 4 {
            return;
        }
        let rules: Vec<(KeyPrefix, Portion)> =
            self.draft.rules.iter().map(|(prefix, &portion)| (prefix.clone(), portion)).collect();
        for (prefix, portion) in rules {
            let kept = usize::from(portion.depth) == prefix.depth() && prefix.depth() > 0;
            let changed = self.input.history.rule(&prefix);
            let round = self.input.load.round();
            // What is foreseen stays, as does what was changed a short while ago.
            if !kept || changed.is_some_and(|at| round < at + 2 * self.settings.residence) || self.is_foreseen(&prefix)
            {
                continue;
            }
            let now = self.prefixes.entry(prefix.clone()).or_insert_with(|| PrefixNow {
                prefix: prefix.clone(),
                load: self.input.load.prefix(&prefix),
                keys: 1,
                cells: Vec::new(),
            });
            let loads = |spread| part_loads(now.load, &now.cells, spread);
            let spread = (0..=portion.spread).find(|&spread| heaviest(&loads(spread)) <= below);
            let merged = match spread {
                // It needs no rule of its own any more.
                Some(0) => super::draft::covering(&self.draft.rules, &prefix),
                Some(spread) if spread < portion.spread => Portion { spread, ..portion },
                _ => continue,
            };
            let parts = loads(spread.unwrap_or(0));
            let load = now.load;
            self.place(&prefix, merged, load, parts, limit);
        }
    }

    fn is_foreseen(&self, prefix: &KeyPrefix) -> bool {
        let starts = |step: &crate::load::Upcoming| prefix.slashed().starts_with(step.to.slashed());
        self.input.forecast.upcoming().iter().any(starts)
    }

    /// Pairs of prefixes that are fetched together and have one home each.
    fn find_pairs(&mut self) {
        let mut found = Vec::new();
        let (mut apart, mut all) = (0.0, 0.0);
        for (one, other, count) in self.input.load.together() {
            let home = |prefix: &KeyPrefix| {
                let (portion, _) = self.draft.portion(prefix);
                let parts = self.draft.map.parts(prefix, portion)?;
                (parts.len() == 1).then(|| parts[0])
            };
            let count = count as f64;
            all += count;
            match (home(one), home(other)) {
                (Some(one), Some(other)) => found.push((one, other, count)),
                _ => apart += count,
            }
        }
        let all = f64::max(all, 1.0);
        self.pairs = found.into_iter().map(|(one, other, count)| (one, other, count / all)).collect();
        self.pairs.sort_by(|a, b| b.2.total_cmp(&a.2).then_with(|| (a.0, a.1).cmp(&(b.0, b.1))));
        self.pairs_apart = apart / all;
        let Self { draft, pairs, .. } = self;
        for &(one, other, _) in &*pairs {
            if draft.owner[one as usize] == draft.owner[other as usize] {
                draft.tied.extend([one, other]);
            }
        }
    }

    /// What the draft leads to; `as_is` before anything was changed.
    fn outlook(&self, as_is: bool) -> Outlook {
        let draft = &self.draft;
        let worst = draft.worst();
        let over = (0..draft.nodes.len() as u16).map(|node| (draft.relative(node) - 1.0).max(0.0).powi(2)).sum::<f64>()
            / draft.nodes.len() as f64;
        let separated = |&&(one, other, _): &&(u32, u32, f64)| draft.owner[one as usize] != draft.owner[other as usize];
        let apart = self.pairs_apart + self.pairs.iter().filter(separated).map(|pair| pair.2).sum::<f64>();
        let replicas: usize =
            draft.groups.iter().map(|group| group.keys.len() * group.nodes.len().saturating_sub(1)).sum();
        let exceptions = if as_is {
            draft.map.exceptions.len()
        } else {
            (0..draft.map.partitions as usize).filter(|&p| draft.owner[p] != draft.base[p]).count()
        };
        let rules = draft.rules.len();
        let kilobytes = (rules * 12 + exceptions * 3 + replicas * 2) as f64 / 1_024.0;
        let cost = WEIGHTS.worst * (worst - 1.0).max(0.0)
            + WEIGHTS.over * over
            + WEIGHTS.apart * apart
            + WEIGHTS.replicas * replicas as f64 / draft.nodes.len() as f64
            + WEIGHTS.map * kilobytes;
        Outlook { worst, together: 1.0 - apart, replicas, rules, exceptions, cost }
    }

    fn finish(self, before: Outlook) -> Plan {
        let mut plan = Plan {
            base: self.draft.map.epoch,
            round: self.input.load.round(),
            before,
            after: before,
            ..Plan::default()
        };
        if self.total <= 0.0 {
            return plan;
        }
        let after = self.outlook(false);
        let moves = self.draft.moves();
        let entries = self.draft.entries;
        let churn = WEIGHTS.entries * entries;
        let foreseen = !self.input.forecast.upcoming().is_empty();
        let gains = after.cost <= before.cost;
        // What is done for a step that is still to come pays only then, and may cost a little now.
        let worth_it = gains || foreseen && after.cost <= before.cost + 0.1;
        plan.deferred = self.deferred;
        if worth_it && entries <= self.limit.max(self.settings.entries_at_most) {
            plan = Plan { moves, reasons: self.reasons, after, entries, beyond: self.beyond, churn, ..plan };
        }
        plan
    }
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
