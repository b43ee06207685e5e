//! [`Inbox`]: what a gateway is told by clients, and learns of them, until the leader has taken it.

use parking_lot::Mutex;

use super::{
    Allowances, ClientId, Handover, MAX_TOLD_BYTES, Observer, ObserverStats, Outbox, OutboxStats, ToldSummary,
};
use crate::Millis;
use crate::protocol::{BatchItem, Rider};

/// Counts since start, and fills, of an [`Inbox`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InboxStats {
    /// Summaries taken in: told, or made of what batches tell.
    pub received: u64,
    /// Summaries refused: malformed, not covered by their token, or over what their address may tell.
    pub refused: u64,
    /// Summaries taken over by the leader.
    pub taken: u64,
    /// Of the clients that are followed from batch to batch.
    pub observer: ObserverStats,
    /// Of the outbox.
    pub outbox: OutboxStats,
    /// Addresses whose telling is bounded.
    pub addresses: usize,
}

/// Follows clients, and keeps summaries for the leader. Bounded as its parts are. May be used by many threads at once.
#[derive(Debug)]
pub struct Inbox(Mutex<InboxState>);

#[derive(Debug)]
struct InboxState {
    observer: Observer,
    outbox: Outbox,
    allowances: Allowances,
    received: u64,
    refused: u64,
    taken: u64,
}

impl InboxState {
    /// Puts into the outbox what the observer has to tell.
    fn collect(&mut self, ask: impl FnOnce(&mut Observer, &mut Vec<ToldSummary>)) {
        let mut due = Vec::new();
        ask(&mut self.observer, &mut due);
        self.received += due.len() as u64;
        for ToldSummary { client, summary } in due {
            self.outbox.add(client, summary);
        }
    }
}

impl Inbox {
    /// An empty one; `seed` spreads clients in its tables.
    pub fn new(seed: u64) -> Self {
        let (observer, allowances) = (Observer::new(seed), Allowances::new(MAX_TOLD_BYTES));
        Self(Mutex::new(InboxState {
            observer,
            outbox: Outbox::default(),
            allowances,
            received: 0,
            refused: 0,
            taken: 0,
        }))
    }

    /// Follows a client by what a batch of it says.
    pub fn observe(&self, now: Millis, client: ClientId, rider: &Rider, items: &[BatchItem]) {
        self.0.lock().collect(|observer, due| observer.observe(now, client, rider, items, due));
    }

    /// Takes `bytes` from what a caller without a token may tell.
    ///
    /// # Errors
    /// In how many milliseconds it may tell so much.
    pub fn allow(&self, now: Millis, client: ClientId, bytes: usize) -> Result<(), Millis> {
        self.0.lock().allowances.take(now, client, bytes)
    }

    /// Keeps a summary in binary form, which has been read, until the leader has taken it.
    pub fn tell(&self, client: ClientId, summary: Vec<u8>) {
        let mut state = self.0.lock();
        state.received += 1;
        state.outbox.add(client, summary.into());
    }

    /// Counts a summary that is not kept.
    pub fn refuse(&self) {
        self.0.lock().refused += 1;
    }

    /// The first page of the outbox called `id`, once what the leader has taken of it has left: all before the number in
    /// `taken`, if that is of the same outbox.
    pub fn page(&self, now: Millis, id: u64, taken: Option<(u64, u64)>) -> Handover {
        let mut state = self.0.lock();
        state.collect(|observer, due| observer.due(now, due));
        if let Some((outbox, next)) = taken
            && outbox == id
        {
            let before = state.outbox.stats().entries;
            state.outbox.taken(next);
            state.taken += (before - state.outbox.stats().entries) as u64;
        }
        state.outbox.page(id)
    }

    /// Counts and fills.
    pub fn stats(&self) -> InboxStats {
        let state = self.0.lock();
        InboxStats {
            received: state.received,
            refused: state.refused,
            taken: state.taken,
            observer: state.observer.stats(),
            outbox: state.outbox.stats(),
            addresses: state.allowances.clients(),
        }
    }
}
