//! [`Assignment`]: the working copy of who owns what.

use std::collections::{BTreeMap, BTreeSet};

use fxhash::{FxHashMap, FxHashSet};

use super::hot_group::HotGroup;
use super::input::PlanInput;
use super::moves::Move;
use super::parts::Parts;
use crate::key::{CompositeKey, KeyPrefix};
use crate::load::PrefixNow;
use crate::partition::{NodeId, PartitionMap, Portion};

/// The working copy of who owns what, with the loads that this leads to, in requests a round. Nodes are known by their
/// indices in the map.
#[derive(Debug, Clone)]
pub(super) struct Assignment<'a> {
    map: &'a PartitionMap,
    /// The rendezvous winner of each partition.
    base: &'a [u16],
    /// Nodes whose load is not known: nothing is taken from them or given to them.
    silent: Vec<bool>,
    owner: Vec<u16>,
    /// Load of each partition, without what replicas serve.
    load: Vec<f64>,
    /// Partitions with load, by owner.
    owned: Vec<Vec<u32>>,
    /// Load of each node.
    nodes: Vec<f64>,
    /// Load that each node is to bear.
    targets: Vec<f64>,
    /// Nodes by load over target.
    order: BTreeSet<(u64, u16)>,
    rules: BTreeMap<KeyPrefix, Portion>,
    groups: Vec<HotGroup>,
    /// Groups by node.
    pieces: Vec<Vec<usize>>,
    /// Partitions whose owner is not that of the map.
    moved: BTreeSet<u32>,
    /// Share of all entries that is re-homed.
    entries: f64,
    /// Share of all entries in each partition, beyond an even share: those of heavy prefixes.
    extra: FxHashMap<u32, f64>,
    /// Partitions that are better not parted from others of their node.
    tied: FxHashSet<u32>,
}

impl<'a> Assignment<'a> {
    /// The map as it is, with these groups of hot keys, under the loads as they are.
    pub(super) fn new(input: &PlanInput<'a>, groups: Vec<HotGroup>) -> Self {
        let PlanInput { map, base, load: loads, .. } = *input;
        let owner = map.owners(base);
        let (count, partitions) = (map.nodes.len(), map.partitions);
        let mut nodes = vec![0.0; count];
        let mut owned = vec![Vec::new(); count];
        let mut load = Vec::with_capacity(partitions as usize);
        for (partition, &node) in (0..partitions).zip(&owner) {
            let of_partition = loads.partition(partition);
            load.push(of_partition);
            nodes[usize::from(node)] += of_partition;
            if of_partition > 0.0 {
                owned[usize::from(node)].push(partition);
            }
        }
        let mut assignment = Self {
            map,
            base,
            silent: map.nodes.iter().map(|node| !loads.is_known(node.id)).collect(),
            owner,
            load,
            owned,
            nodes,
            targets: vec![0.0; count],
            order: BTreeSet::new(),
            rules: map.rules.iter().map(|rule| (rule.prefix.clone(), rule.portion)).collect(),
            groups: Vec::new(),
            pieces: vec![Vec::new(); count],
            moved: BTreeSet::new(),
            entries: 0.0,
            extra: FxHashMap::default(),
            tied: FxHashSet::default(),
        };
        for group in groups {
            for &node in &group.nodes {
                assignment.nodes[usize::from(node)] += group.piece();
            }
            assignment.readd_group(group);
        }
        assignment.set_targets();
        assignment
    }

    /// Shares all load out by weight.
    fn set_targets(&mut self) {
        let total: f64 = self.known().map(|at| self.nodes[usize::from(at)]).sum();
        let weights: f64 = self.known().map(|at| f64::from(self.map.nodes[usize::from(at)].weight)).sum();
        for (target, node) in self.targets.iter_mut().zip(&self.map.nodes) {
            // A node without weight is to bear nothing; the remainder keeps quotients finite.
            *target = (total * f64::from(node.weight) / weights.max(1.0)).max(total * 1e-9).max(1e-9);
        }
        self.order = self.known().map(|at| (self.relative(at).to_bits(), at)).collect();
    }

