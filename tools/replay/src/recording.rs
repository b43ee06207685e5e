//! Cost of an engine for each access: a replay with it, and the same once more without.

use anyhow::{Result, ensure};
use foremap::key::CompositeKey;
use foremap::prefetch::PrefetchOutcome;

use super::clock::Clock;
use super::engine::Engines;
use super::host::Host;
use super::rules::{Caches, Observed, Player, Predictor};
use super::run::{engines, local, parsed};
use super::settings::{Models, Settings};
use super::tally::Tally;
use super::trace::Trace;

/// A trace, and what the engine ordered after each of its requests. Both replays of it do the same to the cache, so that
/// they differ by the engine alone.
pub struct Recording {
    trace: Trace,
    settings: Settings,
    keys: Vec<CompositeKey>,
    orders: Vec<Vec<CompositeKey>>,
}

/// A replay that was timed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timed {
    /// Requests that the cache answered.
    pub hits: u64,
    /// Nanoseconds that it took; 0 without a clock.
    pub nanos: u64,
}

impl Recording {
    /// Replays the trace once, and records the orders.
    ///
    /// # Errors
    /// For a key that is none, and for settings of several engines or caches.
    pub fn new(trace: Trace, settings: Settings) -> Result<Self> {
        let is_one = settings.models == Models::Pooled && !settings.cache.is_private();
        ensure!(is_one, "a recording is of one engine and one cache");
        let mut all = Self { keys: parsed(&trace)?, trace, settings, orders: Vec::new() };
        let mut recorder = Recorder { engines: engines(&settings, &all.trace.clients), orders: Vec::new() };
        all.play(&mut recorder, &());
        all.orders = recorder.orders;
        Ok(all)
    }

    /// Requests of the trace.
    pub fn requests(&self) -> usize {
        self.trace.requests.len()
    }

    /// Replays it with a fresh engine, which is made before the clock is looked at.
    pub fn with_engine(&self, host: &dyn Host) -> Timed {
        let mut engines = engines(&self.settings, &self.trace.clients);
        engines.opened(0, 0);
        self.play(&mut engines, host)
    }

    /// The same with the orders of the record.
    pub fn without_engine(&self, host: &dyn Host) -> Timed {
        self.play(&mut Recorded(self.orders.clone().into_iter()), host)
    }

    fn play(&self, predictor: &mut impl Predictor<CompositeKey>, host: &dyn Host) -> Timed {
        let Settings { waste_budget, latency, .. } = self.settings;
        let caches = Caches::new(false, || local(&self.settings, &self.trace));
        let tally = Tally::new(self.keys.len(), None, waste_budget, None);
        // Looking at a clock at every access would take longer than what is timed.
        let player = Player::new(&self.keys, caches, predictor, latency, tally, Clock::calibrated(&()));
        let begun = host.nanos();
        let hits = player.play(&self.trace.requests, || {}).hits;
        let nanos = begun.and_then(|begun| Some(host.nanos()? - begun));
        Timed { hits, nanos: nanos.unwrap_or(0) }
    }
}

/// The engines, and a record of what they order.
struct Recorder<'a> {
    engines: Engines<'a>,
    orders: Vec<Vec<CompositeKey>>,
}

impl Predictor<CompositeKey> for Recorder<'_> {
    fn observe(
        &mut self,
        observed: &Observed<'_, CompositeKey>,
        skip: &mut dyn FnMut(&CompositeKey) -> bool,
        orders: &mut Vec<CompositeKey>,
    ) {
        self.engines.observe(observed, skip, orders);
        self.orders.push(orders.clone());
    }

    fn outcome(&mut self, now: u64, client: u32, key: &CompositeKey, outcome: PrefetchOutcome) {
        self.engines.outcome(now, client, key, outcome);
    }

    fn landed(&mut self, client: u32, key: &CompositeKey) {
        self.engines.landed(client, key);
    }

    fn opened(&mut self, now: u64, client: u32) {
        self.engines.opened(now, client);
    }

    fn closed(&mut self, client: u32) {
        self.engines.closed(client);
    }
}

/// The orders of a record, in place of an engine.
struct Recorded(std::vec::IntoIter<Vec<CompositeKey>>);

impl Predictor<CompositeKey> for Recorded {
    fn observe(
        &mut self,
        _: &Observed<'_, CompositeKey>,
        _: &mut dyn FnMut(&CompositeKey) -> bool,
        orders: &mut Vec<CompositeKey>,
    ) {
        orders.append(&mut self.0.next().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::replay;
    use crate::settings::{CacheSize, Latency, Tuning};
    use crate::trace::synthesize;

    #[test]
    fn the_record_does_to_the_cache_what_the_engine_did() {
        let settings = Settings {
            cache: CacheSize::Entries(50),
            waste_budget: 0.25,
            models: Models::Pooled,
            memory: 1 << 20,
            latency: Latency::Requests(0),
            tuning: Tuning::default(),
            series: None,
        };
        let trace = || synthesize("synthetic:profiles?requests=4000").expect("a workload");
        let replayed = replay("t", &trace(), &settings, &[], &()).expect("a replay");
        let recording = Recording::new(trace(), settings).expect("a recording");
        let timed = recording.with_engine(&());
        assert_eq!((timed, recording.requests()), (recording.without_engine(&()), 4_000));
        assert_eq!(timed.hits as f64 / 4_000.0, replayed.rows[0].hit_ratio, "as in a replay");
        assert!(timed.hits > 1_000 && timed.nanos == 0, "{timed:?}");
    }
}
