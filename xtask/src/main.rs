//! `cargo xtask build | demo | test | fuzz | bench`: the one way to do each thing.
//!
//! Everything that a newcomer or the continuous integration runs goes through
//! here, so that a step exists once: setting up the wasm target and the npm
//! packages, building the core, its glue and the package, starting nodes and a
//! worker, replaying a trace, measuring.
#![allow(clippy::print_stdout, reason = "printing is what a command-line tool does")]

mod bench;
mod build;
mod demo;
mod engine;
mod fuzz;
mod http;
mod process;
mod readme;
mod rows;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, test, measure and demonstrate foremap", disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Set up what is missing, then build the wasm core, its glue and the npm package
    Build,
    /// Replay a real trace through nodes and an edge worker: no cache, cache, cache + prediction. With --shift, spread the
    /// load of a hot tenant
    Demo(demo::Options),
    /// Run every test: native, wasm, TypeScript, worker, browser, packaging, README
    Test(test::Options),
    /// Run every fuzz target for a while: needs a nightly compiler and cargo-fuzz
    Fuzz(fuzz::Options),
    /// Measure; without a name, list what can be measured
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    process::install_signal_handler()?;
    let workspace = Workspace::find()?;
    match cli.command {
        Task::Build => build::all(&workspace),
        Task::Demo(options) => demo::run(&workspace, &options),
        Task::Test(options) => test::run(&workspace, &options),
        Task::Fuzz(options) => fuzz::run(&workspace, &options),
        Task::Bench(options) => bench::run(&workspace, &options),
    }
}
