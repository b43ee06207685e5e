//! [`Sharing`]: what a process knows and was told of the model that clients share.
//!
//! Every gateway keeps what it was told until the leader, which is whoever coordinates, has taken it: once a round it asks
//! all nodes of the map, as it asks for their loads. It merges, and stores a snapshot when one is due. Every gateway looks
//! once a round whether the store has another snapshot than its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use foremap::Millis;
use foremap::model::{
    Allowances, ClientId, DEFAULT_BYTES, Earlier, Handover, MAX_TOLD_BYTES, MergerStats, ModelKeeper, Observer,
    ObserverStats, Outbox, OutboxStats, Told, class_of,
};
use foremap::partition::NodeId;
use foremap::protocol::{BatchItem, Rider};

use crate::model::{Encoding, Served, ShareOptions, Stored};
use crate::store::Term;

/// Why something was not forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// The process does not coordinate.
    Elsewhere,
    /// The lease has just changed hands.
    Changed,
}

/// Counts since start, and fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SharingStats {
    /// Summaries taken in.
    pub received: u64,
    /// Summaries refused: malformed, not covered by their token, or over what their address may tell.
    pub refused: u64,
    /// Summaries taken over by the leader.
    pub taken: u64,
    /// Pages that nodes did not hand over to this process as leader.
    pub lost: u64,
    /// Of the clients that are followed from batch to batch.
    pub observer: ObserverStats,
    /// Of the outbox.
    pub outbox: OutboxStats,
    /// Addresses whose telling is bounded.
    pub addresses: usize,
    /// What was merged, while this process leads.
    pub merger: MergerStats,
    /// Summaries that could not be merged as they cannot be read.
    pub malformed: u64,
    /// Summaries of which the counts are stored, by this process as leader.
    pub state_saved: u64,
    /// Snapshots made as leader.
    pub snapshots: u64,
    /// Bytes of the largest form of the snapshot that is served; 0 while there is none.
    pub snapshot_bytes: usize,
    /// When it was made, in milliseconds since 1970.
    pub snapshot_made: u64,
    /// Milliseconds since this process has it.
    pub snapshot_age_ms: u64,
    /// Bodies of it kept for callers who may not read everything.
    pub bodies: usize,
    /// Most of them.
    pub bodies_max: usize,
    /// Models that callers may have, from which a difference may lead to it.
    pub earlier: usize,
    /// Most of them.
    pub earlier_max: usize,
}

/// See the head of the file. Bounded as its parts are.
pub struct Sharing {
    options: OnceLock<ShareOptions>,
    told: Mutex<Inbox>,
    served: Mutex<Option<Arc<Served>>>,
    /// There is one while the process coordinates. Locked by jobs on threads of their own, for as long as they take.
    pub(super) keeper: Arc<Mutex<Option<ModelKeeper>>>,
    /// Held for a round: what a leader knows besides.
    pub(super) turn: tokio::sync::Mutex<Turn>,
    figures: Mutex<SharingStats>,
}

/// What is touched by requests.
struct Inbox {
    observer: Observer,
    outbox: Outbox,
    allowances: Allowances,
    received: u64,
    refused: u64,
    taken: u64,
}

impl Inbox {
    /// Puts into the outbox what the observer has to tell.
    fn collect(&mut self, ask: impl FnOnce(&mut Observer, &mut Vec<Told>)) {
        let mut due = Vec::new();
        ask(&mut self.observer, &mut due);
        self.received += due.len() as u64;
        for Told { client, summary } in due {
            self.outbox.add(client, summary);
        }
    }
}

/// Where the rounds stand.
#[derive(Default)]
pub(super) struct Turn {
    /// The term under which it merges.
    pub(super) term: Option<Term>,
    /// The name of the stored snapshot that it has.
    pub(super) head: Option<Vec<u8>>,
    /// Which outbox each node has, and how far that is taken.
    pub(super) taken: BTreeMap<NodeId, (u64, u64)>,
}

