//! [`MapDelta`]: the difference between two maps of one namespace.

use super::{Epoch, HotKey, MapError, MapNode, NodeId, PartitionMap, Rule};
use crate::key::{CompositeKey, KeyPrefix};
use crate::order::sorted;

/// Turns the map with hash `from` into the one with hash `to`.
///
/// Partition count, seeds and storage layout are fixed at creation and cannot
/// change by a delta.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MapDelta {
    /// Hash of the map it applies to.
    pub from: u64,
    /// Hash of the map it leads to.
    pub to: u64,
    /// Epoch of the map it leads to.
    pub epoch: Epoch,
    /// Nodes added or changed.
    pub nodes: Vec<MapNode>,
    /// Nodes gone.
    pub nodes_gone: Vec<NodeId>,
    /// Rules added or changed.
    pub rules: Vec<Rule>,
    /// Rules gone.
    pub rules_gone: Vec<KeyPrefix>,
    /// Exceptions added or changed; `None` is gone.
    pub exceptions: Vec<(u32, Option<NodeId>)>,
    /// Hot keys added or changed.
    pub hot: Vec<HotKey>,
    /// Hot keys gone.
    pub hot_gone: Vec<CompositeKey>,
}

impl MapDelta {
    /// The difference from `old` to `new`; `None` where what is fixed at creation differs.
    pub fn between(old: &PartitionMap, new: &PartitionMap) -> Option<Self> {
        let fixed = |m: &PartitionMap| (m.hash_id, m.seeds, m.partitions, m.storage);
        if fixed(old) != fixed(new) {
            return None;
        }
        let exceptions_set = new.exceptions.iter().filter(|(p, n)| old.exceptions.get(p) != Some(n));
        let exceptions_gone = old.exceptions.keys().filter(|p| !new.exceptions.contains_key(p));
        let mut exceptions: Vec<_> = exceptions_set.map(|(&p, &n)| (p, Some(n))).collect();
        exceptions.extend(exceptions_gone.map(|&p| (p, None)));
        exceptions.sort_unstable();
        Some(Self {
            from: old.hash(),
            to: new.hash(),
            epoch: new.epoch,
            nodes: changed(&old.nodes, &new.nodes),
            nodes_gone: gone(&old.nodes, &new.nodes, |n| &n.id),
            rules: changed(&old.rules, &new.rules),
            rules_gone: gone(&old.rules, &new.rules, |r| &r.prefix),
            exceptions,
            hot: changed(&old.hot, &new.hot),
            hot_gone: gone(&old.hot, &new.hot, |h| &h.key),
        })
    }

    /// The map this delta leads to, in O(map log map).
    ///
    /// # Errors
    /// [`MapError::WrongBase`] for another map than `from`; [`MapError::WrongResult`] or
    /// [`MapError::Invalid`] for a forged or damaged delta. `map` is never changed.
    pub fn apply(&self, map: &PartitionMap) -> Result<PartitionMap, MapError> {
        if map.hash() != self.from {
            return Err(MapError::WrongBase);
        }
        let mut exceptions = map.exceptions.clone();
        for &(partition, node) in &self.exceptions {
            match node {
                Some(node) => exceptions.insert(partition, node),
                None => exceptions.remove(&partition),
            };
        }
        let next = PartitionMap {
            epoch: self.epoch,
            hash_id: map.hash_id,
            seeds: map.seeds,
            partitions: map.partitions,
            storage: map.storage,
            nodes: merged(&map.nodes, &self.nodes, &self.nodes_gone, |n| &n.id),
            rules: merged(&map.rules, &self.rules, &self.rules_gone, |r| &r.prefix),
            exceptions,
            hot: merged(&map.hot, &self.hot, &self.hot_gone, |h| &h.key),
        };
        next.validate()?;
        if next.hash() != self.to {
            return Err(MapError::WrongResult);
        }
        Ok(next)
    }
}

fn changed<T: Clone + Ord>(old: &[T], new: &[T]) -> Vec<T> {
    new.iter().filter(|item| old.binary_search(item).is_err()).cloned().collect()
}

fn gone<T, K: Clone + Ord>(old: &[T], new: &[T], key: impl Fn(&T) -> &K) -> Vec<K> {
    let is_gone = |k: &&K| new.binary_search_by(|item| key(item).cmp(k)).is_err();
    old.iter().map(&key).filter(is_gone).cloned().collect()
}

/// `items` without `gone`, then with `set`, ascending; O(n log n) whatever order a forged delta is in.
fn merged<T: Clone, K: Ord>(items: &[T], set: &[T], gone: &[K], key: impl Fn(&T) -> &K) -> Vec<T> {
    let all: Vec<&T> = items.iter().chain(set).collect();
    let key_of = |at: usize| key(all[at]);
    let by_key = sorted(all.len(), &|a, b| key_of(a).cmp(key_of(b)).then(a.cmp(&b)));
    let gone_by_key = sorted(gone.len(), &|a, b| gone[a].cmp(&gone[b]));
    let is_gone = |k: &K| gone_by_key.binary_search_by(|&at| gone[at].cmp(k)).is_ok();
    let stays = |(rank, &at): (usize, &usize)| {
        let replaced = by_key.get(rank + 1).is_some_and(|&next| key_of(next) == key_of(at));
        let dropped = at < items.len() && is_gone(key_of(at));
        (!replaced && !dropped).then(|| all[at].clone())
    };
    by_key.iter().enumerate().filter_map(stays).collect()
}

#[cfg(test)]
#[path = "delta_tests.rs"]
mod tests;
