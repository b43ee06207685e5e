//! A session: what one user has seen, so that nothing it reads goes back.

use std::fmt;

use super::action::{Action, Scope};
use super::adapter::Adapter;
use crate::Millis;
use crate::codec::{DecodeError, Reader, Writer};
use crate::protocol::{Cursor, MAX_SHARDS, MAX_VERSION, ReadPoint};

const MAGIC: [u8; 4] = *b"FMBM";
const VERSION: u8 = 1;

/// Why a bookmark was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadBookmark(DecodeError);

impl fmt::Display for BadBookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a bookmark: {}", self.0)
    }
}

impl std::error::Error for BadBookmark {}

impl Adapter {
    /// What the session behind `scope` has seen, beside the adapter's own floors: no answer in this scope is older. An
    /// edge worker passes on the floors of its callers, which must not bind each other.
    pub fn set_scope_floors(&mut self, scope: Scope, floors: impl IntoIterator<Item = Cursor>) {
        let state = self.scopes.get(scope);
        for floor in floors {
            state.floors.raise(floor.shard, floor.position);
        }
    }

    /// The session's floors, to outlive this adapter.
    pub fn floors(&self) -> impl Iterator<Item = Cursor> + '_ {
        self.floors.iter()
    }

    /// Takes over the floors of an earlier adapter of the same session.
    pub fn raise_floor(&mut self, floor: Cursor) {
        self.floors.raise(floor.shard, floor.position);
        self.inherited.raise(floor.shard, floor.position);
    }

    /// Whether what is cached, current as of `at`, is as new as what the sessions behind `scope` have seen elsewhere. What
    /// this adapter has seen itself needs no check: nothing older of the same key is left in the cache.
    pub(super) fn is_current(&self, scope: Scope, at: ReadPoint) -> bool {
        at.position >= self.scopes.floor(scope, at.shard).max(self.inherited.get(at.shard))
    }

    /// Everything this session has seen, to be handed to another client: what that reads is never older. At most
    /// 11 bytes a storage shard.
    pub fn bookmark(&self) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.varint(self.incarnation.unwrap_or_default().into());
        let floors: Vec<Cursor> = self.floors.iter().collect();
        w.list(floors.iter(), |w, floor| {
            w.varint(floor.shard.into());
            w.varint(floor.position);
        });
        w.finish()
    }

    /// Goes on where the session behind `bookmark` was. One of a store that is gone says nothing about this one.
    ///
    /// # Errors
    /// [`BadBookmark`]; then nothing changed.
    pub fn open_bookmark(&mut self, now: Millis, bookmark: &[u8]) -> Result<(), BadBookmark> {
        let (incarnation, floors) = read(bookmark).map_err(BadBookmark)?;
        self.heed(now, incarnation);
        if incarnation == self.incarnation.unwrap_or_default() {
            floors.into_iter().for_each(|floor| self.raise_floor(floor));
        }
        Ok(())
    }

    /// Notes the incarnation that a gateway tells of. A newer one is a new store: positions of the old one mean nothing in
    /// it, and would keep the session from ever reading again. `false` for an older one, whose answer must not be used.
    pub(super) fn heed(&mut self, now: Millis, incarnation: u32) -> bool {
        if incarnation == 0 {
            // It does not know.
            return true;
        }
        let known = self.incarnation.unwrap_or(incarnation);
        if incarnation > known {
            self.counters.sessions_reset += 1;
            self.floors = Default::default();
            self.inherited = Default::default();
            self.scopes.forget_floors();
            self.cache.start_over(now);
            self.settle_evicted(now);
            // What was cached of the old store is neither to be confirmed by this one nor to be served.
            self.waiting.values_mut().for_each(|waiting| waiting.stale = None);
            self.fetches.values_mut().for_each(|fetch| fetch.held = None);
            self.placement = None;
            self.map_hash = 0;
            self.drop_feed();
            self.resume(now);
            self.act(Action::SessionReset { incarnation });
        }
        self.incarnation = Some(known.max(incarnation));
        incarnation >= known
    }
}

fn read(bytes: &[u8]) -> Result<(u32, Vec<Cursor>), DecodeError> {
    let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
    let incarnation = r.u32("incarnation")?;
    let floors = r.list(MAX_SHARDS + 1, "floors", |r| {
        let shard = r.at_most(MAX_SHARDS as u64, "shard")? as u16;
        Ok(Cursor { shard, position: r.at_most(MAX_VERSION, "position")? })
    })?;
    r.finish()?;
    Ok((incarnation, floors))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
