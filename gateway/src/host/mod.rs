//! Runs nodes: performs the reads and forwards that [`foremap::node`] asks for, feeds it the change log, and keeps it a
//! member among the gateways of a shared store.

mod control;
mod control_handle;
mod gate;
mod operators;
mod peers;
mod process;
mod process_clock;
mod pump;
mod share_task;
mod sharing;
mod shifter_mode;
mod tailer;
mod wakers;
mod warm;

pub use control::{ControlTask, JoinRefused, join};
pub use control_handle::OperatorRequests;
pub use gate::Gate;
pub use peers::Peers;
pub(crate) use peers::{HotKeys, RELAYED, Relayed, SUBJECT, client, reachable};
pub use process::{NodeHandle, Process};
pub use process_clock::ProcessClock;
pub use share_task::ShareTask;
pub(crate) use sharing::NotKept;
pub use sharing::{Sharing, SharingStats};
pub use shifter_mode::ShifterMode;
pub use tailer::Tailers;
pub(crate) use wakers::Calls;