impl Sharing {
    /// Of a process that began at `incarnation`.
    pub(super) fn new(incarnation: u64) -> Self {
        let (observer, allowances) = (Observer::new(incarnation), Allowances::new(MAX_TOLD_BYTES));
        let told = Inbox { observer, outbox: Outbox::default(), allowances, received: 0, refused: 0, taken: 0 };
        Self {
            options: OnceLock::new(),
            told: Mutex::new(told),
            served: Mutex::default(),
            keeper: Arc::default(),
            turn: tokio::sync::Mutex::default(),
            figures: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sharing {
    /// Takes effect once. Until then nothing is shared.
    pub fn begin(&self, options: ShareOptions) {
        self.options.get_or_init(|| options);
    }

    /// What the operator decided; `None` where nothing is shared.
    pub fn options(&self) -> Option<&ShareOptions> {
        self.options.get().filter(|options| options.is_on)
    }

    /// Follows a client by what a batch of it says.
    pub(crate) fn observe(&self, now: Millis, client: ClientId, rider: &Rider, items: &[BatchItem]) {
        lock(&self.told).collect(|observer, due| observer.observe(now, client, rider, items, due));
    }

    /// Whether a caller without a token may tell so many bytes; if not, in how many milliseconds it may.
    pub(crate) fn allow(&self, now: Millis, client: ClientId, bytes: usize) -> Result<(), Millis> {
        lock(&self.told).allowances.take(now, client, bytes)
    }

    /// Keeps a summary in binary form, which has been read, until the leader has taken it.
    pub(crate) fn tell(&self, client: ClientId, summary: Vec<u8>) {
        let mut told = lock(&self.told);
        told.received += 1;
        told.outbox.add(client, summary.into());
    }

    /// Counts one that is not kept.
    pub(crate) fn refuse(&self) {
        lock(&self.told).refused += 1;
    }

    /// The first page of the outbox called `id`, once what the leader has taken of it has left.
    pub(crate) fn page(&self, now: Millis, id: u64, taken: Option<(u64, u64)>) -> Handover {
        let mut told = lock(&self.told);
        told.collect(|observer, due| observer.due(now, due));
        if let Some((outbox, next)) = taken
            && outbox == id
        {
            let before = told.outbox.stats().entries;
            told.outbox.taken(next);
            told.taken += (before - told.outbox.stats().entries) as u64;
        }
        told.outbox.page(id)
    }

    /// The snapshot that is served.
    pub(crate) fn served(&self) -> Option<Arc<Served>> {
        lock(&self.served).clone()
    }

    pub(super) fn serve(&self, stored: Option<Stored>) {
        let served = stored.map(|stored| Arc::new(Served::new(stored, self.served().as_deref())));
        if let Some(served) = &served {
            // What most clients wish for, so that the first of them has it behind its first answer.
            served.ready(None, class_of(DEFAULT_BYTES as usize), Encoding::Gzip, None);
        }
        let old = std::mem::replace(&mut *lock(&self.served), served);
        drop(old);
    }

    /// Changes the figures that only the rounds know.
    pub(super) fn note(&self, change: impl FnOnce(&mut SharingStats)) {
        change(&mut lock(&self.figures));
    }

    /// Counts and fills.
    pub fn stats(&self) -> SharingStats {
        let mut stats = *lock(&self.figures);
        {
            let told = lock(&self.told);
            (stats.received, stats.refused, stats.taken) = (told.received, told.refused, told.taken);
            stats.observer = told.observer.stats();
            (stats.outbox, stats.addresses) = (told.outbox.stats(), told.allowances.clients());
        }
        if let Some(served) = self.served() {
            (stats.snapshot_bytes, stats.snapshot_made) = (served.bytes(), served.stored.made);
            stats.snapshot_age_ms = served.age_ms();
            (stats.bodies, stats.bodies_max) = served.kept();
            (stats.earlier, stats.earlier_max) = (served.earlier(), Earlier::<()>::MAX);
        }
        stats
    }
}
