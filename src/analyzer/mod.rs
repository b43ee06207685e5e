//! Access Pattern Analyzer: learns, access by access, which key follows which.
//!
//! Contexts are those of a stream (its last key, its last two keys), while the
//! counts behind them are pooled over all streams, so that what one client taught
//! is known to the next. This is prediction by partial matching of order 2 (Cleary
//! and Witten, 1984; for the web: Palpanas and Mendelzon, 1999) over a fixed number
//! of lines that are replaced set by set, as hardware prefetchers do.
//!
//! Everything here is bounded at construction, costs O(1) per access, and says
//! how likely nothing is: it hands counts to the Confidence Map, which does.

mod dictionary;
mod pattern;
mod streams;
mod table;

pub use dictionary::KeyId;
pub use pattern::{
    Access, AccessCounts, Analyzer, AnalyzerConfig, AnalyzerStats, Candidate, Context, Evidence, Expert, StreamRef,
};
pub use table::SUCCESSORS;
