//! The stable placement hash.
//!
//! XXH3-64 (Y. Collet, xxHash 0.8) is frozen by golden vectors that run
//! natively and in the wasm build. A map names its hash, so that another can
//! be introduced without guessing.

use serde::{Deserialize, Serialize};

/// The hash function a map's placement is computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HashId {
    /// XXH3-64 with a 64-bit seed.
    #[default]
    #[serde(rename = "xxh3-64")]
    Xxh3,
}

impl HashId {
    pub(super) fn wire(self) -> u8 {
        match self {
            Self::Xxh3 => 1,
        }
    }

    pub(super) fn from_wire(id: u8) -> Option<Self> {
        (id == 1).then_some(Self::Xxh3)
    }
}

/// XXH3-64 of `bytes` under `seed`.
pub fn xxh3(seed: u64, bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, seed)
}

/// The partition hash of a portion with spread index `index` (DESIGN: `i`).
pub(super) fn spread_hash(seed: u64, portion_hash: u64, index: u32) -> u64 {
    if index == 0 {
        // Index 0 keeps the unspread place, so that turning spread on leaves half of a prefix where it is.
        return portion_hash;
    }
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&portion_hash.to_le_bytes());
    bytes[8..].copy_from_slice(&index.to_le_bytes());
    xxh3(seed, &bytes)
}

/// Rendezvous score of a node for a partition: the largest wins.
///
/// Weighted highest random weight: `-w / ln(u)` (Schindelhauer and Schomaker,
/// 2005; Thaler and Ravishankar, 1998). A node's weight changes only its own scores, so
/// removing one of n nodes moves only that node's partitions.
pub(super) fn rendezvous_score(seed: u64, partition: u32, node: u32, weight: u32) -> f64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&partition.to_le_bytes());
    bytes[4..].copy_from_slice(&node.to_le_bytes());
    let hash = xxh3(seed, &bytes);
    // 52 bits plus a half fill an f64 exactly, so this is strictly inside (0, 1). With 53 bits
    // the half would be rounded away, and the largest hash would score minus infinity.
    let unit = ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    f64::from(weight) / -ln(unit)
}

/// Natural logarithm of a normal `x` in (0, 1), by basic IEEE operations only.
///
/// `f64::ln` calls the platform's mathematical library, which may round the
/// last bit differently in wasm and natively, and two clients would then place
/// a partition differently. Relative error below 1e-13: enough, as only the
/// order of the scores counts.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i32 - 1_023;
    let mut mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1_023 << 52);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)); |t| <= 0.1716, so eleven odd terms suffice.
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let t2 = t * t;
    let mut series = 0.0;
    for k in (0..11).rev() {
        series = series * t2 + 1.0 / f64::from(2 * k + 1);
    }
    f64::from(exponent) * std::f64::consts::LN_2 + 2.0 * t * series
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