    /// The nodes whose load is known.
    fn known(&self) -> impl Iterator<Item = u16> + '_ {
        (0..self.nodes.len() as u16).filter(|&at| !self.silent[usize::from(at)])
    }

    /// Number of nodes.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Number of nodes whose load is not known.
    pub(super) fn silent(&self) -> usize {
        self.silent.iter().filter(|&&silent| silent).count()
    }

    /// `true` for a node that may be given something.
    pub(super) fn bears(&self, node: u16) -> bool {
        self.map.nodes[usize::from(node)].weight > 0 && !self.silent[usize::from(node)]
    }

    /// Number of nodes that may be given something.
    pub(super) fn bearing(&self) -> usize {
        self.known().filter(|&at| self.bears(at)).count()
    }

    /// Load of all nodes.
    pub(super) fn total(&self) -> f64 {
        self.nodes.iter().sum()
    }

    /// Mean load of the nodes that have weight.
    pub(super) fn mean(&self) -> f64 {
        self.known().map(|at| self.nodes[usize::from(at)]).sum::<f64>() / self.bearing().max(1) as f64
    }

    /// Load of a node over what it is to bear; 1 where it is not known.
    pub(super) fn relative(&self, node: u16) -> f64 {
        if self.silent[usize::from(node)] { 1.0 } else { self.relative_with(node, 0.0).max(0.0) }
    }

    /// The same with load that it does not have yet.
    pub(super) fn relative_with(&self, node: u16, load: f64) -> f64 {
        (self.nodes[usize::from(node)] + load) / self.targets[usize::from(node)]
    }

    /// Load that a node has beyond `relative` of what it is to bear; negative where there is room.
    pub(super) fn excess(&self, node: u16, relative: f64) -> f64 {
        self.nodes[usize::from(node)] - self.targets[usize::from(node)] * relative
    }

    /// Nodes by load, the heaviest first.
    pub(super) fn heaviest(&self) -> impl Iterator<Item = (f64, u16)> + '_ {
        self.order.iter().rev().map(|&(bits, at)| (f64::from_bits(bits), at))
    }

    /// Nodes that may be given something by load, the lightest first.
    pub(super) fn lightest(&self) -> impl Iterator<Item = u16> + '_ {
        self.order.iter().map(|&(_, at)| at).filter(|&at| self.bears(at))
    }

    /// Load of the heaviest node over its target.
    pub(super) fn worst(&self) -> f64 {
        self.heaviest().next().map_or(0.0, |(relative, _)| relative)
    }

    /// Mean square of the excess of nodes over their targets.
    pub(super) fn over(&self) -> f64 {
        (0..self.nodes.len() as u16).map(|node| (self.relative(node) - 1.0).max(0.0).powi(2)).sum::<f64>()
            / self.nodes.len() as f64
    }

    fn add_to_node(&mut self, node: u16, load: f64) {
        self.order.remove(&(self.relative(node).to_bits(), node));
        self.nodes[usize::from(node)] += load;
        if !self.silent[usize::from(node)] {
            self.order.insert((self.relative(node).to_bits(), node));
        }
    }

    /// Owner of a partition.
    pub(super) fn owner(&self, partition: u32) -> u16 {
        self.owner[partition as usize]
    }

    /// Rendezvous winner of a partition.
    pub(super) fn home(&self, partition: u32) -> u16 {
        self.base[partition as usize]
    }

    /// Partitions that are not with their rendezvous winners.
    pub(super) fn exceptions(&self) -> usize {
        self.owner.iter().zip(self.base).filter(|(owner, home)| owner != home).count()
    }

    /// Load of a partition, without what replicas serve.
    pub(super) fn load(&self, partition: u32) -> f64 {
        self.load[partition as usize]
    }

    /// Partitions of a node that have load.
    pub(super) fn owned(&self, node: u16) -> &[u32] {
        &self.owned[usize::from(node)]
    }

    /// `true` for a partition whose owner is not that of the map.
    pub(super) fn is_moved(&self, partition: u32) -> bool {
        self.moved.contains(&partition)
    }

    /// Adds load, which may be negative, to a partition.
    pub(super) fn add(&mut self, partition: u32, load: f64) {
        let (at, node) = (partition as usize, self.owner(partition));
        let (before, after) = (self.load[at], (self.load[at] + load).max(0.0));
        if before == 0.0 && after > 0.0 && !self.owned(node).contains(&partition) {
            self.owned[usize::from(node)].push(partition);
        }
        self.load[at] = after;
        self.add_to_node(node, after - before);
    }

    /// Gives a partition to a node.
    pub(super) fn assign(&mut self, partition: u32, node: u16) {
        let old = self.owner(partition);
        if old == node {
            return;
        }
        let load = self.load(partition);
        self.add_to_node(old, -load);
        self.owner[partition as usize] = node;
        self.add_to_node(node, load);
        let owned = &mut self.owned[usize::from(old)];
        if let Some(place) = owned.iter().position(|&p| p == partition) {
            owned.swap_remove(place);
            self.owned[usize::from(node)].push(partition);
        }
        let share = self.share(partition);
        let was_moved = self.moved.remove(&partition);
        let exception = self.map.exceptions.get(&partition).and_then(|&id| self.map.index_of(id));
        if exception.unwrap_or(self.home(partition)) == node {
            self.entries -= if was_moved { share } else { 0.0 };
        } else {
            self.moved.insert(partition);
            self.entries += if was_moved { 0.0 } else { share };
        }
    }

    /// Notes that partitions are better not parted from others of their node.
    pub(super) fn tie(&mut self, partitions: impl IntoIterator<Item = u32>) {
        self.tied.extend(partitions);
    }

    /// `true` for a partition that is better not parted from others of its node.
    pub(super) fn is_tied(&self, partition: u32) -> bool {
        self.tied.contains(&partition)
    }

    /// Share of all entries that is re-homed.
    pub(super) fn entries(&self) -> f64 {
        self.entries
    }

    /// Notes that a share of all entries is re-homed.
    pub(super) fn rehome(&mut self, entries: f64) {
        self.entries += entries;
    }

    /// Share of all entries that a partition holds, as far as is known. Twice an even share, and what heavy prefixes have in it:
    /// what is moved is what has load, and so what has entries.
    pub(super) fn share(&self, partition: u32) -> f64 {
        2.0 / f64::from(self.map.partitions) + self.extra.get(&partition).copied().unwrap_or(0.0)
    }

    /// Notes a share of all entries that a partition holds beyond an even one.
    pub(super) fn add_share(&mut self, partition: u32, entries: f64) {
        *self.extra.entry(partition).or_default() += entries;
    }

    /// The rules, by ascending prefix.
    pub(super) fn rules(&self) -> &BTreeMap<KeyPrefix, Portion> {
        &self.rules
    }

    /// Sets the rule of a prefix below which there is nothing yet.
    pub(super) fn set_rule(&mut self, prefix: KeyPrefix, portion: Portion) {
        self.rules.insert(prefix, portion);
    }

    /// The portion that keys below `prefix` are hashed by.
    pub(super) fn portion(&self, prefix: &KeyPrefix) -> Portion {
        self.rules.get(prefix).copied().unwrap_or_else(|| self.covering(prefix))
    }

    /// The portion of the longest rule for a shorter prefix.
    pub(super) fn covering(&self, prefix: &KeyPrefix) -> Portion {
        let shorter = prefix.enclosing().filter_map(KeyPrefix::from_canonical);
        shorter.into_iter().find_map(|shorter| self.rules.get(&shorter)).copied().unwrap_or_default()
    }

    /// The partitions of a prefix.
    pub(super) fn parts(&self, prefix: &KeyPrefix) -> Option<Vec<u32>> {
        self.map.parts(prefix, self.portion(prefix))
    }

    /// Hashes another portion below a prefix, whose parts are of these loads then; nothing where a portion is deeper than it.
    pub(super) fn hash(&mut self, now: &PrefixNow, portion: Portion, loads: &Parts) {
        let prefix = &now.prefix;
        let old = self.portion(prefix);
        let (Some(from), Some(to)) = (self.map.parts(prefix, old), self.map.parts(prefix, portion)) else {
            return;
        };
        let spread = if usize::from(old.depth) == prefix.depth() { old.spread } else { 0 };
        for (partition, of_part) in from.into_iter().zip(Parts::of(now, spread).0) {
            self.add(partition, -of_part);
        }
        // A part that one child makes up lies there already, if it is the one with the prefix's own place.
        for (partition, &of_part) in to.into_iter().zip(&loads.0) {
            self.add(partition, of_part);
        }
        if self.covering(prefix) == portion {
            self.rules.remove(prefix);
        } else {
            self.rules.insert(prefix.clone(), portion);
        }
    }

    /// Groups of keys with replicas.
    pub(super) fn groups(&self) -> &[HotGroup] {
        &self.groups
    }

    /// Groups that a node serves.
    pub(super) fn pieces(&self, node: u16) -> &[usize] {
        &self.pieces[usize::from(node)]
    }

    /// Adds a group that is served by its nodes.
    pub(super) fn add_group(&mut self, group: HotGroup) {
        let piece = group.piece();
        for &node in &group.nodes {
            self.add_to_node(node, piece);
        }
        self.readd_group(group);
    }

    /// Adds a group whose load the nodes have already.
    fn readd_group(&mut self, group: HotGroup) {
        for &node in &group.nodes {
            self.pieces[usize::from(node)].push(self.groups.len());
        }
        self.groups.push(group);
    }

    /// Removes groups, whose load stays with their nodes.
    pub(super) fn remove_groups(&mut self, is_removed: impl FnMut(&HotGroup) -> bool) -> Vec<HotGroup> {
        self.pieces.iter_mut().for_each(Vec::clear);
        let (removed, kept) = std::mem::take(&mut self.groups).into_iter().partition(is_removed);
        Vec::into_iter(kept).for_each(|group| self.readd_group(group));
        removed
    }

    /// Adds the groups on the right to those on the left, whose nodes then serve both.
    pub(super) fn join_groups(&mut self, joined: &BTreeMap<usize, usize>) {
        let mut groups: Vec<Option<HotGroup>> = std::mem::take(&mut self.groups).into_iter().map(Some).collect();
        self.pieces.iter_mut().for_each(Vec::clear);
        let joins = joined.iter().filter_map(|(&large, &small)| groups[large].take().zip(groups[small].take()));
        for (mut large, small) in joins.collect::<Vec<_>>() {
            self.take_load(&small.nodes, small.load());
            self.take_load(&large.nodes, large.load());
            large.keys.extend(small.keys);
            if large.nodes.is_empty() {
                large.nodes = small.nodes;
            }
            self.add_group(large);
        }
        groups.into_iter().flatten().for_each(|group| self.readd_group(group));
    }

    /// Takes load that these nodes share evenly off them.
    pub(super) fn take_load(&mut self, nodes: &[u16], load: f64) {
        for &node in nodes {
            self.add_to_node(node, -load / nodes.len() as f64);
        }
    }

    /// Has a group served by other nodes.
    pub(super) fn set_replicas(&mut self, group: usize, mut nodes: Vec<u16>) {
        nodes.sort_unstable();
        nodes.dedup();
        let old = std::mem::take(&mut self.groups[group].nodes);
        let load = self.groups[group].load();
        self.take_load(&old, load);
        for &node in &old {
            self.pieces[usize::from(node)].retain(|&at| at != group);
        }
        for &node in &nodes {
            self.pieces[usize::from(node)].push(group);
            self.add_to_node(node, load / nodes.len() as f64);
        }
        self.groups[group].nodes = nodes;
    }

    /// Has a key of a partition, with its load, served by these nodes, or by its owner alone where there are none.
    pub(super) fn serve(&mut self, key: &CompositeKey, load: f64, partition: u32, nodes: Vec<u16>) {
        match self.groups.iter_mut().find(|group| group.keys.iter().any(|(other, _)| other == key)) {
            Some(group) => {
                group.keys.retain(|(other, _)| other != key);
                let old = group.nodes.clone();
                self.take_load(&old, load);
            }
            None => self.add(partition, -load),
        }
        if nodes.is_empty() {
            self.add(partition, load);
        } else {
            self.add_group(HotGroup { keys: vec![(key.clone(), load)], nodes });
        }
    }

    /// Replicas beyond the first of all keys.
    pub(super) fn replicas(&self) -> usize {
        self.groups.iter().map(|group| group.keys.len() * group.nodes.len().saturating_sub(1)).sum()
    }

    /// The name of a node.
    pub(super) fn id(&self, node: u16) -> NodeId {
        self.map.nodes[usize::from(node)].id
    }

    /// The moves that lead here from the map.
    pub(super) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (prefix, &portion) in &self.rules {
            let old = self.map.rules.binary_search_by(|rule| rule.prefix.cmp(prefix));
            if !old.is_ok_and(|at| self.map.rules[at].portion == portion) {
                moves.push(Move::Place { prefix: prefix.clone(), portion });
            }
        }
        let gone = self.map.rules.iter().filter(|rule| !self.rules.contains_key(&rule.prefix));
        moves.extend(gone.map(|rule| Move::Merge { prefix: rule.prefix.clone() }));
        for &partition in &self.moved {
            let owner = self.owner(partition);
            let node = (owner != self.home(partition)).then(|| self.id(owner));
            moves.push(Move::Assign { partition, node });
        }
        let mut replicas: BTreeMap<&CompositeKey, Vec<NodeId>> = BTreeMap::new();
        for group in &self.groups {
            let ids: Vec<_> = group.nodes.iter().map(|&at| self.id(at)).collect();
            replicas.extend(group.keys.iter().map(|(key, _)| (key, ids.clone())));
        }
        let gone = self.map.hot.iter().filter(|hot| !replicas.contains_key(&hot.key));
        moves.extend(gone.map(|hot| Move::Replicate { key: hot.key.clone(), nodes: Vec::new() }));
        for (key, nodes) in replicas {
            let old = self.map.hot.binary_search_by(|hot| hot.key.cmp(key));
            if !old.is_ok_and(|at| self.map.hot[at].nodes == nodes) {
                moves.push(Move::Replicate { key: key.clone(), nodes });
            }
        }
        moves
    }
}
