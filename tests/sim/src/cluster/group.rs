//! A master with its replicas.

use std::sync::Arc;

use foremap::node::Attached;

use super::command::{Command, Reply};
use super::data::Dataset;
use super::server::{Follower, Refused, Role, Server, Wait};
use super::stream::{Entry, Snapshot, Stored, Stream};
use super::write::Outcome;

/// Something on its way.
#[derive(Clone)]
pub struct Message {
    /// The group.
    pub group: usize,
    /// The server that it is from.
    pub from: usize,
    /// The server that it is for; `None` where it is for a client.
    pub to: Option<usize>,
    /// Its content.
    pub body: Body,
}

/// Content of a [`Message`].
#[derive(Clone)]
pub enum Body {
    /// A replica asks to be synchronised.
    Join(Link),
    /// All data.
    Full(Link, Image),
    /// The stream up to an offset.
    Stream(Link, usize),
    /// A replica has an offset; and whether it has just been synchronised.
    Acknowledge(Link, usize, bool),
    /// The connection is closed.
    Close(Link),
    /// The end of a `WAIT`; `None` where the connection broke.
    Waited(u64, Option<Told>),
}

/// Answer of a master to a `WAIT`, with its replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Number that have acknowledged, whoever they are: all that `WAIT` itself tells.
    pub count: u32,
    /// Offset of what was waited for.
    pub offset: u64,
    /// The replicas that the cluster lists.
    pub members: Vec<usize>,
    /// The replicas that are attached.
    pub attached: Vec<Attached<usize>>,
}

/// A replication connection.
pub type Link = u64;

/// All data of a server at one moment.
#[derive(Clone)]
pub struct Image(Arc<Snapshot>);

pub(super) struct Group {
    at: usize,
    /// The members, and behind them one server that is not of the cluster.
    pub(super) servers: Vec<Server>,
    streams: Vec<Stream>,
    pub(super) leader: usize,
    last_link: Link,
    outbox: Vec<Message>,
    held: Vec<Arc<Stored>>,
}

impl Group {
    pub(super) fn new(at: usize, data: Dataset, replicas: usize) -> Self {
        let start = Snapshot { data, stream: 0, offset: 0 };
        let mut master = Server::new(Role::Master, start.clone());
        let mut servers = Vec::with_capacity(replicas + 1);
        for replica in 1..=replicas {
            let link = replica as Link;
            master.followers.insert(replica, Follower { link, sent: 0, acknowledged: Some(0) });
            servers.push(Server::new(Role::Replica { of: 0, link, synced: true }, start.clone()));
        }
        servers.insert(0, master);
        servers.push(Server::new(Role::Replica { of: 0, link: 0, synced: false }, start));
        let (streams, last_link) = (vec![Stream::default()], replicas as Link);
        Self { at, servers, streams, leader: 0, last_link, outbox: Vec::new(), held: Vec::new() }
    }

    /// Number of servers of the cluster.
    pub(super) fn members(&self) -> usize {
        self.servers.len() - 1
    }

    /// Answer of a master that has waited for `offset`.
    pub(super) fn told(&self, at: usize, offset: usize) -> Told {
        let server = &self.servers[at];
        let attached = server.followers.iter().map(|(&id, follower)| {
            let acknowledged = follower.acknowledged.map(|acknowledged| acknowledged as u64);
            Attached { id, acknowledged }
        });
        let members = (0..self.members()).filter(|&other| other != at).collect();
        Told { count: server.count(offset), offset: offset as u64, members, attached: attached.collect() }
    }

    fn send(&mut self, from: usize, to: Option<usize>, body: Body) {
        self.outbox.push(Message { group: self.at, from, to, body });
    }

    /// Takes the messages since the last call; the stream of each master goes to its replicas in one piece.
    pub(super) fn take_messages(&mut self) -> Vec<Message> {
        for (from, server) in self.servers.iter_mut().enumerate() {
            if !server.is_master() {
                continue;
            }
            let upto = server.now.offset;
            for (&to, follower) in &mut server.followers {
                if follower.acknowledged.is_some() && follower.sent < upto {
                    follower.sent = upto;
                    let body = Body::Stream(follower.link, upto);
                    self.outbox.push(Message { group: self.at, from, to: Some(to), body });
                }
            }
        }
        std::mem::take(&mut self.outbox)
    }

