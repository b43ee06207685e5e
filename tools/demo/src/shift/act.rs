//! [`Act`]: the measurements of one.

use super::clients::Outcomes;
use super::gauge::Load;
use crate::measure::Replayed;

/// Load of the heaviest node over the mean at which load counts as spread.
pub(super) const BOUND: f64 = 1.25;
/// Keys that a load is measured over.
pub(super) const KEYS: u64 = 8_000;

/// Measurements of nodes and clients in one part of an act.
pub(super) struct Part {
    /// For people.
    pub(super) title: &'static str,
    /// Load of the nodes.
    pub(super) load: Load,
    /// Times that clients waited.
    pub(super) latencies: Replayed,
}

/// Outcome of an act.
pub(super) struct Act {
    /// For people.
    pub(super) title: &'static str,
    /// Nobody is hot.
    pub(super) even: Part,
    /// One tenant is hot, and the shifter frozen.
    pub(super) before: Part,
    /// While load moves.
    pub(super) during: Part,
    /// Load is spread.
    pub(super) after: Part,
    /// From letting go of the shifter to the end of the first measurement within the bound.
    pub(super) seconds: f64,
    /// Maps that came in force meanwhile.
    pub(super) maps: u64,
    /// Outcomes of the clients' requests.
    pub(super) outcomes: Outcomes,
}
