//! The one source of chance, and draws by weight.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator that is determined by its seed.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x6a09_e667_f3bc_c909)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

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
    pub fn draw(&self, rng: &mut Rng) -> usize {
        let at = rng.below(self.keep.len());
        if rng.unit() < self.keep[at] { at } else { self.other[at] as usize }
    }
}

/// Weights `1 / rank^s` of `count` ranks, adding up to 1.
pub fn zipf(count: usize, s: f64) -> Vec<f64> {
    let raw: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-s)).collect();
    let total: f64 = raw.iter().sum();
    raw.into_iter().map(|weight| weight / total).collect()
}
