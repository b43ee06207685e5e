//! [`Sharing`]: what a process knows and was told of the model that clients share.
//!
//! Every gateway keeps what it was told until the leader, which is whoever coordinates, has taken it: once a round it asks
//! all nodes of the map, as it asks for their loads. It merges, and stores a snapshot when one is due. Every gateway looks
//! once a round whether the store has another snapshot than its own.

use std::sync::{Arc, OnceLock};

use foremap::key::KeyPrefix;
use foremap::model::{DEFAULT_BYTES, Earlier, Inbox, InboxStats, MergerStats, class_of};
use tokio::sync::{mpsc, oneshot, watch};

use crate::model::{ContentEncoding, ServedModel, ShareOptions, Stored};
use crate::store::StoreError;

/// Requests to forget that wait for the end of a round.
const FORGETS: usize = 16;

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
    /// Of what this process is told.
    pub inbox: InboxStats,
    /// Pages that nodes did not hand over to this process as leader.
    pub lost: u64,
    /// Counts of what was merged, while this process leads.
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
    begun: OnceLock<Begun>,
    /// Told by clients.
    pub(crate) inbox: Inbox,
    served: watch::Sender<Option<Arc<ServedModel>>>,
    /// The figures that only the rounds know.
    figures: watch::Sender<SharingStats>,
}

/// Options and channel that rounds begin with.
struct Begun {
    options: ShareOptions,
    forgets: mpsc::Sender<Forget>,
}

/// A prefix to be forgotten, and where to say what came of it.
pub(super) type Forget = (KeyPrefix, oneshot::Sender<Forgotten>);

/// Result of forgetting.
pub(super) type Forgotten = Result<Result<(), NotKept>, StoreError>;

impl Sharing {
    /// Of a process that began at `incarnation`.
    pub(super) fn new(incarnation: u64) -> Self {
        Self {
            begun: OnceLock::new(),
            inbox: Inbox::new(incarnation),
            served: watch::Sender::default(),
            figures: watch::Sender::default(),
        }
    }

    /// Takes effect once. Until then nothing is shared. Returns what is to be forgotten, for the rounds.
    pub(super) fn begin(&self, options: ShareOptions) -> mpsc::Receiver<Forget> {
        let (forgets, asked) = mpsc::channel(FORGETS);
        self.begun.get_or_init(|| Begun { options, forgets });
        asked
    }

    /// Options that the operator chose; `None` where nothing is shared.
    pub fn options(&self) -> Option<&ShareOptions> {
        self.begun.get().map(|begun| &begun.options).filter(|options| options.is_on)
    }

    /// Forgets every way over a key below `prefix`, also what gateways still wait to hand over, and has a snapshot without
    /// them stored.
    ///
    /// # Errors
    /// [`StoreError`] where the store does not take it: it is due again in the next round.
    pub(crate) async fn forget(&self, prefix: KeyPrefix) -> Forgotten {
        let elsewhere = || Ok(Err(NotKept::Elsewhere));
        let Some(begun) = self.begun.get() else { return elsewhere() };
        let (answer, answered) = oneshot::channel();
        match begun.forgets.send((prefix, answer)).await {
            Ok(()) => answered.await.unwrap_or_else(|_| elsewhere()),
            Err(_) => elsewhere(),
        }
    }

    /// The snapshot that is served.
    pub(crate) fn served(&self) -> Option<Arc<ServedModel>> {
        self.served.borrow().clone()
    }

    pub(super) fn serve(&self, stored: Option<Stored>) {
        let served = stored.map(|stored| Arc::new(ServedModel::new(stored, self.served().as_deref())));
        if let Some(served) = &served {
            // What most clients wish for, so that the first of them has it behind its first answer.
            served.ready(served.form(None, class_of(DEFAULT_BYTES as usize), ContentEncoding::Gzip, None));
        }
        self.served.send_replace(served);
    }

    /// Changes the figures that only the rounds know.
    pub(super) fn note(&self, change: impl FnOnce(&mut SharingStats)) {
        self.figures.send_modify(change);
    }

    /// Counts and fills.
    pub fn stats(&self) -> SharingStats {
        let mut stats = SharingStats { inbox: self.inbox.stats(), ..*self.figures.borrow() };
        if let Some(served) = self.served() {
            (stats.snapshot_bytes, stats.snapshot_made) = (served.bytes(), served.stored.made);
            stats.snapshot_age_ms = served.age_ms();
            (stats.bodies, stats.bodies_max) = served.kept();
            (stats.earlier, stats.earlier_max) = (served.earlier(), Earlier::<()>::MAX);
        }
        stats
    }
}
