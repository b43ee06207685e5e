//! [`run`]: all rounds.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::clock::Clock;
use crate::fleet::Fleet;
use crate::options::Options;
use crate::plan::Plan;
use crate::report::{self, Printer};
use crate::round::{self, Broken};

/// Silence of a server after which the others take it for dead.
const NODE_TIMEOUT: Duration = Duration::from_millis(1_000);

/// Promises that a fleet is set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Promised {
    replicas: usize,
    is_durable: bool,
}

/// Runs the rounds, prints a line for each and a table at the end.
///
/// # Errors
/// The first promise that was broken, with where the logs are; a required figure that was not met; or where the fleet
/// does not come up.
pub fn run(options: &Options) -> Result<()> {
    let binary = options.gateway()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("no runtime")?;
    let clock = Clock::start();
    let out = Printer;
    let mut fleet: Option<(Promised, Fleet)> = None;
    let mut reports = Vec::new();
    let mut starting = 0.0;
    for nth in 0..options.rounds {
        let seed = options.seed.wrapping_add(nth);
        // Which promise a round needs does not depend on whether slots can move as a whole.
        let promised = Promised { replicas: Plan::replicas(seed), is_durable: Plan::of(seed, false).needs_durable() };
        let mut running = match fleet.take() {
            Some((running_with, running)) if running_with == promised => running,
            other => {
                drop(other);
                let start = Instant::now();
                let running = Fleet::start(&binary, promised.replicas, promised.is_durable, NODE_TIMEOUT)?;
                starting += start.elapsed().as_secs_f64();
                running
            }
        };
        let plan = Plan::of(seed, running.redis.moves_slots_atomically()?);
        match round::run(&plan, &mut running, &runtime, clock) {
            Ok(Ok(report)) => {
                out.line(&report::line(&report));
                reports.push(report);
            }
            Ok(Err(broken)) => return Err(explain(&mut running, plan.seed, &broken)),
            Err(error) => {
                let folder = running.keep_logs();
                return Err(error.context(format!("seed {}; logs: {folder:?}", plan.seed)));
            }
        }
        fleet = Some((promised, running));
    }
    if let Some((_, running)) = fleet.as_mut().filter(|_| options.keep) {
        out.line(&format!("logs: {:?}", running.keep_logs()));
    }
    drop(fleet);
    let rows = report::rows(&reports, starting);
    out.line(&report::table(&rows));
    if let Some(path) = &options.json {
        report::write_json(&rows, path)?;
    }
    let missed: Vec<&str> = rows.iter().filter(|row| !row.met).map(|row| row.measure.as_str()).collect();
    if !missed.is_empty() {
        bail!("required figures were not met: {}", missed.join(", "));
    }
    Ok(())
}

fn explain(fleet: &mut Fleet, seed: u64, broken: &Broken) -> anyhow::Error {
    let folder = fleet.keep_logs();
    if let Some(folder) = &folder
        && let Err(error) = std::fs::write(folder.join("history.txt"), &broken.history)
    {
        return anyhow::Error::new(error).context(broken.what.clone());
    }
    anyhow::anyhow!("seed {seed}: {}\nhistory and logs: {folder:?}; again: --seed {seed} --rounds 1", broken.what)
}
