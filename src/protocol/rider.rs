//! [`Rider`]: what a batch tells of the requests that led to it.

use super::BatchItem;
use crate::codec::{DecodeError, Reader, Writer};
use crate::key::CompositeKey;
use crate::partition::xxh3;

/// Requests of a client since the batch before, to the same gateway, and that it follows that batch.
///
/// The gateway knows of a batch what is waited for. What the client's cache answered meanwhile is named by how far back it
/// was fetched, and takes a byte each; with that the gateway knows what followed what, and the whole of it takes a
/// hundredth of the bytes of demand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rider {
    /// [`Rider::link`] of the batch before; `None` where this one is the first.
    pub after: Option<u8>,
    /// Keys that were asked for before those of this batch and not waited for, in order: 1 is the key that was on a batch
    /// last, 2 the one before it, and so on; 0 is something else.
    pub asked: Vec<u8>,
}

impl Rider {
    /// Most keys back that can be named.
    pub const REACH: usize = 127;
    /// Most keys named by one batch.
    pub const MAX_ASKED: usize = 256;

    /// A number by which the batch with these items and this rider is told from others of the same client.
    pub fn link(&self, items: &[BatchItem]) -> u8 {
        let asked = xxh3(u64::from(self.after.unwrap_or_default()), &self.asked);
        let of_all = items.iter().fold(asked, |hash, item| xxh3(hash, item.key.as_str().as_bytes()));
        (of_all >> 56) as u8
    }

    /// Bytes that it adds to a batch.
    pub fn len(&self) -> usize {
        1 + usize::from(self.asked.len() >= 64) + usize::from(self.after.is_some()) + self.asked.len()
    }

    /// Tells whether it says nothing but that the client tells.
    pub fn is_empty(&self) -> bool {
        self.after.is_none() && self.asked.is_empty()
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.varint((self.asked.len() as u64) << 1 | u64::from(self.after.is_some()));
        if let Some(after) = self.after {
            w.u8(after);
        }
        w.raw(&self.asked);
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let head = r.varint()?;
        if head >> 1 > Self::MAX_ASKED as u64 {
            return Err(DecodeError::TooMany("asked"));
        }
        let after = if head & 1 == 1 { Some(r.u8()?) } else { None };
        let asked = r.raw((head >> 1) as usize)?.to_vec();
        if asked.iter().any(|&back| usize::from(back) > Self::REACH) {
            return Err(DecodeError::BadValue("asked"));
        }
        Ok(Self { after, asked })
    }
}

/// Keys that were on the batches of one client to one gateway, the newest last. Both ends keep the same.
#[derive(Debug, Clone, Default)]
pub struct Fetched(Vec<CompositeKey>);

impl Fetched {
    /// The items of one more batch. Amortised O(items).
    pub fn push(&mut self, items: &[BatchItem]) {
        self.0.extend(items.iter().map(|item| item.key.clone()));
        if self.0.len() > 2 * Rider::REACH {
            self.0.drain(..self.0.len() - Rider::REACH);
        }
    }

    /// Distance back to `key`, as a [`Rider`] names it; 0 where it is not there. O([`Rider::REACH`]).
    pub fn name(&self, key: &CompositeKey) -> u8 {
        let back = self.0.iter().rev().take(Rider::REACH).position(|known| known == key);
        back.map_or(0, |back| back as u8 + 1)
    }

    /// The key that a [`Rider`] names.
    pub fn key(&self, name: u8) -> Option<&CompositeKey> {
        let back = usize::from(name.checked_sub(1)?);
        self.0.iter().rev().nth(back)
    }

    /// Bytes of the texts.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|key| key.as_str().len()).sum()
    }
}

#[cfg(test)]
#[path = "rider_tests.rs"]
mod tests;
