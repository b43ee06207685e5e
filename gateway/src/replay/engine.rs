//! The method `foremap`: the core's own engine and cache.

use foremap::Millis;
use foremap::cache::{CacheConfig, LocalCache, Lookup, Source};
use foremap::key::CompositeKey;
use foremap::prefetch::{Fate, Order, PrefetchEngine};
use foremap::protocol::ReadPoint;

use super::rules::{Cache, Demand, Observed, Predictor};

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

/// The Prefetch Engine, pooled over all clients; each client is a stream.
pub(super) struct Engine<'a> {
    engine: PrefetchEngine,
    clients: &'a [String],
    orders: Vec<Order>,
    /// Largest of the bytes that the engine said it keeps.
    pub(super) peak_bytes: usize,
}

/// Requests between two looks at the engine's memory.
const LOOK_EVERY: usize = 1_024;

impl<'a> Engine<'a> {
    pub(super) fn new(engine: PrefetchEngine, clients: &'a [String]) -> Self {
        Self { engine, clients, orders: Vec::new(), peak_bytes: 0 }
    }

    /// The engine after the replay.
    pub(super) fn finish(mut self) -> (PrefetchEngine, usize) {
        self.look();
        (self.engine, self.peak_bytes)
    }

    fn stream(&self, client: u32) -> &'a str {
        self.clients.get(client as usize).map_or("", String::as_str)
    }

    fn look(&mut self) {
        self.peak_bytes = self.peak_bytes.max(self.engine.stats().memory_bytes);
    }
}

impl Predictor<CompositeKey> for Engine<'_> {
    fn observe(
        &mut self,
        observed: &Observed<'_, CompositeKey>,
        skip: &mut dyn FnMut(&CompositeKey) -> bool,
        orders: &mut Vec<CompositeKey>,
    ) {
        let stream = self.stream(observed.client);
        self.engine.on_access(observed.now, stream, observed.key, observed.access, skip, &mut self.orders);
        orders.extend(self.orders.drain(..).map(|order| order.key));
        if observed.at.is_multiple_of(LOOK_EVERY) {
            self.look();
        }
    }

    fn fate(&mut self, now: u64, client: u32, key: &CompositeKey, fate: Fate) {
        let stream = self.stream(client);
        self.engine.on_fate_of(stream, now, key, fate);
    }

    fn landed(&mut self, client: u32, key: &CompositeKey) {
        let stream = self.stream(client);
        self.engine.on_landed(stream, key);
    }
}
