//! Calibration of what clients are given in their first requests.

use foremap::confidence::Reliability;
use foremap::key::CompositeKey;
use foremap::prefetch::{Fate, Order};

/// Requests of a client whose orders count.
const REQUESTS: u32 = 20;

/// Confidences of the prefetches ordered in the first requests of each client, against what became of them.
///
/// What outcomes mean is as in the engine's own ledger, and what is unused at the end was for nothing.
pub(super) struct Early {
    clients: Vec<Client>,
    reliability: Reliability,
}

#[derive(Clone, Default)]
struct Client {
    requests: u32,
    /// Orders whose fate is not known, with their confidence.
    open: Vec<(CompositeKey, f32)>,
}

impl Early {
    pub(super) fn new(clients: usize) -> Self {
        Self { clients: vec![Client::default(); clients], reliability: Reliability::default() }
    }

    /// A request of a client, and what it ordered.
    pub(super) fn request(&mut self, client: u32, orders: &[Order]) {
        let client = &mut self.clients[client as usize];
        client.requests += 1;
        if client.requests <= REQUESTS {
            client.open.extend(orders.iter().map(|order| (order.key.clone(), order.confidence)));
        }
    }

    /// The fate of any order for a client.
    pub(super) fn fate(&mut self, client: u32, key: &CompositeKey, fate: Fate) {
        let open = &mut self.clients[client as usize].open;
        let Some(at) = open.iter().position(|(ordered, _)| ordered == key) else { return };
        let (_, confidence) = open.swap_remove(at);
        match fate {
            Fate::Used | Fate::Late => {
                self.reliability.predicted(confidence);
                self.reliability.came_true(confidence);
            }
            Fate::Overtaken | Fate::Outdated | Fate::Wasted | Fate::Harmful => self.reliability.predicted(confidence),
            Fate::Refunded | Fate::Missing | Fate::Failed => {}
        }
    }

    /// A client is gone: nothing that is open comes true any more.
    pub(super) fn closed(&mut self, client: u32) {
        for (_, confidence) in std::mem::take(&mut self.clients[client as usize].open) {
            self.reliability.predicted(confidence);
        }
    }

    /// All that was counted, after the replay.
    pub(super) fn finish(mut self) -> Reliability {
        for client in 0..self.clients.len() as u32 {
            self.closed(client);
        }
        self.reliability
    }
}

#[cfg(test)]
mod tests {
    use foremap::analyzer::Expert;

    use super::*;

    fn key(name: &str) -> CompositeKey {
        CompositeKey::parse(name).expect("a key")
    }

    fn order(name: &str, confidence: f32) -> Order {
        Order { key: key(name), confidence, depth: 1, expert: Expert::Hint }
    }

    /// Stated probability, predictions and share that came true of each bin.
    fn bins(early: Early) -> Vec<(f64, u64, f64)> {
        early.finish().bins().map(|bin| (bin.stated, bin.predictions, bin.observed)).collect()
    }

    #[test]
    fn what_comes_true_is_held_against_the_confidence_of_its_order() {
        let mut early = Early::new(2);
        early.request(0, &[order("a", 0.5), order("b", 0.5), order("c", 0.25)]);
        early.request(1, &[order("a", 0.75)]);
        early.fate(0, &key("a"), Fate::Used);
        // Of another client: it says nothing of the order that is open for the first.
        early.fate(1, &key("b"), Fate::Used);
        early.fate(0, &key("b"), Fate::Wasted);
        early.fate(0, &key("c"), Fate::Refunded);
        // What client 1 has not used when it goes was for nothing.
        early.closed(1);
        early.fate(1, &key("a"), Fate::Used);
        assert_eq!(bins(early), [(0.5, 2, 0.5), (0.75, 1, 0.0)]);
    }

    #[test]
    fn orders_count_up_to_the_twentieth_request_of_a_client() {
        let mut early = Early::new(2);
        for at in 1..=30 {
            early.request(0, &[order(&format!("a/{at}"), 0.5)]);
        }
        early.request(1, &[order("b", 0.75)]);
        // The last one that counts, and the first that does not.
        early.fate(0, &key("a/20"), Fate::Late);
        early.fate(0, &key("a/21"), Fate::Late);
        assert_eq!(bins(early), [(0.5, 20, 0.05), (0.75, 1, 0.0)]);
    }
}
