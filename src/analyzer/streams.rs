//! Streams, and where each is in its sequence of requests.

use std::num::NonZeroUsize;

use fxhash::FxBuildHasher;
use lru::LruCache;

use super::Context;

/// Bytes that one stream costs: queue node and share of the hash table.
pub(super) const STREAM_BYTES: usize = 128;

/// State of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stream {
    pub(super) context: Context,
    /// Its requests.
    pub(super) requests: u32,
    /// Number of its last request among those of all.
    pub(super) last_seq: Option<u32>,
}

/// The streams seen most recently; the least recently used one leaves.
#[derive(Debug)]
pub(super) struct Streams {
    streams: LruCache<u64, Stream, FxBuildHasher>,
    evicted: u64,
}

impl Streams {
    pub(super) fn new(max: usize) -> Self {
        let max = NonZeroUsize::new(max).unwrap_or(NonZeroUsize::MIN);
        // Bounded by hand: `with_hasher` would allocate the whole table at once.
        let mut streams = LruCache::unbounded_with_hasher(FxBuildHasher::default());
        streams.resize(max);
        Self { streams, evicted: 0 }
    }

    pub(super) fn get(&self, stream: u64) -> Option<&Stream> {
        self.streams.peek(&stream)
    }

    pub(super) fn put(&mut self, stream: u64, state: Stream) {
        if let Some(known) = self.streams.get_mut(&stream) {
            *known = state;
        } else if self.streams.push(stream, state).is_some() {
            self.evicted += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.streams.cap().get()
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }
}
