//! [`Namespace`] for [`RedbStore`].

use std::sync::Arc;

use foremap::partition::{Epoch, PartitionMap};

use super::error::failed;
use super::meta::MetaChange;
use super::open::RedbStore;
use super::records::decode_map;
use super::tables::{META, META_MAP};
use crate::store::{Blob, Namespace, StoreFuture, Term};

impl Namespace for RedbStore {
    fn map(&self) -> StoreFuture<'_, Option<Arc<PartitionMap>>> {
        self.snapshot(|txn| {
            let meta = txn.open_table(META).map_err(failed)?;
            let Some(bytes) = meta.get(META_MAP).map_err(failed)? else { return Ok(None) };
            decode_map(bytes.value()).map(|map| Some(Arc::new(map)))
        })
    }

    fn put_map(&self, expect: Option<Epoch>, map: Arc<PartitionMap>, term: Term) -> StoreFuture<'_, bool> {
        Box::pin(async move { Ok(self.change(MetaChange::PutMap { expect, map, term }).await?.done()) })
    }

    fn blob(&self, blob: Blob) -> StoreFuture<'_, Option<Vec<u8>>> {
        self.snapshot(move |txn| {
            let meta = txn.open_table(META).map_err(failed)?;
            Ok(meta.get(blob.name()).map_err(failed)?.map(|bytes| bytes.value().to_vec()))
        })
    }

    fn put_blob(&self, blob: Blob, content: Option<Vec<u8>>, term: Term) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            Blob::check(content.as_deref())?;
            Ok(self.change(MetaChange::PutBlob { blob, content, term }).await?.done())
        })
    }
}
