//! Runs nodes: performs the reads and forwards that [`foremap::node`] asks for, feeds it the change log, and keeps it a
//! member among the gateways of a shared store.

mod clock;
mod gate;
mod membership;
mod peers;
mod process;
mod pump;
mod rounds;
mod share_rounds;
mod sharing;
mod shifting;
mod tailer;
mod warm;

pub use clock::Clock;
pub use gate::Gate;
pub use membership::{Membership, MembershipStats, Refused};
pub(crate) use peers::{HotKeys, RELAYED, Relayed, SUBJECT, client, reachable};
pub use peers::{PeerOutcome, PeerStats, Peers};
pub use process::{NodeHandle, Process};
pub(crate) use pump::Calls;
pub(crate) use sharing::NotKept;
pub use sharing::{Sharing, SharingStats};
pub(crate) use shifting::OfficeRecord;
pub use shifting::{NotApplied, ShifterMode, ShifterStatus, Shifting, ShiftingStats};
pub use tailer::Tailers;
