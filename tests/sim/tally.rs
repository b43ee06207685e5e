//! What histories exercise, so that a test can tell that none of it is left out.

use foremap::adapter::AdapterStats;
use foremap::node::NodeStats;

use super::world::Tally;

impl Tally {
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
