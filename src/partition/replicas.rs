//! Which of several replicas serves a request.

use super::hash::mix;

/// Which of `replicas` serves the request that `salt` stands for: an index below `replicas`, 0 where there are none.
///
/// Every client draws its salts from a counter that starts at a number of its own (the hash of its name, or a random
/// one), one for each batch. The index does not depend on the key, so that keys with the same replicas in one batch go to
/// one node; and it is mixed, so that neither clients that count alike nor batches that alternate favour a replica. Each
/// replica so gets an equal share, with the deviation of chance. O(1), and the same on every platform.
pub fn replica(salt: u64, replicas: usize) -> usize {
    // SplitMix64 (Steele, Lea and Flood, 2014), then the upper bits of a product instead of a remainder (Lemire, 2019).
    let mixed = mix(salt.wrapping_add(0x9e37_79b9_7f4a_7c15));
    (((mixed >> 32) * replicas as u64) >> 32) as usize
}

#[cfg(test)]
#[path = "replicas_tests.rs"]
mod tests;
