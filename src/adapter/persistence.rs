//! What outlives a page: entries, the session, and what its requests taught.
//!
//! A page that is loaded again begins with what the one before had cached. None of it is believed: it is of unknown age until
//! one exchange from the log positions of then has told what changed since. Which key follows which is kept as
//! the requests themselves, which are learnt again in order: a few hundred take as many microseconds, and what was
//! learnt by one version of the analyzer means nothing to the next.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::action::Scope;
use super::adapter::Adapter;
use super::feed::FEED_SCOPE;
use crate::Millis;
use crate::cache::Kept;
use crate::codec::{DecodeError, Reader, Writer};
use crate::key::CompositeKey;
use crate::protocol::{Cursor, Keymap, MAX_SHARDS, MAX_VERSION};

const MAGIC: [u8; 4] = *b"FMST";
const VERSION: u8 = 1;
/// Requests kept. A visit of a person has tens, and what those long ago taught has mostly been overlaid.
const REQUESTS: usize = 512;
/// Most entries in a state: more than a cache of the default size holds.
const MAX_ENTRIES: usize = 1 << 16;

/// Why a kept state was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadState(DecodeError);

impl fmt::Display for BadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a kept state: {}", self.0)
    }
}

impl std::error::Error for BadState {}

/// The newest requests of the page's own scope, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    requests: VecDeque<(Box<str>, CompositeKey)>,
}

impl History {
    pub(super) const BOUND: usize = REQUESTS;

    pub(super) fn note(&mut self, scope: Scope, stream: &str, key: &CompositeKey) {
        if scope != FEED_SCOPE {
            return;
        }
        if self.requests.len() == REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back((stream.into(), key.clone()));
    }

    /// The latest request.
    pub(super) fn latest(&self) -> Option<(Box<str>, CompositeKey)> {
        self.requests.back().cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }
}

impl Adapter {
    /// Entries, session and requests, in at most about `max_bytes`; the entries most worth keeping first. O(entries).
    pub fn export(&self, max_bytes: usize) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.varint(self.incarnation.unwrap_or_default().into());
        let floors: Vec<Cursor> = self.floors.iter().collect();
        w.list(floors.iter(), write_cursor);
        w.list(self.history.requests.iter(), |w, (stream, key)| {
            w.str(stream);
            w.str(key.as_str());
        });
        let mut left = max_bytes.saturating_sub(w.len());
        let mut entries = Vec::new();
        for kept in self.cache.kept() {
            let bytes = kept.keymap.encode();
            let Some(rest) = left.checked_sub(bytes.len() + 20) else { break };
            left = rest;
            entries.push((Cursor { shard: kept.shard, position: kept.position }, kept.covered, bytes));
            if entries.len() == MAX_ENTRIES {
                break;
            }
        }
        w.list(entries.iter(), |w, (cursor, covered, keymap)| {
            write_cursor(w, cursor);
            w.u8((*covered).into());
            w.bytes(keymap);
        });
        w.finish()
    }

    /// Takes over what [`Adapter::export`] gave, at the start of a page: entries become usable with the exchange that this
    /// asks for. Returns how many there are.
    ///
    /// # Errors
    /// [`BadState`]; then nothing changed.
    pub fn import(&mut self, now: Millis, state: &[u8]) -> Result<usize, BadState> {
        let State { incarnation, floors, requests, entries } = State::read(state).map_err(BadState)?;
        if incarnation > 0 && self.incarnation.is_some_and(|known| known != incarnation) {
            return Ok(0); // of another store
        }
        self.incarnation = self.incarnation.or(Some(incarnation)).filter(|&incarnation| incarnation > 0);
        // What this session has read by now may be newer than what is imported of the same key.
        self.floors.iter().for_each(|seen| self.inherited.raise(seen.shard, seen.position));
        floors.into_iter().for_each(|floor| self.raise_floor(floor));
        for (stream, key) in &requests {
            self.engine.recall(stream, key);
            self.history.note(FEED_SCOPE, stream, key);
        }
        let count = entries.into_iter().filter(|kept| self.cache.recall(kept)).count();
        self.settle_evicted(now);
        self.come_back(now);
        Ok(count)
    }
}

struct State {
    incarnation: u32,
    floors: Vec<Cursor>,
    requests: Vec<(Box<str>, CompositeKey)>,
    entries: Vec<Kept>,
}

impl State {
    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
        let state = Self {
            incarnation: r.u32("incarnation")?,
            floors: r.list(MAX_SHARDS + 1, "floors", read_cursor)?,
            requests: r.list(REQUESTS, "requests", |r| Ok((r.str("stream")?.into(), read_key(r)?)))?,
            entries: r.list(MAX_ENTRIES, "entries", |r| {
                let Cursor { shard, position } = read_cursor(r)?;
                let covered = r.at_most(1, "covered")? == 1;
                Ok(Kept { shard, position, covered, keymap: Arc::new(Keymap::decode(r.bytes()?)?) })
            })?,
        };
        r.finish()?;
        Ok(state)
    }
}

fn write_cursor(w: &mut Writer, cursor: &Cursor) {
    w.varint(cursor.shard.into());
    w.varint(cursor.position);
}

fn read_cursor(r: &mut Reader<'_>) -> Result<Cursor, DecodeError> {
    let shard = r.at_most(MAX_SHARDS as u64, "shard")? as u16;
    Ok(Cursor { shard, position: r.at_most(MAX_VERSION, "position")? })
}

fn read_key(r: &mut Reader<'_>) -> Result<CompositeKey, DecodeError> {
    CompositeKey::from_canonical(r.str("key")?).ok_or(DecodeError::BadValue("key"))
}

#[cfg(test)]
#[path = "persistence_tests.rs"]
mod tests;
