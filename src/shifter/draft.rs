//! [`Draft`]: a map in the making, with the loads that it leads to.

use std::collections::{BTreeMap, BTreeSet};

use fxhash::{FxHashMap, FxHashSet};

use super::moves::Move;
use crate::key::{CompositeKey, KeyPrefix};
use crate::partition::{NodeId, PartitionMap, Portion};

/// Keys of one parent that are served by the same replicas, so that a batch of them stays together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HotGroup {
    /// Keys with their loads.
    pub(super) keys: Vec<(CompositeKey, f64)>,
    /// Indices of nodes, ascending.
    pub(super) nodes: Vec<u16>,
}

impl HotGroup {
    pub(super) fn load(&self) -> f64 {
        self.keys.iter().map(|(_, load)| load).sum()
    }

    /// Load that each replica takes.
    pub(super) fn piece(&self) -> f64 {
        self.load() / self.nodes.len().max(1) as f64
    }
}

/// A map in the making. Loads are in requests a round.
#[derive(Debug, Clone)]
pub(super) struct Draft<'a> {
    pub(super) map: &'a PartitionMap,
    /// Nodes whose load is not known: nothing is taken from them or given to them.
    pub(super) silent: Vec<bool>,
    /// The rendezvous winner of each partition.
    pub(super) base: &'a [u16],
    pub(super) owner: Vec<u16>,
    /// Load of each partition, without what replicas serve.
    pub(super) load: Vec<f64>,
    /// Partitions with load, by owner.
    pub(super) owned: Vec<Vec<u32>>,
    /// Load of each node.
    pub(super) nodes: Vec<f64>,
    /// What each node is to bear.
    pub(super) targets: Vec<f64>,
    /// Nodes by load over target.
    order: BTreeSet<(u64, u16)>,
    pub(super) rules: BTreeMap<KeyPrefix, Portion>,
    pub(super) groups: Vec<HotGroup>,
    /// Groups by node.
    pub(super) pieces: Vec<Vec<usize>>,
    /// Partitions whose owner is not that of the map.
    pub(super) moved: BTreeSet<u32>,
    /// Share of all entries that is re-homed.
    pub(super) entries: f64,
    /// Share of all entries in each partition that is moved, beyond an even share: those of heavy prefixes.
    pub(super) extra: FxHashMap<u32, f64>,
    /// Partitions that are better not parted from others of their node.
    pub(super) tied: FxHashSet<u32>,
}

impl<'a> Draft<'a> {
    /// The map as it is. `loads` are those of the partitions.
    pub(super) fn new(
        map: &'a PartitionMap,
        base: &'a [u16],
        loads: impl Fn(u32) -> f64,
        is_known: impl Fn(NodeId) -> bool,
    ) -> Self {
        let owner = map.owners(base);
        let (count, partitions) = (map.nodes.len(), map.partitions);
        let mut nodes = vec![0.0; count];
        let mut owned = vec![Vec::new(); count];
        let mut load = Vec::with_capacity(partitions as usize);
        for (partition, &node) in (0..partitions).zip(&owner) {
            let of_partition = loads(partition);
            load.push(of_partition);
            nodes[usize::from(node)] += of_partition;
            if of_partition > 0.0 {
                owned[usize::from(node)].push(partition);
            }
        }
        let rules = map.rules.iter().map(|rule| (rule.prefix.clone(), rule.portion)).collect();
        let mut draft = Self {
            map,
            silent: map.nodes.iter().map(|node| !is_known(node.id)).collect(),
            base,
            owner,
            load,
            owned,
            nodes,
            targets: vec![0.0; count],
            order: BTreeSet::new(),
            rules,
            groups: Vec::new(),
            pieces: vec![Vec::new(); count],
            moved: BTreeSet::new(),
            entries: 0.0,
            extra: FxHashMap::default(),
            tied: FxHashSet::default(),
        };
        draft.set_targets();
        draft
    }

    /// Shares all load out by weight.
    pub(super) fn set_targets(&mut self) {
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

    /// Whether a node may be given something.
    pub(super) fn bears(&self, node: u16) -> bool {
        self.map.nodes[usize::from(node)].weight > 0 && !self.silent[usize::from(node)]
    }

    /// Nodes that may be given something.
    pub(super) fn bearing(&self) -> usize {
        self.known().filter(|&at| self.bears(at)).count()
    }

    /// Mean load of the nodes that have weight.
    pub(super) fn mean(&self) -> f64 {
        self.known().map(|at| self.nodes[usize::from(at)]).sum::<f64>() / self.bearing().max(1) as f64
    }

    /// Load of a node over what it is to bear; 1 where it is not known.
    pub(super) fn relative(&self, node: u16) -> f64 {
        let at = usize::from(node);
        if self.silent[at] {
            return 1.0;
        }
        (self.nodes[at] / self.targets[at]).max(0.0)
    }

    /// Nodes by load, the heaviest first.
    pub(super) fn heaviest(&self) -> impl Iterator<Item = (f64, u16)> + '_ {
        self.order.iter().rev().map(|&(bits, at)| (f64::from_bits(bits), at))
    }

