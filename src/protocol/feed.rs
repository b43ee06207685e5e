//! `POST /v1/changes`: the change feed in binary form, as a stream of frames.
//!
//! The request is a [`BatchRequest`](super::BatchRequest) without items: its cursors say which storage shards to follow
//! and from where, its `max_staleness_ms` how fresh the caller wants to be kept. The answer is [`FeedFrame::PREAMBLE`],
//! then frames, each behind its length as a varint. The first frame has a [`Hello`].
//!
//! Frames chain: a [`FeedStep`] says that the frame has **every** change of a shard in `(from, to]`. A reader whose own
//! knowledge ends before `from` has a gap, wherever it came from: a frame that got lost, a log that was cut, a shard
//! that was added later. It closes the gap by an exchange of cursors. A frame without a step for a shard says that there
//! was no news of it **since the frame before**, so frames are numbered: one that comes twice is passed over, and
//! where one is missing the feed is of no use any more and is opened anew. Frames may therefore be lost, doubled,
//! reordered and shared among readers without anybody being told something false.

use super::wire::{read_change, read_shard, read_version, write_change};
use super::{Change, Cursor, FeedId, MAX_CHANGES, MAX_SHARDS, MAX_VERSION};
use crate::codec::{DecodeError, Reader, Writer};

/// Introduction of a feed, in its first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The feed.
    pub feed: FeedId,
    /// The clock that the frames' times are on.
    pub clock: u64,
    /// Longest time between two frames, in milliseconds.
    pub heartbeat_ms: u32,
    /// Incarnation of the store whose log it follows, as in an [`Epoch`](crate::partition::Epoch); 0 where the sender does
    /// not know it. Positions of another one mean nothing here.
    pub incarnation: u32,
    /// Set where it was made up by a reader that passes the feed on: its time may then be later than when it was sent.
    pub relayed: bool,
}

/// Every change of one shard in `(from, to]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedStep {
    /// The storage shard.
    pub shard: u16,
    /// End of the shard's last step; for its first one, the position from which it is followed.
    pub from: u64,
    /// Position up to which its log has been passed on.
    pub to: u64,
}

/// A shard that the gateway knows less well than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateShard {
    /// The storage shard.
    pub shard: u16,
    /// Its own age; `u32::MAX` where nothing is known.
    pub age_ms: u32,
}

/// One message of a feed.
///
/// It says that every change of a followed shard which was committed more than `age_ms` before the gateway's clock
/// showed `clock_ms` lies at or below the `to` of the shard's newest step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedFrame {
    /// In the first frame.
    pub hello: Option<Hello>,
    /// Number of the frame in its feed; any in the first one, and one more in each that follows.
    pub number: u32,
    /// Time of the gateway's clock when the frame was made.
    pub clock_ms: u64,
    /// Age of the knowledge about all followed shards but the late ones.
    pub age_ms: u32,
    /// Shards with news, and those that have just been added; each at most once.
    pub steps: Vec<FeedStep>,
    /// Shards with an age of their own.
    pub late: Vec<LateShard>,
    /// The changes of all steps that the reader may see, ascending within a shard.
    pub changes: Vec<Change>,
}

const HAS_HELLO: u8 = 1;
const RELAYED: u8 = 2;

impl FeedFrame {
    /// Beginning of a feed: magic number and format version.
    pub const PREAMBLE: [u8; 5] = *b"FMCF\x01";
    /// Longest frame in bytes, without its length. Whoever has more to say makes several of it.
    pub const MAX_BYTES: usize = 1 << 20;

