//! Session floors: the client never goes backwards.

use std::collections::BTreeMap;

use crate::protocol::Cursor;

/// The highest log position seen, per storage shard. At most one entry per shard, so at most 65,536 of 12 bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Floors {
    positions: BTreeMap<u16, u64>,
}

impl Floors {
    pub(super) fn get(&self, shard: u16) -> u64 {
        self.positions.get(&shard).copied().unwrap_or(0)
    }

    pub(super) fn raise(&mut self, shard: u16, position: u64) {
        let floor = self.positions.entry(shard).or_default();
        *floor = position.max(*floor);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Cursor> + '_ {
        self.positions.iter().map(|(&shard, &position)| Cursor { shard, position })
    }

    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }
}
