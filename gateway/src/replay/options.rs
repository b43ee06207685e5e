//! The command line of `replay`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Method;

/// Options of `replay`.
#[derive(Args)]
pub struct Replay {
    /// Traces: `timestamp_ms,client,key` CSV, Common or Combined Log Format, plain or gzip; or a synthetic workload
    /// such as `synthetic:profiles?seed=1&requests=100000` (profiles, series, walks, tiles, scan, phase, noise,
    /// tenants).
    #[arg(value_name = "TRACE", required = true)]
    pub(super) traces: Vec<String>,
    /// Size of the cache that all clients share: a share of the trace's keys, or entries.
    #[arg(long, value_name = "SIZE", default_value = "5%", value_parser = cache_size)]
    pub(super) cache: CacheSize,
    /// A cache of N entries for each client, instead of a shared one.
    #[arg(long, value_name = "N", conflicts_with = "cache", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) private: Option<u32>,
    /// Wasted prefetches per demand request that are allowed.
    #[arg(long, value_name = "W", default_value = "0.25", value_parser = waste_budget)]
    pub(super) waste_budget: f64,
    /// An engine for each client, which knows nothing at its first request, as in a browser tab, instead of one for all
    /// clients.
    #[arg(long, requires = "private")]
    pub(super) alone: bool,
    /// Holds each client to the waste budget by itself, as one with an engine of its own is, instead of all together.
    #[arg(long, requires = "private", conflicts_with = "alone")]
    pub(super) held: bool,
    /// With a model of all clients: each starts from the newest snapshot, of at most so many compressed bytes, of what the
    /// clients before it told.
    #[arg(long, value_name = "BYTES", requires = "alone", value_parser = memory)]
    pub(super) share: Option<usize>,
    /// How old a snapshot grows before a new one is made: a number and ms, s, m or h.
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "share", value_parser = duration)]
    pub(super) share_every: u64,
    /// Clients that must have gone a way before a snapshot tells of it.
    #[arg(long, value_name = "K", default_value = "5", requires = "share")]
    pub(super) share_clients: u32,
    /// How long after its last snapshot a client takes another one; never if it is left out.
    #[arg(long, value_name = "TIME", requires = "share", value_parser = duration)]
    pub(super) share_refresh: Option<u64>,
    /// As many gateways, each told by some of the clients, hand over what they were told; otherwise clients tell one, and
    /// it counts at once.
    #[arg(long, value_name = "N", requires = "share")]
    pub(super) share_instances: Option<NonZeroU32>,
    /// Time after which gateways hand over again.
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "share_instances", value_parser = duration)]
    pub(super) share_handover: u64,
    /// One of N clients tells of ways that nobody went.
    #[arg(long, value_name = "N", requires = "share")]
    pub(super) share_liars: Option<NonZeroU32>,
    /// What they tell.
    #[arg(long, value_name = "LIE", value_enum, default_value = "common", requires = "share_liars")]
    pub(super) share_lie: Lie,
    /// All that an engine may keep: a number and B, kB, MB, GB, KiB, MiB or GiB. If it is left out, 8MB, and 1MiB where
    /// each client has its own.
    #[arg(long, value_name = "BYTES", value_parser = memory)]
    pub(super) memory: Option<usize>,
    /// A prefetch is usable only after N more requests of anybody.
    #[arg(long, value_name = "N", conflicts_with = "latency_ms")]
    pub(super) latency_requests: Option<u64>,
    /// A prefetch is usable only after N milliseconds of the trace's clock.
    #[arg(long, value_name = "N")]
    pub(super) latency_ms: Option<u64>,
    #[command(flatten)]
    pub(super) tuning: Tuning,
    /// Also replay: lru, s3fifo, belady, markov1 and ppm2 (each the variant that did best within the waste budget),
    /// oracle1; and one variant of these, such as ppm2-client-top3-t0.25, oracle1-known or oracle3-known; of synthetic
    /// workloads, oracle (all that their rules determine).
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) baseline: Vec<Method>,
    /// Write one JSON object per trace and method.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Add to each JSON object the course of the run: `series`, the hits among each N requests.
    #[arg(long, value_name = "N", requires = "json")]
    pub(super) series: Option<NonZeroUsize>,
    /// Draw hit ratio against waste, and the reliability of the predictions.
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,
}

/// What an application may set beyond the budget, and as it is in the product if nothing is said.
#[derive(Args, Debug, Clone, Copy, PartialEq, Default)]
pub struct Tuning {
    /// Lowest confidence that is ever prefetched, instead of the product's; the budget can only ask for more.
    #[arg(long, value_name = "P", value_parser = share)]
    pub threshold: Option<f32>,
    /// Longest chain of assumed requests, instead of the product's.
    #[arg(long, value_name = "N")]
    pub max_depth: Option<u8>,
    /// Most prefetches ordered by one request, instead of the product's.
    #[arg(long, value_name = "N")]
    pub max_orders: Option<usize>,
    /// Share of the cache that belongs to prefetched entries, instead of the product's.
    #[arg(long, value_name = "P", value_parser = share)]
    pub probation: Option<f32>,
}

/// Size of the caches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CacheSize {
    /// One cache with this share of the trace's keys, at least one entry.
    Share(f64),
    /// One cache of so many entries.
    Entries(usize),
    /// One cache of so many entries for each client.
    Private(usize),
}

