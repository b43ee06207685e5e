//! [`Receiving`]: the bytes of requests that have arrived in part, over all connections of a node.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use foremap::node::{Shares, Subject};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use tokio::time::Sleep;

/// Unit of counting, in bytes. A request that is within one is not counted.
const UNIT: usize = 4 << 10;

/// Room for what has arrived of requests that are not whole yet, of which no peer takes all.
pub(super) struct Receiving {
    shares: Mutex<Shares>,
    late: AtomicU64,
    refused: AtomicU64,
}

impl Receiving {
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        let shares = Mutex::new(Shares::new(bytes / UNIT));
        Arc::new(Self { shares, late: AtomicU64::new(0), refused: AtomicU64::new(0) })
    }

    /// A head or a body took too long.
    pub(super) fn late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    /// Heads and bodies that took too long, and those that there was no room for.
    pub(super) fn counters(&self) -> (u64, u64) {
        (self.late.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// Bytes held, and their bound.
    pub(super) fn fill(&self) -> (u64, u64) {
        let shares = self.shares.lock();
        ((shares.taken() * UNIT) as u64, (shares.most() * UNIT) as u64)
    }
}

/// The room that one connection has, for as long as it lives.
pub(super) struct MemoryReservation {
    receiving: Arc<Receiving>,
    subject: Subject,
    units: usize,
}

impl MemoryReservation {
    pub(super) fn new(receiving: Arc<Receiving>, subject: Subject) -> Self {
        Self { receiving, subject, units: 0 }
    }

    /// Holds room for `bytes`.
    ///
    /// # Errors
    /// The bytes that stand in the way: of all connections, or of those of its peer.
    fn grow_to(&mut self, bytes: usize) -> Result<(), usize> {
        let wanted = bytes / UNIT;
        if wanted <= self.units {
            return Ok(());
        }
        let mut shares = self.receiving.shares.lock();
        while self.units < wanted {
            if let Err(limit) = shares.enter(self.subject) {
                self.receiving.refused.fetch_add(1, Ordering::Relaxed);
                return Err(limit * UNIT);
            }
            self.units += 1;
        }
        Ok(())
    }

    fn release(&mut self) {
        if self.units > 0 {
            let mut shares = self.receiving.shares.lock();
            (0..std::mem::take(&mut self.units)).for_each(|_| shares.leave(self.subject));
        }
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.release();
    }
}

/// Why a body did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// It took too long.
    Late,
    /// There is no room for so many bytes.
    NoRoom(usize),
    /// The connection ended, or what came is no body.
    Broken,
}

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "the body took too long",
            Self::NoRoom(_) => "the node has no room for the body",
            Self::Broken => "the body ended early",
        })
    }
}

impl std::error::Error for BodyFault {}

/// A body as it arrives, within its time and with room for it.
pub(super) struct Received {
    body: Incoming,
    held: MemoryReservation,
    bytes: usize,
    patience: Duration,
    /// Once there is something to wait for.
    late: Option<Pin<Box<Sleep>>>,
}

impl Received {
    pub(super) fn new(body: Incoming, held: MemoryReservation, patience: Duration) -> Self {
        Self { body, held, bytes: 0, patience, late: None }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let received = self.get_mut();
        match Pin::new(&mut received.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                received.bytes += frame.data_ref().map_or(0, Bytes::len);
                if !received.body.is_end_stream()
                    && let Err(limit) = received.held.grow_to(received.bytes)
                {
                    return Poll::Ready(Some(Err(BodyFault::NoRoom(limit))));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(BodyFault::Broken))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let patience = received.patience;
                let late = received.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                ready!(late.as_mut().poll(cx));
                received.held.receiving.late();
                Poll::Ready(Some(Err(BodyFault::Late)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The bytes of a head behind the first one on a connection, as far as they have arrived.
pub(super) struct HeadBytes {
    held: MemoryReservation,
    bytes: usize,
    /// A request is being answered: what arrives is its body.
    is_answering: bool,
}

impl HeadBytes {
    pub(super) fn new(held: MemoryReservation) -> Self {
        Self { held, bytes: 0, is_answering: false }
    }

    /// `count` bytes have arrived. `false` where there is no room for them.
    pub(super) fn arrived(&mut self, count: usize) -> bool {
        self.bytes += count;
        self.held.grow_to(self.bytes).is_ok()
    }

    /// Tells whether what arrives is the body of a request that is being answered.
    pub(super) fn is_answering(&self) -> bool {
        self.is_answering
    }

    /// The head was whole.
    pub(super) fn begin_answer(&mut self) {
        (self.bytes, self.is_answering) = (0, true);
        self.held.release();
    }

    /// Counts what arrives from now on for the next head.
    pub(super) fn end_answer(&mut self) {
        self.is_answering = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_holds_a_quarter_at_most_and_gives_all_of_it_back() {
        let receiving = Receiving::new(400 << 10);
        let mut held = MemoryReservation::new(receiving.clone(), Subject(1));
        assert_eq!(held.grow_to(UNIT - 1), Ok(()));
        assert_eq!(receiving.fill(), (0, 400 << 10), "small requests are not counted");
        assert_eq!(held.grow_to(100 << 10), Ok(()));
        assert_eq!(held.grow_to(120 << 10), Err(100 << 10));
        assert_eq!(MemoryReservation::new(receiving.clone(), Subject(2)).grow_to(40 << 10), Ok(()), "others have room");
        drop(held);
        assert_eq!(receiving.fill().0, 0);
    }

    #[test]
    fn only_bytes_between_two_requests_are_of_a_head() {
        let receiving = Receiving::new(400 << 10);
        let mut head = HeadBytes::new(MemoryReservation::new(receiving.clone(), Subject(1)));
        assert!(head.arrived(30 << 10) && receiving.fill().0 == 28 << 10);
        head.begin_answer();
        assert!(head.is_answering() && receiving.fill().0 == 0);
        head.end_answer();
        assert!(!head.arrived(1 << 20));
    }
}
