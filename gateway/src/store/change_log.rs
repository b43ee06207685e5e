//! [`ChangeLog`]: what was written, in order.

use std::sync::Arc;

use foremap::node::LogPage;
use foremap::protocol::Cursor;
use tokio::sync::watch;

use super::StoreFuture;

/// Change logs of the storage shards, each in the order of its positions. A page leaves out no write between its cursor
/// and its position, or says that the log was trimmed there.
///
/// # Errors
/// [`StoreError::Unavailable`](super::StoreError::Unavailable) where a shard did not answer,
/// [`StoreError::Corrupt`](super::StoreError::Corrupt) for an entry that cannot be read back.
pub trait ChangeLog: Send + Sync + 'static {
    /// Shards of the store, all of them, in groups that fail and recover together: those of one machine. Each group is tailed by itself, so
    /// that one that is silent does not hold up the others. Changes when shards move.
    fn groups(&self) -> watch::Receiver<Arc<Vec<Vec<u16>>>>;

    /// Reads one page of the change log of each shard that `cursors` name, in their order; at most `limit` entries a page.
    fn poll(&self, cursors: Vec<Cursor>, limit: usize) -> StoreFuture<'_, Vec<LogPage>>;

    /// Reads the log positions of `shards`, in their order.
    fn positions(&self, shards: Vec<u16>) -> StoreFuture<'_, Vec<u64>>;

    /// Changes whenever writes of this process became visible: a hint to poll now.
    fn written(&self) -> watch::Receiver<u64>;
}
