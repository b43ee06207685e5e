//! One engine for many clients: a seam for measurements, which no product uses.
//!
//! What prediction would be worth if all clients shared one model, while each keeps a cache of its own, is measured with
//! one engine whose [`private_caches`](super::PrefetchConfig::private_caches) are set, and which the adapters take turns
//! to hold. An adapter names no stream when it reports what became of its orders, as its engine serves one cache.

use super::engine::PrefetchEngine;

impl PrefetchEngine {
    /// From now on, a report that names no stream is about the cache of `stream`. O(length of the name).
    ///
    /// A client's requests are to be told under the same name.
    pub fn act_for(&mut self, stream: &str) {
        self.acting_for = Some(self.stream_id(stream));
    }
}

#[cfg(test)]
#[path = "pooled_tests.rs"]
mod tests;
