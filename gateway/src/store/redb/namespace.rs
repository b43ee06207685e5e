//! [`Namespace`] for [`RedbStore`].

use std::sync::Arc;

use ::redb::{ReadableTable as _, WriteTransaction};
use foremap::partition::{Epoch, PartitionMap};

use super::handle::failed;
use super::meta::MetaChange;
use super::open::RedbStore;
use super::registry::Lease;
use super::tables::{META, META_MAP};
use crate::store::{Answer, Blob, Namespace, StoreError, Term};

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

impl Namespace for RedbStore {
    fn map(&self) -> Answer<'_, Option<Arc<PartitionMap>>> {
        self.snapshot(|txn| {
            let meta = txn.open_table(META).map_err(failed)?;
            let Some(bytes) = meta.get(META_MAP).map_err(failed)? else { return Ok(None) };
            decode_map(bytes.value()).map(|map| Some(Arc::new(map)))
        })
    }

    fn put_map(&self, expect: Option<Epoch>, map: Arc<PartitionMap>, term: Term) -> Answer<'_, bool> {
        Box::pin(async move { Ok(self.change(MetaChange::PutMap { expect, map, term }).await?.done()) })
    }

    fn blob(&self, blob: Blob) -> Answer<'_, Option<Vec<u8>>> {
        self.snapshot(move |txn| {
            let meta = txn.open_table(META).map_err(failed)?;
            Ok(meta.get(blob.name()).map_err(failed)?.map(|bytes| bytes.value().to_vec()))
        })
    }

    fn put_blob(&self, blob: Blob, content: Option<Vec<u8>>, term: Term) -> Answer<'_, bool> {
        Box::pin(async move {
            StoreError::check_blob(content.as_deref())?;
            Ok(self.change(MetaChange::PutBlob { blob, content, term }).await?.done())
        })
    }
}
