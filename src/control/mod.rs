//! Control: who leads, which map is in force, and the life of a plan, as one sans-I/O machine.
//!
//! Every gateway process drives a [`Control`]; the one whose process holds the lease changes maps. The host carries out its
//! [`Command`]s and tells it what came of them, in any order; the simulation drives the very same machine.
//!
//! ```text
//! handle_timeout -> Beat -> handle_beat -> Store(Propose) -> handle_stored -> WarmUp -> handle_warm -> Store(Flip) -> Follow
//! handle_timeout -> CollectLoads -> handle_loads -> Plan -> handle_planned -> (as above)
//! ```
//!
//! ```
//! use foremap::control::{StoreChange, Command, Control, ControlConfig, Found, Member, MemberState, Times};
//! # use foremap::partition::{MapNode, PartitionMap, StorageLayout};
//! # use std::sync::Arc;
//! # let member = |id: u32| {
//! #     let origin = format!("http://node-{id}");
//! #     Member { id, incarnation: 1, origin, weight: 1, state: MemberState::Serving, warm_for: 0 }
//! # };
//! # let node = MapNode { id: 1, origin: "http://node-1".into(), weight: 1 };
//! # let map = Arc::new(PartitionMap::new(7, 64, StorageLayout::default(), vec![node]));
//! # let (stored, members) = (Some(map.clone()), None);
//! # let found = Found { is_own: true, term: Some(3), map: stored, proposal: None, members, store_ms: 0 };
//!
//! let mut control = Control::new(ControlConfig::default(), vec![member(1)], map);
//! let mut changes = Vec::new();
//! for times in [0, 1_000].map(|ms| Times { now: ms, unix: ms }) {
//!     control.handle_timeout(times);
//!     while let Some(command) = control.poll_command() {
//!         // It gets the lease, and hears of a member that is not in the map.
//!         if let Command::Beat(beat) = command {
//!             let members = beat.reads_members.then(|| vec![member(1), member(2)]);
//!             control.handle_beat(times, Ok(Found { members, ..found.clone() }));
//!         } else if let Command::Store { change, term: 3 } = command {
//!             changes.push(change);
//!         }
//!     }
//! }
//! assert!(matches!(&changes[..], [StoreChange::Propose(next)] if next.node(2).is_some()));
//! ```
//!
//! * **Membership**: a heartbeat registers the process's nodes, tries for the lease, and reads map and proposal.
//! * **Lease**: a term is a fencing number. The store refuses what a leader of an earlier term still sends, so any command may be
//!   the last one of a leader: all that has to outlive it is in the store.
//! * **Coordinator**: from who lives and what is planned to the next map, by way of a proposal that members warm up for.
//! * **Plans**: collected loads, a job for the shifter, and a plan that comes in force, is given up after 8 s, or taken back.
//! * **Freeze**: answered when no plan that nobody asked for can come in force any more.

mod command;
mod config;
mod control;
mod coordinator;
mod job;
mod member;
mod new_owners;
mod operator_request_id;
mod operators;
mod plans;
mod record;
mod stats;
mod term;

pub use command::{Beat, Command, ControlStatus, Found, NotDone, OperatorAnswer, StoreChange, StoreFailed, Times};
pub use config::ControlConfig;
pub use control::Control;
pub use coordinator::{Coordinator, CoordinatorConfig, CoordinatorStep, Seen};
pub use job::{PlanJob, Planned};
pub use member::{Member, MemberState};
pub use new_owners::{changed_hot_keys, former_owners, new_owners};
pub use operator_request_id::OperatorRequestId;
pub use record::LeaderRecord;
pub use stats::ControlStats;
pub use term::Term;
