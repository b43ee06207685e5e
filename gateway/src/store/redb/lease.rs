//! The coordinator's lease, within a transaction.

use ::redb::{ReadableTable, WriteTransaction};
use foremap::codec::{DecodeError, Reader, Writer};
use foremap::node::is_alive;

use super::error::failed;
use super::tables::{META, META_LEASE};
use crate::store::{StoreError, Term};

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

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
