//! Requests of operators to a process, and of its control to the nodes of a map.

use std::sync::Arc;

use foremap::control::{ControlStatus, LeaderRecord, NotDone, OperatorAnswer};
use foremap::load::LoadReport;
use foremap::node::Node;
use foremap::partition::{Epoch, MapNode, NodeId, PartitionMap};
use foremap::shifter::Plan;
use futures_util::future::join_all;

use super::control_handle::OperatorRequest;
use super::{NodeHandle, Process};
use crate::store::{Blob, StoreError};

/// Nodes of other processes that are asked for their load at once.
const ASKED: usize = 256;

impl Process {
    /// Tells what the shifter knows and would do. Takes as long as planning.
    ///
    /// # Errors
    /// [`NotDone`], as where the process does not lead.
    pub async fn status(&self) -> Result<ControlStatus, NotDone> {
        match self.control.ask(OperatorRequest::Status).await {
            OperatorAnswer::Status(status) => Ok(*status),
            OperatorAnswer::Refused(why) => Err(why),
            OperatorAnswer::Applied(_) | OperatorAnswer::Frozen => Err(NotDone::Elsewhere),
        }
    }

    /// Puts what the dry run tells on its way; see [`foremap::control::Control::handle_apply`].
    ///
    /// # Errors
    /// [`NotDone`].
    pub(crate) async fn apply_plan(&self, seen: Option<Epoch>) -> Result<Plan, NotDone> {
        match self.control.ask(OperatorRequest::Apply(seen)).await {
            OperatorAnswer::Applied(plan) => Ok(*plan),
            OperatorAnswer::Refused(why) => Err(why),
            OperatorAnswer::Status(_) | OperatorAnswer::Frozen => Err(NotDone::Elsewhere),
        }
    }

    /// Turns the freeze switch, for this leader and all after it.
    ///
    /// # Errors
    /// [`NotDone`].
    pub(crate) async fn freeze(&self, frozen: bool) -> Result<(), NotDone> {
        match self.control.ask(OperatorRequest::Freeze(frozen)).await {
            OperatorAnswer::Frozen => Ok(()),
            OperatorAnswer::Refused(why) => Err(why),
            OperatorAnswer::Status(_) | OperatorAnswer::Applied(_) => Err(NotDone::Elsewhere),
        }
    }

    /// Reads the record that the leader left in the store.
    pub(crate) async fn leader(&self) -> Result<LeaderRecord, StoreError> {
        Ok(LeaderRecord::read(self.store.blob(Blob::Leader).await?.as_deref()))
    }

    /// The reports of all nodes of `map`; `None` for each that does not answer.
    pub(super) async fn loads(&self, map: &PartitionMap, round: u64) -> Vec<Option<LoadReport>> {
        let mut reports = Vec::with_capacity(map.nodes.len());
        for nodes in map.nodes.chunks(ASKED) {
            reports.extend(join_all(nodes.iter().map(|node| self.load(node, round))).await);
        }
        reports
    }

    async fn load(&self, node: &MapNode, round: u64) -> Option<LoadReport> {
        match self.node(node.id) {
            Some(own) => Some(self.take_load(own.node(), round)),
            None => self.peers.load(node, round).await,
        }
    }

    /// Takes the load that `node`, one of this process, served since it was last asked.
    pub(crate) fn take_load(&self, node: &Node, round: u64) -> LoadReport {
        node.take_load(self.clock.now(), self.incarnation, round)
    }

    /// The node `id` of this process.
    pub(crate) fn node(&self, id: NodeId) -> Option<&Arc<NodeHandle>> {
        self.nodes().find(|node| node.id() == id)
    }
}

/// Runs `work` of up to some hundred milliseconds, not where requests are answered.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
