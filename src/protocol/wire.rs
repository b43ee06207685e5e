//! Binary form of batches.

use super::{
    BatchItem, BatchRequest, BatchResponse, Change, Class, ClockReading, Consistency, Cursor, ErrorCode, FeedId,
    ItemResult, Keymap, KeymapFields, ListPage, MAX_BATCH_KEYS, MAX_CHANGES, MAX_PAGE, MAX_SHARDS, MAX_VERSION,
    MapKnowledge, MapUpdate, Meta, ModelWish, Outcome, ReadPoint, Rider,
};
use crate::codec::{DecodeError, Reader, Writer};
use crate::key::CompositeKey;
use crate::partition::Epoch;

const REQUEST_MAGIC: [u8; 4] = *b"FMBQ";
const RESPONSE_MAGIC: [u8; 4] = *b"FMBA";
const LIST_MAGIC: [u8; 4] = *b"FMLP";
const KEYMAP_MAGIC: [u8; 4] = *b"FMKM";
/// Of requests and answers. Version 1 had neither `feed` nor `clock`; it was never published and is refused.
const BATCH_VERSION: u8 = 2;
const VERSION: u8 = 1;
/// Bits of a request's flags.
const FORWARDED: u8 = 1;
const HAS_RIDER: u8 = 2;
const WANTS_MODEL: u8 = 4;

impl BatchRequest {
    /// The binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(REQUEST_MAGIC, BATCH_VERSION);
        w.u8(match self.consistency {
            Consistency::Strong => 0,
            Consistency::Bounded => 1,
            Consistency::Any => 2,
        });
        let flags =
            [(self.forwarded, FORWARDED), (self.rider.is_some(), HAS_RIDER), (self.model.is_some(), WANTS_MODEL)];
        w.u8(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum());
        w.varint(self.max_staleness_ms.into());
        w.option(self.map, |w, map| {
            write_epoch(w, map.epoch);
            w.u64_le(map.hash);
        });
        w.option(self.stream.as_deref(), |w, stream| w.str(stream));
        w.option(self.feed, write_feed);
        w.list(self.floors.iter(), write_cursor);
        w.list(self.cursors.iter(), write_cursor);
        w.list(self.items.iter(), |w, item| {
            w.u8(matches!(item.class, Class::Prefetch).into());
            w.str(item.key.as_str());
            w.option(item.if_version, Writer::varint);
        });
        if let Some(rider) = &self.rider {
            rider.write(&mut w);
        }
        if let Some(ModelWish { bytes, known }) = self.model {
            w.varint(bytes.into());
            w.varint(known);
        }
        w.finish()
    }

    /// Reads what [`BatchRequest::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`]; `TooMany("items")` where the batch is over [`MAX_BATCH_KEYS`]. Never panics.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, REQUEST_MAGIC, BATCH_VERSION)?;
        let consistency = match r.u8()? {
            0 => Consistency::Strong,
            1 => Consistency::Bounded,
            2 => Consistency::Any,
            _ => return Err(DecodeError::BadValue("consistency")),
        };
        let flags = r.u8()?;
        if flags & !(FORWARDED | HAS_RIDER | WANTS_MODEL) != 0 {
            return Err(DecodeError::BadValue("flags"));
        }
        let request = Self {
            consistency,
            forwarded: flags & FORWARDED != 0,
            max_staleness_ms: r.u32("max_staleness_ms")?,
            map: r.option(|r| Ok(MapKnowledge { epoch: read_epoch(r)?, hash: r.u64_le()? }))?,
            stream: r.option(|r| match r.str("stream")? {
                stream if stream.len() <= Self::MAX_STREAM_BYTES => Ok(stream.to_owned()),
                _ => Err(DecodeError::BadValue("stream")),
            })?,
            feed: r.option(read_feed)?,
            floors: r.list(MAX_SHARDS, "floors", read_cursor)?,
            cursors: r.list(MAX_SHARDS, "cursors", read_cursor)?,
            items: r.list(MAX_BATCH_KEYS, "items", |r| {
                let class = if read_bool(r, "class")? { Class::Prefetch } else { Class::Demand };
                Ok(BatchItem { class, key: read_key(r)?, if_version: r.option(read_version)? })
            })?,
            rider: if flags & HAS_RIDER != 0 { Some(Rider::read(&mut r)?) } else { None },
            model: match flags & WANTS_MODEL {
                0 => None,
                _ => Some(ModelWish { bytes: r.u32("bytes")?, known: r.at_most(MAX_VERSION, "known")? }),
            },
        };
        r.finish()?;
        Ok(request)
    }

    /// The class of a batch in its binary form as a whole: fetched ahead where all of its items are, and there are some. Makes
    /// nothing of what it passes over, and goes no further than the first item that somebody waits for.
    ///
    /// # Errors
    /// [`DecodeError`], by what it has looked at; never panics.
    pub fn class_of(bytes: &[u8]) -> Result<Class, DecodeError> {
        let mut r = Reader::with_header(bytes, REQUEST_MAGIC, BATCH_VERSION)?;
        r.raw(2)?;
        r.varint()?;
        r.option(|r| read_epoch(r).and_then(|_| r.u64_le()))?;
        r.option(Reader::bytes)?;
        r.option(read_feed)?;
        r.list(MAX_SHARDS, "floors", |r| read_cursor(r).map(drop))?;
        r.list(MAX_SHARDS, "cursors", |r| read_cursor(r).map(drop))?;
        let count = r.count(MAX_BATCH_KEYS, "items")?;
        for _ in 0..count {
            if !read_bool(&mut r, "class")? {
                return Ok(Class::Demand);
            }
            r.bytes()?;
            r.option(Reader::varint)?;
        }
        Ok(if count == 0 { Class::Demand } else { Class::Prefetch })
    }
}

