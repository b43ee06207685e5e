//! Reads, and [`Store`] for [`RedbStore`].

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use ::redb::ReadTransaction;
use foremap::control::Member;
use foremap::key::CompositeKey;
use foremap::node::{LogPage, StoreAnswer};
use foremap::partition::{Epoch, NodeId, PartitionMap, StorageLayout};
use foremap::protocol::{Change, Cursor};
use tokio::sync::watch;

use super::handle::failed;
use super::meta::{self, MetaChange};
use super::open::RedbStore;
use super::tables::{CURRENT, LOG, META, META_MAP, SHARDS, ShardLog, VERSIONS};
use super::writer::{Job, MAX_QUEUE};
use crate::store::record::{decode_keymap, decode_version};
use crate::store::{
    Answer, Answers, Backup, Blob, DiskStatus, ListPart, ListRange, NoBackup, Read, Store, StoreError, Term, Trouble,
    VersionRecord, Write, WriteOutcome,
};

impl RedbStore {
    /// Runs `read` on a snapshot, on a thread that may block on the disk.
    fn snapshot<T: Send + 'static>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        let handle = self.handle.clone();
        Box::pin(async move {
            let task = tokio::task::spawn_blocking(move || handle.read(read));
            task.await.map_err(|error| StoreError::Corrupt(format!("a read ended with a defect: {error}")))?
        })
    }
}

fn shard_log(txn: &ReadTransaction, shard: u16) -> Result<ShardLog, StoreError> {
    let shards = txn.open_table(SHARDS).map_err(failed)?;
    Ok(shards.get(shard).map_err(failed)?.map(|log| log.value().into()).unwrap_or_default())
}

fn read_keys(
    txn: &ReadTransaction,
    layout: StorageLayout,
    keys: &[CompositeKey],
) -> Result<Vec<StoreAnswer>, StoreError> {
    let current = txn.open_table(CURRENT).map_err(failed)?;
    let shards = txn.open_table(SHARDS).map_err(failed)?;
    let read = |key: &CompositeKey| {
        let shard = layout.shard(key);
        let value = match current.get((shard, key.as_str())).map_err(failed)? {
            Some(bytes) => Some(decode_keymap(bytes.value())?),
            None => None,
        };
        let position = shards.get(shard).map_err(failed)?.map_or(0, |log| log.value().0);
        Ok(StoreAnswer { value, position })
    };
    keys.iter().map(read).collect()
}

fn list_part(txn: &ReadTransaction, shard: u16, range: &ListRange) -> Result<ListPart, StoreError> {
    let ListRange { prefix, after, limit } = range;
    let current = txn.open_table(CURRENT).map_err(failed)?;
    let mut part = ListPart { position: shard_log(txn, shard)?.last, ..ListPart::default() };
    let mut push = |bytes: &[u8]| -> Result<bool, StoreError> {
        if part.items.len() == *limit {
            part.more = true;
            return Ok(false);
        }
        part.items.push(decode_keymap(bytes)?);
        Ok(true)
    };
    let after = after.as_ref().map(CompositeKey::as_str);
    // The prefix as a key of its own sorts before everything below it, but not next to it: `a`, `a!`, `a/b`.
    if prefix.depth() > 0
        && after.is_none_or(|after| after < prefix.as_str())
        && let Some(bytes) = current.get((shard, prefix.as_str())).map_err(failed)?
    {
        push(bytes.value())?;
    }
    // Canonical keys contain no byte below 0x20, and `0` follows `/`.
    let end = prefix.slashed().strip_suffix('/').map(|text| format!("{text}0"));
    let from = match after {
        Some(after) if after >= prefix.slashed() => Bound::Excluded((shard, after)),
        _ => Bound::Included((shard, prefix.slashed())),
    };
    let to = match &end {
        Some(end) => Bound::Excluded((shard, end.as_str())),
        None => match shard.checked_add(1) {
            Some(next) => Bound::Excluded((next, "")),
            None => Bound::Unbounded,
        },
    };
    for entry in current.range::<(u16, &str)>((from, to)).map_err(failed)? {
        let (_, bytes) = entry.map_err(failed)?;
        if !push(bytes.value())? {
            break;
        }
    }
    Ok(part)
}

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

