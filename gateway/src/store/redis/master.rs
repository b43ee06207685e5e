//! [`Master`]: one master, its lanes and its health.

use std::sync::Arc;

use foremap::node::Fence;
use tokio::sync::Notify;

use super::connect::Connector;
use super::health::Health;
use super::lane::{Lane, MAX_QUEUE};
use super::options::Address;
use super::reply::Fault;
use crate::store::MasterStatus;

/// Kind of a request, by the lane it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The change log: one caller, ten times a second, who must not wait behind others.
    Poll,
    /// Requests that change nothing.
    Read,
    /// Requests that change something.
    Write,
}

/// Connections of each lane. A second one halves the wait for the fence of those who come just after it.
const CONNECTIONS: [usize; 3] = [1, 2, 2];

/// One master.
pub(super) struct Master {
    health: Arc<Health>,
    lanes: [Lane; 3],
}

impl Master {
    pub(super) fn new(address: Address, connector: Connector, fence: Fence, suspicion: Arc<Notify>) -> Self {
        let health = Arc::new(Health::new(address, connector, fence, suspicion));
        let lanes = CONNECTIONS.map(|connections| Lane::new(&health, connections));
        Self { health, lanes }
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

    /// The lane of `kind`, unless requests are to be refused at once.
    pub(super) fn lane(&self, kind: Kind) -> Result<&Lane, Fault> {
        if self.health.is_open() {
            return Err(self.health.refusal());
        }
        match self.health.unfit().filter(|_| kind == Kind::Write) {
            Some(fault) => Err(fault),
            None => Ok(&self.lanes[kind as usize]),
        }
    }

    /// Writes that wait, and the most that may.
    pub(super) fn writes_waiting(&self) -> (usize, usize) {
        (self.lanes[Kind::Write as usize].waiting(), MAX_QUEUE)
    }

    pub(super) fn status(&self) -> MasterStatus {
        self.health.status((self.lanes.iter().map(Lane::waiting).sum(), MAX_QUEUE * self.lanes.len()))
    }
}
