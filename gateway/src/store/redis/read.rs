//! Reads, and [`Store`] for [`RedisStore`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, Value};
use foremap::control::Member;
use foremap::key::{CompositeKey, KeyPrefix};
use foremap::node::{LogPage, MAX_AHEAD_US, StoreAnswer};
use foremap::partition::{Epoch, NodeId, PartitionMap, StorageLayout};
use foremap::protocol::{Change, Cursor};
use tokio::sync::watch;

use super::course::Item;
use super::functions;
use super::keys::{Keyspace, LOG, Place, STATE};
use super::lane::Outcome;
use super::master::Kind;
use super::open::RedisStore;
use super::reply::{Fault, Replies, bytes, head, items, number, odd, record, records};
use crate::store::{
    Answer, Answers, Blob, ClockStatus, ListPart, ListRange, MasterStatus, Promise, Read, Store, StoreError, Term,
    Trouble, VersionRecord, Write, WriteOutcome, Written,
};

/// Most log entries that one poll asks for, over all its shards: some megabytes, which arrive well before a response is
/// given up. Whoever has much to catch up with gets there in more steps.
const MAX_POLLED: usize = 16_384;

/// Kinds of outcome, as `functions.lua` has them.
const WRITTEN: u64 = 0;
const CONFLICT: u64 = 1;
const MISSING: u64 = 2;
const AHEAD: u64 = 3;
const USED_UP: u64 = 4;

