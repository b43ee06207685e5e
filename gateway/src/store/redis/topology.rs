//! [`View`]: who is master of which slots, as one server tells it.

use std::net::IpAddr;

use ::redis::{Cmd, Value};

use super::connect::Connector;
use super::imports::{Imported, imported};
use super::keys::SLOTS;
use super::options::Address;
use super::reply::{Replies, bytes, items, number, odd};
use crate::store::StoreError;

/// A master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MasterView {
    /// Its name in the cluster.
    pub(super) id: String,
    pub(super) address: Address,
    /// Ranges of slots, both ends included.
    pub(super) slots: Vec<(u16, u16)>,
    /// Its replicas, those that failed included: one that comes back may be promoted.
    pub(super) replicas: u32,
}

impl MasterView {
    /// Whether it has `slot`.
    pub(super) fn has(&self, slot: u16) -> bool {
        self.slots.iter().any(|&(first, last)| (first..=last).contains(&slot))
    }
}

/// One server's view of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct View {
    /// The highest epoch that the server has heard of: who is behind a partition has not heard of the newest.
    pub(super) epoch: u64,
    /// Masters with slots, by address.
    pub(super) masters: Vec<MasterView>,
    /// Masters without slots, such as one that was just added.
    pub(super) spares: Vec<MasterView>,
    /// All servers.
    pub(super) nodes: Vec<Address>,
    /// What the server itself imports.
    pub(super) imported: Imported,
}

impl View {
    /// Asks the server at `address`.
    ///
    /// # Errors
    /// A sentence, where it does not answer or is no server of a cluster.
    pub(super) async fn ask(connector: &Connector, address: &Address) -> Result<Self, String> {
        let command = |word: &str| {
            let mut command = ::redis::cmd("CLUSTER");
            command.arg(word);
            command
        };
        let commands: [Cmd; 3] = [command("INFO"), command("SHARDS"), command("NODES")];
        let values = connector.ask(address, &commands).await.map_err(|error| format!("{address}: {error}"))?;
        if let Some(fault) = super::reply::Fault::among(&values) {
            return Err(format!("{address}: {}", fault.of_read()));
        }
        Self::read(values, address).map_err(|error| format!("{address}: {error}"))
    }

    /// Reads the answers to CLUSTER INFO, CLUSTER SHARDS and CLUSTER NODES of the server at `from`.
    pub(super) fn read(values: Vec<Value>, from: &Address) -> Result<Self, StoreError> {
        let mut replies = Replies::new(values);
        let info = bytes(replies.next(), "CLUSTER INFO")?.unwrap_or_default();
        let info = String::from_utf8_lossy(&info).into_owned();
        let epoch = field(&info, "cluster_current_epoch").and_then(|text| text.parse().ok());
        let mut view = Self { epoch: epoch.ok_or_else(|| odd("CLUSTER INFO"))?, ..Self::default() };
        for shard in items(replies.next(), "CLUSTER SHARDS")? {
            view.add(shard, from)?;
        }
        let nodes = bytes(replies.next(), "CLUSTER NODES")?.unwrap_or_default();
        view.imported = imported(&String::from_utf8_lossy(&nodes));
        view.masters.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        view.nodes.sort_unstable();
        view.nodes.dedup();
        Ok(view)
    }

    fn add(&mut self, shard: Value, from: &Address) -> Result<(), StoreError> {
        let (mut slots, mut master, mut replicas) = (Vec::new(), None, 0);
        for (name, value) in pairs(shard)? {
            match name.as_slice() {
                b"slots" => slots = ranges(value)?,
                b"nodes" => {
                    for node in items(value, "CLUSTER SHARDS")? {
                        let Some((id, address, leads)) = node_of(node, from)? else { continue };
                        self.nodes.push(address.clone());
                        if leads {
                            master = Some((id, address));
                        } else {
                            replicas += 1;
                        }
                    }
                }
                _ => {}
            }
        }
        if let Some((id, address)) = master {
            let among = if slots.is_empty() { &mut self.spares } else { &mut self.masters };
            among.push(MasterView { id, address, slots, replicas });
        }
        Ok(())
    }

    /// Slots that no master has.
    pub(super) fn uncovered(&self) -> u32 {
        let ranges = self.masters.iter().flat_map(|master| &master.slots);
        let covered: u32 = ranges.map(|&(first, last)| u32::from(last - first) + 1).sum();
        u32::from(SLOTS).saturating_sub(covered)
    }
}

/// The value of `name` in the text of an INFO.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.trim())
}

/// Names and values, which RESP2 tells as a flat list.
pub(super) fn pairs(value: Value) -> Result<Vec<(Vec<u8>, Value)>, StoreError> {
    let mut list = items(value, "a list of names and values")?.into_iter();
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (list.next(), list.next()) {
        pairs.push((bytes(name, "a name")?.unwrap_or_default(), value));
    }
    Ok(pairs)
}

fn ranges(value: Value) -> Result<Vec<(u16, u16)>, StoreError> {
    let slot = |value: &Value| {
        let slot = number(value, "a slot")?;
        u16::try_from(slot).ok().filter(|&slot| slot < SLOTS).ok_or_else(|| odd("a slot"))
    };
    let list = items(value, "a list of slots")?;
    let (ends, []) = list.as_chunks::<2>() else { return Err(odd("a list of slots")) };
    let range = |[first, last]: &[Value; 2]| {
        let range = (slot(first)?, slot(last)?);
        if range.0 <= range.1 { Ok(range) } else { Err(odd("a range of slots")) }
    };
    ends.iter().map(range).collect()
}

/// A server's name, its address and whether it is master; `None` where it answers on no plain port.
fn node_of(value: Value, from: &Address) -> Result<Option<(String, Address, bool)>, StoreError> {
    let (mut id, mut host, mut ip) = (String::new(), String::new(), String::new());
    let (mut port, mut master) = (0, false);
    for (name, value) in pairs(value)? {
        let text =
            |value| Ok(String::from_utf8_lossy(&bytes(value, "a field of a server")?.unwrap_or_default()).into());
        match name.as_slice() {
            b"id" => id = text(value)?,
            b"endpoint" => host = text(value)?,
            b"ip" => ip = text(value)?,
            b"port" => port = number(&value, "a port")?,
            b"role" => master = bytes(value, "a role")?.as_deref() == Some(b"master"),
            _ => {}
        }
    }
    let known = |text: &str| !text.is_empty() && text != "?";
    // A server that has not learnt its own address tells none: it is where it was reached.
    let host = match () {
        () if known(&host) => host,
        () if known(&ip) && ip.parse::<IpAddr>().is_ok() => ip,
        () => from.host.clone(),
    };
    let port = u16::try_from(port).map_err(|_| odd("a port"))?;
    Ok((port > 0).then_some((id, Address { host, port }, master)))
}

#[cfg(test)]
#[path = "topology_tests.rs"]
mod tests;
