//! [`Values`] for [`RedbStore`].

use std::ops::Bound;

use ::redb::ReadTransaction;
use foremap::key::CompositeKey;
use foremap::node::StoreAnswer;
use foremap::partition::StorageLayout;

use super::error::failed;
use super::open::RedbStore;
use super::snapshot::shard_log;
use super::tables::{CURRENT, SHARDS, VERSIONS};
use super::writer::WriterJob;
use crate::store::record::{decode_keymap, decode_version};
use crate::store::{
    ListPart, ListRange, ShardRead, StoreError, StoreFuture, StoreFutures, Values, VersionRecord, Write, WriteOutcome,
};

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

impl Values for RedbStore {
    fn layout(&self) -> StorageLayout {
        self.layout
    }

    fn read(&self, keys: Vec<CompositeKey>) -> StoreFutures<'_, StoreAnswer> {
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

    fn write(&self, write: Write) -> StoreFuture<'_, ShardRead<WriteOutcome>> {
        let shard = self.layout.shard(&write.key);
        Box::pin(self.submit(move |reply| WriterJob::Write { shard, write, reply }))
    }

    fn versions(&self, key: CompositeKey) -> StoreFuture<'_, ShardRead<Vec<VersionRecord>>> {
        let shard = self.layout.shard(&key);
        self.snapshot(move |txn| {
            let versions = txn.open_table(VERSIONS).map_err(failed)?;
            let range = versions.range((shard, key.as_str(), 0)..=(shard, key.as_str(), u64::MAX)).map_err(failed)?;
            let record = |entry: Result<(::redb::AccessGuard<'_, _>, ::redb::AccessGuard<'_, &[u8]>), _>| {
                let (place, bytes): (::redb::AccessGuard<'_, (u16, &str, u64)>, _) = entry.map_err(failed)?;
                decode_version(place.value().2, bytes.value())
            };
            let value = range.rev().map(record).collect::<Result<_, StoreError>>()?;
            Ok(ShardRead { value, shard, position: shard_log(txn, shard)?.last })
        })
    }

    fn version(&self, key: CompositeKey, version: u64) -> StoreFuture<'_, ShardRead<Option<VersionRecord>>> {
        let shard = self.layout.shard(&key);
        self.snapshot(move |txn| {
            let versions = txn.open_table(VERSIONS).map_err(failed)?;
            let bytes = versions.get((shard, key.as_str(), version)).map_err(failed)?;
            let value = bytes.map(|bytes| decode_version(version, bytes.value())).transpose()?;
            Ok(ShardRead { value, shard, position: shard_log(txn, shard)?.last })
        })
    }

    fn remove_version(&self, key: CompositeKey, version: u64) -> StoreFuture<'_, ShardRead<WriteOutcome>> {
        let shard = self.layout.shard(&key);
        Box::pin(self.submit(move |reply| WriterJob::RemoveVersion { shard, key, version, reply }))
    }

    fn list_shard(&self, shard: u16, range: ListRange) -> StoreFuture<'_, ListPart> {
        self.snapshot(move |txn| list_part(txn, shard, &range))
    }
}
