//! [`SessionToken`]: a client never goes backwards.

use crate::codec::{DecodeError, Reader, Writer};
use crate::protocol::{Cursor, MAX_SHARDS, MAX_VERSION};

/// Highest log position seen of each storage shard, ascending by shard. At most one entry per shard, so at most 65,536
/// of 16 bytes; a namespace has 256 shards unless it was created otherwise.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionToken {
    positions: Vec<Cursor>,
}

impl SessionToken {
    pub(super) fn get(&self, shard: u16) -> u64 {
        self.find(shard).map_or(0, |at| self.positions[at].position)
    }

    pub(super) fn raise(&mut self, Cursor { shard, position }: Cursor) {
        match self.find(shard) {
            Ok(at) => self.positions[at].position = self.positions[at].position.max(position),
            Err(at) => self.positions.insert(at, Cursor { shard, position }),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Cursor> + '_ {
        self.positions.iter().copied()
    }

    fn find(&self, shard: u16) -> Result<usize, usize> {
        self.positions.binary_search_by_key(&shard, |seen| seen.shard)
    }

    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.list(self.positions.iter(), write_cursor);
    }

    /// Positions as [`SessionToken::write`] wrote them.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Vec<Cursor>, DecodeError> {
        r.list(MAX_SHARDS + 1, "floors", read_cursor)
    }
}

/// Writes a shard and a position of its log.
pub(super) fn write_cursor(w: &mut Writer, cursor: &Cursor) {
    w.varint(cursor.shard.into());
    w.varint(cursor.position);
}

/// Reads what [`write_cursor`] wrote.
pub(super) fn read_cursor(r: &mut Reader<'_>) -> Result<Cursor, DecodeError> {
    let shard = r.at_most(MAX_SHARDS as u64, "shard")? as u16;
    Ok(Cursor { shard, position: r.at_most(MAX_VERSION, "position")? })
}
