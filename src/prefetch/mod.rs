//! Prefetch Engine: decides what to fetch ahead, within a waste budget, and keeps the ledger of outcomes.
//!
//! After each access it looks at the likely continuations, best first, and decides on every key that is not there yet:
//! fetches it or logs why not, as [`PrefetchEngine::prefetch_keymap`] does for a key from elsewhere. It measures how many requests an order takes
//! to arrive: the analyzer then learns what comes after that, and a prediction counts as true only if its order had
//! arrived. Where nothing is learnt for that distance yet, chains of likely requests are followed instead.
//!
//! Two brakes act together. The *threshold* follows the budget by feedback, so that in the long run the expected waste
//! is what was allowed and the best candidates get it. The *bank* is hard: what was wasted plus all that is still
//! unused never exceeds budget x requests plus a start-up allowance, at any moment.
//!
//! Hints of the application ([`PrefetchEngine::hint`]) go the same way: their stated probability is corrected by what became
//! of earlier ones, and threshold, bank, ledger and failure log treat them like any prediction.
//!
//! The engine does no I/O: it returns orders, and the adapter reports when each arrives and, exactly once, its
//! [`Fate`].

mod budget;
mod config;
mod engine;
mod failures;
mod hints;
mod ledger;
mod pooled;
mod stats;
mod timing;
mod types;
mod walk;

pub use config::{Caution, PrefetchConfig};
pub use engine::PrefetchEngine;
pub use failures::{Failure, FailureReason};
pub use stats::{FailureCounts, PrefetchStats};
pub use types::{Fate, Order, Prediction, PredictionExplanation, Verdict};
