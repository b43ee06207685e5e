//! [`ChangeLog`] for [`RedbStore`].

use std::sync::Arc;

use ::redb::ReadTransaction;
use foremap::key::CompositeKey;
use foremap::node::LogPage;
use foremap::protocol::{Change, Cursor};
use tokio::sync::watch;

use super::error::failed;
use super::open::RedbStore;
use super::snapshot::shard_log;
use super::tables::LOG;
use crate::store::{ChangeLog, StoreError, StoreFuture};

fn log_page(txn: &ReadTransaction, shard: u16, after: u64, limit: usize) -> Result<LogPage, StoreError> {
    let log = shard_log(txn, shard)?;
    let mut page = LogPage { shard, after, position: log.last, complete: true, ..LogPage::default() };
    if after >= log.last {
        return Ok(page);
    }
    if after < log.base {
        page.reset = true;
        return Ok(page);
    }
    let entries = txn.open_table(LOG).map_err(failed)?;
    for entry in entries.range((shard, after + 1)..=(shard, log.last)).map_err(failed)? {
        let (place, value) = entry.map_err(failed)?;
        if page.changes.len() == limit {
            page.complete = false;
            page.position = page.changes.last().map_or(after, |c| c.version);
            break;
        }
        let (deleted, key) = value.value();
        let key = CompositeKey::parse(key).map_err(|error| StoreError::Corrupt(format!("log entry: {error}")))?;
        page.changes.push(Change { shard, version: place.value().1, key, deleted });
    }
    Ok(page)
}

impl ChangeLog for RedbStore {
    fn groups(&self) -> watch::Receiver<Arc<Vec<Vec<u16>>>> {
        self.groups.clone()
    }

    fn poll(&self, cursors: Vec<Cursor>, limit: usize) -> StoreFuture<'_, Vec<LogPage>> {
        self.snapshot(move |txn| {
            cursors.iter().map(|cursor| log_page(txn, cursor.shard, cursor.position, limit)).collect()
        })
    }

    fn positions(&self, shards: Vec<u16>) -> StoreFuture<'_, Vec<u64>> {
        self.snapshot(move |txn| shards.iter().map(|&shard| Ok(shard_log(txn, shard)?.last)).collect())
    }

    fn written(&self) -> watch::Receiver<u64> {
        self.visible.clone()
    }
}
