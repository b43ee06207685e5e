//! What prediction costs for each access: one loop over a trace, the same code natively and as WebAssembly.
//!
//! [`Run::with_engine`] plays a trace through the Local Cache and the Prefetch Engine, [`Run::without_engine`] has the
//! cache do exactly the same once more, after a record. The difference is what the engine costs. Hosts hold the clock:
//! `main.rs` natively, `node.mjs` in Node.js.

#[cfg(target_arch = "wasm32")]
mod bindings;
mod locate;
#[cfg(not(target_arch = "wasm32"))]
mod merge;

pub use locate::Locate;
#[cfg(not(target_arch = "wasm32"))]
pub use merge::{Full, Merging, Visits};

use foremap::Millis;
use foremap::analyzer::{Access, AnalyzerConfig};
use foremap::cache::{CacheConfig, LocalCache, Lookup, Source};
use foremap::key::CompositeKey;
use foremap::prefetch::{Fate, Order, PrefetchConfig, PrefetchEngine};
use foremap::protocol::ReadPoint;

/// Nothing in a trace ever changes, so the clock stands still.
const NOW: Millis = 0;
const READ: ReadPoint = ReadPoint { shard: 0, position: 1, age_ms: 0 };

/// A trace, and what the engine ordered after each of its requests.
pub struct Trace {
    requests: Vec<(String, CompositeKey)>,
    memory: usize,
    entries: usize,
    /// Recorded once.
    orders: Vec<Vec<CompositeKey>>,
}

/// A cache and an engine at the start of a trace.
pub struct Run {
    cache: LocalCache,
    engine: PrefetchEngine,
}

impl Trace {
    /// Reads lines of `client,key`, plays them once, and records the orders. `memory` bytes are the engine's, `entries`
    /// those of the cache.
    ///
    /// # Errors
    /// For a line that is none.
    pub fn new(lines: &str, memory: usize, entries: usize) -> Result<Self, String> {
        let request = |line: &str| {
            let (client, key) = line.split_once(',').ok_or_else(|| format!("`{line}` is not `client,key`"))?;
            let key = CompositeKey::parse(key).map_err(|error| format!("`{line}`: {error}"))?;
            Ok((client.to_owned(), key))
        };
        let requests: Vec<_> = lines.lines().map(request).collect::<Result<_, String>>()?;
        let mut trace = Self { requests, memory, entries, orders: Vec::new() };
        let Run { mut cache, engine } = trace.start();
        let mut live = Live { engine, orders: Vec::new(), keys: Vec::new(), record: Some(Vec::new()) };
        play(&trace.requests, &mut cache, &mut live);
        trace.orders = live.record.unwrap_or_default();
        Ok(trace)
    }

    /// Requests of the trace.
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// A fresh cache and a fresh engine: to be made before the clock is started.
    pub fn start(&self) -> Run {
        let cache = CacheConfig {
            max_bytes: usize::MAX,
            max_entries: self.entries,
            negative_ttl_ms: Millis::MAX,
            ..CacheConfig::default()
        };
        let analyzer = AnalyzerConfig { memory_bytes: self.memory, ..AnalyzerConfig::default() };
        let engine = PrefetchEngine::new(PrefetchConfig { analyzer, ..PrefetchConfig::default() });
        Run { cache: LocalCache::new(cache), engine }
    }
}

impl Run {
    /// Plays the trace; returns the hits.
    pub fn with_engine(mut self, trace: &Trace) -> u32 {
        let mut live = Live { engine: self.engine, orders: Vec::new(), keys: Vec::new(), record: None };
        play(&trace.requests, &mut self.cache, &mut live)
    }

    /// Has the cache do the same, with the orders of the record; returns the hits, which are as many.
    pub fn without_engine(mut self, trace: &Trace) -> u32 {
        play(&trace.requests, &mut self.cache, &mut Recorded(trace.orders.iter()))
    }
}

