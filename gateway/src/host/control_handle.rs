//! [`ControlHandle`]: what others tell the control machine of a process, and ask of it.

use foremap::control::{ControlStats, NotDone, OperatorAnswer};
use foremap::partition::Epoch;
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// Requests of operators that are not taken in yet.
const REQUESTS: usize = 64;

/// Request of an operator.
pub(super) enum OperatorRequest {
    Apply(Option<Epoch>),
    Freeze(bool),
    Status,
}

/// Handle through which others tell the control machine something.
pub(super) struct ControlHandle {
    requests: mpsc::Sender<(OperatorRequest, oneshot::Sender<OperatorAnswer>)>,
    /// Something in the store's registry or map is new.
    pub(super) news: Notify,
    pub(super) newer: watch::Sender<Epoch>,
    pub(super) leaving: watch::Sender<bool>,
    pub(super) stats: watch::Sender<ControlStats>,
}

/// The requests, for the task.
pub struct OperatorRequests(pub(super) mpsc::Receiver<(OperatorRequest, oneshot::Sender<OperatorAnswer>)>);

impl ControlHandle {
    pub(super) fn new() -> (Self, OperatorRequests) {
        let (requests, taken) = mpsc::channel(REQUESTS);
        let handle = Self {
            requests,
            news: Notify::new(),
            newer: watch::Sender::default(),
            leaving: watch::Sender::default(),
            stats: watch::Sender::default(),
        };
        (handle, OperatorRequests(taken))
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, request: OperatorRequest) -> OperatorAnswer {
        let (answer, answered) = oneshot::channel();
        let elsewhere = OperatorAnswer::Refused(NotDone::Elsewhere);
        match self.requests.send((request, answer)).await {
            Ok(()) => answered.await.unwrap_or(elsewhere),
            Err(_) => elsewhere,
        }
    }

    /// Somebody has a map of `epoch`.
    pub(super) fn newer_epoch(&self, epoch: Epoch) {
        self.newer.send_replace(epoch);
    }

    pub(super) fn leave(&self) {
        self.leaving.send_replace(true);
    }

    pub(super) fn is_leaving(&self) -> bool {
        *self.leaving.borrow()
    }

    pub(super) fn stats(&self) -> watch::Receiver<ControlStats> {
        self.stats.subscribe()
    }
}
