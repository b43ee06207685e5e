//! [`Values`] for [`RedisStore`].

use std::collections::BTreeMap;

use ::redis::{Cmd, Value};
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::node::{MAX_AHEAD_US, StoreAnswer};
use foremap::partition::StorageLayout;

use super::course::PlacedRequest;
use super::functions;
use super::keys::{KeyPlace, Keyspace, STATE};
use super::master::RequestKind;
use super::open::RedisStore;
use super::reply::{Fault, Replies, bytes, head, items, number, odd, record, records};
use crate::store::{
    ListPart, ListRange, ShardRead, StoreError, StoreFuture, StoreFutures, Values, VersionRecord, Write, WriteOutcome,
    Written,
};

/// Kinds of outcome, as `functions.lua` has them.
const WRITTEN: u64 = 0;
const CONFLICT: u64 = 1;
const MISSING: u64 = 2;
const AHEAD: u64 = 3;
const USED_UP: u64 = 4;

pub(super) fn last(keys: &Keyspace, shard: u16) -> Cmd {
    let mut command = ::redis::cmd("HGET");
    command.arg(keys.key(KeyPlace::Shard(shard), STATE)).arg("last");
    command
}

fn newest(keys: &Keyspace, shard: u16, key: &CompositeKey) -> Cmd {
    let mut command = ::redis::cmd("GET");
    command.arg(keys.newest(shard, key.as_str()));
    command
}

fn older(keys: &Keyspace, shard: u16, key: &CompositeKey) -> Cmd {
    let mut command = ::redis::cmd("LRANGE");
    command.arg(keys.older(shard, key.as_str())).arg(0).arg(-1);
    command
}

/// Reads the answer of `write` or `remove`.
pub(super) fn outcome(value: Value, shard: u16) -> Result<ShardRead<WriteOutcome>, StoreError> {
    let list = items(value, "the outcome of a write")?;
    let numbers: Vec<u64> =
        list.iter().map(|value| number(value, "the outcome of a write")).collect::<Result<_, _>>()?;
    let [kind, version, created, position] = numbers[..] else { return Err(odd("the outcome of a write")) };
    let value = match kind {
        WRITTEN => WriteOutcome::Written(Written { version, created: created == 1 }),
        CONFLICT => WriteOutcome::Conflict { current: version },
        MISSING => WriteOutcome::Missing,
        AHEAD => {
            let seconds = (version + MAX_AHEAD_US) / 1_000_000;
            let why = format!("the clock of the shard's master is {seconds} s ahead of the others; it does not write");
            return Err(StoreError::Unavailable(why));
        }
        USED_UP => {
            tracing::error!(shard, "{}", StoreError::UsedUp);
            return Err(StoreError::UsedUp);
        }
        _ => return Err(odd("the outcome of a write")),
    };
    Ok(ShardRead { value, shard, position })
}

/// One key's answer. `last` was read before `value`: what the key held then is what it holds at the later of both
/// positions, as any write between them would be the value.
pub(super) fn answer(value: Value, last: u64, key: &CompositeKey) -> Result<StoreAnswer, StoreError> {
    let (version, value) = head(value)?;
    if value.as_ref().is_some_and(|keymap| keymap.key != *key) {
        return Err(odd("the key of a keymap"));
    }
    Ok(StoreAnswer { value, position: last.max(version) })
}

/// All versions, from the newest and, asked afterwards, the older ones: among those is what was newest until a write
/// that came between.
pub(super) fn versions(newest: Value, older: Value) -> Result<Vec<VersionRecord>, StoreError> {
    let Some(newest) = bytes(newest, "a version record")? else { return Ok(Vec::new()) };
    let newest = record(&newest)?;
    let mut versions = records(older)?;
    versions.retain(|older| older.version < newest.version);
    versions.insert(0, newest);
    Ok(versions)
}

/// The position of a shard, and the keys that its index has, from the answers to [`functions::names`].
fn listed_names(values: Vec<Value>, prefix: &KeyPrefix) -> Result<(u64, Vec<CompositeKey>), StoreError> {
    let mut replies = Replies::new(values);
    let position = number(&replies.next(), "a position")?;
    let own = bytes(replies.next(), "an index")?.map(|_| prefix.as_str().as_bytes().to_vec());
    let below = items(replies.next(), "an index")?.into_iter();
    let below = below.map(|name| bytes(name, "an index")?.ok_or_else(|| odd("an index")));
    let key = |name: Vec<u8>| String::from_utf8(name).ok().and_then(|text| CompositeKey::parse(&text).ok());
    let keys = own.map(Ok).into_iter().chain(below).map(|name| key(name?).ok_or_else(|| odd("an index")));
    Ok((position, keys.collect::<Result<_, _>>()?))
}

