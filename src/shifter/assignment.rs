//! [`Assignment`]: the working copy of who owns what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fxhash::{FxHashMap, FxHashSet};

use super::hot_group::HotGroup;
use super::input::PlanInput;
use super::moves::Move;
use super::nodes::Nodes;
use super::part_loads::PartLoads;
use crate::key::{CompositeKey, KeyPrefix};
use crate::load::{PrefixNow, cell_of};
use crate::partition::{NodeId, PartitionMap, Portion};

/// The working copy of who owns what, with the loads that this leads to, in requests a round. Nodes are known by their
/// indices in the map.
#[derive(Debug, Clone)]
pub(super) struct Assignment<'a> {
    map: &'a PartitionMap,
    /// The rendezvous winner of each partition.
    base: &'a [u16],
    owner: Vec<u16>,
    /// Load of each partition, without what replicas serve.
    load: Vec<f64>,
    /// Partitions with load, by owner.
    owned: Vec<Vec<u32>>,
    nodes: Nodes<'a>,
    /// Prefixes that matter, with their loads, without what replicas serve. All assignments of a plan share them until a key is
    /// taken off.
    prefixes: Arc<BTreeMap<KeyPrefix, PrefixNow>>,
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
        let PlanInput { map, base, load: model, settings, .. } = *input;
        let owner = map.owners(base);
        let mut nodes = vec![0.0; map.nodes.len()];
        let mut owned = vec![Vec::new(); nodes.len()];
        let mut load = Vec::with_capacity(owner.len());
        for (partition, &node) in (0..map.partitions).zip(&owner) {
            let of_partition = model.partition(partition);
            load.push(of_partition);
            nodes[usize::from(node)] += of_partition;
            if of_partition > 0.0 {
                owned[usize::from(node)].push(partition);
            }
        }
        for group in &groups {
            group.nodes.iter().for_each(|&node| nodes[usize::from(node)] += group.piece());
        }
        let nodes = Nodes::new(&map.nodes, nodes, model);
        let least = nodes.mean() * settings.merge_below.min(settings.piece) / 4.0;
        let mut assignment = Self {
            map,
            base,
            owner,
            load,
            owned,
            prefixes: Arc::new(model.prefixes(least.max(1.0)).map(|now| (now.prefix.clone(), now)).collect()),
            rules: map.rules.iter().map(|rule| (rule.prefix.clone(), rule.portion)).collect(),
            groups: Vec::new(),
            pieces: vec![Vec::new(); nodes.len()],
            nodes,
            moved: BTreeSet::new(),
            entries: 0.0,
            extra: FxHashMap::default(),
            tied: FxHashSet::default(),
        };
        groups.into_iter().for_each(|group| assignment.readd_group(group));
        assignment.note_entries(input);
        assignment
    }

    /// Counts the entries of heavy prefixes with the partitions that hold them.
    fn note_entries(&mut self, input: &PlanInput<'_>) {
        for now in self.prefixes.values() {
            // What is one component deeper is below another one that is among them.
            if usize::from(self.portion(&now.prefix).depth) == now.prefix.depth()
                && let Some(parts) = self.parts(&now.prefix)
            {
                let share = input.share(now) / parts.len() as f64;
                parts.into_iter().for_each(|part| *self.extra.entry(part).or_default() += share);
            }
        }
    }

    /// The nodes, with their loads.
    pub(super) fn nodes(&self) -> &Nodes<'a> {
        &self.nodes
    }

    /// Prefixes that matter, with their loads, without what replicas serve.
    pub(super) fn prefixes(&self) -> &BTreeMap<KeyPrefix, PrefixNow> {
        &self.prefixes
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
        self.nodes.add(node, after - before);
    }

    /// Takes a key, with its load, off its partition, the prefix of its portion and the one below: none has that load any more.
    pub(super) fn take_off(&mut self, key: &CompositeKey, load: f64, (partition, portion): (u32, Portion)) {
        self.add(partition, -load);
        let prefixes = Arc::make_mut(&mut self.prefixes);
        let depth = usize::from(portion.depth);
        for depth in [depth, depth + 1] {
            let Some(next) = key.component_after(depth) else { continue };
            let Some(now) = prefixes.get_mut(&KeyPrefix::of_portion(key.portion(depth))) else { continue };
            now.load = (now.load - load).max(0.0);
            let at = cell_of(self.map.seeds[1], next);
            if let Ok(cell) = now.cells.binary_search_by_key(&at, |cell| cell.0) {
                now.cells[cell].1 = (now.cells[cell].1 - load).max(0.0);
            }
        }
    }

    /// Gives a partition to a node.
    pub(super) fn assign(&mut self, partition: u32, node: u16) {
        let old = self.owner(partition);
        if old == node {
            return;
        }
        let load = self.load(partition);
        self.nodes.add(old, -load);
        self.owner[partition as usize] = node;
        self.nodes.add(node, load);
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
    pub(super) fn hash(&mut self, now: &PrefixNow, portion: Portion, loads: &PartLoads) {
        let prefix = &now.prefix;
        let old = self.portion(prefix);
        let (Some(from), Some(to)) = (self.map.parts(prefix, old), self.map.parts(prefix, portion)) else {
            return;
        };
        let spread = if usize::from(old.depth) == prefix.depth() { old.spread } else { 0 };
        for (partition, of_part) in from.into_iter().zip(PartLoads::of(now, spread).0) {
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
            self.nodes.add(node, piece);
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
            self.nodes.add(node, -load / nodes.len() as f64);
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
            self.nodes.add(node, load / nodes.len() as f64);
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
