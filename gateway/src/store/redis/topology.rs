//! [`ClusterView`]: who is master of which slots, as servers tell it.
//!
//! Master of a slot is whoever owns it (`CLUSTER NODES`), by the greatest configuration epoch that any server has heard
//! of: the rule that the servers themselves go by. Roles do not tell: a master that died and was replaced has that role
//! for as long as it is known, and `CLUSTER SHARDS` of Redis 7.2 and later, and of Valkey, lists it beside the one in its
//! place, now before and now after it. `CLUSTER SLOTS` tells under which name a server wants to be reached.

use std::collections::BTreeMap;

use ::redis::{Cmd, Value};

use super::connect::Connector;
use super::keys::SLOTS;
use super::node_line::{Imported, NodeLine, imported};
use super::options::Address;
use super::reply::{Replies, bytes, field, items, odd};
use crate::store::StoreError;

/// A master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MasterView {
    /// Its name in the cluster.
    pub(super) id: String,
    pub(super) address: Address,
    /// Its configuration epoch: of two that claim a slot, the one with the greater has it.
    pub(super) epoch: u64,
    /// Ranges of slots, both ends included.
    pub(super) slots: Vec<(u16, u16)>,
    /// Its replicas, those that failed included: one that comes back may be promoted.
    pub(super) replicas: Vec<Address>,
}

impl MasterView {
    /// Tells whether it has `slot`.
    pub(super) fn has(&self, slot: u16) -> bool {
        self.slots.iter().any(|&(first, last)| (first..=last).contains(&slot))
    }
}

/// Knowledge of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ClusterView {
    /// The highest epoch heard of.
    pub(super) epoch: u64,
    /// Masters with slots, by address.
    pub(super) masters: Vec<MasterView>,
    /// Masters without slots, such as one that was just added.
    pub(super) spares: Vec<MasterView>,
    /// All servers.
    pub(super) nodes: Vec<Address>,
    /// Slots that the server that tells this imports itself; none where several are put together.
    pub(super) imported: Imported,
}

