//! [`Routes`]: the master of each shard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foremap::node::ReplicaFence;
use tokio::sync::Notify;

use super::connect::Connector;
use super::keys::{KeyPlace, Keyspace};
use super::master::Master;
use super::options::Address;
use super::topology::{ClusterView, MasterView};

/// Parts that a new master is made of.
pub(super) struct Maker {
    pub(super) connector: Connector,
    pub(super) fence: ReplicaFence,
    pub(super) suspicion: Arc<Notify>,
}

/// Servers to ask, by what is asked for. Memory: one number a shard.
#[derive(Default)]
pub(super) struct Routes {
    masters: Vec<Arc<Master>>,
    /// Masters without slots: the next slot that is moved may be theirs.
    spares: Vec<Arc<Master>>,
    /// The replicas of each master with slots.
    replicas: Vec<Vec<Address>>,
    shards: Vec<Option<usize>>,
    meta: Option<usize>,
}

impl Routes {
    /// The routes of `view`, in which nobody has the `torn` slots. Masters that are known already keep their connections and
    /// their health.
    pub(super) fn new(view: &ClusterView, torn: &BTreeSet<u16>, keys: &Keyspace, maker: &Maker, before: &Self) -> Self {
        let known: BTreeMap<&Address, &Arc<Master>> = before.all().map(|m| (m.address(), m)).collect();
        let master = |seen: &MasterView| {
            let master = match known.get(&seen.address) {
                Some(&master) => master.clone(),
                None => Arc::new(Master::new(
                    seen.address.clone(),
                    maker.connector.clone(),
                    maker.fence,
                    maker.suspicion.clone(),
                )),
            };
            master.offer(keys.fences(&seen.slots));
            master
        };
        let masters = view.masters.iter().map(master).collect();
        let spares = view.spares.iter().map(master).collect();
        let of_slot = |slot: u16| {
            let has = |master: &MasterView| !torn.contains(&slot) && master.has(slot);
            view.masters.iter().position(has)
        };
        let shards = (0..keys.shards()).map(|shard| of_slot(keys.slot(KeyPlace::Shard(shard)))).collect();
        let replicas = view.masters.iter().map(|master| master.replicas.clone()).collect();
        Self { masters, spares, replicas, shards, meta: of_slot(keys.slot(KeyPlace::Meta)) }
    }

    /// The master that `place` is at.
    pub(super) fn of(&self, place: KeyPlace) -> Option<&Arc<Master>> {
        let number = match place {
            KeyPlace::Shard(shard) => self.shards.get(usize::from(shard)).copied().flatten(),
            KeyPlace::Meta => self.meta,
        };
        self.masters.get(number?)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Master>> {
        self.masters.iter().chain(&self.spares)
    }

    /// The master at `address`.
    pub(super) fn at(&self, address: &Address) -> Option<&Arc<Master>> {
        self.all().find(|master| master.address() == address)
    }

    /// Masters with slots.
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
