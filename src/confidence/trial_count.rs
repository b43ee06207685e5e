//! Trials and successes, with the recent past counting most.

use super::logit::below;

/// Decayed counts. A trial is booked as a failure and paid back on success.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrialCount {
    pub(super) trials: f32,
    pub(super) successes: f32,
}

impl TrialCount {
    /// Books a trial, or a share of one; more than `window` of them are halved.
    pub(super) fn book(&mut self, share: f32, window: f32) {
        self.trials += share;
        if self.trials > window {
            self.trials /= 2.0;
            self.successes /= 2.0;
        }
    }

    /// A booked trial, or a share of one, succeeded.
    pub(super) fn pay_back(&mut self, share: f32) {
        self.successes += share;
    }

    /// Successes, no more than trials: a pay-back can meet halved counts.
    pub(super) fn succeeded(&self) -> f32 {
        below(self.successes, self.trials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recent_past_counts_most() {
        let mut count = TrialCount { trials: 0.0, successes: 0.0 };
        for _ in 0..64 {
            count.book(1.0, 64.0);
            count.pay_back(1.0);
        }
        assert_eq!((count.trials, count.successes), (64.0, 64.0));
        count.book(1.0, 64.0);
        assert_eq!((count.trials, count.successes), (32.5, 32.0));
        count.pay_back(1.0);
        assert_eq!(count.succeeded(), 32.5, "a success of a trial that was halved");
    }
}
