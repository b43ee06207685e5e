//! Compact binary form of maps and deltas, and the content hash.
//!
//! Layout version 1. Exceptions are written as gaps between partitions; origins, prefixes and
//! keys are front-coded against the one before, a delta's partitions and the nodes of a hot key
//! are distances from the one before. The form of a map is unique: whatever decodes, encodes to
//! the same bytes. A delta's lists may come in any order, as its result is checked by hash.

use std::collections::BTreeMap;

use super::{
    Epoch, HashId, HotKey, MapDelta, MapError, MapNode, NodeId, PartitionMap, Portion, Rule, StorageLayout, xxh3,
};
use crate::codec::{DecodeError, MAX_SAFE_INTEGER, Reader, Writer, unzigzag, zigzag};
use crate::key::{CompositeKey, KeyPrefix, MAX_KEY_BYTES};

const MAP_MAGIC: [u8; 4] = *b"FMAP";
const DELTA_MAGIC: [u8; 4] = *b"FMDL";
const VERSION: u8 = 1;

impl PartitionMap {
    /// The canonical binary form: equal maps give equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(MAP_MAGIC, VERSION);
        write_epoch(&mut w, self.epoch);
        w.u8(self.hash_id.wire());
        w.u64_le(self.seeds[0]);
        w.u64_le(self.seeds[1]);
        w.varint(self.partitions.into());
        w.varint(self.storage.shards.into());
        w.u8(self.storage.depth);
        w.varint(self.storage.fan.into());
        write_nodes(&mut w, &self.nodes);
        write_rules(&mut w, &self.rules);
        let mut last = 0;
        w.list(self.exceptions.iter(), |w, (&partition, &node)| {
            w.varint((partition - last).into());
            w.varint(node.into());
            last = partition;
        });
        write_hot(&mut w, &self.hot);
        w.finish()
    }

    /// Reads and validates what [`PartitionMap::encode`] wrote.
    ///
    /// # Errors
    /// [`MapError::Decode`] or [`MapError::Invalid`]; never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MapError> {
        let mut r = Reader::with_header(bytes, MAP_MAGIC, VERSION)?;
        let epoch = read_epoch(&mut r)?;
        let hash_id = HashId::from_wire(r.u8()?).ok_or(DecodeError::BadValue("hash_id"))?;
        let seeds = [r.u64_le()?, r.u64_le()?];
        let partitions = r.u32("partitions")?;
        let storage = StorageLayout {
            shards: r.at_most(u16::MAX.into(), "shards")? as u16,
            depth: r.u8()?,
            fan: r.at_most(u16::MAX.into(), "fan")? as u16,
        };
        let nodes = read_nodes(&mut r)?;
        let rules = read_rules(&mut r)?;
        let mut last: Option<u32> = None;
        let exceptions = r.list(Self::MAX_PARTITIONS as usize, "exceptions", |r| {
            let gap = r.u32("partition")?;
            let next = last.unwrap_or(0).checked_add(gap).ok_or(DecodeError::BadValue("partition"))?;
            // A partition stated twice would give one map two forms.
            if last.replace(next) == Some(next) {
                return Err(DecodeError::BadValue("partition"));
            }
            Ok((next, r.u32("node")?))
        })?;
        let hot = read_hot(&mut r)?;
        r.finish()?;
        let mut map =
            Self { epoch, hash_id, seeds, partitions, storage, nodes, rules, exceptions: BTreeMap::new(), hot };
        // They are ascending already; collecting would sort them once more, with a sort of their own.
        map.exceptions.extend(exceptions);
        map.validate()?;
        Ok(map)
    }

    /// Content hash: XXH3-64 of the binary form. Serves as ETag and as the base of deltas.
    pub fn hash(&self) -> u64 {
        xxh3(0, &self.encode())
    }
}

