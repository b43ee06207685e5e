//! [`Outbox`]: what a gateway was told and has not handed to the leader yet.

use std::collections::VecDeque;

use super::clients::ClientId;
use crate::codec::{DecodeError, Reader, Writer};

const MAGIC: [u8; 4] = *b"FMHO";
const VERSION: u8 = 1;

/// Summaries in binary form, each with the client that it counts for, in the order in which they came. The leader takes
/// them page by page, and says with the next page how far it has got. Where nobody takes them the oldest leave.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Number of the first entry.
    first: u64,
    entries: VecDeque<ToldSummary>,
    bytes: usize,
    dropped: u64,
}

/// A summary in binary form, and for whom it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldSummary {
    /// The client.
    pub client: ClientId,
    /// A [`Summary`](super::Summary), encoded.
    pub summary: Box<[u8]>,
}

/// Fill, bounds and counts of an [`Outbox`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxStats {
    /// Summaries that wait.
    pub entries: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Summaries that left untaken for want of room.
    pub dropped: u64,
}

/// Consecutive entries of an outbox, as they travel from a gateway to the leader.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handover {
    /// Which outbox: another one after a restart.
    pub outbox: u64,
    /// Number of the first entry.
    pub first: u64,
    /// The entries.
    pub told: Vec<ToldSummary>,
    /// True if there are more behind them.
    pub more: bool,
}

impl Outbox {
    /// Most summaries that wait.
    pub const MAX_ENTRIES: usize = 1 << 16;
    /// Most bytes of them.
    pub const MAX_BYTES: usize = 16 << 20;

    /// Adds a summary in binary form. Amortised O(1).
    pub fn add(&mut self, client: ClientId, summary: Box<[u8]>) {
        self.bytes += summary.len();
        self.entries.push_back(ToldSummary { client, summary });
        while (self.bytes > Self::MAX_BYTES || self.entries.len() > Self::MAX_ENTRIES) && self.drop_first() {
            self.dropped += 1;
        }
    }

    fn drop_first(&mut self) -> bool {
        let Some(told) = self.entries.pop_front() else { return false };
        self.bytes -= told.summary.len();
        self.first += 1;
        true
    }

    /// Everything below the number `next` has been taken: it leaves. O(entries that leave).
    pub fn taken(&mut self, next: u64) {
        while self.first < next && self.drop_first() {}
    }

    /// The first entries, of [`Handover::MAX_BYTES`] bytes at most, but one at least where there is one. They stay.
    pub fn page(&self, outbox: u64) -> Handover {
        let mut room = Handover::MAX_BYTES;
        let fits = |told: &&ToldSummary| {
            let fits = told.summary.len() <= room;
            room = room.saturating_sub(told.summary.len());
            fits
        };
        let told: Vec<ToldSummary> =
            self.entries.iter().take(Handover::MAX_ENTRIES).take_while(fits).cloned().collect();
        let more = told.len() < self.entries.len();
        Handover { outbox, first: self.first, told, more }
    }

    /// Fill and counts.
    pub fn stats(&self) -> OutboxStats {
        OutboxStats { entries: self.entries.len(), bytes: self.bytes, dropped: self.dropped }
    }
}

impl Handover {
    /// Most bytes of summaries on one page, which is over [`Summary::MAX_BYTES`](super::Summary::MAX_BYTES).
    pub const MAX_BYTES: usize = 256 << 10;
    /// Most summaries on one page.
    pub const MAX_ENTRIES: usize = 1 << 12;
    /// Largest binary form.
    pub const MAX_ENCODED: usize = Self::MAX_BYTES + Self::MAX_ENTRIES * 12 + 64;

    /// The number behind the last entry: what [`Outbox::taken`] is told once they are merged.
    pub fn next(&self) -> u64 {
        self.first + self.told.len() as u64
    }

    /// The binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.u64_le(self.outbox);
        w.varint(self.first);
        w.list(self.told.iter(), |w, told| {
            w.u64_le(told.client.0);
            w.bytes(&told.summary);
        });
        w.u8(self.more.into());
        w.finish()
    }

    /// Reads the binary form; the summaries in it are not looked at. O(bytes).
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not those of a page.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
        let outbox = r.u64_le()?;
        let first = r.at_most(crate::codec::MAX_SAFE_INTEGER, "first")?;
        let told = r.list(Self::MAX_ENTRIES, "told", |r| {
            Ok(ToldSummary { client: ClientId(r.u64_le()?), summary: r.bytes()?.into() })
        })?;
        let more = match r.u8()? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::BadValue("more")),
        };
        r.finish()?;
        Ok(Self { outbox, first, told, more })
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
