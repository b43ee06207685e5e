//! What concerns the whole namespace: the map, the registry, the coordinator's lease and its blobs.

use std::sync::Arc;
use std::time::Duration;

use ::redb::{ReadTransaction, ReadableTable, WriteTransaction};
use foremap::codec::{DecodeError, Reader, Writer};
use foremap::control::Member;
use foremap::node::{MAX_LIFE_US, is_alive};
use foremap::partition::{Epoch, NodeId, PartitionMap};

use super::handle::failed;
use super::tables::{MEMBERS, META, META_LEASE, META_MAP, META_PROBE};
use crate::store::{Blob, StoreError, Term};

/// One change to it, performed by the writer between other writes.
pub(super) enum MetaChange {
    PutMap { expect: Option<Epoch>, map: Arc<PartitionMap>, term: Term },
    Announce { member: Member, ttl: Duration },
    Retract { id: NodeId, incarnation: u64 },
    TakeLease { incarnation: u64, ttl: Duration },
    PutBlob { blob: Blob, content: Option<Vec<u8>>, term: Term },
}

/// What became of it.
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

fn put_map(txn: &WriteTransaction, expect: Option<Epoch>, map: &PartitionMap, term: Term) -> Result<bool, StoreError> {
    let mut meta = txn.open_table(META).map_err(failed)?;
    let stored = match meta.get(META_MAP).map_err(failed)? {
        Some(bytes) => Some(decode_map(bytes.value())?.epoch),
        None => None,
    };
    if stored != expect || (expect.is_some() && term < Lease::of(&meta)?.term) {
        return Ok(false);
    }
    meta.insert(META_MAP, map.encode().as_slice()).map_err(failed)?;
    Ok(true)
}

pub(super) fn decode_map(bytes: &[u8]) -> Result<PartitionMap, StoreError> {
    PartitionMap::decode(bytes).map_err(|error| StoreError::Corrupt(format!("map: {error}")))
}

fn announce(txn: &WriteTransaction, member: &Member, now_us: u64, until: u64) -> Result<bool, StoreError> {
    let mut members = txn.open_table(MEMBERS).map_err(failed)?;
    if let Some(held) = members.get(member.id).map_err(failed)? {
        let (expires, bytes) = held.value();
        let held = decode_member(bytes)?;
        if is_alive(expires, now_us) && held.incarnation != member.incarnation && held.origin != member.origin {
            return Ok(false);
        }
    }
    members.insert(member.id, (until, member.encode().as_slice())).map_err(failed)?;
    Ok(true)
}

fn retract(txn: &WriteTransaction, id: NodeId, incarnation: u64) -> Result<bool, StoreError> {
    let mut members = txn.open_table(MEMBERS).map_err(failed)?;
    let held = members.get(id).map_err(failed)?.map(|held| decode_member(held.value().1)).transpose()?;
    let own = held.is_some_and(|member| member.incarnation == incarnation);
    if own {
        members.remove(id).map_err(failed)?;
    }
    Ok(own)
}

pub(super) fn members(txn: &ReadTransaction, now_us: u64) -> Result<Vec<Member>, StoreError> {
    let members = txn.open_table(MEMBERS).map_err(failed)?;
    let mut live = Vec::new();
    for entry in members.iter().map_err(failed)? {
        let (_, held) = entry.map_err(failed)?;
        let (expires, bytes) = held.value();
        if is_alive(expires, now_us) {
            live.push(decode_member(bytes)?);
        }
    }
    Ok(live)
}

fn decode_member(bytes: &[u8]) -> Result<Member, StoreError> {
    Member::decode(bytes).map_err(|error| StoreError::Corrupt(format!("registration: {error}")))
}

/// The coordinator's lease.
#[derive(Debug, Default)]
struct Lease {
    term: Term,
    incarnation: u64,
    expires_us: u64,
}

impl Lease {
    fn of(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<Self, StoreError> {
        let Some(bytes) = meta.get(META_LEASE).map_err(failed)? else { return Ok(Self::default()) };
        let read = || -> Result<Self, DecodeError> {
            let mut r = Reader::new(bytes.value());
            let lease = Self { term: r.varint()?, incarnation: r.u64_le()?, expires_us: r.varint()? };
            r.finish()?;
            Ok(lease)
        };
        read().map_err(|error| StoreError::Corrupt(format!("lease: {error}")))
    }

    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.varint(self.term);
        w.u64_le(self.incarnation);
        w.varint(self.expires_us);
        w.finish()
    }
}

fn take_lease(txn: &WriteTransaction, incarnation: u64, now_us: u64, until: u64) -> Result<Option<Term>, StoreError> {
    let mut meta = txn.open_table(META).map_err(failed)?;
    let mut lease = Lease::of(&meta)?;
    if lease.incarnation != incarnation || !is_alive(lease.expires_us, now_us) {
        // A resignation of what is not held changes nothing.
        if is_alive(lease.expires_us, now_us) || until <= now_us {
            return Ok(None);
        }
        lease.term += 1;
        lease.incarnation = incarnation;
    }
    lease.expires_us = until;
    meta.insert(META_LEASE, lease.encode().as_slice()).map_err(failed)?;
    Ok((until > now_us).then_some(lease.term))
}

fn put_blob(txn: &WriteTransaction, blob: Blob, content: Option<&[u8]>, term: Term) -> Result<bool, StoreError> {
    let mut meta = txn.open_table(META).map_err(failed)?;
    if term < Lease::of(&meta)?.term {
        return Ok(false);
    }
    match content {
        Some(content) => meta.insert(blob.name(), content).map_err(failed)?,
        None => meta.remove(blob.name()).map_err(failed)?,
    };
    Ok(true)
}
