//! `cargo xtask fuzz`: every decoder that reads bytes from the network or the store, with libFuzzer.

mod report;
mod tools;

pub(crate) use self::tools::meet;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use xtask::process;
use xtask::workspace::Workspace;

use self::report::{Outcome, Run};
use self::tools::FOLDER;

/// Most bytes that one allocation may take: far above every body limit, far below what a forged length could claim.
const MALLOC_LIMIT_MB: u32 = 256;
/// Seconds of each target where none are given.
pub(crate) const SECONDS: u64 = 30;
/// The same in a look that is to be short.
pub(crate) const SHORT_SECONDS: u64 = 3;

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = SECONDS, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Run these targets only (may be given several times)
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Install what is missing: cargo-fuzz, and with rustup a nightly compiler
    #[arg(long)]
    install: bool,
}

/// Builds the targets and runs them, as many at once as there are processors.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    meet(workspace, options.install)?;
    let targets = chosen(workspace, &options.target)?;
    fuzz(workspace, &targets, options.seconds)
}

/// Runs every target for so many seconds; what it needs must be there.
pub(crate) fn all(workspace: &Workspace, seconds: u64) -> Result<()> {
    fuzz(workspace, &chosen(workspace, &[])?, seconds)
}

/// Names of the targets in order: one file each.
fn chosen(workspace: &Workspace, wanted: &[String]) -> Result<Vec<String>> {
    let folder = workspace.path(FOLDER).join("fuzz_targets");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    let mut all: Vec<String> =
        paths.iter().filter_map(|path| path.file_stem()).map(|stem| stem.to_string_lossy().into_owned()).collect();
    all.sort();
    let unknown: Vec<_> = wanted.iter().filter(|name| !all.contains(name)).collect();
    ensure!(unknown.is_empty(), "there is no target {unknown:?}; there are: {}", all.join(", "));
    all.retain(|name| wanted.is_empty() || wanted.contains(name));
    Ok(all)
}

fn fuzz(workspace: &Workspace, targets: &[String], seconds: u64) -> Result<()> {
    println!("fuzz: building {} targets", targets.len());
    let mut build = tools::cargo_fuzz(workspace, "build");
    if let [only] = targets {
        build.arg(only);
    }
    process::run(&mut build)?;
    let begun = Instant::now();
    // Each target is one thread of work: as many at once as there are processors.
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            println!("fuzz: {target} for {seconds} s");
            let run = one(workspace, target, seconds)?;
            if let Outcome::Failed { log } = &run.outcome {
                eprintln!("fuzz: {target} FAILED:\n{log}");
            }
            runs.push(run);
        }
        Ok(runs)
    };
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let results: Vec<Result<Vec<Run>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let join =
            |thread: ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        threads.into_iter().map(join).collect()
    });
    let mut runs = results.into_iter().collect::<Result<Vec<_>>>()?.concat();
    runs.sort_by(|a, b| a.target.cmp(&b.target));
    report::print(&runs, begun.elapsed())
}

/// One target, with its seeds and regressions as a start. What it finds to be new is kept below `target`, what
/// breaks it beside the regressions.
fn one(workspace: &Workspace, target: &str, seconds: u64) -> Result<Run> {
    let corpus = workspace.target.join("fuzz/corpus").join(target);
    let kept = workspace.path(FOLDER).join("regressions").join(target);
    for folder in [&corpus, &kept] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let mut command = tools::cargo_fuzz(workspace, "run");
    command.arg(target).arg(&corpus).arg(workspace.path(FOLDER).join("seeds").join(target)).arg(&kept);
    command.arg("--").args(arguments(&kept, seconds));
    let begun = Instant::now();
    let result = process::run_quietly(&mut command);
    let run = Run::read(target, begun.elapsed(), result);
    // Kept folders are those that hold something: an empty one would not survive a checkout either.
    drop(std::fs::remove_dir(&kept));
    Ok(run)
}

fn arguments(kept: &Path, seconds: u64) -> [String; 7] {
    [
        format!("-max_total_time={seconds}"),
        format!("-artifact_prefix={}/", kept.display()),
        format!("-malloc_limit_mb={MALLOC_LIMIT_MB}"),
        // The search would stop at every execution, as the store's threads make allocations and releases differ.
        "-detect_leaks=0".into(),
        "-max_len=65536".into(),
        "-len_control=20".into(),
        "-print_final_stats=1".into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_is_not_there_is_an_error_with_those_that_are() -> Result<()> {
        let workspace = Workspace::find()?;
        assert!(chosen(&workspace, &[])?.contains(&"keymap".to_owned()));
        assert_eq!(chosen(&workspace, &["keymap".to_owned()])?, ["keymap"]);
        let error = chosen(&workspace, &["none".to_owned()]).expect_err("unknown").to_string();
        assert!(error.contains("none") && error.contains("keymap"), "{error}");
        Ok(())
    }
}
