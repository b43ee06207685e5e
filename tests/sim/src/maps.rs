//! [`Maps`]: the maps that came in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use foremap::Millis;
use foremap::control::OperatorRequestId;
use foremap::partition::{Epoch, PartitionMap};

/// Knowledge of the maps in force that nobody in the system has.
#[derive(Default)]
pub(crate) struct Maps {
    /// Content hash of each, by its epoch.
    pub(crate) hashes: BTreeMap<Epoch, u64>,
    /// Keys that are asked for most.
    pub(crate) hot: Vec<usize>,
    /// The newest one that anybody has read.
    pub(crate) newest: Option<Arc<PartitionMap>>,
    pub(crate) flips: u64,
    /// The highest term that anybody was given.
    pub(crate) term: u64,
    /// When each proposal was stored first, by its content hash.
    pub(crate) proposed: BTreeMap<u64, Millis>,
    /// Requests of operators: whether each is to freeze.
    pub(crate) asked: BTreeMap<OperatorRequestId, bool>,
    pub(crate) last_id: OperatorRequestId,
    /// A freeze was answered, and nobody has asked for its end since.
    pub(crate) is_frozen: bool,
}

impl Maps {
    pub(crate) fn new(first: Arc<PartitionMap>) -> Self {
        Self { newest: Some(first), ..Self::default() }
    }
}
