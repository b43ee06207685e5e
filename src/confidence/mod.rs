//! Confidence Map: turns evidence into calibrated probabilities, and remembers them per key.
//!
//! ```
//! use foremap::analyzer::{Evidence, Expert, Grade, KeyId};
//! use foremap::confidence::{Booking, ConfidenceMap, LogicalTime, PredictionStep};
//! # use foremap::key::CompositeKey;
//! # let id = |seq: u64| KeyId::of(0, &CompositeKey::parse(&format!("item/{seq}")).expect("a key"));
//! # let at = |seq| LogicalTime { seq, of_all: seq };
//!
//! let mut map = ConfidenceMap::new(1 << 20);
//! let mut evidence = Evidence::default();
//! evidence.grades[Expert::Order1 as usize] = Grade::of(1, 1, true);
//! assert!(map.score(&evidence).probability < 0.5); // 1 of 1 is no certainty
//! for seq in 0..1_000 {
//!     let score = map.score(&evidence);
//!     let (step, confidence) = (PredictionStep::Direct(score), score.probability);
//!     map.book(at(seq), &Booking { id: id(seq), after: id(0), step: &step, expert: Expert::Order1, confidence });
//!     if seq % 5 != 0 {
//!         map.settle(at(seq + 1), id(seq)); // four of five come true
//!     }
//! }
//! assert!((map.score(&evidence).probability - 0.8).abs() < 0.1);
//! ```
//!
//! The probability meant is that of being *useful*: that the key is asked for, by any stream, within a window of
//! requests that follows how long unused entries survive in the cache, and not before an order made at the time would
//! have arrived. Counts alone are not that: 1 of 1 is no
//! certainty, and six pages that follow in any order each have a count of a sixth. So each kind of evidence
//! (expert, share, support; popularity and age; past success of the key and of the key before) has a cell that counts
//! what became of its predictions, whether or not they were fetched. Cells are mixed in the domain of log odds with
//! learnt weights, and a final map takes out what bias is left.
//!
//! What is fetched is chosen, and its entry stays a little longer or shorter than the window. So a second map, learnt from
//! what became of prefetches, leads from the confidence of a prediction to the worth of fetching it.
//!
//! A prediction is booked as a failure at once and paid back on success: waiting for its window to end
//! would let successes come in first and make everything look too good.
//!
//! The mixture is logistic (Mattern, 2012; PAQ), the final map an adaptive probability map (Mahoney, PAQ). How well
//! calibrated the result was is told as its expected calibration error (Naeini et al., 2015). Memory is fixed at
//! construction; scoring and settling are O(1).

mod calibration;
mod cells;
mod confidence_map;
mod knots;
mod logit;
mod mixer;
mod reliability;
mod trial_count;

pub use confidence_map::{
    Assessment, Booking, ConfidenceMap, ConfidenceStats, LogicalTime, PredictionStep, Settled, Worth,
};
pub use mixer::Score;
pub use reliability::{Reliability, ReliabilityBin};
