//! [`Command`]: a task of a [`Control`](super::Control) for its host, and what the host tells of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::job::PlanJob;
use super::member::Member;
use super::record::LeaderRecord;
use super::{OperatorRequestId, Term};
use crate::Millis;
use crate::partition::{Epoch, NodeId, PartitionMap};
use crate::shifter::{Plan, ShifterStats};

/// A moment on both clocks of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// By its monotonic clock.
    pub now: Millis,
    /// In milliseconds since 1970, by its wall clock.
    pub unix: Millis,
}

/// The store did not do it, or did not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreFailed;

/// A task for the host. Commands may be under way at the same time; each is told of at most once.
#[derive(Debug)]
pub enum Command {
    /// Register, try for the lease, and read; then [`handle_beat`](super::Control::handle_beat).
    Beat(Beat),
    /// Change the store under a term; then [`handle_stored`](super::Control::handle_stored).
    Store {
        /// The change.
        change: StoreChange,
        /// The term that it is changed under.
        term: Term,
    },
    /// Read what the leader before left; then [`handle_record`](super::Control::handle_record).
    ReadRecord,
    /// Take a map over at every node: it is in force.
    Follow(Arc<PartitionMap>),
    /// Read ahead what the nodes own by `next` and do not by `map`, instead of what was read ahead before; then
    /// [`handle_warm`](super::Control::handle_warm).
    WarmUp {
        /// The map in force.
        map: Arc<PartitionMap>,
        /// The proposed one.
        next: Arc<PartitionMap>,
    },
    /// Read nothing ahead any more.
    StopWarmUp,
    /// Ask all nodes of the map for their loads of a round; then [`handle_loads`](super::Control::handle_loads).
    CollectLoads {
        /// The map in force.
        map: Arc<PartitionMap>,
        /// Number of the round: milliseconds since 1970 over its length.
        round: u64,
    },
    /// Run a job, where it holds nobody up; then [`handle_planned`](super::Control::handle_planned).
    Plan(Box<PlanJob>),
    /// Answer a request.
    Answer(OperatorRequestId, OperatorAnswer),
}

/// One heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Members to register, each for as long as [`ControlConfig::ttl_ms`](super::ControlConfig::ttl_ms).
    pub members: Vec<Member>,
    /// Set to try for the lease, for as long.
    pub may_lead: bool,
    /// Set to read who is registered.
    pub reads_members: bool,
}

/// Findings of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Set where all registrations are this process's own.
    pub is_own: bool,
    /// The term, with the lease.
    pub term: Option<Term>,
    /// The map in force; `None` where the store has none, as it is not the store that it was.
    pub map: Option<Arc<PartitionMap>>,
    /// The proposed map, where one can be read.
    pub proposal: Option<Arc<PartitionMap>>,
    /// Registered members, by ascending id, where that was asked for.
    pub members: Option<Vec<Member>>,
    /// Milliseconds since 1970 by the store's clock.
    pub store_ms: Millis,
}

/// A change of the store that takes effect under the newest term only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChange {
    /// Store a proposal.
    Propose(Arc<PartitionMap>),
    /// Remove the proposal.
    Clear,
    /// The same, as shifts are frozen.
    Withdraw,
    /// Put a map in force where the one in force has this epoch, and remove the proposal.
    Flip {
        /// Epoch of the map in force.
        expect: Epoch,
        /// The next one.
        map: Arc<PartitionMap>,
    },
    /// Begin a namespace anew with this map, where there is none: everything that was stored is gone.
    Begin(Arc<PartitionMap>),
    /// Replace the leader's record.
    Record(LeaderRecord),
}

/// The answer to a request of an operator.
#[derive(Debug, Clone, PartialEq)]
pub enum OperatorAnswer {
    /// The plan that was applied.
    Applied(Box<Plan>),
    /// Shifts are frozen, or not any more.
    Frozen,
    /// Knowledge and plan of the shifter.
    Status(Box<ControlStatus>),
    /// Nothing was done.
    Refused(NotDone),
}

/// Why a request was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDone {
    /// The process is not the leader.
    Elsewhere,
    /// The caller saw another map.
    Epoch(Epoch),
    /// Another plan is on its way.
    Pending,
    /// The store did not do it.
    Store,
    /// Too many requests wait.
    Busy,
}

/// Knowledge and plan of the shifter, for operators.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ControlStatus {
    /// Set where nothing is applied, by the freeze switch.
    pub frozen: bool,
    /// Epoch of the map in force.
    pub epoch: Epoch,
    /// Requests of each node in the last round of two seconds.
    pub loads: BTreeMap<NodeId, u32>,
    /// Counts, and fills of the load model.
    pub stats: ShifterStats,
    /// The last plan that came in force under this leader.
    pub last: Option<Plan>,
    /// The plan that waits to come in force.
    pub pending: Option<Plan>,
    /// The dry run: the plan that would be made now.
    pub next: Plan,
}
