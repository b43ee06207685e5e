//! One engine for many clients: a seam for measurements and for the judge of shared models.
//!
//! The worth of prediction if all clients shared one model, while each keeps a cache of its own, is measured with
//! one engine whose [`private_caches`](crate::prefetch::PrefetchConfig::private_caches) are set, and which the adapters take turns
//! to hold. An adapter names no stream when it reports what became of its prefetches, as its engine serves one cache.

use super::PrefetchEngine;

impl PrefetchEngine {
    /// From now on, a report that names no stream is about the cache of `stream`. O(length of the name).
    ///
    /// A client's requests are to be told under the same name.
    pub fn act_for(&mut self, stream: &str) {
        self.acting_for = Some(self.stream_id(stream));
    }

    /// Replaces what is left of the waste budget of all by what is `left` to the stream that acts next, where each has a
    /// budget of its own. Prefetches are taken from it; their outcomes are for the caller to count. O(1).
    pub fn spend_within(&mut self, left: f64) {
        self.left_of_stream = Some(left);
    }
}

#[cfg(test)]
#[path = "pooled_tests.rs"]
mod tests;
