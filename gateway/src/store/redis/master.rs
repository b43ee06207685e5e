//! [`Master`]: one master, its queues and its health.

use std::sync::Arc;

use foremap::node::ReplicaFence;
use tokio::sync::Notify;

use super::connect::Connector;
use super::master_health::MasterHealth;
use super::master_queue::{MAX_QUEUE, MasterQueue};
use super::options::Address;
use super::reply::Fault;
use crate::store::MasterStatus;

/// Kind of a request, by the queue it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// The change log: one caller, ten times a second, who must not wait behind others.
    Poll,
    /// Requests that change nothing.
    Read,
    /// Requests that change something.
    Write,
}

/// Connections of each queue. A second one halves the wait for the fence of those who come just after it.
const CONNECTIONS: [usize; 3] = [1, 2, 2];

/// One master.
pub(super) struct Master {
    health: Arc<MasterHealth>,
    queues: [MasterQueue; 3],
}

impl Master {
    pub(super) fn new(address: Address, connector: Connector, fence: ReplicaFence, suspicion: Arc<Notify>) -> Self {
        let health = Arc::new(MasterHealth::new(address, connector, fence, suspicion));
        let queues = CONNECTIONS.map(|connections| MasterQueue::new(&health, connections));
        Self { health, queues }
    }

    pub(super) fn address(&self) -> &Address {
        &self.health.address
    }

    /// From now on takes writes if it is fit to: `unfit` says why it is not.
    pub(super) fn judge(&self, unfit: Option<String>, is_durable: bool) {
        self.health.judge(unfit, is_durable);
    }

    /// From now on fences raise one of these keys.
    pub(super) fn offer(&self, fences: Vec<String>) {
        self.health.fences.offer(fences);
    }

    /// The queue of `kind`, unless requests are to be refused at once.
    pub(super) fn queue(&self, kind: RequestKind) -> Result<&MasterQueue, Fault> {
        if self.health.is_open() {
            return Err(self.health.refusal());
        }
        match self.health.unfit().filter(|_| kind == RequestKind::Write) {
            Some(fault) => Err(fault),
            None => Ok(&self.queues[kind as usize]),
        }
    }

    /// Writes that wait, and the most that may.
    pub(super) fn writes_waiting(&self) -> (usize, usize) {
        (self.queues[RequestKind::Write as usize].waiting(), MAX_QUEUE)
    }

    pub(super) fn status(&self) -> MasterStatus {
        self.health.status((self.queues.iter().map(MasterQueue::waiting).sum(), MAX_QUEUE * self.queues.len()))
    }
}
