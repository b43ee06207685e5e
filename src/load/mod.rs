//! Load: counted by nodes, reported, added up, and foretold.
//!
//! ```text
//! node: LoadCollector -- LoadReport, every 2 s --> leader: LoadModel -> Forecast
//! ```
//!
//! Whoever plans only ever knows what nodes report: bounded, sampled above a rate, and a little late.

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