    pub(super) fn take_held(&mut self) -> Vec<Arc<Stored>> {
        std::mem::take(&mut self.held)
    }

    pub(super) fn is_settled(&self, at: usize) -> bool {
        let server = &self.servers[at];
        let leads = at == self.leader && server.is_master() && !server.is_behind;
        let known = |link| {
            let follower = self.servers[self.leader].followers.get(&at);
            follower.is_some_and(|follower| follower.link == link && follower.acknowledged.is_some())
        };
        let follows = match server.role {
            Role::Replica { of, synced: true, link } => of == self.leader && known(link),
            _ => false,
        };
        leads || (server.up && follows)
    }

    pub(super) fn is_candidate(&self, at: usize) -> bool {
        let server = &self.servers[at];
        at < self.members() && server.up && !server.is_behind && at != self.leader && server.role != Role::Master
    }

    pub(super) fn is_followed(&self, at: usize) -> bool {
        let members = &self.servers[..self.members()];
        members.iter().any(|server| matches!(server.role, Role::Replica { of, .. } if of == at))
    }

    fn master(&mut self, at: usize) -> Result<&mut Server, Refused> {
        match &mut self.servers[at] {
            server if !server.up => Err(Refused::Down),
            server if server.role != Role::Master => Err(Refused::NotMaster),
            server => Ok(server),
        }
    }

    /// Executes what changes something, for `connection`.
    fn append(&mut self, at: usize, connection: Option<u64>, entry: Entry) {
        let alone = self.members() == 1;
        let server = &mut self.servers[at];
        let now = &mut server.now;
        entry.apply(&mut now.data);
        now.offset += 1;
        if let Some(connection) = connection {
            server.connections.insert(connection, now.offset);
        }
        if alone && let Entry::Store(stored) = &entry {
            self.held.push(stored.clone());
        }
        self.streams[now.stream].entries.push(entry);
    }

    pub(super) fn execute(
        &mut self,
        at: usize,
        connection: u64,
        now_us: u64,
        command: &Command,
        last_serial: &mut u64,
    ) -> Result<Reply, Refused> {
        let server = self.master(at)?;
        let now_us = now_us.saturating_add_signed(server.ahead_us);
        let data = &server.now.data;
        Ok(match command {
            Command::Read(key) => Reply::Read(data.read(key)),
            Command::Poll(cursor, limit) => Reply::Page(data.poll(*cursor, *limit)),
            Command::Position(shard) => Reply::Position(data.position(*shard)),
            Command::Versions(key) => Reply::Versions(data.versions(key), data.read(key).position),
            Command::List { shard, prefix, after, limit } => {
                let (items, more) = data.list(*shard, prefix, after.as_ref(), *limit);
                Reply::Listed(items, more)
            }
            Command::Write(write) => {
                let (outcome, record) = data.decide(write, now_us);
                let mut position = data.read(&write.key).position;
                if let Some(record) = record {
                    *last_serial += 1;
                    position = record.version;
                    let stored = Stored { serial: *last_serial, key: write.key.clone(), record };
                    self.append(at, Some(connection), Entry::Store(Arc::new(stored)));
                }
                Reply::Written(outcome, position)
            }
            Command::RemoveVersion(key, version) => {
                let (outcome, position) = (data.decide_removal(key, *version), data.read(key).position);
                if matches!(outcome, Outcome::Written { .. }) {
                    self.append(at, Some(connection), Entry::Remove(key.clone(), *version));
                }
                Reply::Written(outcome, position)
            }
            Command::Meta(read) => Reply::Meta(data.meta.read(*read, now_us)),
            Command::ChangeMeta(change) => {
                let mut meta = (*data.meta).clone();
                let reply = meta.change(change, now_us);
                self.append(at, Some(connection), Entry::Meta(Arc::new(meta)));
                Reply::Meta(reply)
            }
        })
    }

