//! For `node.mjs`.

use wasm_bindgen::prelude::wasm_bindgen;

/// A [`Trace`](super::Trace) and the next [`Run`](super::Run).
#[wasm_bindgen]
pub struct Bench {
    trace: super::Trace,
    run: Option<super::Run>,
}

#[wasm_bindgen]
impl Bench {
    /// See [`Trace::new`](super::Trace::new).
    ///
    /// # Errors
    /// For a line that is none.
    #[wasm_bindgen(constructor)]
    pub fn new(lines: &str, memory: usize, entries: usize) -> Result<Self, String> {
        Ok(Self { trace: super::Trace::new(lines, memory, entries)?, run: None })
    }

    /// See [`Trace::start`](super::Trace::start).
    pub fn start(&mut self) {
        self.run = Some(self.trace.start());
    }

    /// See [`Run::with_engine`](super::Run::with_engine); 0 without a start.
    pub fn with_engine(&mut self) -> u32 {
        self.run.take().map_or(0, |run| run.with_engine(&self.trace))
    }

    /// See [`Run::without_engine`](super::Run::without_engine); 0 without a start.
    pub fn without_engine(&mut self) -> u32 {
        self.run.take().map_or(0, |run| run.without_engine(&self.trace))
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
