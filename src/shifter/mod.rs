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
//! ```
//! use foremap::load::ROUND_MS;
//! use foremap::shifter::{PlanSettings, Shifter, ShifterAction};
//! # use foremap::key::CompositeKey;
//! # use foremap::load::{LoadCollector, ServedRequest};
//! # use foremap::partition::{MapNode, PartitionMap, Placement, StorageLayout};
//! # let nodes = [1, 2].map(|id| MapNode { id, origin: format!("http://node-{id}"), weight: 1 });
//! # let map = PartitionMap::new(7, 1_024, StorageLayout::default(), nodes.into());
//! # let hot = CompositeKey::parse("shop/offers/today")?;
//! # let placement = Placement::new(map.clone().into());
//! # let mut reports = Vec::new();
//! # for node in [1, 2] {
//! #     let mut collector = LoadCollector::new(map.seeds[1], 1, 0);
//! #     for now in 0..ROUND_MS {
//! #         let other = CompositeKey::parse(&format!("user/{now}/profile"))?;
//! #         let key = if now % 2 == 0 { &hot } else { &other };
//! #         let place = placement.locate(key);
//! #         if place.node == node {
//! #             let (partition, depth) = (place.partition, place.portion.depth);
//! #             collector.observe(now, ServedRequest { key, partition, depth, replicated: false });
//! #         }
//! #     }
//! #     reports.push(collector.take(ROUND_MS, node, 1, 100));
//! # }
//!
//! let mut shifter = Shifter::new(map.into(), PlanSettings::default());
//! let now = 100 * ROUND_MS;
//! // Both nodes report: half of all requests are for one key.
//! for report in &reports {
//!     shifter.observe(report, now);
//! }
//! let Some(ShifterAction::Publish { map, plan }) = shifter.plan(now) else { panic!("nothing is planned") };
//! assert!(plan.before.worst > 1.4 && plan.after.worst < 1.1);
//! assert_eq!(map.replicas(&hot).map(<[_]>::len), Some(2)); // it is served by both from now on
//! # Ok::<(), foremap::key::KeyError>(())
//! ```
//!
//! A plan is made in phases, each in a file of its name. A phase reads a `Snapshot` and a `Budget`, and returns a `Proposal`:
//! the assignment that its moves lead to, which the next one reads. [`ShiftHistory`] alone outlives a plan.
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
mod hot_group;
mod input;
mod merge;
mod moves;
mod nodes;
mod outlook;
mod pairs;
mod part_loads;
mod place;
mod plan;
mod planner;
mod proposal;
mod replicate;
mod settings;
mod shift_history;
mod shifter;
mod snapshot;
mod split;
#[cfg(test)]
mod testing;

pub use input::PlanInput;
pub use moves::{Move, shift};
pub use outlook::Outlook;
pub use plan::{Plan, Reason};
pub use planner::plan;
pub use settings::PlanSettings;
pub use shift_history::ShiftHistory;
pub use shifter::{Shifter, ShifterAction, ShifterStats};
