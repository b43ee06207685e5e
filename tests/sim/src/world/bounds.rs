//! Every table within its bound, and nothing left in the end.

use super::world::{SHARDS, World};
use crate::nodes::NODES;

impl World {
    /// Every table within its bound, at any time.
    pub(super) fn check_bounds(&mut self) {
        let mut fills = Vec::new();
        for gateway in &self.gateways {
            let s = gateway.node.stats();
            fills.push(("memory entries", s.memory_entries, s.memory_entries_max));
            fills.push(("memory bytes", s.memory_bytes, s.memory_bytes_max));
            fills.push(("ring", s.ring_entries, s.ring_entries_max));
            fills.push(("maps", s.map_history, s.map_history_max));
            fills.push(("load", s.load_partitions, s.load_partitions_max));
            fills.push(("load, prefixes", s.load_prefixes, s.load_prefixes_max));
            fills.push(("load, cells", s.load_cells, s.load_cells_max));
            fills.push(("load, keys", s.load_keys, s.load_keys_max));
            fills.push(("load, pairs", s.load_pairs, s.load_pairs_max));
            fills.push(("hot keys", s.hot_keys, s.hot_keys_max));
        }
        for client in &self.clients {
            let s = client.adapter.stats(client.local(self.now));
            let mut fill = |what, used: usize, bound: usize| fills.push((what, used as u64, bound as u64));
            fill("waiting", s.waiting.used, s.waiting.bound);
            fill("prefetching", s.prefetching.used, s.prefetching.bound);
            fill("floors", s.floors.used, s.floors.bound.min(SHARDS.into()));
            fill("origins", s.origins.used, s.origins.bound.min(NODES as usize));
            fill("cache entries", s.cache.entries, s.cache.max_entries.unwrap_or(usize::MAX));
            fill("cache bytes", s.cache.bytes, s.cache.max_bytes);
            fill("gone", s.cache.gone, s.cache.max_gone);
            fill("known changes", s.cache.known_changes, s.cache.max_known_changes);
            fill("fences", s.cache.fences, s.cache.max_fences);
            fill("evicted", s.cache.evicted_pending, s.cache.max_evicted_pending);
            fill("outstanding", s.prefetch.outstanding, s.prefetch.outstanding_max);
            fill("failure log", s.prefetch.failure_log, s.prefetch.failure_log_max);
            fill("predictor memory", s.prefetch.memory_bytes, s.prefetch.memory_max);
            fill("requests waiting", client.reads.len(), s.waiting.used);
            fill("waste budget", usize::from(s.prefetch.budget_left < 0.0), 0);
            fill("map errors", s.map_errors as usize, 0);
        }
        if let Some((what, used, bound)) = fills.into_iter().find(|(_, used, bound)| used > bound) {
            self.violate("bounds", format!("{what}: {used} of {bound} at {}", self.now));
        }
    }

    /// Nobody calls, nothing is on its way: nothing may be left.
    pub(super) fn check_quiet(&mut self) {
        self.check_bounds();
        for at in 0..self.clients.len() {
            let client = &mut self.clients[at];
            let now = client.local(self.now);
            let s = client.adapter.stats(now);
            let left = [s.waiting.used, s.fetching, s.flights, s.scopes, s.prefetching.used, client.reads.len()];
            let p = &s.prefetch;
            let outcomes = p.used + p.late + p.outdated + p.wasted + p.harmful + p.refunded + p.missing + p.failed;
            let balanced = p.issued == outcomes + p.outstanding as u64 && p.outstanding <= s.cache.entries;
            client.adapter.clear(now);
            let after = client.adapter.stats(now);
            let gone = after.prefetch.outstanding == 0 && after.cache.entries == 0 && after.cache.bytes == 0;
            let calls = client.writes.len();
            self.tally.count_client(&s);
            if left.iter().any(|&count| count > 0) || calls > 0 {
                self.violate("quiet", format!("client {at} has left {left:?}, {calls} writes"));
            } else if !balanced || !gone {
                let detail =
                    format!("client {at}: issued {}, {outcomes} outcomes, {} outstanding", p.issued, p.outstanding);
                let left = after.prefetch.outstanding;
                self.violate("outcomes", format!("{detail}, {left} after the cache was cleared, {:?}", s.cache));
            }
        }
        for at in 0..self.gateways.len() {
            let stats = self.gateways[at].node.stats();
            self.tally.count_node(&stats);
            if !self.gateways[at].jobs.is_empty() {
                self.violate("quiet", format!("gateway {at} has left {} jobs", self.gateways[at].jobs.len()));
            }
        }
    }
}