impl RedisStore {
    async fn read_keys(&self, keys: Vec<CompositeKey>) -> Vec<Result<StoreAnswer, StoreError>> {
        let names = &self.cluster.keys;
        let mut by_shard: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (at, key) in keys.iter().enumerate() {
            by_shard.entry(self.layout.shard(key)).or_default().push(at);
        }
        let commands = |(&shard, places): (&u16, &Vec<usize>)| {
            let head = |&at: &usize| newest(names, shard, &keys[at]);
            let commands: Vec<Cmd> = std::iter::once(last(names, shard)).chain(places.iter().map(head)).collect();
            PlacedRequest::new(KeyPlace::Shard(shard), commands)
        };
        let items = by_shard.iter().map(commands).collect();
        let mut answers: Vec<Result<StoreAnswer, StoreError>> = vec![Err(odd("an answer")); keys.len()];
        for (places, outcome) in by_shard.values().zip(self.cluster.run(RequestKind::Read, items).await) {
            let read = outcome.map_err(Fault::of_read).and_then(|values| {
                let mut replies = Replies::new(values);
                Ok((number(&replies.next(), "a position")?, replies))
            });
            match read {
                Ok((last, mut replies)) => {
                    places.iter().for_each(|&at| answers[at] = answer(replies.next(), last, &keys[at]));
                }
                Err(error) => places.iter().for_each(|&at| answers[at] = Err(error.clone())),
            }
        }
        answers
    }

    async fn read_versions(&self, key: &CompositeKey) -> Result<ShardRead<Vec<VersionRecord>>, StoreError> {
        let (names, shard) = (&self.cluster.keys, self.layout.shard(key));
        let commands = [last(names, shard), newest(names, shard, key), older(names, shard, key)];
        let mut replies = Replies::new(self.look(KeyPlace::Shard(shard), commands).await?);
        let last = number(&replies.next(), "a position")?;
        let value = versions(replies.next(), replies.next())?;
        // As for `answer`.
        let position = value.first().map_or(last, |newest| last.max(newest.version));
        Ok(ShardRead { value, shard, position })
    }

    async fn read_list(&self, shard: u16, range: ListRange) -> Result<ListPart, StoreError> {
        let ListRange { prefix, after, limit } = range;
        let names = &self.cluster.keys;
        let mut after = after.map(|after| after.as_str().to_owned());
        let limit = limit.max(1);
        let mut part = ListPart { items: Vec::new(), more: true, position: 0 };
        while part.items.is_empty() && part.more {
            // The position first: what is listed is then as new as it says, or newer.
            let [own, below] = functions::names(names, shard, &prefix, after.as_deref(), limit.saturating_add(1));
            let values = self.look(KeyPlace::Shard(shard), [last(names, shard), own, below]).await?;
            let (position, found) = listed_names(values, &prefix)?;
            let heads = found.iter().take(limit).map(|key| newest(names, shard, key));
            let heads: Vec<Cmd> = heads.collect();
            let values = if heads.is_empty() { Vec::new() } else { self.look(KeyPlace::Shard(shard), heads).await? };
            for value in values {
                // Whatever was in the index has a record: one without a keymap was deleted meanwhile.
                let bytes = bytes(value, "a listed keymap")?.ok_or_else(|| odd("a listed keymap"))?;
                part.items.extend(record(&bytes)?.keymap);
            }
            (part.more, part.position) = (found.len() > limit, position);
            after = found.get(limit.saturating_sub(1)).map(|key| key.as_str().to_owned());
        }
        Ok(part)
    }
}

impl Values for RedisStore {
    fn layout(&self) -> StorageLayout {
        self.layout
    }

    fn read(&self, keys: Vec<CompositeKey>) -> StoreFutures<'_, StoreAnswer> {
        Box::pin(self.read_keys(keys))
    }

    fn write(&self, write: Write) -> StoreFuture<'_, ShardRead<WriteOutcome>> {
        let shard = self.layout.shard(&write.key);
        let command = functions::write(&self.cluster.keys, shard, &write, &self.options, self.clocks.latest_us());
        Box::pin(async move {
            self.clocks.check_own()?;
            outcome(self.change(KeyPlace::Shard(shard), command).await?, shard)
        })
    }

    fn versions(&self, key: CompositeKey) -> StoreFuture<'_, ShardRead<Vec<VersionRecord>>> {
        Box::pin(async move { self.read_versions(&key).await })
    }

    fn version(&self, key: CompositeKey, version: u64) -> StoreFuture<'_, ShardRead<Option<VersionRecord>>> {
        Box::pin(async move {
            let ShardRead { value, shard, position } = self.read_versions(&key).await?;
            Ok(ShardRead { value: value.into_iter().find(|record| record.version == version), shard, position })
        })
    }

    fn remove_version(&self, key: CompositeKey, version: u64) -> StoreFuture<'_, ShardRead<WriteOutcome>> {
        let shard = self.layout.shard(&key);
        let command = functions::remove(&self.cluster.keys, shard, &key, version);
        Box::pin(async move { outcome(self.change(KeyPlace::Shard(shard), command).await?, shard) })
    }

    fn list_shard(&self, shard: u16, range: ListRange) -> StoreFuture<'_, ListPart> {
        Box::pin(self.read_list(shard, range))
    }
}
