//! Knowledge of the storage shards that the change feed gives: the ground of all freshness.

use std::collections::VecDeque;

use fxhash::FxHashMap;

use super::moment::Moment;
use crate::protocol::{Cursor, FeedStep, ReadPoint};

/// The log of one storage shard, as far as this cache has followed it.
///
/// `position` never goes back, not even through a reset: every cursor ever sent lies at or below it, so a late
/// answer that covers (cursor sent, P] also covers (`position`, P].
#[derive(Debug, Clone, Copy, Default)]
struct ShardCoverage {
    /// Every change that a covered entry could miss up to here was applied.
    position: u64,
    /// True while the log is followed from `position` on; not between a reset and the next start.
    followed: bool,
    /// Every change in (`since`, `position`] was applied and is still remembered.
    since: u64,
    /// No change committed before this time lies above `position`.
    covered_as_of: Option<Moment>,
    /// Raised by a reset; entries of an older generation are not covered.
    generation: u32,
    entries: usize,
    /// Position that the change feed has come to, while it follows the shard. It covers what is known here only where that
    /// reaches as far: else a frame was missed, or the feed began later.
    fed: Option<u64>,
}

impl ShardCoverage {
    fn is_fed(&self) -> bool {
        self.followed && self.fed.is_some_and(|to| self.position >= to)
    }
}

/// Proof that an entry misses no change of its shard, until the shard is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Covered(u32);

/// Verdict on whether an answer can be cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cacheability {
    Covered(Covered),
    /// Only valid as of its own time.
    Alone,
    /// A change of its key is known that it does not include.
    Outdated,
}

/// All shards, and the most recent changes by key id.
///
/// O(log shards) per call. Memory: one record per storage shard of the namespace, as a late answer may refer
/// to any of them, and the changes up to the bound.
#[derive(Debug)]
pub(super) struct Coverage {
    /// Ascending by id.
    shards: Vec<(u16, ShardCoverage)>,
    bound: usize,
    order: VecDeque<KnownChange>,
    newest: FxHashMap<u64, u64>,
}

#[derive(Debug, Clone, Copy)]
struct KnownChange {
    id: u64,
    version: u64,
    shard: u16,
}

impl Coverage {
    pub(super) fn new(bound: usize) -> Self {
        Self { shards: Vec::new(), bound, order: VecDeque::new(), newest: FxHashMap::default() }
    }

    /// Tells whether a change of key `id` is known that what includes the log up to `reach` lacks.
    pub(super) fn is_outdated(&self, id: u64, reach: u64) -> bool {
        self.newest.get(&id).is_some_and(|&version| version > reach)
    }

    /// Judges an answer about key `id` that includes the log up to `reach`, read at `at`.
    pub(super) fn admit(&mut self, id: u64, at: &ReadPoint, reach: u64) -> Cacheability {
        if self.is_outdated(id, reach) {
            return Cacheability::Outdated;
        }
        let shard = self.shard_or_new(at.shard);
        // With nothing to keep fresh, following starts anew where this answer stands.
        if (shard.entries == 0 || !shard.followed) && at.position >= shard.position {
            shard.follow_from(at.position);
        }
        if shard.followed && at.position >= shard.since {
            Cacheability::Covered(Covered(shard.generation))
        } else {
            Cacheability::Alone
        }
    }

    /// Remembers a change.
    pub(super) fn apply(&mut self, id: u64, shard: u16, version: u64) {
        if self.newest.get(&id).is_some_and(|&newest| newest >= version) {
            return; // told before, by an overlapping exchange
        }
        self.newest.insert(id, version);
        self.order.push_back(KnownChange { id, version, shard });
        if self.order.len() > self.bound
            && let Some(oldest) = self.order.pop_front()
        {
            if self.newest.get(&oldest.id) == Some(&oldest.version) {
                self.newest.remove(&oldest.id);
            }
            if let Some(shard) = self.shard_mut(oldest.shard) {
                shard.since = shard.since.max(oldest.version);
            }
        }
    }

    /// All changes up to `position` were applied, which is all that was committed before `as_of`.
    pub(super) fn cover(&mut self, shard: u16, position: u64, as_of: Moment) {
        let Some(shard) = self.shard_mut(shard) else { return };
        if shard.followed {
            shard.position = shard.position.max(position);
        } else {
            shard.follow_from(shard.position.max(position));
        }
        // Also from a gateway that is behind `position`: what lies in between was applied already.
        shard.covered_as_of = shard.covered_as_of.max(Some(as_of));
    }