    pub(super) fn trim(&mut self, shard: u16, keep: usize) {
        if self.servers[self.leader].is_master() {
            self.append(self.leader, None, Entry::Trim(shard, keep));
        }
    }

    pub(super) fn increment(&mut self, at: usize, connection: u64) -> Result<(), Refused> {
        self.master(at)?;
        self.append(at, Some(connection), Entry::Increment);
        Ok(())
    }

    pub(super) fn wait(&mut self, at: usize, connection: u64, replicas: u32, ticket: u64) -> Result<(), Refused> {
        let server = self.master(at)?;
        let offset = server.connections.get(&connection).copied().unwrap_or(0);
        server.waits.push(Wait { offset, replicas, ticket });
        self.end_waits(at);
        Ok(())
    }

    pub(super) fn stop_waiting(&mut self, at: usize, ticket: u64) {
        let server = &mut self.servers[at];
        let Some(place) = server.waits.iter().position(|wait| wait.ticket == ticket) else { return };
        let wait = server.waits.remove(place);
        let told = self.told(at, wait.offset);
        self.send(at, None, Body::Waited(ticket, Some(told)));
    }

    fn end_waits(&mut self, at: usize) {
        let server = &mut self.servers[at];
        let waits = std::mem::take(&mut server.waits);
        let (done, rest): (Vec<_>, Vec<_>) =
            waits.into_iter().partition(|wait| server.count(wait.offset) >= wait.replicas);
        server.waits = rest;
        for wait in done {
            let told = self.told(at, wait.offset);
            self.send(at, None, Body::Waited(wait.ticket, Some(told)));
        }
    }

    pub(super) fn arrive(&mut self, message: Message) {
        let Some(to) = message.to.filter(|&to| self.servers[to].up) else { return };
        let from = message.from;
        match message.body {
            Body::Join(link) => self.join(from, to, link),
            Body::Full(link, image) => self.full(to, link, &image),
            Body::Stream(link, upto) => self.receive(to, link, upto),
            Body::Acknowledge(link, offset, fresh) => self.acknowledged(from, to, link, offset, fresh),
            Body::Close(link) => self.servers[to].followers.retain(|_, follower| follower.link != link),
            Body::Waited(..) => {}
        }
    }

    fn join(&mut self, replica: usize, master: usize, link: Link) {
        if !self.servers[master].is_master() {
            return;
        }
        let image = Image(Arc::new(self.servers[master].now.clone()));
        let follower = Follower { link, sent: image.0.offset, acknowledged: None };
        self.servers[master].followers.insert(replica, follower);
        self.send(master, Some(replica), Body::Full(link, image));
    }

    fn full(&mut self, replica: usize, link: Link, image: &Image) {
        let server = &mut self.servers[replica];
        let Role::Replica { of, link: current, synced: false } = server.role else { return };
        if current != link {
            return;
        }
        server.role = Role::Replica { of, link, synced: true };
        server.now = (*image.0).clone();
        server.is_behind = false;
        let offset = server.now.offset;
        self.send(replica, Some(of), Body::Acknowledge(link, offset, true));
    }

    fn receive(&mut self, replica: usize, link: Link, upto: usize) {
        let server = &mut self.servers[replica];
        let Role::Replica { of, link: current, synced: true } = server.role else { return };
        if current != link || upto <= server.now.offset {
            return;
        }
        let entries = &self.streams[server.now.stream].entries[server.now.offset..upto];
        entries.iter().for_each(|entry| entry.apply(&mut server.now.data));
        server.now.offset = upto;
        self.send(replica, Some(of), Body::Acknowledge(link, upto, false));
    }

