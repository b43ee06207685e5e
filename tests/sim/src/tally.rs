//! Counts of what histories exercise, so that a test can tell that none of it is left out.

use foremap::adapter::AdapterStats;
use foremap::node::NodeStats;

use foremap_check::Summary;
use std::collections::BTreeMap;

/// Counts by name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally(pub(crate) BTreeMap<&'static str, u64>);

impl Tally {
    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    /// Adds what another history exercised.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, &count)| self.add(what, count));
    }

    /// Lists what no history exercised.
    pub fn idle(&self) -> Vec<&'static str> {
        self.0.iter().filter(|(_, count)| **count == 0).map(|(what, _)| *what).collect()
    }

    pub(crate) fn count_history(&mut self, s: &Summary) {
        for (what, count) in [
            ("checked: writes acknowledged", s.acknowledged),
            ("checked: conflicts", s.conflicts),
            ("checked: writes unknown", s.unknown),
            ("checked: strong reads", s.strong),
            ("checked: bounded reads", s.bounded),
            ("checked: over the bound", s.over_bound),
            ("checked: reads of any age", s.any),
            ("checked: absences", s.absences),
            ("checked: ends of keys", s.finals),
        ] {
            self.add(what, count as u64);
        }
        // Each is counted where it happens; named here so that a test notices what never does.
        for what in [
            "promotions",
            "handed over and back",
            "crashes",
            "pauses",
            "cuts",
            "clock jumps",
            "clocks far ahead",
            "refused by a clock far ahead",
            "begun by a clock far ahead",
            "last writes",
            "fence refused",
            "outside replicas",
            "stood in for a member",
            "waited again",
            "histories changed",
            "pipelines failed",
        ] {
            self.add(what, 0);
        }
    }

    pub(crate) fn count_client(&mut self, s: &AdapterStats) {
        let p = &s.prefetch;
        for (what, count) in [
            ("retries", s.retries),
            ("asked again", s.asked_again),
            ("changes", s.changes),
            ("resets", s.resets),
            ("maps", s.maps),
            ("exchanges", s.exchanges),
            ("fenced", s.cache.fenced),
            ("outdated", s.cache.outdated),
            ("not covered", s.cache.not_covered),
            ("client evictions", s.cache.evictions),
            ("prefetches", p.issued),
            ("used", p.used),
            ("late", p.late),
            ("wasted", p.wasted),
            ("refunded", p.refunded),
            ("missing", p.missing),
            ("prefetches failed", p.failed),
        ] {
            self.add(what, count);
        }
    }

    pub(crate) fn count_node(&mut self, s: &NodeStats) {
        for (what, count) in [
            ("memory hits", s.memory_hits),
            ("memory too old", s.memory_too_old),
            ("store failures", s.store_failures),
            ("forwarded", s.forwarded),
            ("forward failures", s.forward_failures),
            ("fills", s.fills),
            ("fills refused", s.fills_refused),
            ("log gaps", s.log_gaps),
            ("invalidated", s.invalidated),
            ("node evictions", s.evictions),
            ("whole maps", s.maps_full),
            ("map deltas", s.maps_delta),
        ] {
            self.add(what, count);
        }
    }
}
