//! Counting by client.

/// Requests of a client that are its first ones, for [`Clients::first_hit_ratio`].
const FIRST: u32 = 10;

/// Counts of each client with a cache of its own.
#[derive(Debug)]
pub(super) struct Clients {
    counts: Vec<Counts>,
    waste_budget: f64,
    max_excess: f64,
    first: u64,
    first_hits: u64,
}

#[derive(Debug, Clone, Default)]
struct Counts {
    requests: u32,
    /// Prefetches neither used nor wasted so far.
    open: u32,
    wasted: u32,
}

impl Clients {
    pub(super) fn new(clients: usize, waste_budget: f64) -> Self {
        let counts = vec![Counts::default(); clients];
        Self { counts, waste_budget, max_excess: f64::NEG_INFINITY, first: 0, first_hits: 0 }
    }

    pub(super) fn demand(&mut self, client: usize, hit: bool, first_use: bool) {
        let counts = &mut self.counts[client];
        counts.requests += 1;
        counts.open -= u32::from(first_use);
        if counts.requests <= FIRST {
            self.first += 1;
            self.first_hits += u64::from(hit);
        }
    }

    pub(super) fn issue(&mut self, client: usize) {
        self.counts[client].open += 1;
    }

    pub(super) fn waste(&mut self, client: usize) {
        let counts = &mut self.counts[client];
        counts.open -= 1;
        counts.wasted += 1;
    }

    pub(super) fn end_request(&mut self, client: usize) {
        self.weigh(client);
    }

    /// Counts what is unused at the end as waste of its client.
    pub(super) fn end(&mut self) {
        for client in 0..self.counts.len() {
            let counts = &mut self.counts[client];
            counts.wasted += std::mem::take(&mut counts.open);
            if counts.requests > 0 {
                self.weigh(client);
            }
        }
    }

    fn weigh(&mut self, client: usize) {
        let counts = &self.counts[client];
        let excess = f64::from(counts.wasted) - self.waste_budget * f64::from(counts.requests);
        self.max_excess = self.max_excess.max(excess);
    }

    /// Largest excess of one client's waste over the budget for its own requests, in prefetches.
    pub(super) fn max_excess(&self) -> f64 {
        self.max_excess
    }

    /// Share of hits among the first ten requests of each client.
    pub(super) fn first_hit_ratio(&self) -> f64 {
        self.first_hits as f64 / self.first.max(1) as f64
    }
}
