//! [`Imports`]: slots that were on their way when the master that had them failed.
//!
//! While a slot is moved key by key, only the master that loses it knows of which keys others are to be asked: Redis up to
//! 8.2 does not tell its replicas. One that is promoted in the middle has the slot, without the keys that had left, and
//! says of those that they do not exist. The importing master still knows from whom it imports: where that is not who has
//! the slot, nothing is asked of either until an operator has put the slot in order (`redis-cli --cluster fix`).

use std::collections::{BTreeMap, BTreeSet};

use super::node_line::Imported;
use super::options::Address;
use super::topology::ClusterView;

/// Slots that each server imports, as it told last.
#[derive(Debug, Default)]
pub(super) struct Imports(BTreeMap<Address, Imported>);

impl Imports {
    /// Notes what the server at `address` tells.
    pub(super) fn note(&mut self, address: &Address, imported: &Imported) {
        if imported.is_empty() {
            self.0.remove(address);
        } else {
            self.0.insert(address.clone(), imported.clone());
        }
    }

    /// Servers that imported something when they were asked last: they are asked again each time.
    pub(super) fn servers(&self) -> impl Iterator<Item = &Address> {
        self.0.keys()
    }

    /// Slots whose master is neither who imports them nor whom they come from. Servers that `view` does not know are
    /// forgotten.
    pub(super) fn torn(&mut self, view: &ClusterView) -> BTreeSet<u16> {
        self.0.retain(|address, _| view.nodes.contains(address));
        let mut torn = BTreeSet::new();
        for (address, imported) in &self.0 {
            for (slot, from) in imported {
                let owner = view.masters.iter().find(|master| master.has(*slot));
                if owner.is_some_and(|owner| owner.address != *address && owner.id != *from) {
                    torn.insert(*slot);
                }
            }
        }
        torn
    }
}

#[cfg(test)]
#[path = "imports_tests.rs"]
mod tests;
