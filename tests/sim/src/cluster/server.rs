//! One server.

use std::collections::BTreeMap;

use super::stream::Snapshot;

/// Why a server did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is down.
    Down,
    /// It is no master.
    NotMaster,
}

/// Role in which a server sees itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    Replica { of: usize, link: u64, synced: bool },
}

/// Knowledge that a master has of a replica.
#[derive(Debug, Clone, Copy)]
pub(super) struct Follower {
    pub(super) link: u64,
    /// Offset that was sent.
    pub(super) sent: usize,
    /// Offset that it has acknowledged; `None` while it is being synchronised.
    pub(super) acknowledged: Option<usize>,
}

/// A `WAIT` that goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) offset: usize,
    pub(super) replicas: u32,
    pub(super) ticket: u64,
}

pub(super) struct Server {
    pub(super) up: bool,
    /// Number of starts.
    pub(super) run: u32,
    pub(super) role: Role,
    pub(super) now: Snapshot,
    pub(super) disk: Snapshot,
    /// It came back without what it had acknowledged, and has not followed anybody since.
    pub(super) is_behind: bool,
    pub(super) ahead_us: i64,
    pub(super) followers: BTreeMap<usize, Follower>,
    /// Offset of the last write of each connection.
    pub(super) connections: BTreeMap<u64, usize>,
    pub(super) waits: Vec<Wait>,
}

impl Server {
    pub(super) fn new(role: Role, now: Snapshot) -> Self {
        Self {
            up: true,
            run: 0,
            role,
            disk: now.clone(),
            now,
            is_behind: false,
            ahead_us: 0,
            followers: BTreeMap::new(),
            connections: BTreeMap::new(),
            waits: Vec::new(),
        }
    }

    pub(super) fn is_master(&self) -> bool {
        self.up && self.role == Role::Master
    }

    pub(super) fn leader_seen(&self, at: usize) -> Option<usize> {
        self.up.then_some(match self.role {
            Role::Master => at,
            Role::Replica { of, .. } => of,
        })
    }

    /// Replicas that have acknowledged `offset`, be they of the cluster or not.
    pub(super) fn count(&self, offset: usize) -> u32 {
        let reached = |follower: &&Follower| follower.acknowledged.is_some_and(|acknowledged| acknowledged >= offset);
        self.followers.values().filter(reached).count() as u32
    }
}
