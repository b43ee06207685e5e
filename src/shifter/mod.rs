//! Partition Shifter: turns a map into the next epoch's.
//!
//! A shift is virtual: it changes which portion of a key is hashed, or who owns
//! a partition, and nothing else. Not one byte of stored data moves, because
//! the store's layout does not depend on the map.
//!
//! ```text
//! node: LoadCollector -- LoadReport, every 2 s --> coordinator: LoadModel -> Forecast -> plan() -> Plan -> shift()
//!                                                        '-- measured imbalance --> Shifter: keep, or take back
//! ```
//!
//! The planner only ever knows what nodes report: bounded, sampled above a rate, and a little late.

mod attendance;
mod balance;
mod collector;
mod draft;
mod forecast;
mod history;
mod hot;
mod load;
mod moves;
mod plan;
mod planner;
mod report;
mod season;
mod series;
mod settings;
mod shifter;
mod sketch;
#[cfg(test)]
mod testing;

pub use collector::{CollectorFill, LoadCollector, Served};
pub use forecast::{Forecast, Upcoming};
pub use history::History;
pub use load::{LoadModel, ModelFill, PrefixNow};
pub use moves::{Move, shift};
pub use plan::{Outlook, Plan, Reason};
pub use planner::{PlanInput, plan};
pub use report::{CELLS, Count, LATE_SHARE, LoadReport, PrefixLoad, ROUND_MS};
pub use settings::PlanSettings;
pub use shifter::{Shifter, ShifterAction, ShifterStats};
