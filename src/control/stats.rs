//! [`ControlStats`].

use super::Term;
use crate::shifter::ShifterStats;

/// Counters since start, and where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ControlStats {
    /// Members that were registered when it last looked: the leader looks with each heartbeat.
    pub members: u64,
    /// Its term, with the lease and the leader's record stored.
    pub term: Option<Term>,
    /// Heartbeats that failed, as the store did.
    pub failures: u64,
    /// Set where the last one did.
    pub is_failing: bool,
    /// Set where another process has registered under a node id of this one.
    pub is_doubled: bool,
    /// Proposals that it made.
    pub proposals: u64,
    /// Maps that it put in force.
    pub flips: u64,
    /// Changes that the store refused, as its term was over or the map had changed.
    pub refusals: u64,
    /// Keys read ahead of a flip.
    pub warm_keys: u64,
    /// Owners that could not tell their hot keys, and chunks of keys that could not be read.
    pub warm_failures: u64,
    /// It was leaving, and no map or nobody else waits for it any more.
    pub has_left: bool,
    /// Set while the shifter is at work.
    pub is_planning: bool,
    /// Of the shifter; zeros where the process does not lead.
    pub shifter: ShifterStats,
    /// Load reports that nodes did not deliver.
    pub lost: u64,
    /// Requests of operators that wait.
    pub asked: usize,
    /// Most of them.
    pub asked_max: usize,
}
