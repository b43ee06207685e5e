//! [`TokenBucket`]: a budget that fresh requests fill, so that what it pays for stays a share of them.

/// Cost of one withdrawal, in tokens.
const COST: u32 = 100;

/// A budget of retries or hedges.
#[derive(Debug, Clone)]
pub(super) struct TokenBucket {
    tokens: u32,
    deposit: u32,
    full: u32,
}

impl TokenBucket {
    /// Retries: a tenth of the requests. Ten may come at once, which also serves a client that has just started.
    pub(super) fn of_retries() -> Self {
        Self { tokens: 10 * COST, deposit: 10, full: 10 * COST }
    }

    /// Hedges: a fiftieth of the batches, and at most two at once.
    pub(super) fn of_hedges() -> Self {
        Self { tokens: 0, deposit: 2, full: 2 * COST }
    }

    pub(super) fn deposit(&mut self) {
        self.tokens = (self.tokens + self.deposit).min(self.full);
    }

    /// Takes the cost of one, if there is enough for it.
    pub(super) fn withdraw(&mut self) -> bool {
        let enough = self.tokens >= COST;
        if enough {
            self.tokens -= COST;
        }
        enough
    }

    /// Withdrawals that may still be made at once.
    pub(super) fn available(&self) -> u32 {
        self.tokens / COST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_stay_within_a_tenth_of_the_requests() {
        let mut budget = TokenBucket::of_retries();
        let mut retries = 0;
        for _ in 0..1_000 {
            budget.deposit();
            retries += u32::from(budget.withdraw());
        }
        assert!((100..=110).contains(&retries), "{retries}");
    }

    #[test]
    fn hedges_stay_below_a_fiftieth_of_the_batches() {
        let mut budget = TokenBucket::of_hedges();
        assert!(!budget.withdraw(), "none before any batch has earned it");
        let hedges = (0..1_000).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        assert_eq!(hedges.count(), 20);
    }
}
