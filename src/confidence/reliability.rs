//! Reliability: how far stated probabilities are from what happened.

const BINS: usize = 20;

/// Reliability of a series of predictions in 20 equal-width bins.
#[derive(Debug, Clone, Default)]
pub struct Reliability {
    bins: [Bin; BINS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    predictions: u64,
    expected: f64,
    came_true: u64,
}

/// Predictions of nearly the same stated probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReliabilityBin {
    /// Predictions in the bin, at least one.
    pub predictions: u64,
    /// Mean of the probabilities stated.
    pub stated: f64,
    /// Share that came true.
    pub observed: f64,
}

impl Reliability {
    /// The bins that are not empty, by rising probability: the points of a reliability diagram.
    pub fn bins(&self) -> impl Iterator<Item = ReliabilityBin> {
        self.bins.iter().filter(|bin| bin.predictions > 0).map(|bin| ReliabilityBin {
            predictions: bin.predictions,
            stated: bin.expected / bin.predictions as f64,
            observed: bin.came_true as f64 / bin.predictions as f64,
        })
    }

    fn bin(confidence: f32) -> usize {
        // A float to integer cast saturates, so no input is out of range.
        ((confidence * BINS as f32) as usize).min(BINS - 1)
    }

    /// Counts a prediction, as failed so far.
    pub fn predicted(&mut self, confidence: f32) {
        let bin = &mut self.bins[Self::bin(confidence)];
        bin.predictions += 1;
        bin.expected += f64::from(confidence);
    }

    /// A prediction counted before came true.
    pub fn came_true(&mut self, confidence: f32) {
        self.bins[Self::bin(confidence)].came_true += 1;
    }

    /// Counts what `other` has counted as well, as if one had seen both series. O(bins).
    pub fn add(&mut self, other: &Self) {
        for (bin, of_other) in self.bins.iter_mut().zip(&other.bins) {
            bin.predictions += of_other.predictions;
            bin.expected += of_other.expected;
            bin.came_true += of_other.came_true;
        }
    }

    /// Predictions counted.
    pub fn predictions(&self) -> u64 {
        self.bins.iter().map(|bin| bin.predictions).sum()
    }

    /// Expected calibration error (Naeini et al., 2015): mean distance between stated probability and observed
    /// frequency, weighted by predictions; 0 without any.
    pub fn error(&self) -> f64 {
        let distance: f64 = self.bins.iter().map(|bin| (bin.expected - bin.came_true as f64).abs()).sum();
        distance / (self.predictions().max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_is_the_weighted_distance() {
        let mut reliability = Reliability::default();
        assert_eq!(reliability.error(), 0.0);
        for hit in [true, true, false, false] {
            reliability.predicted(0.75);
            if hit {
                reliability.came_true(0.75);
            }
        }
        assert!((reliability.error() - 0.25).abs() < 1e-9);
        let bins: Vec<_> = reliability.bins().collect();
        assert_eq!(bins, [ReliabilityBin { predictions: 4, stated: 0.75, observed: 0.5 }]);
        reliability.predicted(1.0);
        reliability.came_true(1.0);
        assert!((reliability.error() - 0.2).abs() < 1e-9);
        reliability.predicted(f32::NAN);
        assert_eq!(reliability.predictions(), 6);
    }

    #[test]
    fn a_sum_has_counted_both_series() {
        let (mut first, mut second, mut both) = Default::default();
        for (part, confidence, hit) in [(0, 0.25, true), (0, 0.75, false), (1, 0.75, true), (1, 0.5, false)] {
            let of_part: &mut Reliability = if part == 0 { &mut first } else { &mut second };
            for reliability in [of_part, &mut both] {
                reliability.predicted(confidence);
                if hit {
                    reliability.came_true(confidence);
                }
            }
        }
        first.add(&second);
        let bins = |reliability: &Reliability| reliability.bins().collect::<Vec<_>>();
        assert_eq!((bins(&first), first.error()), (bins(&both), both.error()));
        assert_eq!(first.bins().map(|bin| bin.predictions).collect::<Vec<_>>(), [1, 1, 2]);
    }
}
