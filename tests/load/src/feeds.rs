//! Change feeds that are only listened to.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::gateway::Http;

/// Change feeds of one gateway.
#[derive(clap::Args)]
pub(crate) struct Feeds {
    /// `host:port` of the gateway
    #[arg(long)]
    gateway: String,
    /// How many
    #[arg(long, default_value_t = 16)]
    feeds: usize,
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Of the keys below it
    #[arg(long, default_value = "bench")]
    prefix: String,
}

/// What arrived over all feeds together.
#[derive(Debug, Serialize)]
pub(crate) struct Heard {
    events: u64,
    bytes: u64,
}

impl Feeds {
    pub(crate) fn run(&self) -> Result<Heard> {
        let path = format!("/v1/changes?prefix={}", self.prefix);
        let time = Duration::from_secs_f64(self.seconds);
        let listen = || Http::connect(&self.gateway)?.feed(&path, time);
        let heard = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.feeds).map(|_| scope.spawn(listen)).collect();
            let join = |t: std::thread::ScopedJoinHandle<'_, _>| {
                t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect::<Result<Vec<(u64, u64)>>>()
        })?;
        let sum = |part: fn(&(u64, u64)) -> u64| heard.iter().map(part).sum();
        Ok(Heard { events: sum(|h| h.0), bytes: sum(|h| h.1) })
    }
}