impl Store for RedbStore {
    fn layout(&self) -> StorageLayout {
        self.layout
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn groups(&self) -> watch::Receiver<Arc<Vec<Vec<u16>>>> {
        self.groups.clone()
    }

    fn read(&self, keys: Vec<CompositeKey>) -> Answers<'_, StoreAnswer> {
        let layout = self.layout;
        let count = keys.len();
        let answers = self.snapshot(move |txn| read_keys(txn, layout, &keys));
        Box::pin(async move {
            match answers.await {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error); count],
            }
        })
    }

    fn write(&self, write: Write) -> Answer<'_, Read<WriteOutcome>> {
        let shard = self.layout.shard(&write.key);
        Box::pin(self.submit(move |reply| Job::Write { shard, write, reply }))
    }

    fn versions(&self, key: CompositeKey) -> Answer<'_, Read<Vec<VersionRecord>>> {
        let shard = self.layout.shard(&key);
        self.snapshot(move |txn| {
            let versions = txn.open_table(VERSIONS).map_err(failed)?;
            let range = versions.range((shard, key.as_str(), 0)..=(shard, key.as_str(), u64::MAX)).map_err(failed)?;
            let record = |entry: Result<(::redb::AccessGuard<'_, _>, ::redb::AccessGuard<'_, &[u8]>), _>| {
                let (place, bytes): (::redb::AccessGuard<'_, (u16, &str, u64)>, _) = entry.map_err(failed)?;
                decode_version(place.value().2, bytes.value())
            };
            let value = range.rev().map(record).collect::<Result<_, StoreError>>()?;
            Ok(Read { value, shard, position: shard_log(txn, shard)?.last })
        })
    }

    fn version(&self, key: CompositeKey, version: u64) -> Answer<'_, Read<Option<VersionRecord>>> {
        let shard = self.layout.shard(&key);
        self.snapshot(move |txn| {
            let versions = txn.open_table(VERSIONS).map_err(failed)?;
            let bytes = versions.get((shard, key.as_str(), version)).map_err(failed)?;
            let value = bytes.map(|bytes| decode_version(version, bytes.value())).transpose()?;
            Ok(Read { value, shard, position: shard_log(txn, shard)?.last })
        })
    }

    fn remove_version(&self, key: CompositeKey, version: u64) -> Answer<'_, Read<WriteOutcome>> {
        let shard = self.layout.shard(&key);
        Box::pin(self.submit(move |reply| Job::RemoveVersion { shard, key, version, reply }))
    }

    fn list_shard(&self, shard: u16, range: ListRange) -> Answer<'_, ListPart> {
        self.snapshot(move |txn| list_part(txn, shard, &range))
    }

    fn poll(&self, cursors: Vec<Cursor>, limit: usize) -> Answer<'_, Vec<LogPage>> {
        self.snapshot(move |txn| {
            cursors.iter().map(|cursor| log_page(txn, cursor.shard, cursor.position, limit)).collect()
        })
    }

    fn positions(&self, shards: Vec<u16>) -> Answer<'_, Vec<u64>> {
        self.snapshot(move |txn| shards.iter().map(|&shard| Ok(shard_log(txn, shard)?.last)).collect())
    }

    fn map(&self) -> Answer<'_, Option<Arc<PartitionMap>>> {
        self.snapshot(|txn| {
            let meta = txn.open_table(META).map_err(failed)?;
            let Some(bytes) = meta.get(META_MAP).map_err(failed)? else { return Ok(None) };
            meta::decode_map(bytes.value()).map(|map| Some(Arc::new(map)))
        })
    }

    fn put_map(&self, expect: Option<Epoch>, map: Arc<PartitionMap>, term: Term) -> Answer<'_, bool> {
        Box::pin(async move { Ok(self.change(MetaChange::PutMap { expect, map, term }).await?.done()) })
    }

    fn announce(&self, member: Member, ttl: Duration) -> Answer<'_, bool> {
        Box::pin(async move { Ok(self.change(MetaChange::Announce { member, ttl }).await?.done()) })
    }

    fn retract(&self, id: NodeId, incarnation: u64) -> Answer<'_, ()> {
        Box::pin(async move { self.change(MetaChange::Retract { id, incarnation }).await.map(|_| ()) })
    }

    fn members(&self) -> Answer<'_, Vec<Member>> {
        let clock = self.clock.clone();
        self.snapshot(move |txn| meta::members(txn, clock()))
    }

    fn take_lease(&self, incarnation: u64, ttl: Duration) -> Answer<'_, Option<Term>> {
        Box::pin(async move { Ok(self.change(MetaChange::TakeLease { incarnation, ttl }).await?.term()) })
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

    fn written(&self) -> watch::Receiver<u64> {
        self.visible.clone()
    }

    fn waiting(&self) -> (usize, usize) {
        (self.queued(), MAX_QUEUE)
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.handle.troubles()
    }

    fn disk(&self) -> Option<DiskStatus> {
        let health = self.handle.health();
        let is_broken = health.broken.is_some();
        Some(DiskStatus { is_broken, failed_writes: health.failed_writes, reopened: health.reopened })
    }

    fn backup(&self) -> Result<Backup, NoBackup> {
        self.begin_backup()
    }

    fn now_us(&self) -> u64 {
        (self.clock)()
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(self.shut())
    }
}
