//! [`Budget`]: the share of all entries that a plan may re-home.

use super::settings::PlanSettings;
use super::snapshot::Snapshot;

/// The share of all entries that a plan may re-home. The worse it is, the more may be re-homed to mend it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Budget {
    /// For all that a plan does.
    pub(super) limit: f64,
    /// For steps that are foreseen: they are due at a time that is known, whatever the load is now.
    pub(super) for_steps: f64,
    /// For splits, which leave something for moves.
    pub(super) for_splits: f64,
    for_order: f64,
}

impl Budget {
    /// Share of what a plan may re-home that is free for steps that are foreseen.
    const STEPS: f64 = 0.6;
    /// Share of what a plan may re-home that splits leave for moves.
    const MOVES: f64 = 0.35;

    /// That of a plan for a fleet as it is.
    pub(super) fn new(snapshot: &Snapshot<'_>) -> Self {
        let settings: &PlanSettings = snapshot.input.settings;
        let urgency = (snapshot.assignment.nodes().worst() - settings.calm) / (settings.urgent - settings.calm);
        let rise = (settings.entries_at_most - settings.entries_usually) * urgency.clamp(0.0, 1.0);
        let free = settings.entries_free as f64 / snapshot.input.all_entries();
        let limit = (settings.entries_usually + rise).min(settings.entries_at_most).max(free);
        Self {
            limit,
            for_steps: limit.max(settings.entries_at_most * Self::STEPS),
            for_splits: limit * (1.0 - Self::MOVES),
            for_order: settings.entries_for_order,
        }
    }

    /// The limit for bringing together what is fetched together, or for tidying up, where so much is spent already.
    pub(super) fn for_order(&self, spent: f64) -> f64 {
        (spent + self.for_order).min(self.limit)
    }
}
