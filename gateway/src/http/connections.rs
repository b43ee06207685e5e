//! [`Connections`]: who is connected to a node, and who may be besides.
//!
//! A connection that has sent no head yet costs whoever opened it nothing. So it has its place only until somebody else
//! needs it: where there is none left, the oldest of these is closed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use foremap::node::{Shares, Subject};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Places beside all others, for questions about the node's health.
pub(super) const RESERVED: usize = 64;

/// Places for the connections of a node, of which no peer takes all.
pub(super) struct Connections {
    state: Mutex<ConnectionTable>,
    /// Closed for want of a place, before a request or after its head.
    refused: AtomicU64,
    /// Closed for somebody else, before they had sent a head.
    displaced: AtomicU64,
}

struct ConnectionTable {
    shares: Shares,
    /// Connections that have sent no head, the oldest first.
    silent: BTreeMap<u64, Arc<Silent>>,
    silent_of: BTreeSet<(Subject, u64)>,
    opened: u64,
    reserved: usize,
}

struct Silent {
    subject: Subject,
    /// Somebody else has its place; set under the lock.
    is_displaced: AtomicBool,
    displaced: Notify,
}

/// Figures that metrics tell of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionStats {
    pub(super) open: u64,
    pub(super) open_max: u64,
    pub(super) reserved: u64,
    pub(super) refused: u64,
    pub(super) displaced: u64,
}

impl Connections {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let state = ConnectionTable {
            shares: Shares::new(most),
            silent: BTreeMap::new(),
            silent_of: BTreeSet::new(),
            opened: 0,
            reserved: 0,
        };
        Arc::new(Self { state: Mutex::new(state), refused: AtomicU64::new(0), displaced: AtomicU64::new(0) })
    }

    /// A place for a connection of `subject`, or one of the reserved places, or none.
    pub(super) fn enter(self: &Arc<Self>, subject: Subject) -> Option<Ticket> {
        let mut state = self.state.lock();
        let number = state.opened;
        state.opened += 1;
        let is_reserved = match state.take(subject) {
            Taken::Free => false,
            Taken::Of(silent) => {
                self.displaced.fetch_add(1, Ordering::Relaxed);
                silent.displaced.notify_one();
                false
            }
            Taken::Nowhere if state.reserved < RESERVED => {
                state.reserved += 1;
                true
            }
            Taken::Nowhere => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        };
        let silent = Arc::new(Silent { subject, is_displaced: AtomicBool::new(false), displaced: Notify::new() });
        if !is_reserved {
            state.silent.insert(number, silent.clone());
            state.silent_of.insert((subject, number));
        }
        drop(state);
        Some(Ticket { connections: self.clone(), number, silent, is_reserved })
    }

    /// A request came by a reserved place that is not for one of its kind.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> ConnectionStats {
        let state = self.state.lock();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConnectionStats {
            open: (state.shares.taken() + state.reserved) as u64,
            open_max: (state.shares.most() + RESERVED) as u64,
            reserved: state.reserved as u64,
            refused: count(&self.refused),
            displaced: count(&self.displaced),
        }
    }
}

enum Taken {
    Free,
    Of(Arc<Silent>),
    Nowhere,
}

impl ConnectionTable {
    /// Takes a free place, or the one of a silent connection: of the same subject, or where all places are taken of one
    /// that holds more of them.
    fn take(&mut self, subject: Subject) -> Taken {
        if self.shares.enter(subject).is_ok() {
            return Taken::Free;
        }
        let is_full = self.shares.taken() == self.shares.most();
        let held = self.shares.held(subject);
        let oldest = self.silent.iter().next().filter(|(_, silent)| {
            is_full && (subject == Subject::default() || self.shares.held(silent.subject) > held)
        });
        let own = || self.silent_of.range((subject, 0)..=(subject, u64::MAX)).next().map(|(_, number)| *number);
        let Some(number) = oldest.map(|(number, _)| *number).or_else(own) else { return Taken::Nowhere };
        let Some(silent) = self.speak(number) else { return Taken::Nowhere };
        silent.is_displaced.store(true, Ordering::Relaxed);
        self.shares.hand_over(silent.subject, subject);
        Taken::Of(silent)
    }

    /// It is silent no longer; `None` where it was not.
    fn speak(&mut self, number: u64) -> Option<Arc<Silent>> {
        let silent = self.silent.remove(&number)?;
        self.silent_of.remove(&(silent.subject, number));
        Some(silent)
    }
}

/// The place of one connection, for as long as it lives.
pub(super) struct Ticket {
    connections: Arc<Connections>,
    number: u64,
    silent: Arc<Silent>,
    is_reserved: bool,
}

impl Ticket {
    /// Tells whether it is for questions about the node's health alone.
    pub(super) fn is_reserved(&self) -> bool {
        self.is_reserved
    }

    /// Its peer.
    pub(super) fn subject(&self) -> Subject {
        self.silent.subject
    }

    /// Returns when somebody else has the place.
    pub(super) async fn displaced(&self) {
        self.silent.displaced.notified().await;
    }

    /// A head has arrived: from now on the place is kept. `false` where somebody else has it.
    pub(super) fn settle(&self) -> bool {
        self.connections.state.lock().speak(self.number);
        !self.silent.is_displaced.load(Ordering::Relaxed)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.connections.state.lock();
        if self.is_reserved {
            state.reserved -= 1;
        } else if !self.silent.is_displaced.load(Ordering::Relaxed) {
            state.speak(self.number);
            state.shares.leave(self.silent.subject);
        }
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
