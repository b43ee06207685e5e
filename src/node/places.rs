//! [`Places`]: where the keys of a batch belong.

use crate::partition::Location;

/// Places of the keys of a batch, in order of its slots.
#[derive(Default)]
pub(super) struct Places(pub(super) Vec<(u32, u8, bool)>);

impl Places {
    pub(super) fn with_capacity(keys: usize) -> Self {
        Self(Vec::with_capacity(keys))
    }

    pub(super) fn add(&mut self, location: &Location, replicated: bool) {
        self.0.push((location.partition, location.portion.depth, replicated));
    }
}
