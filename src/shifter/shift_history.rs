//! [`ShiftHistory`]: the changes of the past, so that nothing is changed to and fro.

use std::collections::BTreeMap;

use super::moves::Move;
use crate::key::KeyPrefix;

/// The rounds in which rules and partitions were changed, and the prefixes that are held off. Outlives every plan. Bounded by what plans may change within the time it remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShiftHistory {
    rules: BTreeMap<KeyPrefix, u64>,
    partitions: BTreeMap<u32, u64>,
    held: BTreeMap<KeyPrefix, Held>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    until: u64,
    times: u32,
}

impl ShiftHistory {
    /// Rounds after which a change of a partition is forgotten.
    const KEPT: u64 = 64;
    /// Rounds that a prefix is left alone after a first plan for it was taken back; twice as long each time.
    const HOLD: u64 = 16;
    /// Longest hold-off: an hour.
    const LONGEST: u64 = 1_800;
    /// Most rules and held prefixes remembered.
    const MAX_RULES: usize = 65_536;

    /// Notes that moves were applied.
    pub fn applied(&mut self, moves: &[Move], round: u64) {
        for change in moves {
            match change {
                Move::Place { prefix, .. } if self.rules.len() < Self::MAX_RULES => {
                    self.rules.insert(prefix.clone(), round);
                }
                Move::Merge { prefix } => {
                    self.rules.remove(prefix);
                }
                Move::Assign { partition, .. } => {
                    self.partitions.insert(*partition, round);
                }
                Move::Place { .. } | Move::Replicate { .. } | Move::Members { .. } => {}
            }
        }
        self.partitions.retain(|_, &mut at| at + Self::KEPT >= round);
        self.held.retain(|_, held| held.until + Self::LONGEST >= round);
    }

    /// Leaves the prefixes of moves that were taken back alone for a while: twice as long each time.
    pub fn hold(&mut self, moves: &[Move], round: u64) {
        for change in moves {
            let Move::Place { prefix, .. } = change else { continue };
            if self.held.len() >= Self::MAX_RULES && !self.held.contains_key(prefix) {
                continue;
            }
            let times = self.held.get(prefix).map_or(0, |held| held.times);
            let length = (Self::HOLD << times.min(10)).min(Self::LONGEST);
            self.held.insert(prefix.clone(), Held { until: round + length, times: times + 1 });
        }
    }

    /// The round in which a plan made the rule of a prefix.
    pub fn rule(&self, prefix: &KeyPrefix) -> Option<u64> {
        self.rules.get(prefix).copied()
    }

    /// The round in which a plan assigned a partition, not longer than two minutes ago.
    pub fn partition(&self, partition: u32) -> Option<u64> {
        self.partitions.get(&partition).copied()
    }

    /// `true` for a prefix that is to be left alone.
    pub fn is_held(&self, prefix: &KeyPrefix, round: u64) -> bool {
        self.held.get(prefix).is_some_and(|held| held.until > round)
    }
}
