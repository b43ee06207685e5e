//! Types in which operations of a store answer.

use std::pin::Pin;

use super::StoreError;

/// Future that every operation returns: boxed, so that a store is chosen at run time.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The answers for several keys, in order: each fails alone.
pub type StoreFutures<'a, T> = Pin<Box<dyn Future<Output = Vec<Result<T, StoreError>>> + Send + 'a>>;

/// A read of something in one shard, with the shard's log position in the same consistent view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRead<T> {
    /// Value that was read.
    pub value: T,
    /// The storage shard.
    pub shard: u16,
    /// Position of its log.
    pub position: u64,
}