impl CacheSize {
    /// Entries of a cache, where the trace has so many keys.
    pub fn entries(self, keys: usize) -> usize {
        match self {
            // So that 5 % of 1,000 is 50, although 0.05 x 1,000 may fall short of it.
            Self::Share(share) => ((share * keys as f64 + 1e-9) as usize).max(1),
            Self::Entries(entries) | Self::Private(entries) => entries,
        }
    }

    /// Whether each client has its own.
    pub fn is_private(self) -> bool {
        matches!(self, Self::Private(_))
    }
}

/// Who learns together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Models {
    /// One engine for all clients, which tells them apart as streams.
    Pooled,
    /// The same, with each client held to the waste budget by itself. It takes private caches.
    Held,
    /// An engine for each client, made at its first request. It takes private caches.
    Alone,
    /// The same, which starts from what other clients told.
    Shared(Share),
}

impl Models {
    /// Whether one engine serves all clients.
    pub fn is_pooled(self) -> bool {
        matches!(self, Self::Pooled | Self::Held)
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pooled => "pooled",
            Self::Held => "held",
            Self::Alone => "alone",
            Self::Shared(_) => "shared",
        }
    }

    /// Bytes that an engine may keep if nothing is said.
    pub fn memory(self) -> usize {
        match self {
            Self::Pooled | Self::Held => 8_000_000,
            Self::Alone | Self::Shared(_) => 1 << 20,
        }
    }
}

/// How long a prefetch takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// It lands after so many more requests; 0 is before the next one.
    Requests(u64),
    /// It lands after so many milliseconds of the trace's clock; 0 is before the next request.
    Millis(u64),
}

/// How clients share what they learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Most compressed bytes of a snapshot.
    pub bytes: usize,
    /// Age of a snapshot, in milliseconds, at which a new one is made.
    pub every_ms: u64,
    /// Clients that must have gone a way before a snapshot tells of it.
    pub clients: u32,
    /// How long after its last snapshot, in milliseconds, a client takes another one.
    pub refresh_ms: Option<u64>,
    /// How gateways hand over what they are told; `None` where there is one, which merges it at once.
    pub handovers: Option<Handovers>,
    /// One of so many clients lies.
    pub liars: Option<(NonZeroU32, Lie)>,
}

/// Many gateways, and one that merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handovers {
    /// Gateways.
    pub instances: NonZeroU32,
    /// Time between two rounds, in milliseconds.
    pub every_ms: u64,
}

/// What liars tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lie {
    /// All of them the same, so that it comes true for as many clients as a snapshot asks for.
    Common,
    /// Something new each time, so that what is true counts for little.
    Novel,
    /// As the common lie, and about every popular key each time, however little there was to tell.
    Flood,
}

fn duration(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let parse = |(unit, ms): (&str, u64)| text.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?.checked_mul(ms);
    UNITS.into_iter().find_map(parse).ok_or_else(|| "a time is a number and a unit, such as 60s".to_owned())
}

fn cache_size(text: &str) -> Result<CacheSize, String> {
    let size = match text.strip_suffix('%') {
        Some(share) => share
            .parse()
            .ok()
            .filter(|share| *share > 0.0 && *share <= 100.0)
            .map(|share: f64| share / 100.0)
            .map(CacheSize::Share),
        None => text.parse().ok().filter(|entries| *entries > 0).map(CacheSize::Entries),
    };
    size.ok_or_else(|| "a size is a share of the keys such as 5%, or a number of entries such as 1000".to_owned())
}

fn share(text: &str) -> Result<f32, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share is a number from 0 to 1".to_owned())
}

fn waste_budget(text: &str) -> Result<f64, String> {
    let budget = text.parse().ok().filter(|budget| (0.0..=16.0).contains(budget));
    budget.ok_or_else(|| "a budget is a number from 0 to 16".to_owned())
}

fn memory(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, usize); 7] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let parse =
        |(unit, bytes): (&str, usize)| text.strip_suffix(unit)?.trim_end().parse::<usize>().ok()?.checked_mul(bytes);
    UNITS.into_iter().find_map(parse).ok_or_else(|| "a size is a number and a unit, such as 8MB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(cache_size("5%"), Ok(CacheSize::Share(0.05)));
        assert_eq!(cache_size("1000"), Ok(CacheSize::Entries(1_000)));
        assert!(["0", "0%", "101%", "-1", "x", "", "NaN%"].iter().all(|text| cache_size(text).is_err()));
        assert_eq!((memory("8MB"), memory("512 KiB"), memory("7B")), (Ok(8_000_000), Ok(524_288), Ok(7)));
        assert!(["8", "MB", "8mb", "-8MB", "99999999999999GB"].iter().all(|text| memory(text).is_err()));
        assert!(waste_budget("0.25").is_ok() && waste_budget("NaN").is_err() && waste_budget("17").is_err());
        assert!(share("0.05") == Ok(0.05) && share("1.1").is_err() && share("NaN").is_err());
    }

    #[test]
    fn a_share_of_the_keys_is_rounded_down_and_at_least_one() {
        let entries = |share: f64, keys| CacheSize::Share(share / 100.0).entries(keys);
        assert_eq!((entries(5.0, 1_737), entries(5.0, 1_000), entries(1.0, 30)), (86, 50, 1));
    }
}
