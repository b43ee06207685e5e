//! [`Follower`]: what a change feed has told, held against what was certainly committed.

use std::collections::{BTreeMap, VecDeque};

use foremap::protocol::{ClockReading, Cursor, FeedFrame, FeedStep};

use super::judge::{Finding, GRANULARITY, Time};

/// Writes, and changes told, that are remembered of one shard.
const KEPT: usize = 1_024;
/// A feed's clock and the auditor's may part by one in so many.
const DRIFT: Time = 2_000;
const MS: Time = 1_000;

/// News that a frame, or an acknowledged write, adds to what is known of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedNews {
    /// A write was told so long after its acknowledgement; zero where before.
    Change {
        /// The delay.
        delay: Time,
    },
    /// A frame says that it covers everything up to `claimed` ago, and misses a change for `at_least`.
    Frame {
        /// A change that it has not told was committed for so long when the frame was made, certainly.
        at_least: Time,
        /// The greatest age that it claims of a followed shard.
        claimed: Time,
        /// Faults of the frame; usually none.
        findings: Vec<Finding>,
    },
    /// A step passes over a change that lies in it.
    Omitted,
    /// The log did not reach back to where the feed was: what lies between is not told.
    Gap,
}

/// A write whose change has not been told.
#[derive(Debug, Clone, Copy)]
struct Untold {
    version: u64,
    acknowledged: Time,
}

/// One followed shard.
#[derive(Debug, Default)]
struct FollowedShard {
    /// Position up to which the feed has told everything.
    to: u64,
    untold: VecDeque<Untold>,
    /// Told before their write was acknowledged.
    early: VecDeque<u64>,
    /// Up to here nothing may be expected.
    gap: u64,
}

/// A moment at or after which the feed's clock showed `ms`.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    clock: ClockReading,
    at: Time,
}

/// One reader of a feed. All times are the auditor's.
#[derive(Debug, Default)]
pub struct Follower {
    shards: BTreeMap<u16, FollowedShard>,
    anchor: Option<Anchor>,
    opened: Time,
    clock: Option<u64>,
    number: Option<u32>,
}

impl Follower {
    /// A feed is about to be asked for.
    pub fn opens(&mut self, sent: Time) {
        (self.opened, self.clock, self.number, self.anchor) = (sent, None, None, None);
    }

    /// From where on to follow.
    pub fn cursors(&self) -> Vec<Cursor> {
        self.shards.iter().map(|(&shard, state)| Cursor { shard, position: state.to }).collect()
    }

    /// Follows `shard` from `position` on, unless it does already.
    pub fn follow(&mut self, shard: u16, position: u64) {
        self.shards.entry(shard).or_insert_with(|| FollowedShard {
            to: position,
            gap: position,
            ..FollowedShard::default()
        });
    }

    /// Tells whether a write that was acknowledged has not been told yet.
    pub fn is_behind(&self) -> bool {
        self.shards.values().any(|state| !state.untold.is_empty())
    }

    /// The gateway of the feed showed `reading` after `sent`.
    pub fn showed(&mut self, reading: ClockReading, sent: Time) {
        if self.clock == Some(reading.id) {
            self.anchor = Some(Anchor { clock: reading, at: sent });
        }
    }

    /// A write of `shard` was acknowledged.
    pub fn wrote(&mut self, shard: u16, version: u64, acknowledged: Time) -> Option<FeedNews> {
        let state = self.shards.get_mut(&shard)?;
        if version <= state.gap {
            return None;
        }
        if version > state.to {
            if state.untold.len() == KEPT {
                state.untold.pop_front();
            }
            state.untold.push_back(Untold { version, acknowledged });
            return None;
        }
        let at = state.early.iter().position(|&early| early == version);
        let Some(at) = at else { return Some(FeedNews::Omitted) };
        state.early.remove(at);
        Some(FeedNews::Change { delay: 0 })
    }

    /// A frame was there at `received`; `is_own` tells the auditor's changes from others.
    ///
    /// # Errors
    /// Where a frame is missing before it: the feed is of no use any more.
    pub fn frame(
        &mut self,
        received: Time,
        frame: &FeedFrame,
        bound: Time,
        is_own: impl Fn(&str) -> bool,
    ) -> Result<Vec<FeedNews>, &'static str> {
        if let Some(hello) = frame.hello {
            self.clock = Some(hello.clock);
            self.anchor = Some(Anchor { clock: ClockReading { id: hello.clock, ms: frame.clock_ms }, at: self.opened });
        } else if self.number.is_none_or(|number| number.wrapping_add(1) != frame.number) {
            return Err("a frame is missing");
        }
        self.number = Some(frame.number);
        let mut told = Vec::new();
        for &step in &frame.steps {
            self.step(received, step, frame, &is_own, &mut told);
        }
        told.extend(self.coverage(frame, bound));
        Ok(told)
    }

    fn step(
        &mut self,
        received: Time,
        step: FeedStep,
        frame: &FeedFrame,
        is_own: &impl Fn(&str) -> bool,
        told: &mut Vec<FeedNews>,
    ) {
        let Some(state) = self.shards.get_mut(&step.shard) else { return };
        if step.from > state.to {
            told.push(FeedNews::Gap);
            state.gap = step.to;
            state.untold.retain(|write| write.version > step.to);
            state.to = step.to;
        }
        let changes: Vec<u64> = frame
            .changes
            .iter()
            .filter(|change| change.shard == step.shard && is_own(change.key.as_str()))
            .map(|change| change.version)
            .collect();
        for &version in changes.iter().filter(|&&version| version > state.to) {
            if !state.untold.iter().any(|write| write.version == version) {
                if state.early.len() == KEPT {
                    state.early.pop_front();
                }
                state.early.push_back(version);
            }
        }
        state.to = state.to.max(step.to);
        let to = state.to;
        state.untold.retain(|write| {
            if write.version > to {
                return true;
            }
            told.push(match changes.contains(&write.version) {
                true => FeedNews::Change { delay: received.saturating_sub(write.acknowledged) },
                false => FeedNews::Omitted,
            });
            false
        });
    }

    /// When the frame was made, at the earliest.
    fn made(&self, frame: &FeedFrame) -> Option<Time> {
        let Anchor { clock, at } = self.anchor?;
        let since = frame.clock_ms.saturating_sub(clock.ms) * MS;
        let before = clock.ms.saturating_sub(frame.clock_ms) * MS;
        Some((at + since - since / DRIFT).saturating_sub(before))
    }

    fn coverage(&self, frame: &FeedFrame, bound: Time) -> Option<FeedNews> {
        let made = self.made(frame)?;
        let (mut at_least, mut claimed, mut findings) = (0, None, Vec::new());
        for (&shard, state) in &self.shards {
            let late = frame.late.iter().find(|late| late.shard == shard);
            let age = late.map_or(frame.age_ms, |late| late.age_ms);
            if age == u32::MAX {
                continue;
            }
            let age = Time::from(age) * MS;
            claimed = claimed.max(Some(age));
            let oldest = state.untold.iter().map(|write| write.acknowledged).min();
            let missed = oldest.map_or(0, |acknowledged| made.saturating_sub(acknowledged));
            at_least = at_least.max(missed);
            let mut note = |finding| {
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            };
            if missed > age.saturating_add(GRANULARITY) {
                note(Finding::Age);
            }
            // Who follows the feed would go on answering from its cache.
            if age <= bound && missed > bound.saturating_add(GRANULARITY) {
                note(Finding::Broken);
            }
        }
        Some(FeedNews::Frame { at_least, claimed: claimed?, findings })
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
