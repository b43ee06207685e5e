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

mod balance;
mod draft;
mod history;
mod hot;
mod moves;
mod plan;
mod planner;
mod settings;
mod shifter;
#[cfg(test)]
mod testing;

pub use history::History;
pub use moves::{Move, shift};
pub use plan::{Outlook, Plan, Reason};
pub use planner::{PlanInput, plan};
pub use settings::PlanSettings;
pub use shifter::{Shifter, ShifterAction, ShifterStats};
