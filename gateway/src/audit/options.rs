//! The command line of `audit`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use foremap::key::KeyPrefix;

use super::judge::Time;
use crate::host::reachable;
use crate::parse::{prefix, seconds};
use crate::run::{RunError, TOKEN, secret};

/// Options of `audit`.
#[derive(Args, Clone)]
pub struct AuditCommand {
    /// Origin of a gateway to write through and to read from; repeatable. The change feed is the first one's. http:// only.
    #[arg(long, value_name = "ORIGIN", required = true)]
    origin: Vec<String>,
    /// Edge worker to read from; repeatable. http:// only.
    #[arg(long, value_name = "URL")]
    worker: Vec<String>,
    /// File with a token that has the verbs get, put and delete below the prefix, where tokens are checked. Alternatively the
    /// environment variable FOREMAP_TOKEN has it.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Prefix to write below. The keys are removed at the end; their delete markers stay.
    #[arg(long, value_name = "PREFIX", default_value = "_audit", value_parser = prefix)]
    prefix: KeyPrefix,
    /// Greatest staleness that an answer may have, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    bound: u32,
    /// Duration of the audit: a number and s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = seconds)]
    duration: u64,
    /// Requests a second to each gateway and worker; there is one write for every four of them.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Leave out the change feed.
    #[arg(long)]
    no_feed: bool,
    /// Write the figures to FILE.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

/// Options of an audit, checked.
#[derive(Clone)]
pub(super) struct AuditPlan {
    pub(super) origins: Vec<String>,
    pub(super) workers: Vec<String>,
    pub(super) token: Option<String>,
    /// Of the keys of this run.
    pub(super) prefix: String,
    pub(super) bound_ms: u32,
    pub(super) duration: Duration,
    pub(super) rate: u32,
    pub(super) feed: bool,
}

impl AuditPlan {
    pub(super) fn bound(&self) -> Time {
        Time::from(self.bound_ms) * 1_000
    }

    /// Time between two writes of one of `keys`.
    pub(super) fn write_interval(&self, keys: usize) -> Duration {
        Duration::from_secs(4) * u32::try_from(keys).unwrap_or(1) / self.rate
    }

    /// Time between two requests to one place.
    pub(super) fn read_interval(&self) -> Duration {
        Duration::from_secs(1) / self.rate
    }
}

impl AuditCommand {
    /// For the run named `run`.
    pub(super) fn plan(&self, run: &str) -> Result<AuditPlan, RunError> {
        let origin = |origin: &String| {
            let told =
                format!("`{origin}` is no origin of http://: audit from beside the gateways and workers, without TLS");
            reachable(origin).map(str::to_owned).ok_or_else(|| RunError::new(told))
        };
        let token = secret("the token", self.token_file.as_deref(), TOKEN)?;
        let prefix = match self.prefix.depth() {
            0 => return Err(RunError::new("`--prefix` must not be empty: keys of others are there")),
            _ => format!("{}{run}", self.prefix.slashed()),
        };
        Ok(AuditPlan {
            origins: self.origin.iter().map(origin).collect::<Result<_, _>>()?,
            workers: self.worker.iter().map(origin).collect::<Result<_, _>>()?,
            token,
            prefix,
            bound_ms: self.bound,
            duration: Duration::from_secs(self.duration),
            rate: self.rate,
            feed: !self.no_feed,
        })
    }
}