fn last(keys: &Keyspace, shard: u16) -> Cmd {
    let mut command = ::redis::cmd("HGET");
    command.arg(keys.key(Place::Shard(shard), STATE)).arg("last");
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
pub(super) fn outcome(value: Value, shard: u16) -> Result<Read<WriteOutcome>, StoreError> {
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
    Ok(Read { value, shard, position })
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

/// One page of a log, from XRANGE and, asked afterwards, the shard's state: what was trimmed meanwhile shows there.
pub(super) fn log_page(values: Vec<Value>, cursor: Cursor, limit: usize) -> Result<LogPage, StoreError> {
    let Cursor { shard, position: after } = cursor;
    let mut replies = Replies::new(values);
    let entries = items(replies.next(), "a log")?;
    let mut state = items(replies.next(), "the state of a log")?.into_iter();
    let mut state = || number(&state.next().unwrap_or(Value::Nil), "a position");
    let (last, base) = (state()?, state()?);
    let mut page = LogPage { shard, after, position: last, complete: true, ..LogPage::default() };
    if after >= last {
        return Ok(page);
    }
    if after < base {
        page.reset = true;
        return Ok(page);
    }
    page.complete = entries.len() <= limit;
    page.changes = entries.into_iter().take(limit).map(|entry| change(entry, shard)).collect::<Result<_, _>>()?;
    if !page.changes.iter().map(|change| change.version).is_sorted_by(|a, b| a < b) {
        return Err(odd("the order of a log"));
    }
    // Entries that came after XRANGE are for the next page.
    page.position = page.changes.last().map_or(after, |change| change.version);
    Ok(page)
}

/// A log entry: `[position-0, [k or d, key]]`.
fn change(entry: Value, shard: u16) -> Result<Change, StoreError> {
    let read = || -> Result<Option<Change>, StoreError> {
        let mut parts = items(entry, "a log entry")?.into_iter();
        let Some(id) = bytes(parts.next().unwrap_or(Value::Nil), "a log entry")? else { return Ok(None) };
        let mut fields = items(parts.next().unwrap_or(Value::Nil), "a log entry")?.into_iter();
        let mut field = || bytes(fields.next().unwrap_or(Value::Nil), "a log entry");
        let (Some(kind), Some(key)) = (field()?, field()?) else { return Ok(None) };
        let Some(digits) = id.strip_suffix(b"-0") else { return Ok(None) };
        let version = number(&Value::BulkString(digits.to_vec()), "a position")?;
        let Ok(text) = String::from_utf8(key) else { return Ok(None) };
        let Ok(key) = CompositeKey::parse(&text) else { return Ok(None) };
        let deleted = match kind.as_slice() {
            b"k" => false,
            b"d" => true,
            _ => return Ok(None),
        };
        Ok(Some(Change { shard, version, key, deleted }))
    };
    read()?.ok_or_else(|| odd("a log entry"))
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
            Item::new(Place::Shard(shard), commands)
        };
        let items = by_shard.iter().map(commands).collect();
        let mut answers: Vec<Result<StoreAnswer, StoreError>> = vec![Err(odd("an answer")); keys.len()];
        for (places, outcome) in by_shard.values().zip(self.cluster.run(Kind::Read, items).await) {
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

    async fn read_versions(&self, key: &CompositeKey) -> Result<Read<Vec<VersionRecord>>, StoreError> {
        let (names, shard) = (&self.cluster.keys, self.layout.shard(key));
        let commands = [last(names, shard), newest(names, shard, key), older(names, shard, key)];
        let mut replies = Replies::new(self.look(Place::Shard(shard), commands).await?);
        let last = number(&replies.next(), "a position")?;
        let value = versions(replies.next(), replies.next())?;
        // As for `answer`.
        let position = value.first().map_or(last, |newest| last.max(newest.version));
        Ok(Read { value, shard, position })
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
            let values = self.look(Place::Shard(shard), [last(names, shard), own, below]).await?;
            let (position, found) = listed_names(values, &prefix)?;
            let heads = found.iter().take(limit).map(|key| newest(names, shard, key));
            let heads: Vec<Cmd> = heads.collect();
            let values = if heads.is_empty() { Vec::new() } else { self.look(Place::Shard(shard), heads).await? };
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

    async fn read_log(&self, cursors: Vec<Cursor>, limit: usize) -> Result<Vec<LogPage>, StoreError> {
        let names = &self.cluster.keys;
        let limit = limit.min((MAX_POLLED / cursors.len().max(1)).max(1));
        let item = |cursor: &Cursor| {
            let place = Place::Shard(cursor.shard);
            let (mut entries, mut state) = (::redis::cmd("XRANGE"), ::redis::cmd("HMGET"));
            entries.arg(names.key(place, LOG)).arg(format!("{}-0", cursor.position.saturating_add(1))).arg("+");
            // One more tells whether there are more.
            entries.arg("COUNT").arg(limit.saturating_add(1));
            state.arg(names.key(place, STATE)).arg("last").arg("base");
            Item::new(place, [entries, state])
        };
        let outcomes = self.cluster.run(Kind::Poll, cursors.iter().map(item).collect()).await;
        let page = |(cursor, outcome): (&Cursor, Outcome)| {
            outcome.map_err(Fault::of_read).and_then(|values| log_page(values, *cursor, limit))
        };
        cursors.iter().zip(outcomes).map(page).collect()
    }

    async fn read_positions(&self, shards: Vec<u16>) -> Result<Vec<u64>, StoreError> {
        let item = |&shard: &u16| Item::new(Place::Shard(shard), [last(&self.cluster.keys, shard)]);
        let outcomes = self.cluster.run(Kind::Poll, shards.iter().map(item).collect()).await;
        let position = |outcome: Outcome| {
            let values = outcome.map_err(Fault::of_read)?;
            number(&Replies::new(values).next(), "a position")
        };
        outcomes.into_iter().map(position).collect()
    }
}

impl Store for RedisStore {
    fn layout(&self) -> StorageLayout {
        self.layout
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn groups(&self) -> watch::Receiver<Arc<Vec<Vec<u16>>>> {
        self.cluster.groups()
    }

    fn read(&self, keys: Vec<CompositeKey>) -> Answers<'_, StoreAnswer> {
        Box::pin(self.read_keys(keys))
    }

    fn write(&self, write: Write) -> Answer<'_, Read<WriteOutcome>> {
        let shard = self.layout.shard(&write.key);
        let command = functions::write(&self.cluster.keys, shard, &write, &self.options, self.clocks.latest_us());
        Box::pin(async move {
            self.clocks.check_own()?;
            outcome(self.change(Place::Shard(shard), command).await?, shard)
        })
    }

    fn versions(&self, key: CompositeKey) -> Answer<'_, Read<Vec<VersionRecord>>> {
        Box::pin(async move { self.read_versions(&key).await })
    }

    fn version(&self, key: CompositeKey, version: u64) -> Answer<'_, Read<Option<VersionRecord>>> {
        Box::pin(async move {
            let Read { value, shard, position } = self.read_versions(&key).await?;
            Ok(Read { value: value.into_iter().find(|record| record.version == version), shard, position })
        })
    }

    fn remove_version(&self, key: CompositeKey, version: u64) -> Answer<'_, Read<WriteOutcome>> {
        let shard = self.layout.shard(&key);
        let command = functions::remove(&self.cluster.keys, shard, &key, version);
        Box::pin(async move { outcome(self.change(Place::Shard(shard), command).await?, shard) })
    }

    fn list_shard(&self, shard: u16, range: ListRange) -> Answer<'_, ListPart> {
        Box::pin(self.read_list(shard, range))
    }

    fn poll(&self, cursors: Vec<Cursor>, limit: usize) -> Answer<'_, Vec<LogPage>> {
        Box::pin(self.read_log(cursors, limit))
    }

    fn positions(&self, shards: Vec<u16>) -> Answer<'_, Vec<u64>> {
        Box::pin(self.read_positions(shards))
    }

    fn map(&self) -> Answer<'_, Option<Arc<PartitionMap>>> {
        Box::pin(self.stored_map())
    }

    fn put_map(&self, expect: Option<Epoch>, map: Arc<PartitionMap>, term: Term) -> Answer<'_, bool> {
        Box::pin(async move { self.store_map(expect, &map, term).await })
    }

    fn announce(&self, member: Member, ttl: Duration) -> Answer<'_, bool> {
        Box::pin(async move { self.register(&member, ttl).await })
    }

    fn retract(&self, id: NodeId, incarnation: u64) -> Answer<'_, ()> {
        Box::pin(self.unregister(id, incarnation))
    }

    fn members(&self) -> Answer<'_, Vec<Member>> {
        Box::pin(self.live_members())
    }

    fn take_lease(&self, incarnation: u64, ttl: Duration) -> Answer<'_, Option<Term>> {
        Box::pin(self.take_lease(incarnation, ttl))
    }

    fn blob(&self, blob: Blob) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(self.stored_blob(blob))
    }

    fn put_blob(&self, blob: Blob, content: Option<Vec<u8>>, term: Term) -> Answer<'_, bool> {
        Box::pin(async move { self.store_blob(blob, content.as_deref(), term).await })
    }

    fn prepare(&self) -> Answer<'_, ()> {
        Box::pin(self.prepare_anew())
    }

    fn written(&self) -> watch::Receiver<u64> {
        self.visible.subscribe()
    }

    fn waiting(&self) -> (usize, usize) {
        let routes = self.cluster.routes();
        let each = routes.masters().iter().map(|master| master.writes_waiting());
        each.fold((0, 0), |(waiting, most), (more, bound)| (waiting + more, most + bound))
    }

    fn masters(&self) -> Vec<MasterStatus> {
        self.cluster.routes().masters().iter().map(|master| master.status()).collect()
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.clocks.troubles()
    }

    fn clocks(&self) -> Vec<ClockStatus> {
        self.clocks.all()
    }

    fn now_us(&self) -> u64 {
        self.clocks.now_us()
    }

    fn promise(&self) -> Promise {
        self.cluster.audit.promise()
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(self.shut())
    }
}
