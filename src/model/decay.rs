//! Counts that fade by the hour and yet add up in any order.

/// Hours after which a count weighs half.
pub(super) const HALF_LIFE: u32 = 24;
/// What one count weighs in the first hour after the landmark.
const UNIT: f64 = 65_536.0;
/// The 24th root of 2.
const HOURLY: f64 = 1.029_302_236_643_492;
/// Half-lives after the landmark at which weights are brought back: far below what a sum of 64 bits holds.
const RENEW: u32 = 16;

/// Weights that grow with time, instead of counts that shrink (forward decay; Cormode, Shkapenyuk, Srivastava and Xu,
/// 2009): a sum of them does not depend on the order in which they came, to the bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decay {
    /// The hour in which a count weighs [`UNIT`].
    landmark: u32,
}

impl Decay {
    /// Counts from an hour on; what came before it weighs as if it came then.
    pub(super) fn from(hour: u32) -> Self {
        Self { landmark: hour }
    }

    /// What one count of an hour weighs.
    pub(super) fn weight(self, hour: u32) -> u64 {
        let since = hour.saturating_sub(self.landmark).min(2 * RENEW * HALF_LIFE);
        let mut weight = UNIT;
        for _ in 0..since % HALF_LIFE {
            weight *= HOURLY;
        }
        (weight as u64) << (since / HALF_LIFE)
    }

    /// Counts, as of an hour, that a sum of weights stands for.
    pub(super) fn counts(self, sum: u64, hour: u32) -> f32 {
        sum as f32 / self.weight(hour) as f32
    }

    /// Moves the landmark if it is long ago; returns by how many bits all sums are to be shifted to the right.
    pub(super) fn renew(&mut self, hour: u32) -> u32 {
        let lives = hour.saturating_sub(self.landmark) / HALF_LIFE;
        if lives < RENEW {
            return 0;
        }
        self.landmark += lives * HALF_LIFE;
        lives.min(63)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_weighs_half_after_a_day() {
        let decay = Decay::from(1_000);
        let sum = decay.weight(1_000);
        assert!((decay.counts(sum, 1_024) - 0.5).abs() < 1e-3);
        assert!((decay.counts(sum, 1_012) - 0.7071).abs() < 1e-3);
        assert_eq!(decay.counts(decay.weight(1_030), 1_030), 1.0);
    }

    #[test]
    fn a_moved_landmark_changes_no_count() {
        let mut decay = Decay::from(0);
        assert_eq!(decay.renew(24 * 15), 0);
        let hour = 24 * 17 + 5;
        let sum = decay.weight(hour) * 3 + decay.weight(hour - 48);
        let before = decay.counts(sum, hour);
        let shift = decay.renew(hour);
        assert_eq!(shift, 17);
        assert!((decay.counts(sum >> shift, hour) - before).abs() < 1e-3, "{before}");
    }
}
