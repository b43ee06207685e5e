//! [`Registry`] for [`RedbStore`].

use std::time::Duration;

use ::redb::{ReadTransaction, ReadableTable, WriteTransaction};
use foremap::codec::{DecodeError, Reader, Writer};
use foremap::control::Member;
use foremap::node::is_alive;
use foremap::partition::NodeId;

use super::handle::failed;
use super::meta::MetaChange;
use super::open::RedbStore;
use super::tables::{MEMBERS, META, META_LEASE};
use crate::store::{Answer, Registry, StoreError, Term};

pub(super) fn announce(txn: &WriteTransaction, member: &Member, now_us: u64, until: u64) -> Result<bool, StoreError> {
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

pub(super) fn retract(txn: &WriteTransaction, id: NodeId, incarnation: u64) -> Result<bool, StoreError> {
    let mut members = txn.open_table(MEMBERS).map_err(failed)?;
    let held = members.get(id).map_err(failed)?.map(|held| decode_member(held.value().1)).transpose()?;
    let own = held.is_some_and(|member| member.incarnation == incarnation);
    if own {
        members.remove(id).map_err(failed)?;
    }
    Ok(own)
}

fn members(txn: &ReadTransaction, now_us: u64) -> Result<Vec<Member>, StoreError> {
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
pub(super) struct Lease {
    pub(super) term: Term,
    incarnation: u64,
    expires_us: u64,
}

impl Lease {
    pub(super) fn of(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<Self, StoreError> {
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

pub(super) fn take_lease(
    txn: &WriteTransaction,
    incarnation: u64,
    now_us: u64,
    until: u64,
) -> Result<Option<Term>, StoreError> {
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

impl Registry for RedbStore {
    fn announce(&self, member: Member, ttl: Duration) -> Answer<'_, bool> {
        Box::pin(async move { Ok(self.change(MetaChange::Announce { member, ttl }).await?.done()) })
    }

    fn retract(&self, id: NodeId, incarnation: u64) -> Answer<'_, ()> {
        Box::pin(async move { self.change(MetaChange::Retract { id, incarnation }).await.map(|_| ()) })
    }

    fn members(&self) -> Answer<'_, Vec<Member>> {
        let clock = self.clock.clone();
        self.snapshot(move |txn| members(txn, clock()))
    }

    fn take_lease(&self, incarnation: u64, ttl: Duration) -> Answer<'_, Option<Term>> {
        Box::pin(async move { Ok(self.change(MetaChange::TakeLease { incarnation, ttl }).await?.term()) })
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
