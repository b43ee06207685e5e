//! Settings of a replay.

use std::num::{NonZeroU32, NonZeroUsize};

/// Settings by which traces are replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Size of the caches.
    pub cache: CacheSize,
    /// Wasted prefetches per demand request that are allowed.
    pub waste_budget: f64,
    /// Clients that learn together.
    pub models: Models,
    /// All that an engine may keep, in bytes.
    pub memory: usize,
    /// Time that a prefetch takes.
    pub latency: Latency,
    /// Settings of the engine and the cache, where they are not the product's.
    pub tuning: Tuning,
    /// Requests whose hits are counted together in [`Row::series`].
    pub series: Option<NonZeroUsize>,
}

/// Settings that an application may change beyond the budget, and as they are in the product if nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tuning {
    /// Lowest confidence that is ever prefetched, instead of the product's; the budget can only ask for more.
    pub threshold: Option<f32>,
    /// Longest chain of assumed requests, instead of the product's.
    pub max_depth: Option<u8>,
    /// Most prefetches ordered by one request, instead of the product's.
    pub max_orders: Option<usize>,
    /// Share of the cache that belongs to prefetched entries, instead of the product's.
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

    /// Tells whether each client has its own.
    pub fn is_private(self) -> bool {
        matches!(self, Self::Private(_))
    }
}

/// Clients that learn together.
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
    /// Tells whether one engine serves all clients.
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

/// Time that a prefetch takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// It lands after so many more requests; 0 is before the next one.
    Requests(u64),
    /// It lands after so many milliseconds of the trace's clock; 0 is before the next request.
    Millis(u64),
}

/// Terms on which clients share what they learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Most compressed bytes of a snapshot.
    pub bytes: usize,
    /// Age of a snapshot, in milliseconds, at which a new one is made.
    pub every_ms: u64,
    /// Clients that must have gone a way before a snapshot tells of it.
    pub clients: u32,
    /// Time after its last snapshot, in milliseconds, at which a client takes another one.
    pub refresh_ms: Option<u64>,
    /// Terms on which gateways hand over what they are told; `None` where there is one, which merges it at once.
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

/// Lie that liars tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(all(feature = "cli", not(target_arch = "wasm32")), derive(clap::ValueEnum))]
pub enum Lie {
    /// All of them the same, so that it comes true for as many clients as a snapshot asks for.
    Common,
    /// Something new each time, so that what is true counts for little.
    Novel,
    /// As the common lie, and about every popular key each time, however little there was to tell.
    Flood,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_keys_is_rounded_down_and_at_least_one() {
        let entries = |share: f64, keys| CacheSize::Share(share / 100.0).entries(keys);
        assert_eq!((entries(5.0, 1_737), entries(5.0, 1_000), entries(1.0, 30)), (86, 50, 1));
    }
}