impl BatchResponse {
    /// The binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(RESPONSE_MAGIC, BATCH_VERSION);
        write_epoch(&mut w, self.epoch);
        w.option(self.clock, write_clock);
        w.list(self.results.iter(), write_result);
        w.list(self.positions.iter(), write_point);
        w.list(self.changes.iter(), write_change);
        w.list(self.resets.iter(), |w, &shard| w.varint(shard.into()));
        match &self.map {
            None => w.u8(0),
            Some(MapUpdate::Full(bytes)) => {
                w.u8(1);
                w.bytes(bytes);
            }
            Some(MapUpdate::Delta(bytes)) => {
                w.u8(2);
                w.bytes(bytes);
            }
        }
        w.finish()
    }

    /// Reads what [`BatchResponse::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`]; never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, RESPONSE_MAGIC, BATCH_VERSION)?;
        let response = Self {
            epoch: read_epoch(&mut r)?,
            clock: r.option(read_clock)?,
            results: r.list(MAX_BATCH_KEYS, "results", read_result)?,
            positions: r.list(MAX_SHARDS, "positions", read_point)?,
            changes: r.list(MAX_CHANGES, "changes", read_change)?,
            resets: r.list(MAX_SHARDS, "resets", read_shard)?,
            map: match r.u8()? {
                0 => None,
                1 => Some(MapUpdate::Full(r.bytes()?.to_vec())),
                2 => Some(MapUpdate::Delta(r.bytes()?.to_vec())),
                _ => return Err(DecodeError::BadValue("map")),
            },
        };
        r.finish()?;
        Ok(response)
    }
}

impl ListPage {
    /// The binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(LIST_MAGIC, VERSION);
        write_epoch(&mut w, self.epoch);
        w.option(self.clock, write_clock);
        w.list(self.items.iter(), |w, (keymap, at)| {
            write_keymap(w, keymap);
            write_point(w, at);
        });
        w.option(self.next.as_deref(), Writer::str);
        w.finish()
    }

    /// Reads what [`ListPage::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`]; never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, LIST_MAGIC, VERSION)?;
        let page = Self {
            epoch: read_epoch(&mut r)?,
            clock: r.option(read_clock)?,
            items: r.list(MAX_PAGE, "items", |r| Ok((read_keymap(r)?, read_point(r)?)))?,
            next: r.option(|r| Ok(r.str("next")?.to_owned()))?,
        };
        r.finish()?;
        Ok(page)
    }
}

impl Keymap {
    /// The binary form, as stores and caches keep it.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(KEYMAP_MAGIC, VERSION);
        write_keymap(&mut w, self);
        w.finish()
    }

    /// Reads what [`Keymap::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`]; never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, KEYMAP_MAGIC, VERSION)?;
        let keymap = read_keymap(&mut r)?;
        r.finish()?;
        Ok(keymap)
    }
}

fn write_epoch(w: &mut Writer, epoch: Epoch) {
    w.varint(epoch.incarnation.into());
    w.varint(epoch.number);
}

fn read_epoch(r: &mut Reader<'_>) -> Result<Epoch, DecodeError> {
    Ok(Epoch { incarnation: r.u32("incarnation")?, number: r.at_most(MAX_VERSION, "epoch")? })
}

fn write_feed(w: &mut Writer, feed: FeedId) {
    w.varint(feed.node.into());
    w.varint(feed.number);
}

fn read_feed(r: &mut Reader<'_>) -> Result<FeedId, DecodeError> {
    Ok(FeedId { node: r.u32("node")?, number: r.at_most(MAX_VERSION, "feed")? })
}

fn write_clock(w: &mut Writer, clock: ClockReading) {
    w.varint(clock.id);
    w.varint(clock.ms);
}

