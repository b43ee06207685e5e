//! The method `foremap`: the core's own engines and caches.

use foremap::Millis;
use foremap::cache::{CacheConfig, LocalCache, Lookup, Source};
use foremap::confidence::Reliability;
use foremap::key::CompositeKey;
use foremap::prefetch::{PrefetchConfig, PrefetchEngine, PrefetchOutcome, PrefetchRequest};
use foremap::protocol::ReadPoint;
use fxhash::FxHashMap;

use super::budgets::Budgets;
use super::demand::Demand;
use super::early::Early;
use super::rules::{Cache, Observed, Predictor};
use super::settings::Models;
use super::sharing::Sharing;

/// The Local Cache, bounded in entries. Nothing in a trace ever changes, so its clock stands still.
pub(super) struct Local(LocalCache);

const NOW: Millis = 0;
const READ: ReadPoint = ReadPoint { shard: 0, position: 1, age_ms: 0 };

impl Local {
    pub(super) fn new(entries: usize, probation: Option<f32>) -> Self {
        let product = CacheConfig::default();
        let config = CacheConfig {
            max_bytes: usize::MAX,
            max_entries: entries,
            probation_share: probation.unwrap_or(product.probation_share),
            // The replay stores "no such keymap" for every key, which saves it the keymaps; it must stay.
            negative_ttl_ms: Millis::MAX,
            ..product
        };
        Self(LocalCache::new(config))
    }

    fn insert(&mut self, key: &CompositeKey, source: Source) -> bool {
        let fence = self.0.fence(NOW);
        self.0.insert(NOW, fence, key, None, READ, source).is_held()
    }
}

impl Cache<CompositeKey> for Local {
    fn demand(&mut self, _: usize, key: &CompositeKey) -> Demand {
        match self.0.get(NOW, key, u32::MAX) {
            Lookup::Hit(hit) if hit.first_use => Demand::FirstUse,
            Lookup::Hit(_) | Lookup::Stale(_) => Demand::Hit,
            Lookup::Miss => {
                self.insert(key, Source::Demand);
                Demand::Miss
            }
        }
    }

    fn contains(&self, key: &CompositeKey) -> bool {
        self.0.contains(NOW, key)
    }

    fn land(&mut self, key: &CompositeKey) -> bool {
        self.insert(key, Source::Prefetch)
    }

    fn take_unused(&mut self, unused: &mut Vec<CompositeKey>) {
        let left = self.0.take_evicted().into_iter();
        unused.extend(left.filter(|evicted| evicted.unused_prefetch).map(|evicted| evicted.key));
    }
}

/// The Prefetch Engines: one for all clients, or as many as there are clients at a time. Each client is a stream.
pub(super) struct Engines<'a> {
    models: Models,
    config: PrefetchConfig,
    clients: &'a [String],
    open: FxHashMap<u32, Box<PrefetchEngine>>,
    wanted: Vec<PrefetchRequest>,
    /// Excess of each client, where it is held to the budget by itself.
    budgets: Option<Budgets>,
    /// With private caches.
    early: Option<Early>,
    /// The model that clients tell each other of.
    sharing: Option<Sharing>,
    now: Millis,
    summary: Summary,
}

/// Counts of all engines together.
#[derive(Default)]
pub(super) struct Summary {
    /// Of all predictions.
    pub(super) all: Reliability,
    /// Of settled prefetches.
    pub(super) issued: Reliability,
    /// Of prefetches from the first requests of each client, with private caches.
    pub(super) early: Option<Reliability>,
    /// Largest of the bytes that one engine said it keeps.
    pub(super) peak_bytes: usize,
    /// Compressed bytes of the last snapshot and bytes of all summaries, where clients share a model.
    pub(super) shared: Option<(usize, u64)>,
}

/// Requests between two looks at an engine's memory.
const LOOK_EVERY: usize = 1_024;

impl<'a> Engines<'a> {
    /// `private` says whether each client has a cache of its own.
    pub(super) fn new(models: Models, private: bool, config: PrefetchConfig, clients: &'a [String]) -> Self {
        // The cache of an engine that serves one client is the only one it knows.
        let private_caches = private && models.is_pooled();
        let mut config = config;
        let sharing = match models {
            Models::Shared(share) => {
                config.analyzer.prior_bytes = config.analyzer.memory_bytes / 2;
                Some(Sharing::new(share, config.waste_budget, &config.analyzer))
            }
            _ => None,
        };
        Self {
            models,
            config: PrefetchConfig { private_caches, ..config },
            clients,
            open: FxHashMap::default(),
            wanted: Vec::new(),
            budgets: (models == Models::Held).then(|| Budgets::new(clients.len(), config.waste_budget)),
            early: private.then(|| Early::new(clients.len())),
            sharing,
            now: 0,
            summary: Summary::default(),
        }
    }

