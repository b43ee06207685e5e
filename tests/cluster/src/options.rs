//! The command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// Gateways over a Redis Cluster, faults under load, and whether every promise was kept.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "foremap-cluster-test", disable_version_flag = true)]
pub struct Options {
    /// Rounds to run
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub rounds: u64,
    /// Seed of the first round; each following round has the next
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep the logs of gateways, which are kept anyway where a promise was broken
    #[arg(long)]
    pub keep: bool,
    /// The gateway's binary; without it, the variable FOREMAP_GATEWAY, or the one beside this program
    #[arg(long, value_name = "FILE")]
    pub gateway: Option<PathBuf>,
}

impl Options {
    /// The gateway's binary.
    pub(crate) fn gateway(&self) -> Result<PathBuf> {
        let named = || std::env::var_os("FOREMAP_GATEWAY").map(PathBuf::from);
        let path = match self.gateway.clone().or_else(named) {
            Some(path) => path,
            None => std::env::current_exe().context("cannot tell where this program is")?.with_file_name(GATEWAY),
        };
        ensure!(path.is_file(), "there is no gateway at {}: cargo build -p foremap-gateway", path.display());
        Ok(path)
    }
}

const GATEWAY: &str = "foremap-gateway";
