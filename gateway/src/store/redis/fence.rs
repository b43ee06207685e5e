//! The fence of a pipeline as commands, and what a master answers to them. Why it is needed and what it asks for is told
//! at [`foremap::node::Fence`].
//!
//! One write of its own and the offset that it left; `WAIT`; then, at one moment after it, the replication id, what each
//! attached replica has acknowledged, and whom the cluster lists as replicas of this master. They come with the commands
//! in front of them in one round trip. Replicas are known by address: what one tells its master (`INFO replication`)
//! must be what the cluster tells of it (`CLUSTER REPLICAS`).

use ::redis::{Cmd, Pipeline, ServerError, Value};
use foremap::node::{Attached, Lack, ReplicaFence};

use super::node_line::NodeLine;
use super::options::{Address, plain};
use super::reply::{bytes, field, items};

/// Commands of a fence.
pub(super) const COMMANDS: usize = 5;
/// Of these, those that are sent again where more replicas are attached than were waited for.
const REPEATED: usize = 3;

/// Raises the fence. The flag lets it run on a master that is full: it replaces eight bytes, and without it such a
/// master could not even be read. (`INCR` alone is refused with OOM.)
const RAISE: &str = "#!lua flags=allow-oom\nreturn redis.call('INCR',KEYS[1])";

/// Asks for a server's replication.
pub(super) fn ask_replication() -> Cmd {
    let mut command = ::redis::cmd("INFO");
    command.arg("replication");
    command
}

/// Adds the fence to `pipeline`, on the counter called `key`: waits for `replicas` replicas of the server `node`.
pub(super) fn add(pipeline: &mut Pipeline, key: &str, node: &str, replicas: u32) {
    pipeline.cmd("EVAL").arg(RAISE).arg(1).arg(key);
    pipeline.cmd("ROLE");
    add_wait(pipeline, node, replicas);
}

fn add_wait(pipeline: &mut Pipeline, node: &str, replicas: u32) {
    pipeline.cmd("WAIT").arg(replicas).arg(WAIT_MS);
    pipeline.add_command(ask_replication());
    pipeline.cmd("CLUSTER").arg("REPLICAS").arg(node);
}

/// Waits once more for the write of an earlier fence, now for `replicas` replicas.
pub(super) fn again(node: &str, replicas: u32) -> (Pipeline, usize) {
    let mut pipeline = Pipeline::with_capacity(REPEATED);
    add_wait(&mut pipeline, node, replicas);
    (pipeline, REPEATED)
}

/// The replication id that a master answers to [`ask_replication`]; `None` where it is no master.
///
/// A server gets a new one whenever it is promoted. So as long as it has the same one, it was master all along, and
/// what it has executed is still there. One that was a replica in between has lost what its new master did not have,
/// while its connections stay open and `WAIT` tells of its new data.
pub(super) fn history(info: &str) -> Option<&str> {
    let id = field(info, "master_replid")?;
    (field(info, "role")? == "master").then_some(id)
}

/// Report of a master behind a pipeline.
#[derive(Debug, PartialEq)]
pub(super) struct FenceReport {
    /// Offset that the write of the fence left.
    pub(super) offset: u64,
    /// `None` where it is no master any more.
    pub(super) history: Option<String>,
    pub(super) members: Vec<Address>,
    pub(super) attached: Vec<Attached<Address>>,
}

/// Why a fence tells nothing.
#[derive(Debug, PartialEq)]
pub(super) enum Unread {
    Refused(ServerError),
    Odd,
}

impl FenceReport {
    /// Reads the answers to a fence.
    pub(super) fn read(values: Vec<Value>) -> Result<Self, Unread> {
        let mut values = values.into_iter();
        let mut next = || values.next().ok_or(Unread::Odd);
        let (raised, role) = (next()?, next()?);
        match raised {
            Value::Int(_) => {}
            Value::ServerError(error) => return Err(Unread::Refused(error)),
            _ => return Err(Unread::Odd),
        }
        // A replica tells where it is in another way; what follows says that it is one.
        let offset = match items(role, "a role") {
            Ok(role) => role.into_iter().nth(1),
            Err(_) => return Err(Unread::Odd),
        };
        let offset = offset.and_then(|offset| if let Value::Int(offset) = offset { Some(offset) } else { None });
        let mut told = Self { offset: 0, history: None, members: Vec::new(), attached: Vec::new() };
        told.update(values.collect())?;
        let offset = offset.and_then(|offset| u64::try_from(offset).ok());
        told.offset = match offset {
            Some(offset) => offset,
            None if told.history.is_none() => 0,
            None => return Err(Unread::Odd),
        };
        Ok(told)
    }

