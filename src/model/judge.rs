//! [`Judge`]: finds out how far a snapshot is to be trusted.

use fxhash::FxBuildHasher;
use lru::LruCache;

use super::summary::{Path, Summary};
use crate::analyzer::{Access, AnalyzerConfig};
use crate::codec::DecodeError;
use crate::key::CompositeKey;
use crate::partition::mix;
use crate::prefetch::{PrefetchConfig, PrefetchEngine, PrefetchOutcome, PrefetchRequest};
use crate::protocol::ModelSnapshot;

/// Streams that are followed at once.
const STREAMS: usize = 1_024;
/// Keys of a stream that count as cached.
const CACHED: usize = 64;
/// Requests after which a prefetch that nobody asked for counts as wasted.
const PATIENCE: u32 = 32;
/// Memory of the engine.
const MEMORY: usize = 4 << 20;

/// A client that has nothing but the snapshot, and does what clients report: what it would have fetched ahead, and
/// whether that would have been used, is known. Its paths came after the snapshot was made, so what it finds is no
/// self-praise. O(1) for each step; memory is bounded.
#[derive(Debug)]
pub struct Judge {
    engine: PrefetchEngine,
    waste_budget: f64,
    streams: LruCache<u64, JudgedStream, FxBuildHasher>,
    prefetches: Vec<PrefetchRequest>,
}

#[derive(Debug, Default)]
struct JudgedStream {
    name: String,
    requests: u32,
    wasted: u32,
    /// Keys asked for, the latest last.
    cached: Vec<CompositeKey>,
    /// Keys fetched ahead, and with which request.
    ahead: Vec<(CompositeKey, u32)>,
}

impl JudgedStream {
    /// Prefetches that a client of its own could still waste: what is fetched first with a small waste budget is likelier
    /// than what is fetched with that of many clients, and is to be trusted as such.
    fn left(&self, waste_budget: f64) -> f64 {
        let credit = PrefetchConfig::default().credit;
        let spent = f64::from(self.wasted) + self.ahead.len() as f64;
        waste_budget * f64::from(self.requests) + f64::from(credit) - spent
    }
}

impl Judge {
    /// One that has seen nothing, of clients with this waste budget.
    pub fn new(waste_budget: f64) -> Self {
        let analyzer = AnalyzerConfig {
            memory_bytes: MEMORY,
            prior_bytes: MEMORY / 2,
            max_streams: STREAMS,
            frozen: true,
            ..AnalyzerConfig::default()
        };
        let config = PrefetchConfig {
            waste_budget,
            credit: PrefetchConfig::CREDIT_OF_MANY,
            private_caches: true,
            analyzer,
            ..PrefetchConfig::default()
        };
        Self {
            engine: PrefetchEngine::new(config),
            waste_budget,
            streams: LruCache::unbounded_with_hasher(FxBuildHasher::default()),
            prefetches: Vec::new(),
        }
    }

    /// Plays a client along the paths of a summary that was merged for the first time.
    pub fn follow(&mut self, summary: &Summary) {
        for (at, path) in summary.paths.iter().enumerate() {
            self.follow_path(mix(summary.instance ^ ((at as u64) << 32)), summary, path);
        }
    }

    fn follow_path(&mut self, id: u64, summary: &Summary, path: &Path) {
        let mut stream = self.streams.pop(&id).unwrap_or_default();
        if path.told == 0 || stream.name.is_empty() {
            // Where a path was interrupted, what was fetched ahead has no outcome.
            self.leave(&mut stream, PrefetchOutcome::Refunded);
            stream = JudgedStream { name: format!("{id:016x}"), ..JudgedStream::default() };
        }
        let told = if stream.requests == 0 { 0 } else { path.told };
        for step in path.steps.iter().skip(told.into()) {
            if let Some(key) = summary.keys.get(step.key as usize) {
                self.step(&mut stream, key, step.repeated);
            }
        }
        while self.streams.len() >= STREAMS
            && let Some((_, mut oldest)) = self.streams.pop_lru()
        {
            self.leave(&mut oldest, PrefetchOutcome::Wasted);
        }
        self.streams.put(id, stream);
    }

    fn step(&mut self, stream: &mut JudgedStream, key: &CompositeKey, repeated: bool) {
        stream.requests += 1;
        let fetched = stream.ahead.iter().position(|(ahead, _)| ahead == key);
        let access = match fetched {
            Some(at) => {
                stream.ahead.swap_remove(at);
                self.engine.handle_outcome_of(&stream.name, 0, key, PrefetchOutcome::Used);
                Access::FirstUse
            }
            None if repeated => Access::Hit,
            None => Access::Miss,
        };
        let requests = stream.requests;
        while let Some(at) = stream.ahead.iter().position(|(_, made)| requests - made > PATIENCE) {
            let (key, _) = stream.ahead.swap_remove(at);
            stream.wasted += 1;
            self.engine.handle_outcome_of(&stream.name, 0, &key, PrefetchOutcome::Wasted);
        }
        if !repeated {
            if stream.cached.len() >= CACHED {
                stream.cached.remove(0);
            }
            stream.cached.push(key.clone());
        }
        self.engine.spend_within(stream.left(self.waste_budget));
        let (cached, ahead) = (&stream.cached, &stream.ahead);
        let mut skip = |key: &CompositeKey| cached.contains(key) || ahead.iter().any(|(ahead, _)| ahead == key);
        let mut prefetches = std::mem::take(&mut self.prefetches);
        self.engine.handle_access(0, &stream.name, key, access, &mut skip, &mut prefetches);
        for prefetch in prefetches.drain(..) {
            self.engine.handle_arrival(&stream.name, &prefetch.key);
            stream.ahead.push((prefetch.key, requests));
        }
        self.prefetches = prefetches;
    }

    fn leave(&mut self, stream: &mut JudgedStream, outcome: PrefetchOutcome) {
        for (key, _) in stream.ahead.drain(..) {
            self.engine.handle_outcome_of(&stream.name, 0, &key, outcome);
        }
    }

    /// Calibration found out so far: how far to trust evidence, and the threshold in 256ths.
    pub(super) fn calibration(&self) -> (Vec<u8>, u8) {
        self.engine.calibration()
    }

    /// Goes on from what another one found out, before the first summary.
    pub(super) fn resume(&mut self, calibration: Vec<u8>, threshold: u8) -> Result<(), DecodeError> {
        self.engine.import(&ModelSnapshot { calibration, threshold, ..ModelSnapshot::default() })
    }

    /// Judges this snapshot from now on.
    pub(super) fn judge(&mut self, snapshot: &ModelSnapshot) {
        // Its own calibration is what it judges with; only the rules are new.
        let rules = ModelSnapshot { calibration: Vec::new(), ..snapshot.clone() };
        let _ = self.engine.import(&rules);
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "judge_tests.rs"]
mod tests;