    /// The frame behind its length.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        self.write_head(&mut w);
        w.list(self.changes.iter(), write_change);
        framed(w)
    }

    /// The frame behind its length, with `changes` in binary form (each made by [`Change::encode`]) in place of its own.
    pub fn encode_with<'a>(&self, changes: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut w = Writer::default();
        self.write_head(&mut w);
        w.list(changes, Writer::raw);
        framed(w)
    }

    /// The same, with `count` changes that stand one behind the other in `changes`.
    pub fn encode_joined(&self, count: usize, changes: &[u8]) -> Vec<u8> {
        let mut w = Writer::with_capacity(48 + 20 * self.steps.len() + 8 * self.late.len() + changes.len());
        self.write_head(&mut w);
        w.varint(count as u64);
        w.raw(changes);
        framed(w)
    }

    fn write_head(&self, w: &mut Writer) {
        let relayed = self.hello.is_some_and(|hello| hello.relayed);
        w.u8((u8::from(self.hello.is_some()) * HAS_HELLO) | (u8::from(relayed) * RELAYED));
        if let Some(hello) = self.hello {
            w.varint(hello.feed.node.into());
            w.varint(hello.feed.number);
            w.varint(hello.clock);
            w.varint(hello.heartbeat_ms.into());
            w.varint(hello.incarnation.into());
        }
        w.varint(self.number.into());
        w.varint(self.clock_ms);
        w.varint(self.age_ms.into());
        w.list(self.steps.iter(), |w, step| {
            w.varint(step.shard.into());
            w.varint(step.from);
            w.varint(step.to.saturating_sub(step.from));
        });
        w.list(self.late.iter(), |w, late| {
            w.varint(late.shard.into());
            w.varint(late.age_ms.into());
        });
    }

    /// Reads a frame without its length.
    ///
    /// # Errors
    /// [`DecodeError`]; never panics, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let flags = r.u8()?;
        if flags & !(HAS_HELLO | RELAYED) != 0 || flags == RELAYED {
            return Err(DecodeError::BadValue("flags"));
        }
        let hello = if flags & HAS_HELLO == 0 {
            None
        } else {
            let feed = FeedId { node: r.u32("node")?, number: r.at_most(MAX_VERSION, "number")? };
            let (clock, heartbeat_ms) = (r.at_most(MAX_VERSION, "clock")?, r.u32("heartbeat_ms")?);
            let incarnation = r.u32("incarnation")?;
            Some(Hello { feed, clock, heartbeat_ms, incarnation, relayed: flags & RELAYED != 0 })
        };
        let frame = Self {
            hello,
            number: r.u32("number")?,
            clock_ms: r.at_most(MAX_VERSION, "clock_ms")?,
            age_ms: r.u32("age_ms")?,
            steps: r.list(MAX_SHARDS, "steps", |r| {
                let (shard, from) = (read_shard(r)?, read_version(r)?);
                let to = from.checked_add(read_version(r)?).filter(|&to| to <= MAX_VERSION);
                Ok(FeedStep { shard, from, to: to.ok_or(DecodeError::BadValue("to"))? })
            })?,
            late: r.list(MAX_SHARDS, "late", |r| Ok(LateShard { shard: read_shard(r)?, age_ms: r.u32("age_ms")? }))?,
            changes: r.list(MAX_CHANGES, "changes", read_change)?,
        };
        r.finish()?;
        Ok(frame)
    }
}

fn framed(body: Writer) -> Vec<u8> {
    let body = body.finish();
    let mut w = Writer::with_capacity(body.len() + 5);
    w.bytes(&body);
    w.finish()
}

/// Cuts a feed's bytes into frames, however they arrive.
///
/// Keeps at most one frame that is not whole yet: [`FeedFrame::MAX_BYTES`] and a few bytes.
#[derive(Debug, Default)]
pub struct FeedReader {
    buffer: Vec<u8>,
    begun: bool,
}

impl FeedReader {
    /// Takes in bytes and returns the frames that are whole now.
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are no feed; the reader is of no use afterwards.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<FeedFrame>, DecodeError> {
        self.buffer.extend_from_slice(bytes);
        let (mut frames, mut at) = (Vec::new(), 0);
        if !self.begun {
            let known = self.buffer.len().min(FeedFrame::PREAMBLE.len());
            if self.buffer[..known] != FeedFrame::PREAMBLE[..known] {
                return Err(DecodeError::BadMagic);
            }
            if known < FeedFrame::PREAMBLE.len() {
                return Ok(frames);
            }
            (self.begun, at) = (true, known);
        }
        loop {
            let mut r = Reader::new(&self.buffer[at..]);
            let before = r.left();
            let length = match r.varint() {
                Ok(length) if length > FeedFrame::MAX_BYTES as u64 => return Err(DecodeError::TooMany("frame")),
                Ok(length) => length as usize,
                Err(DecodeError::Truncated) => break,
                Err(error) => return Err(error),
            };
            let begin = at + before - r.left();
            let Some(frame) = self.buffer.get(begin..begin + length) else { break };
            frames.push(FeedFrame::decode(frame)?);
            at = begin + length;
        }
        self.buffer.drain(..at);
        Ok(frames)
    }

    /// Bytes kept of a frame that is not whole yet.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }
}

impl Change {
    /// The binary form, as it stands in frames and batches.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        write_change(&mut w, self);
        w.finish()
    }
}

impl From<FeedStep> for Cursor {
    fn from(step: FeedStep) -> Self {
        Self { shard: step.shard, position: step.to }
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
