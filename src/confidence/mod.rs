//! Confidence Map: turns counts into calibrated probabilities, and remembers them per key.
//!
//! The probability meant is that of being *useful*: that the key is asked for, by any stream, within a window of
//! requests that follows how long unused entries survive in the cache. Counts alone are not that: 1 of 1 is no
//! certainty, and six pages that follow in any order each have a count of a sixth. So each kind of evidence
//! (expert, share, support) has a cell that counts what became of its predictions, whether or not they were
//! fetched. A prediction is booked as a failure at once and paid back on success: waiting for its window to end
//! would let successes come in first and make everything look too good.

mod cells;
mod map;
mod reliability;

pub use cells::Step;
pub use map::{Assessment, ConfidenceMap, ConfidenceStats};
pub use reliability::{Reliability, ReliabilityBin};
