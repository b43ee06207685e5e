//! Runs nodes: performs the reads and forwards that [`foremap::node`] asks for, and feeds it the change log.

mod clock;
mod process;
mod tailer;

pub use clock::Clock;
pub use process::{NodeHandle, Process};
pub use tailer::Tailers;