impl ClusterView {
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
        let commands: [Cmd; 3] = [command("INFO"), command("SLOTS"), command("NODES")];
        let values = connector.ask(address, &commands).await.map_err(|error| format!("{address}: {error}"))?;
        if let Some(fault) = super::reply::Fault::among(&values) {
            return Err(format!("{address}: {}", fault.of_read()));
        }
        Self::read(values, address).map_err(|error| format!("{address}: {error}"))
    }

    /// Reads the answers to CLUSTER INFO, CLUSTER SLOTS and CLUSTER NODES of the server at `from`.
    pub(super) fn read(values: Vec<Value>, from: &Address) -> Result<Self, StoreError> {
        let mut replies = Replies::new(values);
        let text = |value: Value, what: &str| -> Result<String, StoreError> {
            Ok(String::from_utf8_lossy(&bytes(value, what)?.unwrap_or_default()).into_owned())
        };
        let info = text(replies.next(), "CLUSTER INFO")?;
        let epoch = field(&info, "cluster_current_epoch").and_then(|text| text.parse().ok());
        let mut view = Self { epoch: epoch.ok_or_else(|| odd("CLUSTER INFO"))?, ..Self::default() };
        let names = endpoints(replies.next())?;
        let nodes = text(replies.next(), "CLUSTER NODES")?;
        let lines = nodes.lines().filter(|line| !line.is_empty());
        let lines: Vec<NodeLine> = lines
            .map(|line| NodeLine::read(line).ok_or_else(|| odd("a server of a cluster")))
            .collect::<Result<_, _>>()?;
        let address = |line: &NodeLine| {
            // A server that has not learnt its own address tells none: it is where it was reached.
            let own = if line.host.is_empty() { &from.host } else { &line.host };
            Address { host: names.get(&line.id).unwrap_or(own).clone(), port: line.port }
        };
        let reached = || lines.iter().filter(|line| line.port > 0 && !line.is("handshake"));
        view.nodes = reached().map(address).collect();
        view.imported = imported(&nodes);
        for master in reached().filter(|line| line.is("master")) {
            if master.slots.iter().any(|&(first, last)| first > last || last >= SLOTS) {
                return Err(odd("a range of slots"));
            }
            let replicas = reached().filter(|line| line.master.as_ref() == Some(&master.id)).map(address).collect();
            let seen = MasterView {
                id: master.id.clone(),
                address: address(master),
                epoch: master.epoch,
                slots: master.slots.clone(),
                replicas,
            };
            if !seen.slots.is_empty() {
                view.masters.push(seen);
            } else if !master.is("fail") {
                view.spares.push(seen);
            }
        }
        view.sort();
        Ok(view)
    }

    fn sort(&mut self) {
        for list in [&mut self.masters, &mut self.spares] {
            list.sort_unstable_by(|a, b| a.address.cmp(&b.address));
            list.dedup_by(|a, b| a.id == b.id);
        }
        for list in self.masters.iter_mut().map(|master| &mut master.replicas).chain([&mut self.nodes]) {
            list.sort_unstable();
            list.dedup();
        }
    }

    /// Merges `views`, in whatever order they are; `None` without any. One server behind a partition has
    /// not heard of the newest epoch; another has heard of it, but not yet of what changed by it.
    pub(super) fn newest(views: &[Self]) -> Option<Self> {
        type Claim<'a> = (u64, u64, &'a str);
        let mut owners: Vec<Option<Claim>> = vec![None; usize::from(SLOTS)];
        let mut known: BTreeMap<&str, MasterView> = BTreeMap::new();
        for view in views {
            for master in &view.masters {
                let claim = (master.epoch, view.epoch, master.id.as_str());
                for &(first, last) in &master.slots {
                    let claimed = &mut owners[usize::from(first)..=usize::from(last)];
                    claimed.iter_mut().for_each(|owner| *owner = (*owner).max(Some(claim)));
                }
                let seen =
                    known.entry(&master.id).or_insert_with(|| MasterView { slots: Vec::new(), ..master.clone() });
                seen.replicas.extend(master.replicas.iter().cloned());
                // The newest of what is told of its address.
                if master.epoch > seen.epoch {
                    (seen.epoch, seen.address) = (master.epoch, master.address.clone());
                }
            }
        }
        for (slot, owner) in (0..).zip(owners) {
            let Some(master) = owner.and_then(|(_, _, id)| known.get_mut(id)) else { continue };
            match master.slots.last_mut() {
                Some((_, last)) if *last + 1 == slot => *last = slot,
                _ => master.slots.push((slot, slot)),
            }
        }
        let mut masters: Vec<MasterView> = known.into_values().filter(|master| !master.slots.is_empty()).collect();
        let leading: Vec<Address> = masters.iter().map(|master| master.address.clone()).collect();
        // A server that has not heard of a promotion counts the new master among the replicas.
        masters.iter_mut().for_each(|master| master.replicas.retain(|replica| !leading.contains(replica)));
        let mut spares: Vec<MasterView> = views.iter().flat_map(|view| view.spares.iter().cloned()).collect();
        spares.retain(|spare| masters.iter().all(|master| master.id != spare.id));
        let nodes = views.iter().flat_map(|view| view.nodes.iter().cloned()).collect();
        let epoch = views.iter().map(|view| view.epoch).max()?;
        let mut newest = Self { epoch, masters, spares, nodes, imported: Imported::new() };
        newest.sort();
        Some(newest)
    }

    /// Slots that no master has.
    pub(super) fn uncovered(&self) -> u32 {
        let ranges = self.masters.iter().flat_map(|master| &master.slots);
        let covered: u32 = ranges.map(|&(first, last)| u32::from(last - first) + 1).sum();
        u32::from(SLOTS).saturating_sub(covered)
    }
}

/// The names under which servers want to be reached, by CLUSTER SLOTS: `[first, last, [name, port, id, ...]...]` for
/// each range of slots. Those that do not say are left out.
fn endpoints(slots: Value) -> Result<BTreeMap<String, String>, StoreError> {
    let mut names = BTreeMap::new();
    for range in items(slots, "CLUSTER SLOTS")? {
        for node in items(range, "CLUSTER SLOTS")?.into_iter().skip(2) {
            let mut parts = items(node, "CLUSTER SLOTS")?.into_iter();
            let (Some(name), Some(_), Some(id)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(odd("CLUSTER SLOTS"));
            };
            let text = |value| -> Result<String, StoreError> {
                Ok(String::from_utf8_lossy(&bytes(value, "CLUSTER SLOTS")?.unwrap_or_default()).into_owned())
            };
            let name = text(name)?;
            if !name.is_empty() && name != "?" {
                names.insert(text(id)?, name);
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
#[path = "topology_tests.rs"]
mod tests;