    /// Nodes by load, the lightest first.
    pub(super) fn lightest(&self) -> impl Iterator<Item = (f64, u16)> + '_ {
        self.order.iter().map(|&(bits, at)| (f64::from_bits(bits), at))
    }

    /// Load of the heaviest node over its target.
    pub(super) fn worst(&self) -> f64 {
        self.heaviest().next().map_or(0.0, |(relative, _)| relative)
    }

    fn add_to_node(&mut self, node: u16, load: f64) {
        self.order.remove(&(self.relative(node).to_bits(), node));
        self.nodes[usize::from(node)] += load;
        if !self.silent[usize::from(node)] {
            self.order.insert((self.relative(node).to_bits(), node));
        }
    }

    /// Adds load, which may be negative, to a partition.
    pub(super) fn add(&mut self, partition: u32, load: f64) {
        let (at, node) = (partition as usize, self.owner[partition as usize]);
        let (before, after) = (self.load[at], (self.load[at] + load).max(0.0));
        if before == 0.0 && after > 0.0 && !self.owned[usize::from(node)].contains(&partition) {
            self.owned[usize::from(node)].push(partition);
        }
        self.load[at] = after;
        self.add_to_node(node, after - before);
    }

    /// Gives a partition to a node.
    pub(super) fn assign(&mut self, partition: u32, node: u16) {
        let at = partition as usize;
        let old = self.owner[at];
        if old == node {
            return;
        }
        let load = self.load[at];
        self.add_to_node(old, -load);
        self.owner[at] = node;
        self.add_to_node(node, load);
        let owned = &mut self.owned[usize::from(old)];
        if let Some(place) = owned.iter().position(|&p| p == partition) {
            owned.swap_remove(place);
            self.owned[usize::from(node)].push(partition);
        }
        let share = self.share(partition);
        let was_moved = self.moved.remove(&partition);
        if self.original(partition) == node {
            self.entries -= if was_moved { share } else { 0.0 };
        } else {
            self.moved.insert(partition);
            self.entries += if was_moved { 0.0 } else { share };
        }
    }

    /// Share of all entries that a partition holds, as far as is known. Twice an even share, and what heavy prefixes have in it:
    /// what is moved is what has load, and so what has entries.
    pub(super) fn share(&self, partition: u32) -> f64 {
        2.0 / f64::from(self.map.partitions) + self.extra.get(&partition).copied().unwrap_or(0.0)
    }

    /// Who owns a partition in the map.
    pub(super) fn original(&self, partition: u32) -> u16 {
        let exception = self.map.exceptions.get(&partition).and_then(|&id| self.map.index_of(id));
        exception.unwrap_or(self.base[partition as usize])
    }

    /// Adds a group that is served by `nodes`.
    pub(super) fn add_group(&mut self, group: HotGroup) {
        let at = self.groups.len();
        let piece = group.piece();
        for &node in &group.nodes {
            self.pieces[usize::from(node)].push(at);
            self.add_to_node(node, piece);
        }
        self.groups.push(group);
    }

    /// Adds a group whose load the nodes have already.
    pub(super) fn readd_group(&mut self, group: HotGroup) {
        for &node in &group.nodes {
            self.pieces[usize::from(node)].push(self.groups.len());
        }
        self.groups.push(group);
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

    /// The portion that keys below `prefix` are hashed by, and whether a rule of its own says so.
    pub(super) fn portion(&self, prefix: &KeyPrefix) -> (Portion, bool) {
        if let Some(&portion) = self.rules.get(prefix) {
            return (portion, true);
        }
        (covering(&self.rules, prefix), false)
    }

    /// What leads from the map to the draft.
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
            let owner = self.owner[partition as usize];
            let node = (owner != self.base[partition as usize]).then(|| self.map.nodes[usize::from(owner)].id);
            moves.push(Move::Assign { partition, node });
        }
        let mut replicas: BTreeMap<&CompositeKey, Vec<NodeId>> = BTreeMap::new();
        for group in &self.groups {
            let ids: Vec<_> = group.nodes.iter().map(|&at| self.map.nodes[usize::from(at)].id).collect();
            replicas.extend(group.keys.iter().map(|(key, _)| (key, ids.clone())));
        }
        let gone = self.map.hot.iter().filter(|hot| !replicas.contains_key(&hot.key));
        let gone: Vec<_> = gone.map(|hot| Move::Replicate { key: hot.key.clone(), nodes: Vec::new() }).collect();
        moves.extend(gone);
        for (key, nodes) in replicas {
            let old = self.map.hot.binary_search_by(|hot| hot.key.cmp(key));
            if !old.is_ok_and(|at| self.map.hot[at].nodes == nodes) {
                moves.push(Move::Replicate { key: key.clone(), nodes });
            }
        }
        moves
    }
}

/// The portion of the longest rule for a shorter prefix.
pub(super) fn covering(rules: &BTreeMap<KeyPrefix, Portion>, prefix: &KeyPrefix) -> Portion {
    let known = prefix.enclosing().filter_map(KeyPrefix::from_canonical).find_map(|shorter| rules.get(&shorter));
    known.copied().unwrap_or_default()
}

/// Load of the heaviest part.
pub(super) fn heaviest(parts: &[f64]) -> f64 {
    parts.iter().copied().fold(0.0, f64::max)
}

/// Load of each of the `2^spread` parts of a prefix: heavy cells where they fall, the remainder evenly.
pub(super) fn part_loads(load: f64, cells: &[(u16, f64)], spread: u8) -> Vec<f64> {
    let mut parts = vec![0.0; 1 << spread];
    let mask = (1_u16 << spread) - 1;
    let mut counted = 0.0;
    for &(cell, of_cell) in cells {
        parts[usize::from(cell & mask)] += of_cell;
        counted += of_cell;
    }
    let rest = (load - counted).max(0.0) / parts.len() as f64;
    // Where cells come to more than the prefix, which is counted apart, they are scaled.
    let scale = if counted > load && counted > 0.0 { load / counted } else { 1.0 };
    parts.iter_mut().for_each(|part| *part = *part * scale + rest);
    parts
}
