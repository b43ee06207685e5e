//! Runs nodes: performs the reads and forwards that [`foremap::node`] asks for, feeds it the change log, and keeps it a
//! member among the gateways of a shared store.

mod clock;
mod control;
mod gate;
mod operators;
mod peers;
mod process;
mod pump;
mod share_rounds;
mod sharing;
mod tailer;
mod warm;

pub use clock::Clock;
pub use control::{ControlTask, Refused, Requests, join};
pub use gate::Gate;
pub use operators::ShifterMode;
pub(crate) use peers::{HotKeys, RELAYED, Relayed, SUBJECT, client, reachable};
pub use peers::{PeerOutcome, PeerStats, Peers};
pub use process::{NodeHandle, Process};
pub(crate) use pump::Calls;
pub(crate) use sharing::NotKept;
pub use sharing::{Sharing, SharingStats};
pub use tailer::Tailers;
