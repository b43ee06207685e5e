//! [`Nodes`]: the loads of nodes, beside what they are to bear.

use std::collections::BTreeSet;

use crate::load::LoadModel;
use crate::partition::MapNode;

/// The loads of nodes, beside what they are to bear. A node is known by its index in the map.
#[derive(Debug, Clone)]
pub(super) struct Nodes<'a> {
    nodes: &'a [MapNode],
    /// Nodes whose load is not known: nothing is taken from them or given to them.
    silent: Vec<bool>,
    loads: Vec<f64>,
    /// Load that each is to bear.
    targets: Vec<f64>,
    /// Known nodes by load over target.
    order: BTreeSet<(u64, u16)>,
}

impl<'a> Nodes<'a> {
    /// Those of a map with these loads, all of which is shared out by weight.
    pub(super) fn new(nodes: &'a [MapNode], loads: Vec<f64>, model: &LoadModel) -> Self {
        let silent = nodes.iter().map(|node| !model.is_known(node.id)).collect();
        let mut all = Self { nodes, silent, loads, targets: Vec::new(), order: BTreeSet::new() };
        let total: f64 = all.known().map(|at| all.loads[usize::from(at)]).sum();
        let weights: f64 = all.known().map(|at| f64::from(nodes[usize::from(at)].weight)).sum();
        // A node without weight is to bear nothing; the remainder keeps quotients finite.
        let target = |node: &MapNode| (total * f64::from(node.weight) / weights.max(1.0)).max(total * 1e-9).max(1e-9);
        all.targets = nodes.iter().map(target).collect();
        all.order = all.known().map(|at| (all.relative(at).to_bits(), at)).collect();
        all
    }

    /// The nodes whose load is known.
    fn known(&self) -> impl Iterator<Item = u16> + '_ {
        (0..self.nodes.len() as u16).filter(|&at| !self.silent[usize::from(at)])
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Number of nodes whose load is not known.
    pub(super) fn silent(&self) -> usize {
        self.len() - self.known().count()
    }

    /// `true` for a node that may be given something.
    pub(super) fn bears(&self, node: u16) -> bool {
        self.nodes[usize::from(node)].weight > 0 && !self.silent[usize::from(node)]
    }

    /// Number of nodes that may be given something.
    pub(super) fn bearing(&self) -> usize {
        self.known().filter(|&at| self.bears(at)).count()
    }

    /// Load of all.
    pub(super) fn total(&self) -> f64 {
        self.loads.iter().sum()
    }

    /// Mean load of those that have weight.
    pub(super) fn mean(&self) -> f64 {
        self.known().map(|at| self.loads[usize::from(at)]).sum::<f64>() / self.bearing().max(1) as f64
    }

    /// Load of a node over what it is to bear; 1 where it is not known.
    pub(super) fn relative(&self, node: u16) -> f64 {
        if self.silent[usize::from(node)] { 1.0 } else { self.relative_with(node, 0.0).max(0.0) }
    }

    /// The same with load that it does not have yet.
    pub(super) fn relative_with(&self, node: u16, load: f64) -> f64 {
        (self.loads[usize::from(node)] + load) / self.targets[usize::from(node)]
    }

    /// Load that a node has beyond `relative` of what it is to bear; negative where there is room.
    pub(super) fn excess(&self, node: u16, relative: f64) -> f64 {
        self.loads[usize::from(node)] - self.targets[usize::from(node)] * relative
    }

    /// Known nodes by load, the heaviest first.
    pub(super) fn heaviest(&self) -> impl Iterator<Item = (f64, u16)> + '_ {
        self.order.iter().rev().map(|&(bits, at)| (f64::from_bits(bits), at))
    }

    /// Nodes that may be given something by load, the lightest first.
    pub(super) fn lightest(&self) -> impl Iterator<Item = u16> + '_ {
        self.order.iter().map(|&(_, at)| at).filter(|&at| self.bears(at))
    }

    /// Load of the heaviest node over what it is to bear.
    pub(super) fn worst(&self) -> f64 {
        self.heaviest().next().map_or(0.0, |(relative, _)| relative)
    }

    /// Mean square of the excess of nodes over what they are to bear.
    pub(super) fn over(&self) -> f64 {
        let excess = (0..self.nodes.len() as u16).map(|node| (self.relative(node) - 1.0).max(0.0));
        excess.map(|excess| excess.powi(2)).sum::<f64>() / self.nodes.len() as f64
    }

    /// Adds load, which may be negative, to a node.
    pub(super) fn add(&mut self, node: u16, load: f64) {
        self.order.remove(&(self.relative(node).to_bits(), node));
        self.loads[usize::from(node)] += load;
        if !self.silent[usize::from(node)] {
            self.order.insert((self.relative(node).to_bits(), node));
        }
    }
}
