//! Reads, each on a snapshot.

use ::redb::ReadTransaction;

use super::error::failed;
use super::open::RedbStore;
use super::tables::{SHARDS, ShardLog};
use crate::store::{StoreError, StoreFuture};

impl RedbStore {
    /// Runs `read` on a snapshot, on a thread that may block on the disk.
    pub(super) fn snapshot<T: Send + 'static>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let handle = self.handle.clone();
        Box::pin(async move {
            let task = tokio::task::spawn_blocking(move || handle.read(read));
            task.await.map_err(|error| StoreError::Corrupt(format!("a read ended with a defect: {error}")))?
        })
    }
}

/// State of the log of `shard`, of zeros where nothing was written yet.
pub(super) fn shard_log(txn: &ReadTransaction, shard: u16) -> Result<ShardLog, StoreError> {
    let shards = txn.open_table(SHARDS).map_err(failed)?;
    Ok(shards.get(shard).map_err(failed)?.map(|log| log.value().into()).unwrap_or_default())
}
