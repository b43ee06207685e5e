//! Basis of everything that builds, tests, measures or demonstrates foremap: where things are, child processes, and
//! building.
#![allow(clippy::print_stdout, reason = "printing is what command-line tools do")]

pub mod build;
pub mod engine;
pub mod gateway;
pub mod process;
mod table;
pub mod workspace;

pub use table::table;

use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::Workspace;

/// Runs a program: with its children ended on a signal, and an error told on standard error.
pub fn run(task: impl FnOnce(&Workspace) -> Result<()>) -> ExitCode {
    match process::install_signal_handler().and_then(|()| task(&Workspace::find()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
