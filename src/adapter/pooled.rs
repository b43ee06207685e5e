//! An engine that several adapters take turns to hold: a seam for measurements, which no product uses.

use super::adapter::Adapter;
use crate::prefetch::PrefetchEngine;

impl Adapter {
    /// Exchanges this adapter's engine for another one. O(1).
    ///
    /// For simulations of many clients with one model: around each entry point the shared engine goes in and comes out
    /// again, after [`PrefetchEngine::act_for`] has said whose turn it is. What it has issued for this adapter must
    /// find it again when its outcome is reported, the ending of the adapter included.
    pub fn swap_engine(&mut self, engine: &mut PrefetchEngine) {
        std::mem::swap(&mut self.engine, engine);
    }
}
