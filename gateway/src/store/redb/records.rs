//! Map and blobs of the namespace, within a transaction.

use ::redb::{ReadableTable as _, WriteTransaction};
use foremap::partition::{Epoch, PartitionMap};

use super::error::failed;
use super::lease::Lease;
use super::tables::{META, META_MAP};
use crate::store::{Blob, StoreError, Term};

pub(super) fn put_map(
    txn: &WriteTransaction,
    expect: Option<Epoch>,
    map: &PartitionMap,
    term: Term,
) -> Result<bool, StoreError> {
    let mut meta = txn.open_table(META).map_err(failed)?;
    let stored = match meta.get(META_MAP).map_err(failed)? {
        Some(bytes) => Some(decode_map(bytes.value())?.epoch),
        None => None,
    };
    if stored != expect || (expect.is_some() && term < Lease::of(&meta)?.term) {
        return Ok(false);
    }
    meta.insert(META_MAP, map.encode().as_slice()).map_err(failed)?;
    Ok(true)
}

pub(super) fn decode_map(bytes: &[u8]) -> Result<PartitionMap, StoreError> {
    PartitionMap::decode(bytes).map_err(|error| StoreError::Corrupt(format!("map: {error}")))
}

pub(super) fn put_blob(
    txn: &WriteTransaction,
    blob: Blob,
    content: Option<&[u8]>,
    term: Term,
) -> Result<bool, StoreError> {
    let mut meta = txn.open_table(META).map_err(failed)?;
    if term < Lease::of(&meta)?.term {
        return Ok(false);
    }
    match content {
        Some(content) => meta.insert(blob.name(), content).map_err(failed)?,
        None => meta.remove(blob.name()).map_err(failed)?,
    };
    Ok(true)
}
