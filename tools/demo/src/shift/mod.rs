//! The Partition Shifter at work: a tenant turns hot on six nodes, and its load is spread, without a request that fails.
//!
//! In two acts: six nodes in one process over a file, and six processes over a Redis Cluster.

mod act;
mod clients;
mod demand;
mod fleet;
mod gauge;
mod play;
mod report;
mod route;

use std::time::Instant;

use anyhow::{Result, ensure};
use foremap_bench::rows;
use xtask::build;
use xtask::process::{self, Scratch};
use xtask::workspace::Workspace;

use self::fleet::Fleet;
use self::play::play;
use super::options::Options;

/// Plays both acts.
pub(super) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let start = Instant::now();
    // Now rather than after the first act.
    ensure!(
        process::find("REDIS_SERVER", &["redis-server"]).is_some(),
        "the second act needs a Redis server (7.0 or later): apt-get install redis-server, or name one in REDIS_SERVER and \
         its redis-cli in REDIS_CLI"
    );
    let gateway = build::gateway(workspace)?;
    let scratch = Scratch::new()?;

    let mut acts = Vec::new();
    {
        println!("demo: act 1: six nodes in one process over redb");
        let mut fleet = Fleet::in_one_process(&gateway, &scratch)?;
        acts.push(play("one process, redb", &mut fleet)?);
    }
    {
        println!("\ndemo: act 2: six processes over a Redis Cluster, three masters with a replica each");
        let mut fleet = Fleet::over_redis(&gateway, &scratch)?;
        acts.push(play("six processes, Redis Cluster", &mut fleet)?);
    }

    report::print(&acts);
    let rows = report::rows(&acts);
    if let Some(path) = &options.json {
        rows::write_json(&rows, path)?;
    }
    println!("\ndemo: {:.0} s in all", start.elapsed().as_secs_f64());
    let missed: Vec<&str> = rows.iter().filter(|row| !row.met).map(|row| row.measure.as_str()).collect();
    ensure!(missed.is_empty(), "not as required: {}", missed.join("; "));
    Ok(())
}
