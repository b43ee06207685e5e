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
mod operators;
mod plans;
mod record;
mod request_id;
mod stats;
mod term;

pub use command::{Answer, Beat, Change, Command, ControlStatus, Found, NotDone, StoreFailed, Times};
pub use config::ControlConfig;
pub use control::Control;
pub use coordinator::{Coordinator, CoordinatorConfig, Seen, Step};
pub use job::{PlanJob, Planned};
pub use member::{Member, MemberState};
pub use new_owners::{changed_hot_keys, former_owners, new_owners};
pub use record::LeaderRecord;
pub use request_id::RequestId;
pub use stats::ControlStats;
pub use term::Term;
