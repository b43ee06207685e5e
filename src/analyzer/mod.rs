//! Access Pattern Analyzer: learns, access by access, which key follows which.
//!
//! Contexts are those of a stream, while the counts behind them are pooled over all streams, so that what one client
//! taught is known to the next. Four experts look at each access:
//!
//! * *order 1*: the key after the stream's last key (Markov; for the web: Padmanabhan and Mogul, 1996),
//! * *cold*: the same in the stream's misses and first uses of prefetched keys, so that what is cached for good does
//!   not hide what comes after it,
//! * two *template* experts: not which key follows, but how it is made from the last one (copy, constant, numeric and
//!   date step), after the last key's shape, and after the last template. They predict keys never seen.
//!
//! Longer contexts, skip-grams and sampled pairs added at most 0.4 points of hit ratio on any development trace;
//! templates add 40 on the one with block numbers.
//!
//! All counts are in one table of a fixed number of cache lines, all texts in rings of bytes. Everything here is
//! bounded at construction, costs O(1) per access, and says
//! how likely nothing is: it hands evidence to the Confidence Map, which does.

mod classes;
mod components;
mod evidence;
mod history;
mod keys;
mod packing;
mod pattern;
mod streams;
mod table;
mod template;
mod texts;

pub use evidence::{Candidate, Evidence, Expert, Grade, Proposals};
pub use keys::KeyId;
pub use pattern::{Access, AccessCounts, Analyzer, AnalyzerConfig, AnalyzerStats, Context, StreamRef};
pub use table::SUCCESSORS;
