//! Options of the command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use foremap_replay::trace::Trace;

/// Options that are about the replay of a trace.
const REPLAY: [&str; 8] =
    ["trace", "requests", "origin_latency", "clients", "gap_cap", "cache", "max_staleness", "share_clients"];

/// Options of `cargo xtask demo`.
#[derive(clap::Parser)]
#[command(bin_name = "cargo xtask demo", disable_version_flag = true)]
#[command(
    about = "Replay a real trace through nodes and an edge worker: no cache, cache, cache + prediction. With --shift, spread the \
                   load of a hot tenant"
)]
pub(crate) struct Options {
    /// End after the table instead of leaving nodes, worker and page running
    #[arg(long)]
    pub(crate) once: bool,
    /// Show the Partition Shifter instead: a tenant turns hot on six nodes, in one process and then in six over a Redis
    /// Cluster, and its load is spread; ends by itself
    #[arg(long, conflicts_with_all = REPLAY)]
    pub(crate) shift: bool,
    /// Write the measured rows as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Trace to replay: `timestamp_ms,client,key` CSV, Common or Combined Log Format; plain or gzip
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Replay only the first N requests of the trace
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) requests: Option<u32>,
    /// Latency injected between worker and gateway, each way
    #[arg(long, value_name = "MS", default_value_t = 40, value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub(crate) origin_latency: u32,
    /// Clients of the trace replayed at once
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) clients: u16,
    /// Longest gap between two requests of a client; longer ones are cut
    #[arg(long, value_name = "MS", default_value_t = 250)]
    pub(crate) gap_cap: u32,
    /// The worker's cache: entries, or a share of the trace's distinct keys
    #[arg(long, value_name = "N|N%", default_value = "5%")]
    pub(crate) cache: CacheSize,
    /// Staleness bound of reads
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    pub(crate) max_staleness: u32,
    /// Sessions that must have gone the same way before new tabs are told of it
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) share_clients: u32,
}

impl Options {
    /// Cuts the trace to `--requests`, with the keys and clients that are left.
    pub(crate) fn shorten(&self, trace: &mut Trace) {
        let Some(limit) = self.requests else { return };
        trace.requests.truncate(limit as usize);
        // Names are numbered in order of first appearance, so what is left is a prefix.
        let count = |id: fn(&foremap_replay::trace::Request) -> u32| {
            trace.requests.iter().map(id).max().map_or(0, |last| last as usize + 1)
        };
        let (keys, clients) = (count(|request| request.key), count(|request| request.client));
        trace.keys.truncate(keys);
        trace.clients.truncate(clients);
    }
}

/// Size of a cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum CacheSize {
    /// This many entries.
    Entries(usize),
    /// This share of the distinct keys.
    Share(f64),
}

impl CacheSize {
    /// Entries for so many distinct keys, at least one.
    pub(crate) fn entries(self, distinct_keys: usize) -> usize {
        match self {
            Self::Entries(entries) => entries,
            #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "between 0 and a usize")]
            Self::Share(share) => (share * distinct_keys as f64).round().max(1.0) as usize,
        }
    }
}

impl fmt::Display for CacheSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(entries) => write!(f, "{entries} entries"),
            Self::Share(share) => write!(f, "{} % of the distinct keys", share * 100.0),
        }
    }
}

impl FromStr for CacheSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share = text.strip_suffix('%').map(|percent| percent.parse::<f64>().map(|percent| percent / 100.0));
        match (share, text.parse::<usize>()) {
            (Some(Ok(share)), _) if share > 0.0 && share <= 1.0 => Ok(Self::Share(share)),
            (None, Ok(entries)) if entries > 0 => Ok(Self::Entries(entries)),
            _ => Err("must be a number of entries such as 1000 or a share such as 5%".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_sized_by_entries_or_share() {
        let entries = |text: &str| text.parse::<CacheSize>().map(|size| size.entries(1_621));
        assert_eq!(entries("5%"), Ok(81));
        assert_eq!(entries("0.01%"), Ok(1));
        assert_eq!(entries("1000"), Ok(1_000));
        for bad in ["", "0", "-1", "0%", "101%", "x%", "5 %", "NaN%"] {
            assert!(entries(bad).is_err(), "{bad}");
        }
    }
}
