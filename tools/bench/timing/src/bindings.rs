//! For `node.mjs` and `locate.mjs`.

use foremap_replay::{Host, Recording};
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn now_ms() -> f64;
}

/// The clock of the runtime.
struct Clock;

impl Host for Clock {
    fn nanos(&self) -> Option<u64> {
        Some((now_ms() * 1e6) as u64)
    }
}

/// A [`Recording`], timed.
#[wasm_bindgen]
pub struct Bench(Recording);

#[wasm_bindgen]
impl Bench {
    /// See [`recording`](super::recording).
    ///
    /// # Errors
    /// For what is no trace.
    #[wasm_bindgen(constructor)]
    pub fn new(trace: &[u8], memory: usize, entries: usize) -> Result<Self, String> {
        super::recording(trace, memory, entries).map(Self)
    }

    /// Hits, and nanoseconds with and without the engine.
    pub fn round(&self) -> Vec<f64> {
        let timed = self.0.with_engine(&Clock);
        [timed.hits, timed.nanos, self.0.without_engine(&Clock).nanos].map(|number| number as f64).to_vec()
    }
}

/// A [`Locate`](super::Locate).
#[wasm_bindgen]
pub struct LocateBench(super::Locate);

#[wasm_bindgen]
impl LocateBench {
    /// See [`Locate::new`](super::Locate::new).
    ///
    /// # Errors
    /// For what is no map or key.
    #[wasm_bindgen(constructor)]
    pub fn new(map: &[u8], keys: &str) -> Result<Self, String> {
        super::Locate::new(map, keys).map(Self)
    }

    /// See [`Locate::core`](super::Locate::core).
    pub fn core(&mut self) -> u32 {
        self.0.core()
    }

    /// See [`Locate::batch`](super::Locate::batch).
    pub fn batch(&mut self, lines: &[u8]) -> Vec<u32> {
        self.0.batch(lines).to_vec()
    }
}