    fn acknowledged(&mut self, replica: usize, master: usize, link: Link, offset: usize, fresh: bool) {
        let members = self.members();
        let server = &mut self.servers[master];
        let Some(follower) = server.followers.get_mut(&replica).filter(|follower| follower.link == link) else {
            return;
        };
        follower.acknowledged = follower.acknowledged.max(Some(offset));
        if fresh {
            // What was executed while the data was on its way.
            follower.sent = offset;
        }
        // Whoever is not of the cluster is never promoted: what it has may be lost.
        let of_cluster: Vec<&Follower> = server.followers.range(..members).map(|(_, follower)| follower).collect();
        if of_cluster.len() + 1 == members {
            let all = of_cluster.iter().map(|follower| follower.acknowledged.unwrap_or(0)).min().unwrap_or(0);
            let stream = &mut self.streams[server.now.stream];
            if all > stream.held {
                let stored = |entry: &Entry| match entry {
                    Entry::Store(stored) => Some(stored.clone()),
                    _ => None,
                };
                self.held.extend(stream.entries[stream.held..all].iter().filter_map(stored));
                stream.held = all;
            }
        }
        self.end_waits(master);
    }

    pub(super) fn sync_disks(&mut self) {
        self.servers.iter_mut().filter(|server| server.up).for_each(|server| server.disk = server.now.clone());
    }

    pub(super) fn crash(&mut self, at: usize, loses_tail: bool) {
        let server = &mut self.servers[at];
        server.up = false;
        if loses_tail {
            server.is_behind = true;
            server.now = server.disk.clone();
        } else {
            server.disk = server.now.clone();
        }
        server.followers.clear();
        server.connections.clear();
        self.break_waits(at);
    }

    fn break_waits(&mut self, at: usize) {
        for wait in std::mem::take(&mut self.servers[at].waits) {
            self.send(at, None, Body::Waited(wait.ticket, None));
        }
    }

    pub(super) fn restart(&mut self, at: usize) {
        self.servers[at].up = true;
        self.servers[at].run += 1;
        if self.servers[at].role == Role::Master {
            self.branch(at);
        }
    }

    /// From here on, its stream is its own.
    fn branch(&mut self, at: usize) {
        let now = &mut self.servers[at].now;
        let old = &self.streams[now.stream];
        let entries = old.entries[..now.offset].to_vec();
        let held = old.held.min(now.offset);
        now.stream = self.streams.len();
        self.streams.push(Stream { entries, held });
    }

    pub(super) fn promote(&mut self, at: usize) {
        if let Role::Replica { of, link, .. } = self.servers[at].role {
            self.send(at, Some(of), Body::Close(link));
        }
        self.leader = at;
        self.servers[at].role = Role::Master;
        self.servers[at].followers.clear();
        self.branch(at);
    }

    pub(super) fn follow(&mut self, at: usize) {
        if at != self.leader && self.servers[at].up {
            self.attach(at, self.leader);
        }
    }

    /// Tells whether the server that is not of the cluster is attached to `to`, or on its way there.
    pub(super) fn has_outside(&self, to: usize) -> bool {
        let Role::Replica { of, link, .. } = self.servers[self.members()].role else { return false };
        let known = self.servers[to].followers.get(&self.members());
        of == to && known.is_some_and(|follower| follower.link == link)
    }

    /// The server that is not of the cluster replicates from `to`, or from nobody.
    pub(super) fn move_outside(&mut self, to: Option<usize>) {
        let at = self.members();
        match to {
            Some(to) => self.attach(at, to),
            None => {
                if let Role::Replica { of, link, .. } = self.servers[at].role {
                    self.send(at, Some(of), Body::Close(link));
                }
                self.servers[at].role = Role::Replica { of: 0, link: 0, synced: false };
            }
        }
    }

    fn attach(&mut self, at: usize, of: usize) {
        if let Role::Replica { of, link, .. } = self.servers[at].role {
            self.send(at, Some(of), Body::Close(link));
        }
        self.last_link += 1;
        let link = self.last_link;
        let server = &mut self.servers[at];
        server.role = Role::Replica { of, link, synced: false };
        server.followers.clear();
        self.break_waits(at);
        self.send(at, Some(of), Body::Join(link));
    }
}
