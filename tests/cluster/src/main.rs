//! Runs the rounds that its arguments ask for.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match foremap_cluster_test::run(&foremap_cluster_test::Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}
