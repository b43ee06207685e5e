//! Confidence Map: turns evidence into calibrated probabilities, and remembers them per key.
//!
//! The probability meant is that of being *useful*: that the key is asked for, by any stream, within a window of
//! requests that follows how long unused entries survive in the cache. Counts alone are not that: 1 of 1 is no
//! certainty, and six pages that follow in any order each have a count of a sixth. So each kind of evidence
//! (expert, share, support; popularity and age; past success of the key and of the key before) has a cell that counts
//! what became of its predictions, whether or not they were fetched. Cells are mixed in the domain of log odds with
//! learnt weights, and a final map takes out what bias is left.
//!
//! A prediction is booked as a failure at once and paid back on success: waiting for its window to end
//! would let successes come in first and make everything look too good.

mod cells;
mod logit;
mod map;
mod mixer;
mod reliability;

pub use map::{Assessment, Booking, ConfidenceMap, ConfidenceStats, Moment, Settled, Step};
pub use mixer::Score;
pub use reliability::{Reliability, ReliabilityBin};
