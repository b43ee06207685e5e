//! A simulated Redis Cluster: masters, each with replicas that follow at a distance.
//!
//! It is as bad as the real one. Replication is asynchronous, and a promotion loses what the replica has not received. A
//! master that was deposed goes on to answer and to accept writes until it hears of it. `WAIT` is of one connection: it
//! counts the replicas that have acknowledged the last write of that connection, and on a connection without one it
//! says at once how many replicas there are. A server that crashes comes back with what is on its disk, which may be
//! behind its replicas. Clocks are each server's own. And a server that is not of the cluster may replicate from a master
//! and acknowledge, though nobody will promote it.
//!
//! Nothing happens by itself: whoever drives a [`Cluster`] carries its [`Message`]s, late or much later, and says when a
//! server crashes, returns, is promoted, or hears of who leads.

mod command;
mod data;
mod group;
mod meta;
mod record;
mod server;
mod stream;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use foremap::key::CompositeKey;
use foremap::node::ReplicaFence;
use foremap::partition::StorageLayout;

pub use command::{Command, Reply};
pub use group::{Body, Image, Link, Message, Told};
pub use meta::{MetaChange, MetaRead, MetaReply};
pub use record::{Record, Retention};
pub use server::Refused;
pub use stream::Stored;
pub use write::{Expect, Outcome, Write};

use data::Dataset;
use group::Group;

/// A server: its group, and its place in it.
pub type Server = (usize, usize);

/// The cluster.
pub struct Cluster {
    layout: StorageLayout,
    groups: Vec<Group>,
    /// Serial numbers of what every server of its group holds.
    effective: BTreeSet<u64>,
    last_serial: u64,
}

impl Cluster {
    /// `masters` masters with `replicas` replicas each, all well, over an empty namespace.
    pub fn new(layout: StorageLayout, retention: Retention, masters: usize, replicas: usize) -> Self {
        let group = |at| Group::new(at, Dataset::new(layout, retention), replicas);
        let groups = (0..masters).map(group).collect();
        Self { layout, groups, effective: BTreeSet::new(), last_serial: 0 }
    }

    /// Slicing of the namespace.
    pub fn layout(&self) -> StorageLayout {
        self.layout
    }

    /// Number of groups of servers.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Replicas that each master is configured with.
    pub fn replicas(&self) -> u32 {
        (self.groups[0].members() - 1) as u32
    }

    /// Servers of each group that are of the cluster.
    pub fn servers(&self) -> usize {
        self.groups[0].members()
    }

    /// The place in each group of the server that is not of the cluster.
    pub fn outside(&self) -> usize {
        self.servers()
    }

    /// Tells whether the server that is not of the cluster is attached to `server`.
    pub fn has_outside(&self, (group, at): Server) -> bool {
        self.groups[group].has_outside(at)
    }

    /// The server of `group` that is not of the cluster replicates from `to`, or from nobody.
    pub fn move_outside(&mut self, group: usize, to: Option<usize>) {
        self.groups[group].move_outside(to);
    }

    /// The group that holds `shard`.
    pub fn group_of(&self, shard: u16) -> usize {
        usize::from(shard) % self.groups.len()
    }

    /// The shards of `group`, ascending.
    pub fn shards_of(&self, group: usize) -> Vec<u16> {
        (0..self.layout.shards).filter(|&shard| self.group_of(shard) == group).collect()
    }

    /// The group that holds `key`.
    pub fn group_of_key(&self, key: &CompositeKey) -> usize {
        self.group_of(self.layout.shard(key))
    }

    /// Which server of `group` leads.
    pub fn leader(&self, group: usize) -> usize {
        self.groups[group].leader
    }

    /// Which server of its group leads, as `server` sees it; `None` where it is down.
    pub fn leader_seen_by(&self, (group, at): Server) -> Option<usize> {
        self.groups[group].servers[at].leader_seen(at)
    }

    /// Which start of `server` is running; `None` where it is down.
    pub fn run(&self, (group, at): Server) -> Option<u32> {
        let server = &self.groups[group].servers[at];
        server.up.then_some(server.run)
    }

    /// Which history of data `server` has, as the replication id of Redis tells: a promotion begins another one.
    pub fn history(&self, (group, at): Server) -> usize {
        self.groups[group].servers[at].now.stream
    }

    /// Tells whether `server` takes part again, with all that its leader has: it follows it and is up to date, or leads.
    pub fn is_settled(&self, (group, at): Server) -> bool {
        self.groups[group].is_settled(at)
    }

    /// Tells whether `server` may be promoted.
    pub fn is_candidate(&self, (group, at): Server) -> bool {
        self.groups[group].is_candidate(at)
    }

    /// Tells whether `server` has lost what it had acknowledged, and has followed nobody since.
    pub fn is_behind(&self, (group, at): Server) -> bool {
        self.groups[group].servers[at].is_behind
    }

    /// Tells whether another server follows `server`.
    pub fn is_followed(&self, (group, at): Server) -> bool {
        self.groups[group].is_followed(at)
    }

