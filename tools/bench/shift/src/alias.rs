//! [`Alias`]: draws by weight.

use foremap_replay::Random;

/// Draws an index by weight in O(1) (Walker's alias method, as built by Vose, 1991).
#[derive(Debug, Clone)]
pub struct Alias {
    keep: Vec<f64>,
    other: Vec<u32>,
}

impl Alias {
    /// From weights, of which one at least is positive.
    pub fn new(weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let mut keep: Vec<f64> = weights.iter().map(|weight| weight * weights.len() as f64 / total).collect();
        let mut other: Vec<u32> = (0..weights.len() as u32).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..keep.len()).partition(|&at| keep[at] < 1.0);
        while let (Some(low), Some(&high)) = (small.pop(), large.last()) {
            other[low] = high as u32;
            keep[high] -= 1.0 - keep[low];
            if keep[high] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        Self { keep, other }
    }

    /// The next index.
    pub fn draw(&self, rng: &mut Random) -> usize {
        let at = rng.index(self.keep.len());
        if rng.unit() < self.keep[at] { at } else { self.other[at] as usize }
    }
}

/// Weights `1 / rank^s` of `count` ranks, adding up to 1.
pub fn zipf(count: usize, s: f64) -> Vec<f64> {
    let raw: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-s)).collect();
    let total: f64 = raw.iter().sum();
    raw.into_iter().map(|weight| weight / total).collect()
}
