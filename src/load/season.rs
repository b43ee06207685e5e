//! [`Season`]: level, trend and periods of one load.

use super::report::ROUND_MS;
use crate::Millis;

/// Weight of the newest round in the level, in the trend, and of the newest period in a slot.
const LEVEL: f64 = 0.5;
const TREND: f64 = 0.2;
const SLOT: f64 = 0.3;
/// The part of a trend that is left after a round.
const DAMPED: f64 = 0.9;
/// A load that is off by more than this share has jumped; its trend begins anew.
const JUMP: f64 = 0.3;
/// Periods after which a slot is believed.
const BELIEVED: u8 = 2;

/// Minutes of the hour, and hours of the day: most work that comes by itself comes by these.
const PERIODS: [(Millis, usize); 2] = [(60_000, 60), (3_600_000, 24)];
const SLOTS: usize = 84;

/// Level, trend and period of a load by additive Holt-Winters, one step a round. About 800 bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Season {
    level: f64,
    trend: f64,
    /// The excess of a slot over the mean of its period, and the number of periods in which it was seen.
    slots: Vec<(f32, u8)>,
    /// Mean load of the slots under way, and rounds in them.
    current: [(usize, f64, u32); 2],
    /// Mean of the last period, as a moving average.
    means: [f64; 2],
    last: Millis,
}

impl Default for Season {
    fn default() -> Self {
        let slots = vec![(0.0, 0); SLOTS];
        Self { level: 0.0, trend: 0.0, slots, current: [(0, 0.0, 0); 2], means: [0.0; 2], last: 0 }
    }
}

impl Season {
    /// Takes in the load of a round.
    pub(super) fn observe(&mut self, now: Millis, load: f64) {
        let expected = self.level + self.trend;
        if self.last == 0 || (load - expected).abs() > JUMP * expected.max(1.0) {
            (self.level, self.trend) = (load, 0.0);
        } else {
            let level = LEVEL * load + (1.0 - LEVEL) * expected;
            self.trend = DAMPED * (TREND * (level - self.level) + (1.0 - TREND) * self.trend);
            self.level = level;
        }
        self.last = now;
        let mut first = 0;
        for (at, (length, count)) in PERIODS.into_iter().enumerate() {
            let slot = first + (now / length) as usize % count;
            let weight = ROUND_MS as f64 / (length as f64 * count as f64);
            self.means[at] += (load - self.means[at]) * if self.means[at] == 0.0 { 1.0 } else { weight };
            let (current, mean, rounds) = &mut self.current[at];
            if *current != slot && *rounds > 0 {
                let (above, times) = &mut self.slots[*current];
                let weight = if *times == 0 { 1.0 } else { SLOT };
                *above += (weight * (*mean - self.means[at] - f64::from(*above))) as f32;
                *times = times.saturating_add(1);
                (*mean, *rounds) = (0.0, 0);
            }
            *current = slot;
            *rounds += 1;
            *mean += (load - *mean) / f64::from(*rounds);
            first += count;
        }
    }

    /// The time of the last observation.
    pub(super) fn last(&self) -> Millis {
        self.last
    }

    /// The load so many rounds after the last one, over the last one.
    pub(super) fn growth(&self, rounds: f64) -> f64 {
        if self.level < 1.0 {
            return 1.0;
        }
        // The sum of a damped trend.
        let trend = self.trend * DAMPED * (1.0 - DAMPED.powf(rounds)) / (1.0 - DAMPED);
        let then = self.last + (rounds * ROUND_MS as f64) as Millis;
        let mut first = 0;
        let mut season = 0.0;
        for (length, count) in PERIODS {
            let slot = |at: Millis| &self.slots[first + (at / length) as usize % count];
            let ((now, times), (next, next_times)) = (slot(self.last), slot(then));
            if *times >= BELIEVED && *next_times >= BELIEVED {
                season += f64::from(next - now);
            }
            first += count;
        }
        (self.level + trend + season) / self.level
    }
}

#[cfg(test)]
#[path = "season_tests.rs"]
mod tests;
