//! Session floors: the client never goes backwards.

use crate::protocol::Cursor;

/// The highest log position seen, per storage shard, ascending by shard. At most one entry per shard, so at most 65,536
/// of 16 bytes; a namespace has 256 shards unless it was created otherwise.
#[derive(Debug, Clone, Default)]
pub(super) struct Floors {
    positions: Vec<Cursor>,
}

impl Floors {
    pub(super) fn get(&self, shard: u16) -> u64 {
        self.find(shard).map_or(0, |at| self.positions[at].position)
    }

    pub(super) fn raise(&mut self, shard: u16, position: u64) {
        match self.find(shard) {
            Ok(at) => self.positions[at].position = self.positions[at].position.max(position),
            Err(at) => self.positions.insert(at, Cursor { shard, position }),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Cursor> + '_ {
        self.positions.iter().copied()
    }

    fn find(&self, shard: u16) -> Result<usize, usize> {
        self.positions.binary_search_by_key(&shard, |floor| floor.shard)
    }

    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }
}
