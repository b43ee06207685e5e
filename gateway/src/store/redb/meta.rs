//! Changes of what concerns the whole namespace: the map, its blobs, the registry and the lease.

use std::sync::Arc;
use std::time::Duration;

use ::redb::WriteTransaction;
use foremap::control::Member;
use foremap::node::MAX_LIFE_US;
use foremap::partition::{Epoch, NodeId, PartitionMap};

use super::error::failed;
use super::lease::take_lease;
use super::members::{announce, retract};
use super::records::{put_blob, put_map};
use super::tables::{META, META_PROBE};
use crate::store::{Blob, StoreError, Term};

/// One change to it, performed by the writer between other writes.
pub(super) enum MetaChange {
    PutMap { expect: Option<Epoch>, map: Arc<PartitionMap>, term: Term },
    Announce { member: Member, ttl: Duration },
    Retract { id: NodeId, incarnation: u64 },
    TakeLease { incarnation: u64, ttl: Duration },
    PutBlob { blob: Blob, content: Option<Vec<u8>>, term: Term },
}

/// Outcome of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetaOutcome {
    Done(bool),
    Term(Option<Term>),
}

impl MetaOutcome {
    pub(super) fn done(self) -> bool {
        matches!(self, Self::Done(true))
    }

    pub(super) fn term(self) -> Option<Term> {
        match self {
            Self::Term(term) => term,
            Self::Done(_) => None,
        }
    }
}

pub(super) fn apply(txn: &WriteTransaction, change: &MetaChange, now_us: u64) -> Result<MetaOutcome, StoreError> {
    let until =
        |ttl: &Duration| now_us.saturating_add(u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX).min(MAX_LIFE_US));
    match change {
        MetaChange::PutMap { expect, map, term } => put_map(txn, *expect, map, *term).map(MetaOutcome::Done),
        MetaChange::Announce { member, ttl } => announce(txn, member, now_us, until(ttl)).map(MetaOutcome::Done),
        MetaChange::Retract { id, incarnation } => retract(txn, *id, *incarnation).map(MetaOutcome::Done),
        MetaChange::TakeLease { incarnation, ttl } => {
            take_lease(txn, *incarnation, now_us, until(ttl)).map(MetaOutcome::Term)
        }
        MetaChange::PutBlob { blob, content, term } => {
            put_blob(txn, *blob, content.as_deref(), *term).map(MetaOutcome::Done)
        }
    }
}

/// Bytes of a probe: a file that is full has room for a few pages now and then, and then not again.
const PROBE_BYTES: usize = 256 << 10;

/// Writes something that nobody reads, or takes it back.
pub(super) fn probe(txn: &WriteTransaction, writes: bool) -> Result<(), StoreError> {
    let mut meta = txn.open_table(META).map_err(failed)?;
    match writes {
        true => meta.insert(META_PROBE, [0x5a; PROBE_BYTES].as_slice()).map_err(failed)?,
        false => meta.remove(META_PROBE).map_err(failed)?,
    };
    Ok(())
}