    /// Reads the answers to `WAIT` and what follows it, anew after [`again`].
    pub(super) fn update(&mut self, values: Vec<Value>) -> Result<(), Unread> {
        let [waited, info, members] = <[Value; REPEATED]>::try_from(values).map_err(|_| Unread::Odd)?;
        let Ok(Some(info)) = bytes(info, "INFO") else { return Err(Unread::Odd) };
        let info = String::from_utf8_lossy(&info);
        self.history = history(&info).map(str::to_owned);
        if self.history.is_none() {
            // It answers as a replica: WAIT is refused there, and so is the question for its replicas.
            return Ok(());
        }
        for value in [&waited, &members] {
            if let Value::ServerError(error) = value {
                return Err(Unread::Refused(error.clone()));
            }
        }
        if !matches!(waited, Value::Int(_)) {
            return Err(Unread::Odd);
        }
        let listed = items(members, "the replicas of a master").map_err(|_| Unread::Odd)?;
        let listed: Vec<NodeLine> = listed.into_iter().map(member).collect::<Option<_>>().ok_or(Unread::Odd)?;
        self.attached = attached(&info, &listed).ok_or(Unread::Odd)?;
        self.members = listed.iter().map(address).collect();
        Ok(())
    }

    /// Lists what it lacks to hold.
    pub(super) fn lacks(&self, fence: ReplicaFence) -> Vec<Lack<Address>> {
        fence.lacks(self.offset, &self.members, &self.attached)
    }

    /// Tells whether waiting longer may help: a replica is there and has not acknowledged.
    pub(super) fn may_come(&self, fence: ReplicaFence) -> bool {
        self.history.is_some()
            && self.lacks(fence).iter().any(|lack| matches!(lack, Lack::Late(_) | Lack::LateOutside(_)))
    }

    /// Number of acknowledgements that there must be.
    pub(super) fn waits_for(&self, fence: ReplicaFence) -> u32 {
        fence.waits_for(&self.members, &self.attached)
    }

    /// Attached replicas that are not of the cluster, as far as the master knows.
    pub(super) fn outside(&self) -> usize {
        self.attached.iter().filter(|replica| !self.members.contains(&replica.id)).count()
    }
}

/// Says what a fence lacks, and what to do about it.
pub(super) fn words(lack: &Lack<Address>, fence: ReplicaFence) -> String {
    match lack {
        Lack::Members(listed) => {
            format!("the cluster lists {listed} replicas, and {} must acknowledge", fence.replicas())
        }
        Lack::Detached(Address { host, port: 0 }) => {
            format!("replica {host} has no address; CLUSTER FORGET it if it is gone for good")
        }
        Lack::Detached(who) => format!("replica {who} is not attached"),
        Lack::Late(who) => format!("replica {who} has not acknowledged"),
        Lack::LateOutside(who) => format!("replica {who}, which is not of the cluster, has not acknowledged"),
    }
}

/// The replica that a lack is about.
pub(super) fn whom(lack: &Lack<Address>) -> Option<&Address> {
    match lack {
        Lack::Members(_) => None,
        Lack::Detached(who) | Lack::Late(who) | Lack::LateOutside(who) => Some(who),
    }
}

/// A replica as the cluster lists it.
fn member(line: Value) -> Option<NodeLine> {
    NodeLine::read(&String::from_utf8(bytes(line, "a replica").ok()??).ok()?)
}

/// Its address. The name of one whose address nobody knows stands in for it, and never matches an attached one.
fn address(line: &NodeLine) -> Address {
    Address { host: if line.port == 0 { line.id.clone() } else { line.host.clone() }, port: line.port }
}

/// The lines `slave0:ip=...,port=...,state=...,offset=...,lag=...` of INFO replication. One without a port that it
/// answers at is no server of a cluster, and is left out.
fn attached(info: &str, members: &[NodeLine]) -> Option<Vec<Attached<Address>>> {
    let mut attached = Vec::new();
    for line in info.lines() {
        let Some((name, text)) = line.split_once(':') else { continue };
        let Some(number) = name.strip_prefix("slave") else { continue };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let of = |wanted| {
            let mut pairs = text.trim().split(',').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value)
        };
        let (host, port) = (plain(of("ip")?), of("port")?.parse().ok()?);
        if port == 0 {
            continue;
        }
        let offset = of("offset")?.parse().ok()?;
        let acknowledged = (of("state")? == "online").then_some(offset);
        // One that announces its name is the same as under its address.
        let named = members.iter().find(|m| m.port == port && m.hostname.as_deref() == Some(host.as_str()));
        let id = named.map_or(Address { host, port }, address);
        attached.push(Attached { id, acknowledged });
    }
    Some(attached)
}

/// Longest time for replicas to acknowledge, in milliseconds. Replicas are as near, and a fence waits for the slowest.
const WAIT_MS: u64 = 300;

#[cfg(test)]
#[path = "fence_tests.rs"]
mod tests;
