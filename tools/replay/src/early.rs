//! Calibration of what clients are given in their first requests.

use foremap::confidence::Reliability;
use foremap::key::CompositeKey;
use foremap::prefetch::{PrefetchOutcome, PrefetchRequest};

/// Requests of a client whose prefetches count.
const REQUESTS: u32 = 20;

/// Confidences of the prefetches issued in the first requests of each client, against what became of them.
///
/// What outcomes mean is as in the engine's own ledger, and what is unused at the end was for nothing.
pub(super) struct Early {
    clients: Vec<Client>,
    reliability: Reliability,
}

#[derive(Clone, Default)]
struct Client {
    requests: u32,
    /// Orders whose outcome is not known, with their confidence.
    open: Vec<(CompositeKey, f32)>,
}

impl Early {
    pub(super) fn new(clients: usize) -> Self {
        Self { clients: vec![Client::default(); clients], reliability: Reliability::default() }
    }

    /// A request of a client, and what it had fetched ahead.
    pub(super) fn request(&mut self, client: u32, prefetches: &[PrefetchRequest]) {
        let client = &mut self.clients[client as usize];
        client.requests += 1;
        if client.requests <= REQUESTS {
            client.open.extend(prefetches.iter().map(|prefetch| (prefetch.key.clone(), prefetch.confidence)));
        }
    }

    /// The outcome of any prefetch for a client.
    pub(super) fn outcome(&mut self, client: u32, key: &CompositeKey, outcome: PrefetchOutcome) {
        let open = &mut self.clients[client as usize].open;
        let Some(at) = open.iter().position(|(issued, _)| issued == key) else { return };
        let (_, confidence) = open.swap_remove(at);
        match outcome {
            PrefetchOutcome::Used | PrefetchOutcome::Late => {
                self.reliability.predicted(confidence);
                self.reliability.came_true(confidence);
            }
            PrefetchOutcome::Overtaken
            | PrefetchOutcome::Outdated
            | PrefetchOutcome::Wasted
            | PrefetchOutcome::Harmful => self.reliability.predicted(confidence),
            PrefetchOutcome::Refunded | PrefetchOutcome::Missing | PrefetchOutcome::Failed => {}
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

    fn prefetch(name: &str, confidence: f32) -> PrefetchRequest {
        PrefetchRequest { key: key(name), confidence, depth: 1, expert: Expert::Hint }
    }

    /// Stated probability, predictions and share that came true of each bin.
    fn bins(early: Early) -> Vec<(f64, u64, f64)> {
        early.finish().bins().map(|bin| (bin.stated, bin.predictions, bin.observed)).collect()
    }

    #[test]
    fn what_comes_true_is_held_against_the_confidence_of_its_prefetch() {
        let mut early = Early::new(2);
        early.request(0, &[prefetch("a", 0.5), prefetch("b", 0.5), prefetch("c", 0.25)]);
        early.request(1, &[prefetch("a", 0.75)]);
        early.outcome(0, &key("a"), PrefetchOutcome::Used);
        // Of another client: it says nothing of the prefetch that is open for the first.
        early.outcome(1, &key("b"), PrefetchOutcome::Used);
        early.outcome(0, &key("b"), PrefetchOutcome::Wasted);
        early.outcome(0, &key("c"), PrefetchOutcome::Refunded);
        // What client 1 has not used when it goes was for nothing.
        early.closed(1);
        early.outcome(1, &key("a"), PrefetchOutcome::Used);
        assert_eq!(bins(early), [(0.5, 2, 0.5), (0.75, 1, 0.0)]);
    }

    #[test]
    fn prefetches_count_up_to_the_twentieth_request_of_a_client() {
        let mut early = Early::new(2);
        for at in 1..=30 {
            early.request(0, &[prefetch(&format!("a/{at}"), 0.5)]);
        }
        early.request(1, &[prefetch("b", 0.75)]);
        // The last one that counts, and the first that does not.
        early.outcome(0, &key("a/20"), PrefetchOutcome::Late);
        early.outcome(0, &key("a/21"), PrefetchOutcome::Late);
        assert_eq!(bins(early), [(0.5, 20, 0.05), (0.75, 1, 0.0)]);
    }
}
