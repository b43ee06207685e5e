//! Start-up, serving and shutdown of a process.

mod failure;
mod map;
mod serve;
mod shutdown;

pub use failure::Failure;
pub use map::ensure_map;
pub use serve::{Options, Running, run, start};