impl MapDelta {
    /// The binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(DELTA_MAGIC, VERSION);
        w.u64_le(self.from);
        w.u64_le(self.to);
        write_epoch(&mut w, self.epoch);
        write_nodes(&mut w, &self.nodes);
        w.list(self.nodes_gone.iter(), |w, &node| w.varint(node.into()));
        write_rules(&mut w, &self.rules);
        write_texts(&mut w, self.rules_gone.iter().map(KeyPrefix::as_str));
        let mut last = Distance::default();
        w.list(self.exceptions.iter(), |w, &(partition, node)| {
            last.write(w, partition);
            w.varint(node.map_or(0, |node| u64::from(node) + 1));
        });
        write_hot(&mut w, &self.hot);
        write_texts(&mut w, self.hot_gone.iter().map(CompositeKey::as_str));
        w.finish()
    }

    /// Reads what [`MapDelta::encode`] wrote.
    ///
    /// # Errors
    /// [`MapError::Decode`]; never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MapError> {
        let mut r = Reader::with_header(bytes, DELTA_MAGIC, VERSION)?;
        let mut last = Distance::default();
        let delta = Self {
            from: r.u64_le()?,
            to: r.u64_le()?,
            epoch: read_epoch(&mut r)?,
            nodes: read_nodes(&mut r)?,
            nodes_gone: r.list(PartitionMap::MAX_NODES, "nodes_gone", |r| r.u32("node"))?,
            rules: read_rules(&mut r)?,
            rules_gone: read_texts(&mut r, PartitionMap::MAX_RULES, "rules_gone", |_, text| prefix(text))?,
            exceptions: r.list(PartitionMap::MAX_PARTITIONS as usize, "exceptions", |r| {
                let partition = last.read(r, "partition")?;
                let node = r.at_most(1 << 32, "node")?;
                Ok((partition, node.checked_sub(1).map(|node| node as NodeId)))
            })?,
            hot: read_hot(&mut r)?,
            hot_gone: read_texts(&mut r, PartitionMap::MAX_HOT, "hot_gone", |_, text| key(text))?,
        };
        r.finish()?;
        Ok(delta)
    }
}

fn write_epoch(w: &mut Writer, epoch: Epoch) {
    w.varint(epoch.incarnation.into());
    w.varint(epoch.number);
}

fn read_epoch(r: &mut Reader<'_>) -> Result<Epoch, DecodeError> {
    Ok(Epoch { incarnation: r.u32("incarnation")?, number: r.at_most(MAX_SAFE_INTEGER, "epoch")? })
}

fn write_nodes(w: &mut Writer, nodes: &[MapNode]) {
    let mut last = FrontCoder::default();
    w.list(nodes.iter(), |w, node| {
        w.varint(node.id.into());
        last.write(w, &node.origin);
        w.varint(node.weight.into());
    });
}

fn read_nodes(r: &mut Reader<'_>) -> Result<Vec<MapNode>, DecodeError> {
    let mut last = FrontCoder::default();
    r.list(PartitionMap::MAX_NODES, "nodes", |r| {
        let id = r.u32("node")?;
        let origin = last.read(r, PartitionMap::MAX_ORIGIN_BYTES)?.to_owned();
        Ok(MapNode { id, origin, weight: r.u32("weight")? })
    })
}

fn write_rules(w: &mut Writer, rules: &[Rule]) {
    let mut last = FrontCoder::default();
    w.list(rules.iter(), |w, rule| {
        last.write(w, rule.prefix.as_str());
        w.u8(rule.portion.depth);
        w.u8(rule.portion.spread);
    });
}

fn read_rules(r: &mut Reader<'_>) -> Result<Vec<Rule>, DecodeError> {
    read_texts(r, PartitionMap::MAX_RULES, "rules", |r, text| {
        Ok(Rule { prefix: prefix(text)?, portion: Portion { depth: r.u8()?, spread: r.u8()? } })
    })
}

fn write_hot(w: &mut Writer, hot: &[HotKey]) {
    let mut last = FrontCoder::default();
    w.list(hot.iter(), |w, hot| {
        last.write(w, hot.key.as_str());
        let mut last = Distance::default();
        w.list(hot.nodes.iter(), |w, &node| last.write(w, node));
    });
}

