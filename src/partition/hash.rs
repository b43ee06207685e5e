//! The stable placement hash.
//!
//! XXH3-64 (Y. Collet, xxHash 0.8) is frozen by golden vectors that run
//! natively and in the wasm build. A map names its hash, so that another can
//! be introduced without guessing.

use serde::{Deserialize, Serialize};

use super::map_node::MapNode;

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

/// Spreads the bits of a number: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014). The same on every platform.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
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
    let hash = rendezvous_hash(seed, partition, node);
    // 52 bits plus a half fill an f64 exactly, so this is strictly inside (0, 1). With 53 bits
    // the half would be rounded away, and the largest hash would score minus infinity.
    let unit = ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    f64::from(weight) / -ln(unit)
}

/// The node with the largest [`rendezvous_score`], as an index; the first of equal ones. O(nodes), a hash each.
///
/// Where all nodes have one weight the score rises with the hash, and the two largest hashes decide unless they are so
/// close that rounding could. That is five times as fast as scoring all, and names the same node.
pub(super) fn rendezvous_winner(seed: u64, partition: u32, nodes: &[MapNode]) -> u16 {
    // In units of the 52 bits that count: 1.5e-11, while the logarithm is off by 1e-13 of itself.
    const CLOSE: u64 = 1 << 16;
    let weight = nodes.first().map_or(0, |node| node.weight);
    if weight > 0 && nodes.iter().all(|node| node.weight == weight) {
        let (mut largest, mut second, mut winner) = (0, 0, 0);
        for (at, node) in nodes.iter().enumerate() {
            let hash = rendezvous_hash(seed, partition, node.id) >> 12;
            if hash > largest {
                (second, largest, winner) = (largest, hash, at);
            } else {
                second = second.max(hash);
            }
        }
        if largest - second > CLOSE {
            return winner as u16;
        }
    }
    let mut best = (0, f64::MIN);
    for (at, node) in nodes.iter().enumerate() {
        let score = rendezvous_score(seed, partition, node.id, node.weight);
        // Strictly greater: equal scores go to the lower id on every platform.
        if score > best.1 {
            best = (at as u16, score);
        }
    }
    best.0
}

fn rendezvous_hash(seed: u64, partition: u32, node: u32) -> u64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&partition.to_le_bytes());
    bytes[4..].copy_from_slice(&node.to_le_bytes());
    xxh3(seed, &bytes)
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
