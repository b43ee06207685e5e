//! Runs nodes: performs the reads and forwards that [`foremap::node`] asks for, feeds it the change log, and keeps it a
//! member among the gateways of a shared store.

mod clock;
mod membership;
mod peers;
mod process;
mod tailer;
mod warm;

pub use clock::Clock;
pub use membership::{Membership, MembershipStats, Refused};
pub(crate) use peers::HotKeys;
pub use peers::{PeerOutcome, PeerStats, Peers};
pub use process::{NodeHandle, Process};
pub use tailer::Tailers;
