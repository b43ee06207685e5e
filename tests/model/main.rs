//! Properties of keys, placement and wire forms, over generated inputs.
//!
//! The seed is fixed and the case counts are chosen so that all of it takes
//! seconds: a failure here is a defect, never bad luck.
#![cfg(not(target_arch = "wasm32"))]

mod decode;
mod keys;
mod placement;
mod shifter;
mod strategies;
mod wire;

use proptest::test_runner::{Config, RngSeed};

/// `cases` cases from one fixed seed. `PROPTEST_RNG_SEED` and `PROPTEST_CASES` do not apply.
fn config(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(0x666f_7265), failure_persistence: None, ..Config::default() }
}
