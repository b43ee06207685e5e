//! [`Client`]: the host of an adapter.

use std::collections::BTreeMap;
use std::sync::Arc;

use foremap::Millis;
use foremap::adapter::{Adapter, AdapterConfig, CallId, FeedConfig, FlightId, RequestId, Scope};
use foremap::cache::CacheConfig;
use foremap::prefetch::PrefetchConfig;

use super::check::Read;
use super::cluster;
use super::nodes::origin;
use super::rng::Rng;
use super::write_request::WriteRequest;

/// A timer of a host fires at most so late.
pub(crate) const TIMER_SLACK: Millis = 2;

/// A read that waits for its outcome.
pub(crate) struct Waiting {
    pub(crate) read: Read,
    pub(crate) session: usize,
    pub(crate) scope: Scope,
    pub(crate) deadline: Millis,
    /// Everything works: it must succeed.
    pub(crate) must_succeed: bool,
}

/// A write that waits for its outcome.
pub(crate) struct Writing {
    pub(crate) request: Arc<WriteRequest>,
    pub(crate) session: usize,
    pub(crate) scope: Scope,
    /// Answer to the last attempt.
    pub(crate) told: Option<cluster::Outcome>,
    /// Times that it was sent.
    pub(crate) sent: usize,
    /// When it was first tried.
    pub(crate) began: Millis,
    /// Its place in the history.
    pub(crate) recorded: usize,
    /// Everything works: it must succeed, or one of so many more must.
    pub(crate) more: Option<u32>,
}

/// An adapter, and what it waits for.
pub(crate) struct Client {
    pub(crate) adapter: Adapter,
    pub(crate) reads: BTreeMap<RequestId, Waiting>,
    pub(crate) writes: BTreeMap<CallId, Writing>,
    /// The change feed that it reads.
    pub(crate) feed: Option<FlightId>,
    pub(crate) is_worker: bool,
    pub(crate) offset: Millis,
    pub(crate) wakes: BTreeMap<Scope, Millis>,
    pub(crate) open: BTreeMap<FlightId, (Scope, Option<CallId>)>,
    /// Scopes of requests to the worker that are no longer read from by their caller, and so end when idle.
    pub(crate) scopes: Vec<Scope>,
    pub(crate) last_scope: Scope,
}

impl Client {
    pub(crate) fn new(is_worker: bool, rng: &mut Rng) -> Self {
        let mut origins: Vec<String> = (1..=3).map(origin).collect();
        origins.truncate(rng.range(1, 3) as usize);
        let by_entries = rng.chance(40);
        let cache = CacheConfig {
            max_bytes: if by_entries { 1 << 20 } else { rng.range(4, 20) as usize * 1_024 },
            max_entries: if by_entries { rng.range(3, 30) as usize } else { usize::MAX },
            negative_ttl_ms: rng.pick(&[300, 5_000]),
            ..CacheConfig::default()
        };
        let mut prefetch = PrefetchConfig { waste_budget: 1.0, failure_log: 32, ..PrefetchConfig::default() };
        prefetch.analyzer.memory_bytes = PrefetchConfig::MIN_MEMORY;
        let config = AdapterConfig {
            origins,
            max_origins: rng.range(1, 3) as usize,
            seed: rng.next(),
            cache,
            prefetch,
            feed: FeedConfig {
                enabled: !is_worker && rng.chance(70),
                idle_ms: rng.pick(&[2_000, 4_000]),
                ..FeedConfig::default()
            },
            max_staleness_ms: rng.pick(&[500, 2_000]),
            max_waiting: rng.pick(&[6, 1_000]),
            max_prefetching: rng.pick(&[2, 64]),
            ..AdapterConfig::default()
        };
        Self {
            adapter: Adapter::new(config).expect("valid options"),
            reads: BTreeMap::new(),
            writes: BTreeMap::new(),
            feed: None,
            is_worker,
            offset: rng.range(0, 1 << 40),
            wakes: BTreeMap::new(),
            open: BTreeMap::new(),
            scopes: Vec::new(),
            last_scope: 0,
        }
    }

    pub(crate) fn local(&self, now: Millis) -> Millis {
        now + self.offset
    }

    /// Nothing of `scope` is under way or about to be.
    pub(crate) fn is_idle(&self, scope: Scope, now: Millis) -> bool {
        !self.reads.values().any(|w| w.scope == scope)
            && !self.writes.values().any(|w| w.scope == scope)
            && !self.open.values().any(|(of, _)| *of == scope)
            && self.wakes.get(&scope).is_none_or(|&at| at > now)
    }
}
