//! Load: counted by nodes, reported, added up, and foretold.
//!
//! ```text
//! node: LoadCollector -- LoadReport, every 2 s --> leader: LoadModel -> Forecast
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

pub use collector::{CollectorFill, LoadCollector, Served};
pub use forecast::{Forecast, Upcoming};
pub use load_model::{LoadModel, ModelFill, PrefixNow};
pub(crate) use report::cell_of;
pub use report::{CELLS, Count, LATE_SHARE, LoadReport, PrefixLoad, ROUND_MS};
