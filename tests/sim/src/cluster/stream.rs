//! [`Stream`]: all that a master sends to its replicas, in order.

use std::sync::Arc;

use foremap::key::CompositeKey;

use super::data::Dataset;
use super::meta::Meta;
use super::record::Record;

/// A write that a server has executed.
#[derive(Debug, PartialEq)]
pub struct Stored {
    /// Its number, among all of the cluster.
    pub serial: u64,
    /// The key.
    pub key: CompositeKey,
    /// The stored version.
    pub record: Record,
}

/// One effect. An offset is a number of these.
#[derive(Clone)]
pub(super) enum Entry {
    Store(Arc<Stored>),
    Remove(CompositeKey, u64),
    Trim(u16, usize),
    Meta(Arc<Meta>),
    Increment,
}

impl Entry {
    pub(super) fn apply(&self, data: &mut Dataset) {
        match self {
            Self::Store(stored) => data.store(&stored.key, &stored.record),
            Self::Remove(key, version) => data.remove(key, *version),
            Self::Trim(shard, keep) => data.trim(*shard, *keep),
            Self::Meta(meta) => data.meta = meta.clone(),
            Self::Increment => {}
        }
    }
}

/// The stream of one master, from the beginning of the namespace: what it took over, then what it executed.
#[derive(Clone, Default)]
pub(super) struct Stream {
    pub(super) entries: Vec<Entry>,
    /// Every server of the group has acknowledged so many.
    pub(super) held: usize,
}

/// Data as of an offset of a stream.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) data: Dataset,
    pub(super) stream: usize,
    pub(super) offset: usize,
}
