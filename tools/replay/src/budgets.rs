//! Waste budgets of clients, where all have one engine.

use foremap::prefetch::{PrefetchConfig, PrefetchOutcome};

/// A waste budget for each client, as a client with an engine of its own has it.
pub(super) struct Budgets {
    waste_budget: f64,
    credit: f64,
    clients: Vec<Budget>,
}

#[derive(Clone, Default)]
struct Budget {
    requests: u32,
    /// Prefetches that are wasted, or may still be.
    spent: u32,
}

impl Budgets {
    pub(super) fn new(clients: usize, waste_budget: f64) -> Self {
        let credit = f64::from(PrefetchConfig::default().credit);
        Self { waste_budget, credit, clients: vec![Budget::default(); clients] }
    }

    /// A client asks: what it may waste with that.
    pub(super) fn request(&mut self, client: u32) -> f64 {
        let budget = &mut self.clients[client as usize];
        budget.requests += 1;
        self.waste_budget * f64::from(budget.requests) + self.credit - f64::from(budget.spent)
    }

    /// So many prefetches were issued for it.
    pub(super) fn issued(&mut self, client: u32, prefetches: usize) {
        self.clients[client as usize].spent += prefetches as u32;
    }

    /// Takes in the outcome of one.
    pub(super) fn outcome(&mut self, client: u32, outcome: PrefetchOutcome) {
        if matches!(outcome, PrefetchOutcome::Used | PrefetchOutcome::Late | PrefetchOutcome::Refunded) {
            let spent = &mut self.clients[client as usize].spent;
            *spent = spent.saturating_sub(1);
        }
    }
}