    /// Counts of all engines, after the replay.
    pub(super) fn finish(mut self) -> Summary {
        let mut left: Vec<u32> = self.open.keys().copied().collect();
        left.sort_unstable();
        for name in left {
            self.retire(name);
        }
        self.summary.early = self.early.map(Early::finish);
        self.summary.shared = self.sharing.map(|sharing| (sharing.snapshot_bytes, sharing.summary_bytes));
        self.summary
    }

    /// The name of the engine that serves a client, or all of them.
    fn serving(&self, client: u32) -> u32 {
        match self.models {
            Models::Pooled | Models::Held => 0,
            Models::Alone | Models::Shared(_) => client,
        }
    }

    /// An engine as a client gets it with its first request.
    fn make(&self) -> Box<PrefetchEngine> {
        Box::new(PrefetchEngine::new(self.config))
    }

    /// Adds up what an engine says in the end, and drops it.
    fn retire(&mut self, name: u32) {
        if let Some(engine) = self.open.remove(&name) {
            self.summary.look(&engine);
            self.summary.all.add(engine.reliability());
            self.summary.issued.add(engine.reliability_issued());
        }
    }

    fn stream(&self, client: u32) -> &'a str {
        self.clients.get(client as usize).map_or("", String::as_str)
    }
}

impl Summary {
    fn look(&mut self, engine: &PrefetchEngine) {
        self.peak_bytes = self.peak_bytes.max(engine.stats().memory_bytes);
    }
}

impl Predictor<CompositeKey> for Engines<'_> {
    fn observe(
        &mut self,
        observed: &Observed<'_, CompositeKey>,
        skip: &mut dyn FnMut(&CompositeKey) -> bool,
        orders: &mut Vec<CompositeKey>,
    ) {
        let (stream, serving) = (self.stream(observed.client), self.serving(observed.client));
        let Some(engine) = self.open.get_mut(&serving) else { return };
        self.now = observed.now;
        if let Some(sharing) = &mut self.sharing {
            sharing.request(observed.now, observed.client, observed.key, observed.access, engine);
        }
        if let Some(budgets) = &mut self.budgets {
            engine.spend_within(budgets.request(observed.client));
        }
        engine.handle_access(observed.now, stream, observed.key, observed.access, skip, &mut self.wanted);
        if let Some(budgets) = &mut self.budgets {
            budgets.issued(observed.client, self.wanted.len());
        }
        if observed.at.is_multiple_of(LOOK_EVERY) {
            self.summary.look(engine);
        }
        if let Some(early) = &mut self.early {
            early.request(observed.client, &self.wanted);
        }
        orders.extend(self.wanted.drain(..).map(|prefetch| prefetch.key));
    }

    fn outcome(&mut self, now: u64, client: u32, key: &CompositeKey, outcome: PrefetchOutcome) {
        let (stream, serving) = (self.stream(client), self.serving(client));
        if let Some(engine) = self.open.get_mut(&serving) {
            engine.handle_outcome_of(stream, now, key, outcome);
        }
        if let Some(budgets) = &mut self.budgets {
            budgets.outcome(client, outcome);
        }
        if let Some(early) = &mut self.early {
            early.outcome(client, key, outcome);
        }
    }

    fn landed(&mut self, client: u32, key: &CompositeKey) {
        let (stream, serving) = (self.stream(client), self.serving(client));
        if let Some(engine) = self.open.get_mut(&serving) {
            engine.handle_arrival(stream, key);
        }
    }

    fn opened(&mut self, now: u64, client: u32) {
        let serving = self.serving(client);
        if !self.open.contains_key(&serving) {
            let mut engine = self.make();
            if let Some(sharing) = &mut self.sharing {
                sharing.open(now, client, &mut engine);
            }
            self.open.insert(serving, engine);
        }
    }

    fn closed(&mut self, client: u32) {
        if let Some(early) = &mut self.early {
            early.closed(client);
        }
        if let Some(sharing) = &mut self.sharing {
            sharing.close(self.now, client);
        }
        if !self.models.is_pooled() {
            self.retire(client);
        }
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
