//! What each client may still waste, where all have one engine.

use foremap::prefetch::{Fate, PrefetchConfig};

/// A bank for each client: what a client with an engine of its own has.
pub(super) struct Banks {
    waste_budget: f64,
    credit: f64,
    clients: Vec<Bank>,
}

#[derive(Clone, Default)]
struct Bank {
    requests: u32,
    /// Prefetches that are wasted, or may still be.
    spent: u32,
}

impl Banks {
    pub(super) fn new(clients: usize, waste_budget: f64) -> Self {
        let credit = f64::from(PrefetchConfig::default().credit);
        Self { waste_budget, credit, clients: vec![Bank::default(); clients] }
    }

    /// A client asks: what it may waste with that.
    pub(super) fn request(&mut self, client: u32) -> f64 {
        let bank = &mut self.clients[client as usize];
        bank.requests += 1;
        self.waste_budget * f64::from(bank.requests) + self.credit - f64::from(bank.spent)
    }

    /// So many prefetches were ordered for it.
    pub(super) fn issued(&mut self, client: u32, orders: usize) {
        self.clients[client as usize].spent += orders as u32;
    }

    /// What became of one.
    pub(super) fn fate(&mut self, client: u32, fate: Fate) {
        if matches!(fate, Fate::Used | Fate::Late | Fate::Refunded) {
            let spent = &mut self.clients[client as usize].spent;
            *spent = spent.saturating_sub(1);
        }
    }
}
