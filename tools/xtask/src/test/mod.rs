//! Every test, in stages: all of them run, each is reported, one failure fails the whole.

mod interface;
mod needs;
mod sources;
mod stages;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;
use xtask::build;
use xtask::engine::Engine;
use xtask::table;
use xtask::workspace::Workspace;

use self::stages::Stage;
use crate::fuzz;

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Install what is missing: Debian packages (as root or with sudo), and below the target directory engines, Schemathesis and
    /// typos from Python wheels, cargo-deny, cargo-machete and the wasm test runner from crates
    #[arg(long)]
    install: bool,
    /// Run these stages only (may be given several times)
    #[arg(long, value_name = "STAGE", value_enum)]
    only: Vec<Stage>,
    /// Run the stage `cluster` only
    #[arg(long, conflicts_with = "only")]
    cluster: bool,
    /// Engines of the stage `cluster` (may be given several times); all of them unless told otherwise
    #[arg(long, value_name = "ENGINE", value_enum)]
    engine: Vec<Engine>,
    /// The long versions: stages that have one run it, and fuzzing takes part
    #[arg(long)]
    full: bool,
}

/// Runs the stages.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let only = if options.cluster { &[Stage::Cluster] } else { &options.only[..] };
    let by_default = |stage: &Stage| only.is_empty() && (options.full || !stage.is_long());
    let chosen = |stage: &Stage| only.contains(stage) || by_default(stage);
    let stages: Vec<Stage> = Stage::value_variants().iter().copied().filter(chosen).collect();
    let engines = if options.engine.is_empty() { Engine::value_variants() } else { &options.engine[..] };
    needs::meet(workspace, stages::needs(&stages, engines), options.install)?;
    if stages.contains(&Stage::Fuzz) {
        fuzz::meet(workspace, options.install)?;
    }
    if stages.iter().any(|stage| stage.uses_package()) {
        build::all(workspace)?;
        build::gateway(workspace)?;
    }

    let mut results = Vec::with_capacity(stages.len());
    for &stage in &stages {
        println!("\n==> test {}: {}", stage.name(), stage.about());
        let start = Instant::now();
        let result = stage.run(workspace, &stages, options.full, engines);
        if let Err(error) = &result {
            eprintln!("test {}: {error:#}", stage.name());
        }
        results.push((stage, start.elapsed(), result.is_ok()));
    }
    summarise(&results)
}

fn summarise(results: &[(Stage, Duration, bool)]) -> Result<()> {
    let mut table = table(["stage", "seconds", "result"]);
    for (stage, time, passed) in results {
        let result = if *passed { "passed" } else { "FAILED" };
        table.add_row([stage.name(), format!("{:.1}", time.as_secs_f64()), result.to_owned()]);
    }
    let failed = results.iter().filter(|(.., passed)| !passed).count();
    println!("\n{table}\nstages: {} passed, {failed} failed", results.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} stages failed", results.len());
    }
    Ok(())
}
