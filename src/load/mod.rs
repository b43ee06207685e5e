//! Load: counted by nodes, reported, added up, and foretold.
//!
//! ```text
//! node: LoadCollector -- LoadReport, every 2 s --> leader: LoadModel -> Forecast
//! ```
//!
//! ```
//! use foremap::key::{CompositeKey, KeyPrefix};
//! use foremap::load::{LoadCollector, LoadModel, LoadReport, ROUND_MS, ServedRequest};
//!
//! let mut model = LoadModel::new(64);
//! for node in [1, 2] {
//!     let mut collector = LoadCollector::new(7, 1, 0);
//!     let key = CompositeKey::parse(&format!("shop/items/{node}"))?;
//!     for now in 0..ROUND_MS {
//!         collector.observe(now, ServedRequest { key: &key, partition: 5, depth: 2, replicated: false });
//!     }
//!     let report = collector.take(ROUND_MS, node, 1, 100).encode();
//!     assert!(model.merge(&LoadReport::decode(&report)?, 100));
//! }
//! assert_eq!(model.prefix(&KeyPrefix::parse("shop/items")?).round(), 4_000.0);
//! assert_eq!(model.key(&CompositeKey::parse("shop/items/1")?).round(), 2_000.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Whoever plans only ever knows what nodes report: bounded, sampled above a rate, and a little late.
//!
//! Tables hold the heaviest items: hierarchical heavy hitters (Mitzenmacher, Steinke, Thaler, 2012) by mergeable summaries
//! (Agarwal et al., 2012); distinct keys by HyperLogLog (Flajolet et al., 2007); trend and period by Holt (1957) and Winters
//! (1960). [`LoadCollector`] takes O(1) a request and about 600 KB at most, [`LoadModel`] about 10 MB, [`Forecast`] about
//! 1 MB.

mod attendance;
mod collector;
mod forecast;
mod load_model;
mod report;
mod season;
mod series;
mod sketch;

pub use collector::{CollectorFill, LoadCollector, ServedRequest};
pub use forecast::{Forecast, Upcoming};
pub use load_model::{LoadModel, ModelFill, PrefixNow};
pub(crate) use report::cell_of;
pub use report::{CELLS, Count, LATE_SHARE, LoadReport, PrefixLoad, ROUND_MS};