fn read_hot(r: &mut Reader<'_>) -> Result<Vec<HotKey>, DecodeError> {
    read_texts(r, PartitionMap::MAX_HOT, "hot", |r, text| {
        let mut last = Distance::default();
        let nodes = r.list(PartitionMap::MAX_NODES, "replicas", |r| last.read(r, "node"))?;
        Ok(HotKey { key: key(text)?, nodes })
    })
}

fn write_texts<'a>(w: &mut Writer, texts: impl ExactSizeIterator<Item = &'a str>) {
    let mut last = FrontCoder::default();
    w.list(texts, |w, text| last.write(w, text));
}

/// A list of at most `max`, each element of which begins with a front-coded text.
fn read_texts<T>(
    r: &mut Reader<'_>,
    max: usize,
    field: &'static str,
    read: impl Fn(&mut Reader<'_>, &str) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut last = FrontCoder::default();
    r.list(max, field, |r| {
        let text = last.read(r, MAX_KEY_BYTES)?;
        read(r, text)
    })
}

fn key(text: &str) -> Result<CompositeKey, DecodeError> {
    CompositeKey::from_canonical(text).ok_or(DecodeError::BadValue("key"))
}

fn prefix(text: &str) -> Result<KeyPrefix, DecodeError> {
    KeyPrefix::from_canonical(text).ok_or(DecodeError::BadValue("prefix"))
}

/// Writes a string as the number of bytes it shares with the one before, and the rest.
#[derive(Default)]
struct FrontCoder {
    last: String,
    /// Bytes read so far, unfolded.
    total: usize,
}

impl FrontCoder {
    fn write(&mut self, w: &mut Writer, text: &str) {
        let shared = self.last.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
        // At a character boundary, of which 0 is one.
        let parted = (0..=shared).rev().find_map(|at| text.split_at_checked(at));
        let (head, rest) = parted.unwrap_or(("", text));
        w.varint(head.len() as u64);
        w.str(rest);
        text.clone_into(&mut self.last);
    }

    /// Reads a text of at most `max` bytes: the limit keeps a chain of long shared parts from growing, and that on all
    /// texts a short message from unfolding into many megabytes.
    fn read(&mut self, r: &mut Reader<'_>, max: usize) -> Result<&str, DecodeError> {
        const BAD: DecodeError = DecodeError::BadValue("shared bytes");
        let shared = r.at_most(max as u64, "shared bytes")? as usize;
        let rest = r.str("text")?;
        let dropped = self.last.get(shared..).ok_or(BAD)?;
        // A shorter shared part than possible would be a second form of the same text.
        let could_share_more = rest.chars().next().is_some_and(|c| dropped.starts_with(c));
        if could_share_more || shared + rest.len() > max {
            return Err(BAD);
        }
        self.last.truncate(shared);
        self.last.push_str(rest);
        self.total += self.last.len();
        if self.total > PartitionMap::MAX_RULE_TEXT {
            return Err(DecodeError::TooMany("bytes of prefixes"));
        }
        Ok(&self.last)
    }
}

/// Writes a number as its distance from the one before, the first as that from 0; what is near is one byte.
#[derive(Default)]
struct Distance {
    last: u32,
}

impl Distance {
    fn write(&mut self, w: &mut Writer, value: u32) {
        w.varint(zigzag(i64::from(value) - i64::from(self.last)));
        self.last = value;
    }

    fn read(&mut self, r: &mut Reader<'_>, field: &'static str) -> Result<u32, DecodeError> {
        // The longest distance is 33 bits: further, the sum could overflow.
        let coded = r.at_most(1 << 33, field)?;
        self.last = u32::try_from(i64::from(self.last) + unzigzag(coded)).map_err(|_| DecodeError::BadValue(field))?;
        Ok(self.last)
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
