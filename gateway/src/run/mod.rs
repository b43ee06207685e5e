//! Start-up, serving and shutdown of a process.

mod backup;
mod files;
mod map;
mod operator;
mod plan;
mod run_error;
mod secret;
mod serve;
mod shutdown;

pub use crate::model::ShareOptions;
pub use backup::{BackupCommand, CheckCommand, CheckVerdict, RestoreCommand, back_up, check, restore};
pub use map::{ensure_map, first_map};
pub use plan::{PlanCommand, plan};
pub use run_error::RunError;
pub(crate) use secret::{TOKEN, secret};
pub use serve::{Options, Running, StoreOptions, run, start, start_over};
pub(crate) use shutdown::signal;