    /// Sets the clock of `server` so many microseconds ahead of true time.
    pub fn set_clock(&mut self, (group, at): Server, ahead_us: i64) {
        self.groups[group].servers[at].ahead_us = ahead_us;
    }

    /// Reading of the clock of `server` at the true time `now_us`; `None` where it is down.
    pub fn clock(&self, (group, at): Server, now_us: u64) -> Option<u64> {
        let server = &self.groups[group].servers[at];
        server.up.then(|| now_us.saturating_add_signed(server.ahead_us))
    }

    /// `server` executes `command` of `connection` at the true time `now_us`.
    ///
    /// # Errors
    /// [`Refused`] where it is down or no master.
    pub fn execute(
        &mut self,
        (group, at): Server,
        connection: u64,
        now_us: u64,
        command: &Command,
    ) -> Result<Reply, Refused> {
        self.groups[group].execute(at, connection, now_us, command, &mut self.last_serial)
    }

    /// A client for which all is well: the leader executes `command`, and every message arrives at once. Says whether
    /// every replica has acknowledged it.
    ///
    /// # Errors
    /// [`Refused`] where the leader is down.
    pub fn perform(&mut self, group: usize, now_us: u64, command: &Command) -> Result<(Reply, bool), Refused> {
        let server = (group, self.leader(group));
        let (fence, ticket) = (ReplicaFence::new(self.replicas()), 0);
        let reply = self.execute(server, 0, now_us, command)?;
        self.increment(server, 0)?;
        let told = self.groups[group].told(server.1, 0);
        self.wait(server, 0, fence.waits_for(&told.members, &told.attached), ticket)?;
        let mut acknowledged = None;
        loop {
            let messages = self.take_messages();
            if messages.is_empty() {
                break;
            }
            for message in messages {
                match message.body {
                    Body::Waited(_, told) => acknowledged = told,
                    _ => self.arrive(message),
                }
            }
        }
        Ok((reply, acknowledged.is_some_and(|told| fence.lacks(told.offset, &told.members, &told.attached).is_empty())))
    }

    /// `INCR` on connection `connection`: a write of its own, of which `WAIT` then tells.
    ///
    /// # Errors
    /// [`Refused`] where `server` is down or no master.
    pub fn increment(&mut self, (group, at): Server, connection: u64) -> Result<(), Refused> {
        self.groups[group].increment(at, connection)
    }

    /// `WAIT replicas` on `connection`. [`Body::Waited`] with `ticket` follows: at once, when enough have
    /// acknowledged, at [`Cluster::stop_waiting`], or without a number when the connection breaks.
    ///
    /// # Errors
    /// [`Refused`] where `server` is down.
    pub fn wait(&mut self, (group, at): Server, connection: u64, replicas: u32, ticket: u64) -> Result<(), Refused> {
        self.groups[group].wait(at, connection, replicas, ticket)
    }

    /// The time of a `WAIT` is over.
    pub fn stop_waiting(&mut self, (group, at): Server, ticket: u64) {
        self.groups[group].stop_waiting(at, ticket);
    }

    /// Forgets log entries of `shard` beyond the newest `keep`, where its leader is up.
    pub fn trim(&mut self, shard: u16, keep: usize) {
        let group = self.group_of(shard);
        self.groups[group].trim(shard, keep);
    }

    /// A message reaches the server that it is for.
    pub fn arrive(&mut self, message: Message) {
        self.groups[message.group].arrive(message);
    }

    /// Writes to the disks what the servers know.
    pub fn sync_disks(&mut self) {
        self.groups.iter_mut().for_each(Group::sync_disks);
    }

    /// `server` ends. With `loses_tail` it returns with what [`Cluster::sync_disks`] put on its disk; otherwise
    /// with all that it had said.
    pub fn crash(&mut self, (group, at): Server, loses_tail: bool) {
        self.groups[group].crash(at, loses_tail);
    }

    /// `server` starts again, believing of itself what it did before.
    pub fn restart(&mut self, (group, at): Server) {
        self.groups[group].restart(at);
    }

    /// `server` is made the leader of its group. Nobody else hears of it.
    pub fn promote(&mut self, (group, at): Server) {
        self.groups[group].promote(at);
    }

    /// `server` hears of who leads, and follows, anew if it does so already.
    pub fn follow(&mut self, (group, at): Server) {
        self.groups[group].follow(at);
    }

    /// Takes the messages to be carried.
    pub fn take_messages(&mut self) -> Vec<Message> {
        self.groups.iter_mut().flat_map(Group::take_messages).collect()
    }

    /// Writes that every server of their group holds since the last call, in the order of their shards' logs: nothing
    /// that happens to the cluster undoes them.
    pub fn take_effective(&mut self) -> Vec<Arc<Stored>> {
        let held = self.groups.iter_mut().flat_map(Group::take_held);
        held.filter(|stored| self.effective.insert(stored.serial)).collect()
    }
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
