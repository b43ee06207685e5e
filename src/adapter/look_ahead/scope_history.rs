//! [`ScopeHistory`]: the newest requests, which outlive a page.

use std::collections::VecDeque;

use crate::key::CompositeKey;

/// The newest requests of a client's own scope, oldest first: each with its stream.
#[derive(Debug, Default)]
pub(super) struct ScopeHistory {
    requests: VecDeque<(Box<str>, CompositeKey)>,
}

impl ScopeHistory {
    /// Requests kept. A visit of a person has tens, and what those long ago taught has mostly been overlaid.
    pub(super) const BOUND: usize = 512;

    pub(super) fn note(&mut self, stream: &str, key: &CompositeKey) {
        if self.requests.len() == Self::BOUND {
            self.requests.pop_front();
        }
        self.requests.push_back((stream.into(), key.clone()));
    }

    /// The latest request.
    pub(super) fn latest(&self) -> Option<(Box<str>, CompositeKey)> {
        self.requests.back().cloned()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &(Box<str>, CompositeKey)> {
        self.requests.iter()
    }
}
