//! [`Member`]: what a node tells of itself in the store's registry.

use crate::codec::{DecodeError, Reader, Writer};
use crate::partition::NodeId;

/// Service of a member to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberState {
    /// It serves, and wants its share of the partitions.
    Serving,
    /// It goes on serving, and wants to own nothing: it is about to end.
    Leaving,
}

/// A live gateway node, as it announces itself. It is forgotten when it has not done so for a while.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its identity in the map.
    pub id: NodeId,
    /// Drawn at every start: tells a node that came back from one that never left.
    pub incarnation: u64,
    /// Address at which it answers, `scheme://host[:port]`.
    pub origin: String,
    /// Its share of the partitions, relative to the others.
    pub weight: u32,
    /// Service that it does.
    pub state: MemberState,
    /// Content hash of the proposed map that it has warmed up for; 0 for none.
    pub warm_for: u64,
}

const MAGIC: [u8; 4] = *b"FMMB";
const VERSION: u8 = 1;
/// As in the map: a DNS name with scheme and port.
const MAX_ORIGIN_BYTES: usize = 300;

impl Member {
    /// The binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.varint(self.id.into());
        w.u64_le(self.incarnation);
        w.str(&self.origin);
        w.varint(self.weight.into());
        w.u8(match self.state {
            MemberState::Serving => 0,
            MemberState::Leaving => 1,
        });
        w.u64_le(self.warm_for);
        w.finish()
    }

    /// Reads what [`Member::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`]; never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
        let id = r.u32("id")?;
        let incarnation = r.u64_le()?;
        let origin = r.str("origin")?;
        if origin.is_empty() || origin.len() > MAX_ORIGIN_BYTES {
            return Err(DecodeError::BadValue("origin"));
        }
        let weight = r.u32("weight")?;
        let state = match r.u8()? {
            0 => MemberState::Serving,
            1 => MemberState::Leaving,
            _ => return Err(DecodeError::BadValue("state")),
        };
        let warm_for = r.u64_le()?;
        r.finish()?;
        Ok(Self { id, incarnation, origin: origin.into(), weight, state, warm_for })
    }
}

#[cfg(test)]
#[path = "member_tests.rs"]
mod tests;