fn read_clock(r: &mut Reader<'_>) -> Result<ClockReading, DecodeError> {
    Ok(ClockReading { id: r.at_most(MAX_VERSION, "clock")?, ms: r.at_most(MAX_VERSION, "clock")? })
}

pub(super) fn write_change(w: &mut Writer, change: &Change) {
    w.varint(change.shard.into());
    w.varint(change.version);
    w.str(change.key.as_str());
    w.u8(change.deleted.into());
}

pub(super) fn read_change(r: &mut Reader<'_>) -> Result<Change, DecodeError> {
    let shard = read_shard(r)?;
    Ok(Change { shard, version: read_version(r)?, key: read_key(r)?, deleted: read_bool(r, "deleted")? })
}

fn write_cursor(w: &mut Writer, cursor: &Cursor) {
    w.varint(cursor.shard.into());
    w.varint(cursor.position);
}

fn read_cursor(r: &mut Reader<'_>) -> Result<Cursor, DecodeError> {
    Ok(Cursor { shard: read_shard(r)?, position: read_version(r)? })
}

fn write_point(w: &mut Writer, point: &ReadPoint) {
    w.varint(point.shard.into());
    w.varint(point.position);
    w.varint(point.age_ms.into());
}

fn read_point(r: &mut Reader<'_>) -> Result<ReadPoint, DecodeError> {
    Ok(ReadPoint { shard: read_shard(r)?, position: read_version(r)?, age_ms: r.u32("age_ms")? })
}

fn write_keymap(w: &mut Writer, keymap: &Keymap) {
    let fields = &keymap.fields;
    w.str(keymap.key.as_str());
    w.varint(keymap.version);
    w.str(&fields.locator);
    w.option(fields.size, Writer::varint);
    w.option(fields.etag.as_deref(), Writer::str);
    w.list(fields.tags.iter(), |w, tag| w.str(tag));
    w.option(fields.meta.as_ref(), |w, meta| w.str(&meta.0));
}

fn read_keymap(r: &mut Reader<'_>) -> Result<Keymap, DecodeError> {
    let key = read_key(r)?;
    let version = read_version(r)?;
    let fields = KeymapFields {
        locator: r.str("locator")?.to_owned(),
        size: r.option(read_version)?,
        etag: r.option(|r| Ok(r.str("etag")?.to_owned()))?,
        tags: r.list(KeymapFields::MAX_TAGS, "tags", |r| Ok(r.str("tag")?.to_owned()))?,
        meta: r.option(|r| Ok(Meta(r.str("meta")?.into())))?,
    };
    Ok(Keymap { key, version, fields })
}

fn write_result(w: &mut Writer, result: &ItemResult) {
    match &result.outcome {
        Outcome::Found { keymap } => {
            w.u8(0);
            write_keymap(w, keymap);
        }
        Outcome::Unchanged { version } => {
            w.u8(1);
            w.varint(*version);
        }
        Outcome::Missing => w.u8(2),
        Outcome::Error { code, detail } => {
            w.u8(3);
            w.varint(ErrorCode::ALL.iter().position(|c| c == code).unwrap_or(0) as u64);
            w.str(detail);
        }
    }
    write_point(w, &result.at);
    w.varint(result.node.into());
}

fn read_result(r: &mut Reader<'_>) -> Result<ItemResult, DecodeError> {
    let outcome = match r.u8()? {
        0 => Outcome::Found { keymap: read_keymap(r)? },
        1 => Outcome::Unchanged { version: read_version(r)? },
        2 => Outcome::Missing,
        3 => {
            let number = r.varint()?;
            // A code of a newer gateway is still an error, only a less exact one.
            let code = usize::try_from(number).ok().and_then(|n| ErrorCode::ALL.get(n).copied());
            Outcome::Error { code: code.unwrap_or(ErrorCode::BadAnswer), detail: r.str("detail")?.to_owned() }
        }
        _ => return Err(DecodeError::BadValue("outcome")),
    };
    Ok(ItemResult { outcome, at: read_point(r)?, node: r.u32("node")? })
}

pub(super) fn read_shard(r: &mut Reader<'_>) -> Result<u16, DecodeError> {
    Ok(r.at_most(MAX_SHARDS as u64, "shard")? as u16)
}

pub(super) fn read_version(r: &mut Reader<'_>) -> Result<u64, DecodeError> {
    r.at_most(MAX_VERSION, "version")
}

fn read_bool(r: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    Ok(r.at_most(1, field)? == 1)
}

fn read_key(r: &mut Reader<'_>) -> Result<CompositeKey, DecodeError> {
    CompositeKey::from_canonical(r.str("key")?).ok_or(DecodeError::BadValue("key"))
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
