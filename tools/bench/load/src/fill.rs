//! Each key of a set, once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;
use foremap::protocol::{BatchItem, BatchRequest, Class, MAX_BATCH_KEYS};

use crate::gateway::Http;
use crate::keys::Shape;
use crate::laps::{Measured, cpu_seconds};
use crate::pipeline;

/// Each key of a set, once.
#[derive(clap::Args)]
pub(crate) struct Fill {
    /// `host:port` of the gateway
    #[arg(long, required_unless_present = "redis")]
    gateway: Option<String>,
    /// `host:port` of a server of a Redis Cluster, to which the same is written as plain values
    #[arg(long, conflicts_with = "gateway")]
    redis: Option<String>,
    /// Operation on each of them
    #[arg(long, value_enum, default_value_t = Mode::Write)]
    mode: Mode,
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Number of keys
    #[arg(long, default_value_t = 64)]
    keys: usize,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Writes them, one by one
    Write,
    /// Reads them in batches, so that they are in the gateway's memory
    Read,
}

impl Fill {
    /// Quantiles are left out: this is preparation.
    pub(crate) fn run(&self) -> Result<Measured> {
        let begun = Instant::now();
        match (&self.gateway, &self.redis) {
            (Some(gateway), _) => self.gateway(gateway)?,
            (None, Some(redis)) => pipeline::fill(redis, &self.shape, self.keys)?,
            (None, None) => bail!("neither a gateway nor Redis is named"),
        }
        let seconds = begun.elapsed().as_secs_f64();
        Ok(Measured { count: self.keys as u64, seconds, p50_us: 0.0, p99_us: 0.0, cpu_seconds: cpu_seconds()? })
    }

    fn gateway(&self, gateway: &str) -> Result<()> {
        let next = AtomicUsize::new(0);
        let step = if self.mode == Mode::Read { MAX_BATCH_KEYS } else { 1 };
        let work = || -> Result<()> {
            let mut http = Http::connect(gateway)?;
            loop {
                let from = next.fetch_add(step, Ordering::Relaxed);
                if from >= self.keys {
                    return Ok(());
                }
                match self.mode {
                    Mode::Write => http.put(&self.shape, from)?,
                    Mode::Read => {
                        let key =
                            |at| Ok(BatchItem { key: self.shape.key(at)?, if_version: None, class: Class::Demand });
                        let items = (from..self.keys.min(from + step)).map(key).collect::<Result<_>>()?;
                        let batch = BatchRequest { items, max_staleness_ms: 2_000, ..BatchRequest::default() };
                        http.batch(batch.encode())?;
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.connections).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }
}
