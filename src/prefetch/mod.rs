//! Prefetch Engine: decides what to fetch ahead, within a waste budget, and keeps the ledger of outcomes.
//!
//! ```
//! use foremap::analyzer::Access;
//! use foremap::key::CompositeKey;
//! use foremap::prefetch::{PrefetchConfig, PrefetchEngine, PrefetchOutcome};
//!
//! let mut engine = PrefetchEngine::new(PrefetchConfig::default());
//! let (list, item) = (CompositeKey::parse("shop/list")?, CompositeKey::parse("shop/item")?);
//! let mut prefetches = Vec::new();
//! for key in [&list, &item].into_iter().cycle().take(40) {
//!     engine.handle_access(0, "a tab", key, Access::Hit, &mut |_| true, &mut prefetches);
//! }
//! assert!(prefetches.is_empty()); // it was told that all is cached
//!
//! engine.handle_access(0, "another tab", &list, Access::Miss, &mut |_| false, &mut prefetches);
//! assert!(prefetches[0].key == item && prefetches[0].confidence > engine.threshold());
//! engine.handle_outcome(0, &item, PrefetchOutcome::Used);
//! assert_eq!((engine.stats().issued, engine.stats().used), (1, 1));
//! # Ok::<(), foremap::key::KeyError>(())
//! ```
//!
//! After each access it looks at the likely continuations, best first, and decides on every key that is not there yet:
//! fetches it or logs why not (`prefetch_keymap`). It measures how many requests a prefetch takes to arrive: the analyzer then
//! learns what comes after that, and a prediction counts as true only if its prefetch had arrived. Where nothing is learnt
//! for that distance yet, chains of likely requests are followed instead.
//!
//! Two brakes act together. The *threshold* follows the budget by feedback, so that in the long run the expected waste
//! is what was allowed and the best candidates get it. The *waste budget* is hard: what was wasted plus all that is still
//! unused never exceeds budget x requests plus a start-up allowance, at any moment.
//!
//! Hints of the application ([`PrefetchEngine::hint`]) go the same way: their stated probability is corrected by what became
//! of earlier ones, and threshold, waste budget, ledger and failure log treat them like any prediction.
//!
//! The engine does no I/O: it returns [`PrefetchRequest`]s, and the adapter reports when each arrives and, exactly once, its
//! [`PrefetchOutcome`].

mod config;
mod engine;
mod failures;
mod hints;
mod ledger;
mod outcome;
mod prediction;
mod request;
mod stats;
mod timing;
mod walk;
mod waste_budget;

pub use config::{Caution, PrefetchConfig};
pub use engine::PrefetchEngine;
pub use failures::{Failure, FailureReason};
pub use outcome::PrefetchOutcome;
pub use prediction::{Prediction, PredictionExplanation};
pub use request::{PrefetchRequest, Verdict};
pub use stats::{FailureCounts, PrefetchStats};
