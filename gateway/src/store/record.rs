//! Version records and the format record, as bytes: what the stores have in common. Each form is unique: whatever
//! decodes, encodes to the same bytes.

use foremap::codec::{DecodeError, Reader, Writer};
use foremap::partition::StorageLayout;
use foremap::protocol::Keymap;

use crate::store::{StoreError, VersionRecord, WriteId};

// The Redis functions know them too (redis/functions.lua).
const CREATED: u8 = 1;
const DELETED: u8 = 2;

/// The bytes of a version record; where its version is, the store knows.
pub fn encode_version(record: &VersionRecord) -> Vec<u8> {
    let deleted = if record.keymap.is_none() { DELETED } else { 0 };
    let mut bytes = vec![deleted | if record.created { CREATED } else { 0 }];
    bytes.extend(encode_body(record.id.as_ref(), record.keymap.as_ref()));
    bytes
}

/// Encodes what follows the flags of a version record.
pub(in crate::store) fn encode_body(id: Option<&WriteId>, keymap: Option<&Keymap>) -> Vec<u8> {
    let mut w = Writer::default();
    w.str(id.map_or("", WriteId::as_str));
    if let Some(keymap) = keymap {
        w.bytes(&keymap.encode());
    }
    w.finish()
}

/// Flags and write id, without decoding the keymap.
pub(in crate::store) struct VersionHead<'a> {
    pub(in crate::store) created: bool,
    pub(in crate::store) deleted: bool,
    pub(in crate::store) id: &'a str,
    rest: Reader<'a>,
}

pub(in crate::store) fn version_head(bytes: &[u8]) -> Result<VersionHead<'_>, StoreError> {
    let read = || -> Result<_, DecodeError> {
        let mut r = Reader::new(bytes);
        let flags = r.at_most((CREATED | DELETED).into(), "flags")? as u8;
        let id = r.str("write id")?;
        Ok(VersionHead { created: flags & CREATED != 0, deleted: flags & DELETED != 0, id, rest: r })
    };
    read().map_err(|error| StoreError::Corrupt(format!("version record: {error}")))
}

/// Reads what [`encode_version`] wrote of the version `version`.
///
/// # Errors
/// [`StoreError::Corrupt`]; never panics, whatever the bytes.
pub fn decode_version(version: u64, bytes: &[u8]) -> Result<VersionRecord, StoreError> {
    let mut head = version_head(bytes)?;
    let corrupt = |error: DecodeError| StoreError::Corrupt(format!("version record: {error}"));
    let keymap = match head.deleted {
        true => None,
        false => Some(decode_keymap(head.rest.bytes().map_err(corrupt)?)?),
    };
    head.rest.finish().map_err(corrupt)?;
    let id = WriteId::new(head.id);
    // A write id cut or changed would let a retry write twice.
    if id.is_none() && !head.id.is_empty() {
        return Err(corrupt(DecodeError::BadValue("write id")));
    }
    Ok(VersionRecord { version, keymap, created: head.created, id })
}

pub(in crate::store) fn decode_keymap(bytes: &[u8]) -> Result<Keymap, StoreError> {
    Keymap::decode(bytes).map_err(|error| StoreError::Corrupt(format!("keymap: {error}")))
}

const FORMAT_MAGIC: [u8; 4] = *b"FMST";
const FORMAT_VERSION: u8 = 1;

/// The bytes of the format record, which names the layout of a store.
pub fn encode_format(layout: StorageLayout) -> Vec<u8> {
    let mut w = Writer::with_header(FORMAT_MAGIC, FORMAT_VERSION);
    w.varint(layout.shards.into());
    w.u8(layout.depth);
    w.varint(layout.fan.into());
    w.finish()
}

/// Reads what [`encode_format`] wrote.
///
/// # Errors
/// [`DecodeError`]; never panics, whatever the bytes.
pub fn decode_format(bytes: &[u8]) -> Result<StorageLayout, DecodeError> {
    let mut r = Reader::with_header(bytes, FORMAT_MAGIC, FORMAT_VERSION)?;
    let shards = r.at_most(u16::MAX.into(), "shards")? as u16;
    let layout = StorageLayout { shards, depth: r.u8()?, fan: r.at_most(u16::MAX.into(), "fan")? as u16 };
    r.finish()?;
    if layout.is_valid() { Ok(layout) } else { Err(DecodeError::BadValue("layout")) }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
