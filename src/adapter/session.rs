//! [`Session`]: what one user has seen, so that nothing it reads goes back.

use std::fmt;

use super::action::Scope;
use super::agenda::Agenda;
use super::session_token::SessionToken;
use crate::codec::{DecodeError, Reader, Writer};
use crate::partition::PartitionMap;
use crate::protocol::{BatchItem, Cursor, ReadPoint};

const MAGIC: [u8; 4] = *b"FMBM";
const VERSION: u8 = 1;

/// Refusal of a bookmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadBookmark(DecodeError);

impl fmt::Display for BadBookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a bookmark: {}", self.0)
    }
}

impl std::error::Error for BadBookmark {}

/// Standing of a store that is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Incarnation {
    /// It is gone: an answer of it must not be used.
    Gone,
    /// It is the one at hand, or not known.
    Known,
    /// It is new: positions of the one before mean nothing in it.
    New,
}

/// The session of a client.
#[derive(Debug, Default)]
pub(super) struct Session {
    token: SessionToken,
    /// The part of it that came from another client, which has seen what the cache here may lack.
    inherited: SessionToken,
    /// The store that the positions are of.
    incarnation: Option<u32>,
    resets: u64,
}

impl Session {
    pub(super) fn token(&self) -> &SessionToken {
        &self.token
    }

    /// Times that the store turned out to be a new one.
    pub(super) fn resets(&self) -> u64 {
        self.resets
    }

    pub(super) fn raise(&mut self, shard: u16, position: u64) {
        self.token.raise(Cursor { shard, position });
    }

    /// Takes over what another client of the session has seen.
    pub(super) fn inherit(&mut self, seen: Cursor) {
        self.token.raise(seen);
        self.inherited.raise(seen);
    }

    /// Position in `shard` that an answer in `scope` must not be older than.
    pub(super) fn least(&self, agenda: &Agenda, scope: Scope, shard: u16) -> u64 {
        self.token.get(shard).max(agenda.seen(scope, shard))
    }

    /// Returns whether what is cached is as new as what this session has seen elsewhere. What this client has seen itself needs no
    /// check: nothing older of the same key is left in the cache.
    pub(super) fn is_as_new_as_inherited(&self, at: ReadPoint) -> bool {
        at.position >= self.inherited.get(at.shard)
    }

    /// The same, also for the sessions behind `scope`.
    pub(super) fn is_current(&self, agenda: &Agenda, scope: Scope, at: ReadPoint) -> bool {
        at.position >= agenda.seen(scope, at.shard) && self.is_as_new_as_inherited(at)
    }

    /// Session tokens of the shards that `items` lie in; all of them while the layout is not known.
    pub(super) fn tokens_for(
        &self,
        agenda: &Agenda,
        scope: Scope,
        map: Option<&PartitionMap>,
        items: &[BatchItem],
    ) -> Vec<Cursor> {
        let Some(map) = map else {
            let mut all = self.token.clone();
            agenda.token(scope).for_each(|seen| all.raise(seen));
            return all.iter().collect();
        };
        let mut of_items = SessionToken::default();
        for shard in items.iter().map(|item| map.storage.shard(&item.key)) {
            of_items.raise(Cursor { shard, position: self.least(agenda, scope, shard) });
        }
        of_items.iter().filter(|seen| seen.position > 0).collect()
    }

    /// Notes the incarnation that a gateway tells of. Where it is new, all that was seen is forgotten.
    pub(super) fn note(&mut self, incarnation: u32) -> Incarnation {
        let known = self.incarnation.unwrap_or(incarnation);
        if incarnation == 0 {
            return Incarnation::Known; // the gateway does not know
        }
        self.incarnation = Some(known.max(incarnation));
        if incarnation > known {
            self.resets += 1;
            (self.token, self.inherited) = Default::default();
            return Incarnation::New;
        }
        if incarnation < known { Incarnation::Gone } else { Incarnation::Known }
    }

    /// Goes on where an earlier client of the session was, unless that was of another store; returns whether it does.
    pub(super) fn resume(&mut self, incarnation: u32, token: Vec<Cursor>) -> bool {
        if incarnation > 0 && self.incarnation.is_some_and(|known| known != incarnation) {
            return false;
        }
        self.incarnation = self.incarnation.or(Some(incarnation)).filter(|&incarnation| incarnation > 0);
        // What this session has read by now may be newer than what is imported of the same key.
        self.token.iter().for_each(|seen| self.inherited.raise(seen));
        token.into_iter().for_each(|seen| self.inherit(seen));
        true
    }

    /// Writes incarnation and token.
    pub(super) fn write(&self, w: &mut Writer) {
        w.varint(self.incarnation.unwrap_or_default().into());
        self.token.write(w);
    }

    /// Incarnation and positions as [`Session::write`] wrote them.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<(u32, Vec<Cursor>), DecodeError> {
        Ok((r.u32("incarnation")?, SessionToken::read(r)?))
    }

    /// Everything seen, to be handed to another client.
    pub(super) fn bookmark(&self) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        self.write(&mut w);
        w.finish()
    }

    /// Incarnation and positions of a bookmark.
    pub(super) fn read_bookmark(bytes: &[u8]) -> Result<(u32, Vec<Cursor>), BadBookmark> {
        let read = || {
            let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
            let read = Self::read(&mut r)?;
            r.finish()?;
            Ok(read)
        };
        read().map_err(BadBookmark)
    }

    /// Takes over a bookmark, unless it is of a store that is gone.
    pub(super) fn open_bookmark(&mut self, incarnation: u32, token: Vec<Cursor>) {
        if incarnation == self.incarnation.unwrap_or_default() {
            token.into_iter().for_each(|seen| self.inherit(seen));
        }
    }
}
