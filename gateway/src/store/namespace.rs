//! [`Namespace`]: what concerns all of it at once.

use std::sync::Arc;

use foremap::partition::{Epoch, PartitionMap};

use super::{StoreError, StoreFuture, Term};

/// Record about the whole namespace that the coordinator keeps in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blob {
    /// The map that nodes are warming up for: the binary form of a [`PartitionMap`].
    Proposal,
    /// The model that clients share, as they read it.
    Model,
    /// Names the content of `Model`: what gateways look at to learn that there is a new one. Written after it.
    ModelHead,
    /// The merged counts that the model is made of.
    ModelState,
    /// Origin of the coordinator, and the freeze switch of shifts. Stored as `office-record`, its name of before.
    Leader,
}

impl Blob {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Proposal, Self::Model, Self::ModelHead, Self::ModelState, Self::Leader];
    /// Largest content in bytes: a model's bound, and far over that of a map.
    pub const MAX_BYTES: usize = 4 << 20;

    /// Its name in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Model => "model",
            Self::ModelHead => "model-head",
            Self::ModelState => "model-state",
            Self::Leader => "office-record",
        }
    }

    /// Refuses content over [`Self::MAX_BYTES`].
    pub(super) fn check(content: Option<&[u8]>) -> Result<(), StoreError> {
        let bytes = content.map_or(0, <[u8]>::len);
        if bytes <= Self::MAX_BYTES {
            return Ok(());
        }
        Err(StoreError::TooLarge(format!("{bytes} bytes, the limit is {}", Self::MAX_BYTES)))
    }
}

/// Map and blobs of the whole namespace, which change under the terms of coordinators: what one of an earlier term still
/// sends changes nothing.
///
/// # Errors
/// [`StoreError::Unavailable`](StoreError::Unavailable), [`StoreError::Corrupt`](StoreError::Corrupt), of a
/// change also [`StoreError::Unknown`](StoreError::Unknown), and for a blob over [`Blob::MAX_BYTES`]
/// [`StoreError::TooLarge`](StoreError::TooLarge).
pub trait Namespace: Send + Sync + 'static {
    /// Reads the stored partition map; `None` where there is none yet.
    fn map(&self) -> StoreFuture<'_, Option<Arc<PartitionMap>>>;

    /// Stores `map` if the stored one has the epoch `expect` and no later term than `term` was given out; says whether
    /// it did. The first map, where `expect` is `None`, needs no term.
    fn put_map(&self, expect: Option<Epoch>, map: Arc<PartitionMap>, term: Term) -> StoreFuture<'_, bool>;

    /// Reads the content of `blob`; `None` where there is none.
    fn blob(&self, blob: Blob) -> StoreFuture<'_, Option<Vec<u8>>>;

    /// Stores the content of `blob`, or removes it, if no later term than `term` was given out; says whether it did.
    fn put_blob(&self, blob: Blob, content: Option<Vec<u8>>, term: Term) -> StoreFuture<'_, bool>;

    /// Writes down again how the namespace is sliced, where that is gone, as everything in the store is.
    fn prepare(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
#[path = "namespace_tests.rs"]
mod tests;