    /// The feed passed on every change of `shard` in `(from, to]`, and they were applied.
    pub(super) fn step(&mut self, step: FeedStep) {
        let shard = self.shard_or_new(step.shard);
        shard.fed = Some(step.to);
        if !shard.followed {
            // What is read from now on can be current as of any position since `from`.
            let reached = shard.position;
            shard.follow_from(step.from.max(reached));
            shard.position = step.to.max(reached);
        } else if shard.position >= step.from {
            shard.position = shard.position.max(step.to);
        }
    }

    /// At `told_at` the feed had passed on whatever was committed more than `age` before, in each shard that it follows.
    pub(super) fn heard(&mut self, told_at: Moment, age: impl Fn(u16) -> u32) {
        for (id, shard) in self.shards.iter_mut().filter(|(_, shard)| shard.is_fed()) {
            let age = age(*id);
            if age != u32::MAX {
                shard.covered_as_of = shard.covered_as_of.max(Some(told_at - Moment::from(age)));
            }
        }
    }

    /// Position that the feed has come to, for each shard that it follows.
    pub(super) fn fed(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.shards.iter().filter_map(|&(id, shard)| Some((id, shard.fed?)))
    }

    /// There is no feed any more.
    pub(super) fn feed_ended(&mut self) {
        self.shards.iter_mut().for_each(|(_, shard)| shard.fed = None);
    }

    /// Tells whether the feed keeps `shard` fresh.
    pub(super) fn is_fed(&self, shard: u16) -> bool {
        self.find(shard).is_ok_and(|at| self.shards[at].1.is_fed())
    }

    /// The log no longer reaches back to the cursor: nothing cached of the shard is covered any more.
    pub(super) fn reset(&mut self, shard: u16) {
        if let Some(shard) = self.shard_mut(shard) {
            shard.generation = shard.generation.wrapping_add(1);
            shard.followed = false;
            shard.covered_as_of = None;
        }
    }

    /// Point up to which an entry is known to be current: (log position, time).
    pub(super) fn reach(&self, shard: u16, position: u64, as_of: Moment, covered: Option<Covered>) -> (u64, Moment) {
        match self.find(shard).ok().map(|at| &self.shards[at].1) {
            Some(known) if covered == Some(Covered(known.generation)) => {
                (position.max(known.position), known.covered_as_of.map_or(as_of, |covered| covered.max(as_of)))
            }
            _ => (position, as_of),
        }
    }

    pub(super) fn attach(&mut self, shard: u16) {
        self.shard_or_new(shard).entries += 1;
    }

    pub(super) fn detach(&mut self, shard: u16) {
        if let Some(shard) = self.shard_mut(shard) {
            shard.entries = shard.entries.saturating_sub(1);
        }
    }

    /// Cursors of the followed shards that have entries and are not kept fresh by the feed, ascending by shard.
    pub(super) fn cursors(&self) -> Vec<Cursor> {
        let wanted = |shard: &ShardCoverage| shard.followed && shard.entries > 0 && !shard.is_fed();
        let followed = self.shards.iter().filter(|(_, shard)| wanted(shard));
        followed.map(|&(id, shard)| Cursor { shard: id, position: shard.position }).collect()
    }

    /// Tells whether an entry misses no change up to where its shard is followed.
    pub(super) fn covers(&self, shard: u16, covered: Option<Covered>) -> bool {
        let known = self.find(shard).ok().map(|at| &self.shards[at].1);
        known.is_some_and(|known| known.followed && covered == Some(Covered(known.generation)))
    }

    /// Takes up the log of `shard` where an earlier cache was: nothing is known of how current that is.
    pub(super) fn resume(&mut self, shard: u16, position: u64) -> Option<Covered> {
        let known = self.shard_or_new(shard);
        if !known.followed {
            known.follow_from(position.max(known.position));
        }
        (known.since <= position).then_some(Covered(known.generation))
    }

    fn find(&self, shard: u16) -> Result<usize, usize> {
        self.shards.binary_search_by_key(&shard, |&(id, _)| id)
    }

    fn shard_mut(&mut self, shard: u16) -> Option<&mut ShardCoverage> {
        self.find(shard).ok().map(|at| &mut self.shards[at].1)
    }

    fn shard_or_new(&mut self, shard: u16) -> &mut ShardCoverage {
        let at = self.find(shard).unwrap_or_else(|at| {
            self.shards.insert(at, (shard, ShardCoverage::default()));
            at
        });
        &mut self.shards[at].1
    }

    pub(super) fn shards(&self) -> usize {
        self.shards.len()
    }

    pub(super) fn known_changes(&self) -> usize {
        self.order.len()
    }

    pub(super) fn bound(&self) -> usize {
        self.bound
    }
}

impl ShardCoverage {
    fn follow_from(&mut self, position: u64) {
        self.position = position;
        self.since = position;
        self.followed = true;
    }
}
