//! [`KeptState`]: what outlives a page, which is entries, the session, and what its requests taught.
//!
//! A page that is loaded again begins with what the one before had cached. None of it is believed: it is of unknown age until
//! one exchange from the log positions of then has told what changed since. Which key follows which is kept as
//! the requests themselves, which are learnt again in order: a few hundred take as many microseconds, and what was
//! learnt by one version of the analyzer means nothing to the next.

use std::fmt;
use std::sync::Arc;

use super::session::Session;
use super::session_token::{read_cursor, write_cursor};
use crate::cache::Kept;
use crate::codec::{DecodeError, Reader, Writer};
use crate::key::CompositeKey;
use crate::protocol::{Cursor, Keymap};

const MAGIC: [u8; 4] = *b"FMST";
const VERSION: u8 = 1;
/// Most requests in a state: as many as a client keeps.
const MAX_REQUESTS: usize = 512;
/// Most entries in a state: more than a cache of the default size holds.
const MAX_ENTRIES: usize = 1 << 16;

/// Refusal of a kept state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadState(DecodeError);

impl fmt::Display for BadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a kept state: {}", self.0)
    }
}

impl std::error::Error for BadState {}

/// A state as it was kept.
pub(super) struct KeptState {
    incarnation: u32,
    token: Vec<Cursor>,
    requests: RecentRequests,
    entries: Vec<Kept>,
}

/// Stream and key of requests, oldest first.
type RecentRequests = Vec<(Box<str>, CompositeKey)>;

impl KeptState {
    /// The binary form of a session, of requests (`history`), and of as many entries as fit into about `max_bytes`.
    pub(super) fn write<'a>(
        session: &Session,
        history: impl ExactSizeIterator<Item = &'a (Box<str>, CompositeKey)>,
        entries: impl IntoIterator<Item = Kept>,
        max_bytes: usize,
    ) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        session.write(&mut w);
        w.list(history, |w, (stream, key)| {
            w.str(stream);
            w.str(key.as_str());
        });
        let mut left = max_bytes.saturating_sub(w.len());
        let mut written = Vec::new();
        for kept in entries {
            let bytes = kept.keymap.encode();
            let Some(rest) = left.checked_sub(bytes.len() + 20) else { break };
            left = rest;
            written.push((Cursor { shard: kept.shard, position: kept.position }, kept.covered, bytes));
            if written.len() == MAX_ENTRIES {
                break;
            }
        }
        w.list(written.iter(), |w, (cursor, covered, keymap)| {
            write_cursor(w, cursor);
            w.u8((*covered).into());
            w.bytes(keymap);
        });
        w.finish()
    }

    /// Reads what [`KeptState::write`] wrote.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, BadState> {
        Self::decode(bytes).map_err(BadState)
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
        let (incarnation, token) = Session::read(&mut r)?;
        let state = Self {
            incarnation,
            token,
            requests: r.list(MAX_REQUESTS, "requests", |r| Ok((r.str("stream")?.into(), read_key(r)?)))?,
            entries: r.list(MAX_ENTRIES, "entries", |r| {
                let Cursor { shard, position } = read_cursor(r)?;
                let covered = r.at_most(1, "covered")? == 1;
                Ok(Kept { shard, position, covered, keymap: Arc::new(Keymap::decode(r.bytes()?)?) })
            })?,
        };
        r.finish()?;
        Ok(state)
    }

    /// Incarnation, session token, requests and entries.
    pub(super) fn into_parts(self) -> (u32, Vec<Cursor>, RecentRequests, Vec<Kept>) {
        (self.incarnation, self.token, self.requests, self.entries)
    }
}

fn read_key(r: &mut Reader<'_>) -> Result<CompositeKey, DecodeError> {
    CompositeKey::from_canonical(r.str("key")?).ok_or(DecodeError::BadValue("key"))
}
