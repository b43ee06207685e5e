//! Seeded randomness whose values never change.

/// SplitMix64 (Steele, Lea and Flood, 2014). Not from a crate, whose values may change with its version.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that is determined by its seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator for a simulation that may replay a trace of the same seed.
    pub fn apart(seed: u64) -> Self {
        Self(seed ^ 0x6a09_e667_f3bc_c909)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, which must not be 0: the high half of a product, with a bias below bound / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// An index below `bound`, which must not be 0.
    pub fn index(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }

    /// A number in `from..=to`.
    pub fn range(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in `permille` of a thousand cases.
    pub fn chance(&mut self, permille: u32) -> bool {
        self.below(1_000) < u64::from(permille)
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// An index below `bound`, small ones far more often: the third power of a uniform number. Half of the draws fall
    /// on an eighth of the indices.
    pub fn popular(&mut self, bound: usize) -> usize {
        let uniform = self.below(1 << 20);
        let cubed = u128::from(uniform).pow(3);
        ((cubed * bound as u128) >> 60) as usize
    }
}

/// A name without any order: what a random id looks like.
pub(super) fn opaque(number: u64) -> String {
    format!("{:010x}", Random::new(number).bits() >> 24)
}
