//! [`LoadReport`]: the load of a node in one round, and its binary form.

use serde::Serialize;

use crate::codec::{DecodeError, MAX_SAFE_INTEGER, Reader, Writer};
use crate::key::{CompositeKey, KeyPrefix};
use crate::partition::{MAX_SPREAD, NodeId, xxh3};

/// Nominal length of a round. Nodes report once a round.
pub const ROUND_MS: u64 = 2_000;
/// Share of a round that is counted apart at its end, so that a change within the round shows at once.
pub const LATE_SHARE: f64 = 0.25;
/// Parts that the children of a prefix are counted in: as many as the most spread bits make.
pub const CELLS: u16 = 1 << MAX_SPREAD;

/// The cell of the keys below a prefix whose next component, with its `/`, is this one. `seed` is the map's second one.
pub(crate) fn cell_of(seed: u64, component: &str) -> u16 {
    (xxh3(seed, component.as_bytes()) % u64::from(CELLS)) as u16
}

/// Requests of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Count {
    /// In the whole round.
    pub all: u32,
    /// Of these, in the last quarter.
    pub late: u32,
}

impl Count {
    pub(super) fn add(&mut self, other: Self) {
        self.all = self.all.saturating_add(other.all);
        self.late = self.late.saturating_add(other.late);
    }
}

/// Load of a prefix, without the keys that have replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixLoad {
    /// The hashed components of its keys, or one more.
    pub prefix: KeyPrefix,
    /// Requests for keys below it.
    pub count: Count,
    /// Distinct keys asked for, estimated.
    pub keys: u32,
    /// Requests by the low ten bits of the spread hash of the next component, ascending: the heavy ones.
    pub cells: Vec<(u16, Count)>,
}

/// The load of a node in one round. Bounded: see the constants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadReport {
    /// The node.
    pub node: NodeId,
    /// Drawn at every start of the node.
    pub incarnation: u64,
    /// Rises by one with every report of an incarnation; below 2^53.
    pub number: u64,
    /// Milliseconds since 1970 at its end, divided by [`ROUND_MS`].
    pub round: u64,
    /// Requests for keys.
    pub requests: Count,
    /// Distinct keys asked for, estimated.
    pub distinct: u32,
    /// Requests per virtual partition, by ascending partition, without the keys that have replicas.
    pub partitions: Vec<(u32, Count)>,
    /// Heavy prefixes, by ascending prefix.
    pub prefixes: Vec<PrefixLoad>,
    /// Heavy keys, by ascending key. Those with replicas are among them.
    pub keys: Vec<(CompositeKey, Count)>,
    /// Prefixes that were fetched together and how often, by ascending pair; the lesser one first.
    pub together: Vec<(KeyPrefix, KeyPrefix, u32)>,
}

const MAGIC: [u8; 4] = *b"FMLR";
const VERSION: u8 = 1;

impl LoadReport {
    /// Most partitions in a report.
    pub const MAX_PARTITIONS: usize = 16_384;
    /// Most prefixes in a report.
    pub const MAX_PREFIXES: usize = 512;
    /// Most cells of all prefixes of a report together.
    pub const MAX_CELLS: usize = 4_096;
    /// Most keys in a report.
    pub const MAX_KEYS: usize = 512;
    /// Most pairs in a report.
    pub const MAX_PAIRS: usize = 512;
    /// Most bytes of the binary form that anybody has to take: every table full, of the longest keys.
    pub const MAX_BYTES: usize = 4 << 20;

    /// The binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.varint(self.node.into());
        w.u64_le(self.incarnation);
        w.varint(self.number);
        w.varint(self.round);
        write_count(&mut w, self.requests);
        w.varint(self.distinct.into());
        let mut last = 0;
        w.list(self.partitions.iter(), |w, &(partition, count)| {
            w.varint((partition - last).into());
            last = partition;
            write_count(w, count);
        });
        w.list(self.prefixes.iter(), |w, load| {
            w.str(load.prefix.as_str());
            write_count(w, load.count);
            w.varint(load.keys.into());
            w.list(load.cells.iter(), |w, &(cell, count)| {
                w.varint(cell.into());
                write_count(w, count);
            });
        });
        w.list(self.keys.iter(), |w, (key, count)| {
            w.str(key.as_str());
            write_count(w, *count);
        });
        w.list(self.together.iter(), |w, (one, other, count)| {
            w.str(one.as_str());
            w.str(other.as_str());
            w.varint((*count).into());
        });
        w.finish()
    }

    /// Reads what [`LoadReport::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`], also where a list is out of order or longer than its bound; never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
        let (node, incarnation) = (r.u32("node")?, r.u64_le()?);
        let number = r.at_most(MAX_SAFE_INTEGER, "number")?;
        let round = r.at_most(MAX_SAFE_INTEGER, "round")?;
        let (requests, distinct) = (read_count(&mut r)?, r.u32("distinct")?);
        let mut last = 0_u32;
        let partitions = r.list(Self::MAX_PARTITIONS, "partitions", |r| {
            last = last.checked_add(r.u32("partition")?).ok_or(DecodeError::BadValue("partition"))?;
            Ok((last, read_count(r)?))
        })?;
        let mut cells = 0;
        let prefixes = r.list(Self::MAX_PREFIXES, "prefixes", |r| {
            let load = read_prefix(r)?;
            cells += load.cells.len();
            if cells > Self::MAX_CELLS { Err(DecodeError::TooMany("cells")) } else { Ok(load) }
        })?;
        let keys = r.list(Self::MAX_KEYS, "keys", |r| {
            let key = CompositeKey::from_canonical(r.str("key")?).ok_or(DecodeError::BadValue("key"))?;
            Ok((key, read_count(r)?))
        })?;
        let together = r.list(Self::MAX_PAIRS, "together", |r| Ok((prefix(r)?, prefix(r)?, r.u32("count")?)))?;
        r.finish()?;
        let ascending = partitions.is_sorted_by(|a, b| a.0 < b.0)
            && prefixes.is_sorted_by(|a, b| a.prefix < b.prefix)
            && keys.is_sorted_by(|a, b| a.0 < b.0)
            && together.is_sorted_by(|a, b| (&a.0, &a.1) < (&b.0, &b.1))
            && together.iter().all(|(one, other, _)| one < other);
        if !ascending {
            return Err(DecodeError::BadValue("order"));
        }
        Ok(Self { node, incarnation, number, round, requests, distinct, partitions, prefixes, keys, together })
    }
}

fn write_count(w: &mut Writer, count: Count) {
    w.varint(count.all.into());
    w.varint(count.late.into());
}

fn read_count(r: &mut Reader<'_>) -> Result<Count, DecodeError> {
    let all = r.u32("count")?;
    Ok(Count { all, late: r.at_most(all.into(), "late")? as u32 })
}

fn prefix(r: &mut Reader<'_>) -> Result<KeyPrefix, DecodeError> {
    KeyPrefix::from_canonical(r.str("prefix")?).ok_or(DecodeError::BadValue("prefix"))
}

fn read_prefix(r: &mut Reader<'_>) -> Result<PrefixLoad, DecodeError> {
    let (prefix, count, keys) = (prefix(r)?, read_count(r)?, r.u32("keys")?);
    let cells =
        r.list(CELLS.into(), "cells", |r| Ok((r.at_most((CELLS - 1).into(), "cell")? as u16, read_count(r)?)))?;
    if !cells.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(DecodeError::BadValue("cell"));
    }
    Ok(PrefixLoad { prefix, count, keys, cells })
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
