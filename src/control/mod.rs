//! Control: who coordinates, which map is in force, and the life of a plan.

mod coordinator;
mod member;
mod new_owners;

pub use coordinator::{Coordinator, CoordinatorConfig, Seen, Step};
pub use member::{Member, MemberState};
pub use new_owners::{changed_hot_keys, former_owners, new_owners};
