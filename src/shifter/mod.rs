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
//! A plan is made in phases, each in a file of its name. A phase reads a `Snapshot` and a `Budget`, and returns a `Proposal`:
//! the assignment that its moves lead to, which the next one reads. [`History`] alone outlives a plan.
//!
//! ```text
//! PlanInput -> Snapshot -> foresee -> replicate -> split -> place -> merge -> moves
//! ```
//!
//! `testdata` tells by example what comes of it. The planner only ever knows what nodes report: bounded, sampled above a
//! rate, and a little late.
//!
//! **Guarantee**: the same input gives the same plan; by its own prediction what a plan leads to never costs more than what
//! is there, and it re-homes no more entries than its settings allow, except for one split that cannot wait. The phases are
//! those of Slicer (Adya et al., 2016). O(partitions + what is heavy).

mod assignment;
mod budget;
mod foresee;
mod history;
mod hot_group;
mod input;
mod merge;
mod moves;
mod nodes;
mod outlook;
mod pairs;
mod parts;
mod place;
mod plan;
mod planner;
mod proposal;
mod replicate;
mod settings;
mod shifter;
mod snapshot;
mod split;
#[cfg(test)]
mod testing;

pub use history::History;
pub use input::PlanInput;
pub use moves::{Move, shift};
pub use outlook::Outlook;
pub use plan::{Plan, Reason};
pub use planner::plan;
pub use settings::PlanSettings;
pub use shifter::{Shifter, ShifterAction, ShifterStats};
