//! Many gateways that are each told by some of the clients, and one of them that merges what all were told.

use foremap::model::{ClientId, Handover, Outbox, ToldSummary};
use foremap::partition::xxh3;

use super::settings::Handovers;

/// Of so many pages one comes a round late, behind newer ones of its gateway.
const LATE: u64 = 8;
/// Of so many pages one is not known to have been taken: it comes again in the next round, with what is new.
const AGAIN: u64 = 8;

/// Gateways, with what they were told and the merging one has not taken.
pub(super) struct Instances {
    config: Handovers,
    outboxes: Vec<Outbox>,
    late: Vec<Handover>,
    next_round: u64,
    draws: Draws,
}

impl Instances {
    pub(super) fn new(config: Handovers) -> Self {
        let outboxes = (0..config.instances.get()).map(|_| Outbox::default()).collect();
        Self { config, outboxes, late: Vec::new(), next_round: config.every_ms, draws: Draws(0) }
    }

    /// A client tells the gateway that it always talks to, which is any of them.
    pub(super) fn add(&mut self, client: u32, summary: &[u8]) {
        let at = xxh3(1, &client.to_le_bytes()) % self.outboxes.len() as u64;
        self.outboxes[at as usize].add(ClientId(client.into()), summary.into());
    }

    /// The pages that come by `now`, in any order; none before the next round.
    pub(super) fn collect(&mut self, now: u64) -> Vec<Handover> {
        if now < self.next_round {
            return Vec::new();
        }
        self.next_round = now + self.config.every_ms;
        let mut pages = std::mem::take(&mut self.late);
        for (name, outbox) in self.outboxes.iter_mut().enumerate() {
            loop {
                let page = outbox.page(name as u64);
                if page.told.is_empty() {
                    break;
                }
                let (is_last, is_known) = (!page.more, !self.draws.one_of(AGAIN));
                if is_known {
                    outbox.taken(page.next());
                }
                // What comes late comes again as well, where its gateway does not know.
                if self.draws.one_of(LATE) {
                    self.late.push(page)
                } else {
                    pages.push(page)
                }
                if is_last || !is_known {
                    break;
                }
            }
        }
        self.draws.shuffle(&mut pages);
        pages
    }
}

/// Chance that is the same in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 += 1;
        xxh3(2, &self.0.to_le_bytes()) % bound.max(1)
    }

    fn one_of(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// Durstenfeld, 1964.
    fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// Content of a page, as it arrives.
pub(super) fn arrived(page: &Handover) -> Vec<ToldSummary> {
    Handover::decode(&page.encode()).map(|page| page.told).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn everything_told_comes_in_the_end_some_of_it_twice() {
        let config = Handovers { instances: NonZeroU32::new(16).expect("not zero"), every_ms: 60 };
        let mut instances = Instances::new(config);
        let mut came: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        let mut order = Vec::new();
        for now in 0..6_000_u64 {
            if now < 5_000 {
                instances.add(now as u32 % 300, &now.to_le_bytes());
            }
            for told in instances.collect(now).iter().flat_map(arrived) {
                order.push(told.summary.to_vec());
                *came.entry(told.summary.to_vec()).or_default() += 1;
            }
            assert!(now >= 60 || came.is_empty(), "before the first round");
        }
        assert_eq!(came.len(), 5_000);
        assert!(came.values().any(|&times| times > 1), "none twice");
        let mut sorted = order.clone();
        sorted.sort_by_key(|bytes| u64::from_le_bytes(bytes[..].try_into().expect("eight bytes")));
        assert_ne!(order, sorted, "all in order");
    }

    #[test]
    fn clients_are_spread_over_all_gateways() {
        let config = Handovers { instances: NonZeroU32::new(64).expect("not zero"), every_ms: 1 };
        let mut instances = Instances::new(config);
        (0..2_000).for_each(|client| instances.add(client, b"told"));
        let entries: Vec<usize> = instances.outboxes.iter().map(|outbox| outbox.stats().entries).collect();
        assert!(entries.iter().all(|entries| (5..80).contains(entries)), "{entries:?}");
    }
}
