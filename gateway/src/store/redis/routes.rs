//! [`Routes`]: the master of each shard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foremap::node::Fence;
use tokio::sync::Notify;

use super::connect::Connector;
use super::keys::{Keyspace, Place};
use super::master::Master;
use super::options::Address;
use super::topology::View;

/// What a new master is made of.
pub(super) struct Maker {
    pub(super) connector: Connector,
    pub(super) fence: Fence,
    pub(super) suspicion: Arc<Notify>,
}

/// Who is asked for what. Memory: one number a shard.
#[derive(Default)]
pub(super) struct Routes {
    masters: Vec<Arc<Master>>,
    /// The replicas of each.
    replicas: Vec<Vec<Address>>,
    shards: Vec<Option<usize>>,
    meta: Option<usize>,
}

impl Routes {
    /// The routes of `view`. Masters that are known already keep their connections and their health.
    pub(super) fn new(view: &View, keys: &Keyspace, maker: &Maker, before: &Self) -> Self {
        let known: BTreeMap<&Address, &Arc<Master>> = before.masters.iter().map(|m| (m.address(), m)).collect();
        let mut masters = Vec::with_capacity(view.masters.len());
        for seen in &view.masters {
            let master = match known.get(&seen.address) {
                Some(&master) => master.clone(),
                None => Arc::new(Master::new(
                    seen.address.clone(),
                    maker.connector.clone(),
                    maker.fence,
                    maker.suspicion.clone(),
                )),
            };
            masters.push(master);
        }
        let of_slot = |slot: u16| {
            let has = |&(first, last): &(u16, u16)| (first..=last).contains(&slot);
            view.masters.iter().position(|master| master.slots.iter().any(has))
        };
        let shards = (0..keys.shards()).map(|shard| of_slot(keys.slot(Place::Shard(shard)))).collect();
        let replicas = view.masters.iter().map(|master| master.replicas.clone()).collect();
        Self { masters, replicas, shards, meta: of_slot(keys.slot(Place::Meta)) }
    }

    /// The number of the master that `place` is at.
    pub(super) fn of(&self, place: Place) -> Option<usize> {
        match place {
            Place::Shard(shard) => self.shards.get(usize::from(shard)).copied().flatten(),
            Place::Meta => self.meta,
        }
    }

    pub(super) fn masters(&self) -> &[Arc<Master>] {
        &self.masters
    }

    /// Each master with its replicas.
    pub(super) fn shards(&self) -> impl Iterator<Item = (&Arc<Master>, &Vec<Address>)> {
        self.masters.iter().zip(&self.replicas)
    }

    /// All servers, each once.
    pub(super) fn servers(&self) -> impl Iterator<Item = &Address> {
        let masters = self.masters.iter().map(|master| master.address());
        masters.chain(self.replicas.iter().flatten()).collect::<BTreeSet<_>>().into_iter()
    }

    /// Shards by master, those without one last.
    pub(super) fn groups(&self) -> Vec<Vec<u16>> {
        let mut groups: BTreeMap<Option<usize>, Vec<u16>> = BTreeMap::new();
        for (shard, master) in (0..).zip(&self.shards) {
            groups.entry(*master).or_default().push(shard);
        }
        let lost = groups.remove(&None);
        let mut groups: Vec<Vec<u16>> = groups.into_values().chain(lost).collect();
        // By their first shard, so that a group stays the same when another server becomes its master.
        groups.sort_unstable();
        groups
    }
}
