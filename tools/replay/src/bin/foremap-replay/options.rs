//! The command line.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::Parser;
use foremap_replay::{CacheSize, Handovers, Latency, Lie, Method, Models, Settings, Share, Tuning};

/// Replays access traces through the prediction core and through baselines, without network.
#[derive(Parser)]
#[command(name = "foremap-replay", version)]
pub(crate) struct Replay {
    /// Traces: `timestamp_ms,client,key` CSV, Common or Combined Log Format, plain or gzip; or a synthetic workload
    /// such as `synthetic:profiles?seed=1&requests=100000` (profiles, series, walks, tiles, scan, phase, noise,
    /// tenants).
    #[arg(value_name = "TRACE", required = true)]
    pub(crate) traces: Vec<String>,
    /// Size of the cache that all clients share: a share of the trace's keys, or entries.
    #[arg(long, value_name = "SIZE", default_value = "5%", value_parser = cache_size)]
    cache: CacheSize,
    /// A cache of N entries for each client, instead of a shared one.
    #[arg(long, value_name = "N", conflicts_with = "cache", value_parser = clap::value_parser!(u32).range(1..))]
    private: Option<u32>,
    /// Wasted prefetches per demand request that are allowed.
    #[arg(long, value_name = "W", default_value = "0.25", value_parser = waste_budget)]
    waste_budget: f64,
    /// An engine for each client, which knows nothing at its first request, as in a browser tab, instead of one for all
    /// clients.
    #[arg(long, requires = "private")]
    alone: bool,
    /// Holds each client to the waste budget by itself, as one with an engine of its own is, instead of all together.
    #[arg(long, requires = "private", conflicts_with = "alone")]
    held: bool,
    /// With a model of all clients: each starts from the newest snapshot, of at most so many compressed bytes, of what the
    /// clients before it told.
    #[arg(long, value_name = "BYTES", requires = "alone", value_parser = memory)]
    share: Option<usize>,
    /// Age of a snapshot at which a new one is made: a number and ms, s, m or h.
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "share", value_parser = duration)]
    share_every: u64,
    /// Clients that must have gone a way before a snapshot tells of it.
    #[arg(long, value_name = "K", default_value = "5", requires = "share")]
    share_clients: u32,
    /// Time after its last snapshot at which a client takes another one; never if it is left out.
    #[arg(long, value_name = "TIME", requires = "share", value_parser = duration)]
    share_refresh: Option<u64>,
    /// As many gateways, each told by some of the clients, hand over what they were told; otherwise clients tell one, and
    /// it counts at once.
    #[arg(long, value_name = "N", requires = "share")]
    share_instances: Option<NonZeroU32>,
    /// Time after which gateways hand over again.
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "share_instances", value_parser = duration)]
    share_handover: u64,
    /// One of N clients tells of ways that nobody went.
    #[arg(long, value_name = "N", requires = "share")]
    share_liars: Option<NonZeroU32>,
    /// Lie that they tell.
    #[arg(long, value_name = "LIE", value_enum, default_value = "common", requires = "share_liars")]
    share_lie: Lie,
    /// All that an engine may keep: a number and B, kB, MB, GB, KiB, MiB or GiB. If it is left out, 8MB, and 1MiB where
    /// each client has its own.
    #[arg(long, value_name = "BYTES", value_parser = memory)]
    memory: Option<usize>,
    /// A prefetch is usable only after N more requests of anybody.
    #[arg(long, value_name = "N", conflicts_with = "latency_ms")]
    latency_requests: Option<u64>,
    /// A prefetch is usable only after N milliseconds of the trace's clock.
    #[arg(long, value_name = "N")]
    latency_ms: Option<u64>,
    /// Lowest confidence that is ever prefetched, instead of the product's; the budget can only ask for more.
    #[arg(long, value_name = "P", value_parser = share)]
    threshold: Option<f32>,
    /// Longest chain of assumed requests, instead of the product's.
    #[arg(long, value_name = "N")]
    max_depth: Option<u8>,
    /// Most prefetches ordered by one request, instead of the product's.
    #[arg(long, value_name = "N")]
    max_orders: Option<usize>,
    /// Share of the cache that belongs to prefetched entries, instead of the product's.
    #[arg(long, value_name = "P", value_parser = share)]
    probation: Option<f32>,
    /// Also replay: lru, s3fifo, belady, markov1 and ppm2 (each the variant that did best within the waste budget),
    /// oracle1; and one variant of these, such as ppm2-client-top3-t0.25, oracle1-known or oracle3-known; of synthetic
    /// workloads, oracle (all that their rules determine).
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) baseline: Vec<Method>,
    /// Write one JSON object per trace and method.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Add to each JSON object the course of the run: `series`, the hits among each N requests.
    #[arg(long, value_name = "N", requires = "json")]
    series: Option<NonZeroUsize>,
    /// Draw hit ratio against waste, and the reliability of the predictions.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
}

impl Replay {
    /// Settings by which the traces are to be replayed.
    pub(crate) fn settings(&self) -> Settings {
        let latency = self.latency_ms.map(Latency::Millis);
        let share = self.share.map(|bytes| Share {
            bytes,
            every_ms: self.share_every,
            clients: self.share_clients,
            refresh_ms: self.share_refresh,
            handovers: self.share_instances.map(|instances| Handovers { instances, every_ms: self.share_handover }),
            liars: self.share_liars.map(|one_of| (one_of, self.share_lie)),
        });
        let alone = match (self.alone, self.held) {
            (true, _) => Models::Alone,
            (false, true) => Models::Held,
            (false, false) => Models::Pooled,
        };
        let models = share.map_or(alone, Models::Shared);
        Settings {
            cache: self.private.map_or(self.cache, |entries| CacheSize::Private(entries as usize)),
            waste_budget: self.waste_budget,
            models,
            memory: self.memory.unwrap_or(models.memory()),
            latency: latency.unwrap_or(Latency::Requests(self.latency_requests.unwrap_or(0))),
            tuning: Tuning {
                threshold: self.threshold,
                max_depth: self.max_depth,
                max_orders: self.max_orders,
                probation: self.probation,
            },
            series: self.series,
        }
    }
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
}