/// Where orders come from.
trait Orders {
    /// What to fetch ahead after a request.
    fn after(&mut self, client: &str, key: &CompositeKey, access: Access, cache: &LocalCache) -> &[CompositeKey];

    /// What became of an order.
    fn fate(&mut self, key: &CompositeKey, fate: Fate);
}

/// The engine.
struct Live {
    engine: PrefetchEngine,
    orders: Vec<Order>,
    keys: Vec<CompositeKey>,
    record: Option<Vec<Vec<CompositeKey>>>,
}

impl Orders for Live {
    fn after(&mut self, client: &str, key: &CompositeKey, access: Access, cache: &LocalCache) -> &[CompositeKey] {
        let mut skip = |key: &CompositeKey| cache.contains(NOW, key);
        self.engine.on_access(NOW, client, key, access, &mut skip, &mut self.orders);
        self.keys.clear();
        self.keys.extend(self.orders.drain(..).map(|order| order.key));
        for key in &self.keys {
            self.engine.on_landed(client, key);
        }
        if let Some(record) = &mut self.record {
            record.push(self.keys.clone());
        }
        &self.keys
    }

    fn fate(&mut self, key: &CompositeKey, fate: Fate) {
        self.engine.on_fate(NOW, key, fate);
    }
}

/// A record of the engine's orders.
struct Recorded<'a>(std::slice::Iter<'a, Vec<CompositeKey>>);

impl Orders for Recorded<'_> {
    fn after(&mut self, _: &str, _: &CompositeKey, _: Access, _: &LocalCache) -> &[CompositeKey] {
        self.0.next().map_or(&[], Vec::as_slice)
    }

    fn fate(&mut self, _: &CompositeKey, _: Fate) {}
}

/// The replay's loop: a miss inserts, and a prefetch lands before the next request.
fn play(requests: &[(String, CompositeKey)], cache: &mut LocalCache, orders: &mut impl Orders) -> u32 {
    let mut hits = 0;
    let mut refused = Vec::new();
    for (client, key) in requests {
        let access = match cache.get(NOW, key, u32::MAX) {
            Lookup::Hit(hit) if hit.first_use => Access::FirstUse,
            Lookup::Hit(_) | Lookup::Stale(_) => Access::Hit,
            Lookup::Miss => Access::Miss,
        };
        hits += u32::from(access != Access::Miss);
        match access {
            Access::FirstUse => orders.fate(key, Fate::Used),
            Access::Miss => drop(insert(cache, key, Source::Demand)),
            Access::Hit | Access::Late => {}
        }
        settle(cache, orders);
        for key in orders.after(client, key, access, cache) {
            if cache.contains(NOW, key) {
                refused.push((key.clone(), Fate::Refunded));
            } else if !insert(cache, key, Source::Prefetch) {
                refused.push((key.clone(), Fate::Wasted));
            }
        }
        for (key, fate) in refused.drain(..) {
            orders.fate(&key, fate);
        }
        settle(cache, orders);
    }
    hits
}

fn insert(cache: &mut LocalCache, key: &CompositeKey, source: Source) -> bool {
    let fence = cache.fence(NOW);
    cache.insert(NOW, fence, key, None, READ, source).is_held()
}

/// Reports what left the cache unused.
fn settle(cache: &mut LocalCache, orders: &mut impl Orders) {
    for evicted in cache.take_evicted() {
        if evicted.unused_prefetch {
            orders.fate(&evicted.key, Fate::Wasted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_does_to_the_cache_what_the_engine_did() {
        let lines: String = (0..4_000).map(|at| format!("c,user/{}/part{}\n", at / 4, at % 4)).collect();
        let trace = Trace::new(&lines, 1 << 20, 50).expect("a trace");
        let hits = trace.start().with_engine(&trace);
        assert_eq!(hits, trace.start().without_engine(&trace));
        assert!(hits > 2_000 && trace.requests() == 4_000, "{hits}");
        assert!(Trace::new("no comma", 1 << 20, 50).is_err() && Trace::new("c,a//b", 1 << 20, 50).is_err());
    }
}
