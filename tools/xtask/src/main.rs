//! `cargo xtask build | demo | test | fuzz | bench`: the one way to do each thing.
//!
//! Everything that a newcomer or the continuous integration runs goes through
//! here, so that a step exists once. The demonstration and the measurements are
//! programs of their own, so that whoever builds or tests need not compile them.
#![allow(clippy::print_stdout, reason = "printing is what a command-line tool does")]

mod fuzz;
mod readme;
mod test;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use xtask::{build, process};

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
    #[command(disable_help_flag = true)]
    Demo(Arguments),
    /// Run every test: native, wasm, TypeScript, worker, browser, packaging, README
    Test(test::Options),
    /// Run every fuzz target for a while: needs a nightly compiler and cargo-fuzz
    Fuzz(fuzz::Options),
    /// Measure; without a name, list what can be measured
    #[command(disable_help_flag = true)]
    Bench(Arguments),
}

/// Arguments of another program.
#[derive(clap::Args)]
struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    arguments: Vec<OsString>,
}

impl Arguments {
    /// Becomes that program, built if need be.
    fn hand_to(&self, package: &str) -> Result<()> {
        let mut command = process::cargo();
        let error = command.args(["run", "--package", package, "--"]).args(&self.arguments).exec();
        Err(error).context("cannot start cargo")
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    xtask::run(|workspace| match cli.command {
        Task::Build => build::all(workspace),
        Task::Demo(options) => options.hand_to("foremap-demo"),
        Task::Test(options) => test::run(workspace, &options),
        Task::Fuzz(options) => fuzz::run(workspace, &options),
        Task::Bench(options) => options.hand_to("foremap-bench"),
    })
}
