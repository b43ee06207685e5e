//! Counts of what sequences exercised, so that none of it can become idle unnoticed.

use std::collections::BTreeMap;

/// Counts by name.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The counts.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Counts one.
    pub(crate) fn note(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Adds another one's counts.
    pub fn merge(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }
}
