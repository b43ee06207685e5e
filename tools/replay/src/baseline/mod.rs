//! Baselines: caches without prefetching, known predictors over LRU, and bounds.
//!
//! Each is the textbook method with unbounded memory, as the reference replays of this field have it: prediction by
//! partial matching (Cleary and Witten, 1984) of order 1 and 2, Belady's MIN (1966) with bypass, and S3-FIFO (Yang et
//! al., SOSP 2023).

mod belady;
mod id;
mod lru;
mod oracle;
mod ppm;
mod s3fifo;

pub(super) use belady::{Belady, next_uses};
pub(super) use lru::Lru;
pub(super) use oracle::{Oracle, Sight};
pub(super) use ppm::{Ppm, PpmVariant};
pub(super) use s3fifo::S3Fifo;

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;
