//! [`ChangeLog`] for [`RedisStore`].

use std::sync::Arc;

use ::redis::Value;
use foremap::key::CompositeKey;
use foremap::node::LogPage;
use foremap::protocol::{Change, Cursor};
use tokio::sync::watch;

use super::course::PlacedRequest;
use super::keys::{KeyPlace, LOG, STATE};
use super::master::RequestKind;
use super::master_queue::SlotResult;
use super::open::RedisStore;
use super::reply::{Fault, Replies, bytes, items, number, odd};
use super::values::last;
use crate::store::{ChangeLog, StoreError, StoreFuture};

/// Most log entries that one poll asks for, over all its shards: some megabytes, which arrive well before a response is
/// given up. Whoever has much to catch up with gets there in more steps.
const MAX_POLLED: usize = 16_384;

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

impl RedisStore {
    async fn read_log(&self, cursors: Vec<Cursor>, limit: usize) -> Result<Vec<LogPage>, StoreError> {
        let names = &self.cluster.keys;
        let limit = limit.min((MAX_POLLED / cursors.len().max(1)).max(1));
        let item = |cursor: &Cursor| {
            let place = KeyPlace::Shard(cursor.shard);
            let (mut entries, mut state) = (::redis::cmd("XRANGE"), ::redis::cmd("HMGET"));
            entries.arg(names.key(place, LOG)).arg(format!("{}-0", cursor.position.saturating_add(1))).arg("+");
            // One more tells whether there are more.
            entries.arg("COUNT").arg(limit.saturating_add(1));
            state.arg(names.key(place, STATE)).arg("last").arg("base");
            PlacedRequest::new(place, [entries, state])
        };
        let outcomes = self.cluster.run(RequestKind::Poll, cursors.iter().map(item).collect()).await;
        let page = |(cursor, outcome): (&Cursor, SlotResult)| {
            outcome.map_err(Fault::of_read).and_then(|values| log_page(values, *cursor, limit))
        };
        cursors.iter().zip(outcomes).map(page).collect()
    }

    async fn read_positions(&self, shards: Vec<u16>) -> Result<Vec<u64>, StoreError> {
        let item = |&shard: &u16| PlacedRequest::new(KeyPlace::Shard(shard), [last(&self.cluster.keys, shard)]);
        let outcomes = self.cluster.run(RequestKind::Poll, shards.iter().map(item).collect()).await;
        let position = |outcome: SlotResult| {
            let values = outcome.map_err(Fault::of_read)?;
            number(&Replies::new(values).next(), "a position")
        };
        outcomes.into_iter().map(position).collect()
    }
}

impl ChangeLog for RedisStore {
    fn groups(&self) -> watch::Receiver<Arc<Vec<Vec<u16>>>> {
        self.cluster.groups()
    }

    fn poll(&self, cursors: Vec<Cursor>, limit: usize) -> StoreFuture<'_, Vec<LogPage>> {
        Box::pin(self.read_log(cursors, limit))
    }

    fn positions(&self, shards: Vec<u16>) -> StoreFuture<'_, Vec<u64>> {
        Box::pin(self.read_positions(shards))
    }

    fn written(&self) -> watch::Receiver<u64> {
        self.visible.subscribe()
    }
}
