//! [`PlanInput`]: the facts that a plan is made from.

use std::sync::Arc;

use super::settings::PlanSettings;
use super::shift_history::ShiftHistory;
use crate::key::{CompositeKey, KeyPrefix};
use crate::load::{Forecast, LoadModel, PrefixNow};
use crate::partition::PartitionMap;

/// The facts that a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// The map as it is, [valid](PartitionMap::validate).
    pub map: &'a Arc<PartitionMap>,
    /// Its [`PartitionMap::rendezvous`], which changes with its nodes alone.
    pub base: &'a [u16],
    /// The load of the last rounds.
    pub load: &'a LoadModel,
    /// The load that is to come.
    pub forecast: &'a Forecast,
    /// The changes of the past.
    pub history: &'a ShiftHistory,
    /// The aims.
    pub settings: &'a PlanSettings,
}

impl PlanInput<'_> {
    /// Entries that shares are of, as far as is known.
    pub(super) fn all_entries(&self) -> f64 {
        self.settings.entries.unwrap_or(self.load.distinct()).max(1) as f64
    }

    /// One entry, as a share of all; 0 where nobody has counted them.
    pub(super) fn entry(&self) -> f64 {
        self.settings.entries.map_or(0.0, |all| 1.0 / all.max(1) as f64)
    }

    /// Share of all entries that are below a prefix, as far as is known.
    pub(super) fn share(&self, prefix: &PrefixNow) -> f64 {
        (f64::from(prefix.keys.max(1)) / self.all_entries()).min(1.0)
    }

    /// `false` for a partition that was assigned so short a while ago that it is held off.
    pub(super) fn is_settled(&self, partition: u32) -> bool {
        let assigned = self.history.partition(partition);
        assigned.is_none_or(|round| self.load.round() >= round + self.settings.residence)
    }

    /// `true` for a prefix whose load is still to come, as a step is foreseen.
    pub(super) fn is_foreseen(&self, prefix: &KeyPrefix) -> bool {
        self.forecast.upcoming().iter().any(|step| prefix.slashed().starts_with(step.to.slashed()))
    }

    /// The same of a key.
    pub(super) fn is_foreseen_key(&self, key: &CompositeKey) -> bool {
        self.forecast.upcoming().iter().any(|step| step.to.covers(key))
    }
}
