//! The two brakes: a hard waste budget, and a threshold that follows it.

use super::config::{Caution, PrefetchConfig};

/// Step of the threshold's odds per unit of excess waste. A hundredth: the threshold settles within some hundred
/// requests and does not swing with single ones.
const STEP: f64 = 0.01;
/// Requests within which an unspent (or overdrawn) budget should be evened out.
const HORIZON: f64 = 1_000.0;
/// Highest odds the feedback asks for: a confidence of 0.99.
const MAX_ODDS: f64 = 99.0;
/// Lowest confidence that is fetched when told to be cautious.
const CAUTIOUS: f32 = 0.8;

/// Waste allowed and spent.
///
/// The threshold is kept as odds and moved by multiplication: a step in the logarithm of the odds, without the
/// platform's exponential function, so native and wasm builds decide alike.
#[derive(Debug, Clone)]
pub(super) struct WasteBudget {
    rate: f64,
    credit: f64,
    requests: u64,
    /// Threshold that pacing never goes below.
    lowest: f32,
    odds: f64,
    /// The same as a probability: asked for often, and a division.
    paced: f32,
    caution: Caution,
    /// Decayed sums over issued prefetches: waste that was expected, and waste that came or may still come.
    expected: f64,
    real: f64,
}

impl WasteBudget {
    pub(super) fn new(config: &PrefetchConfig) -> Self {
        Self {
            rate: config.waste_budget,
            credit: if config.waste_budget > 0.0 { f64::from(config.credit) } else { 0.0 },
            requests: 0,
            lowest: config.threshold,
            odds: 1.0,
            paced: 0.5_f32.max(config.threshold),
            caution: Caution::Normal,
            expected: 0.0,
            real: 0.0,
        }
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    pub(super) fn caution(&self) -> Caution {
        self.caution
    }

    pub(super) fn set_caution(&mut self, caution: Caution) {
        self.caution = caution;
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// Confidence that must be exceeded at present.
    pub(super) fn threshold(&self) -> f32 {
        match self.caution {
            Caution::Normal => self.paced,
            Caution::Cautious => self.paced.max(CAUTIOUS),
            Caution::Off => 1.0,
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.caution == Caution::Off || self.rate == 0.0
    }

    /// Prefetches that may still be issued if all of `outstanding` were wasted.
    pub(super) fn left(&self, wasted: u64, outstanding: usize) -> f64 {
        self.rate * self.requests as f64 + self.credit - wasted as f64 - outstanding as f64
    }

    pub(super) fn on_request(&mut self) {
        self.requests += 1;
    }

    /// A prefetch of this confidence was issued. It is booked as wasted until [`WasteBudget::not_wasted`]: waiting for its
    /// outcome would let successes come in first and make waste look smaller than it is.
    pub(super) fn issued(&mut self, confidence: f32) {
        // Half-life of about 350 prefetches.
        const KEEP: f64 = 0.998;
        self.expected = self.expected * KEEP + f64::from(1.0 - confidence);
        self.real = self.real * KEEP + 1.0;
    }

    /// An issued prefetch was never sent.
    pub(super) fn unissued(&mut self, confidence: f32) {
        self.expected = (self.expected - f64::from(1.0 - confidence)).max(0.0);
        self.real = (self.real - 1.0).max(0.0);
    }

    /// An issued prefetch was not wasted.
    pub(super) fn not_wasted(&mut self) {
        self.real = (self.real - 1.0).max(0.0);
    }

    /// Starts from the threshold that others have settled at.
    pub(super) fn start_at(&mut self, threshold: f32) {
        // Not `clamp`, which panics where the lowest one is higher than that.
        let threshold = f64::from(threshold.max(self.lowest).min(0.99));
        self.odds = (threshold / (1.0 - threshold)).max(1e-4);
        self.paced = (threshold as f32).max(self.lowest);
    }

    /// Ends a request whose predictions above the threshold have an expected waste of `wanted` in all, `left` being
    /// what is left of the waste budget.
    pub(super) fn pace(&mut self, wanted: f64, left: f64) {
        let correction = ((self.real + 4.0) / (self.expected + 4.0)).clamp(0.5, 2.0);
        let allowed = (self.rate + left / HORIZON).min(2.0 * self.rate).max(0.0);
        let lowest = f64::from(self.lowest.min(0.99));
        let min_odds = (lowest / (1.0 - lowest)).max(1e-4);
        self.odds = (self.odds * (1.0 + STEP * (wanted * correction - allowed))).min(MAX_ODDS).max(min_odds);
        self.paced = ((self.odds / (1.0 + self.odds)) as f32).max(self.lowest);
    }
}

#[cfg(test)]
#[path = "waste_budget_tests.rs"]
mod tests;
