//! [`SubscriberFeed`]: one reader of changes, and what its next frame is.

use std::sync::Arc;

use super::shard::{Room, Shard};
use super::shares::Subject;
use super::subscriber::Subscriber;
use crate::Millis;
use crate::key::KeyPrefix;
use crate::protocol::{Cursor, FeedFrame, FeedStep, Hello, LateShard, MAX_CHANGES};

/// A shard is late where it is known less well than the best known one by more: two polls of the log and a half.
const LATE_MS: u32 = 250;
/// Most steps of one frame, and most late shards: a third of its bytes and an eighth.
const MAX_STEPS: usize = 16_384;
/// Most bytes of changes in one frame: far less than it may have, as every reader that is stuck holds one.
const MAX_CHANGE_BYTES: usize = 64 << 10;
/// A frame is due that much before the reader would miss it.
const AHEAD_MS: Millis = 100;

/// A reader, what it follows, and how far it has been told. Holds no frame and no change: the next frame is made when
/// the last one has been taken. 16 bytes for each shard.
pub(super) struct SubscriberFeed {
    /// The subject that opened it.
    pub(super) subject: Subject,
    /// The subject whose place it has.
    pub(super) share: Subject,
    /// The keys that it may hear of; `None` is all.
    prefixes: Option<Arc<[KeyPrefix]>>,
    /// Of the store whose log it follows.
    pub(super) incarnation: u32,
    /// Until its first frame.
    hello: Option<Hello>,
    heartbeat_ms: u32,
    /// When its last frame was made, and how many were before it.
    last: Millis,
    frames: u32,
    life: Life,
    ends: Millis,
    /// By ascending shard.
    followed: Vec<Followed>,
}

/// Life of a feed.
#[derive(Clone, Copy)]
pub(super) struct Life {
    /// Since the last sign of its reader.
    pub(super) ms: Millis,
    /// At most, whatever the reader does.
    pub(super) until: Millis,
}

#[derive(Clone, Copy)]
struct Followed {
    shard: u16,
    /// The reader has not heard yet that it follows it.
    is_new: bool,
    position: u64,
}

/// A frame, and what it counts for.
pub(super) struct MadeFrame {
    pub(super) bytes: Vec<u8>,
    pub(super) gaps: u64,
}

/// A frame on its way.
struct Draft {
    steps: Vec<FeedStep>,
    /// Of every followed shard.
    ages: Vec<LateShard>,
    changes: Vec<u8>,
    count: usize,
    gaps: u64,
}

impl SubscriberFeed {
    pub(super) fn new(now: Millis, subscriber: Subscriber, hello: Hello, life: Life) -> Self {
        let (heartbeat_ms, incarnation, hello) = (hello.heartbeat_ms, hello.incarnation, Some(hello));
        let ends = (now + life.ms).min(life.until);
        Self {
            subject: subscriber.subject,
            share: subscriber.share,
            prefixes: subscriber.prefixes,
            incarnation,
            hello,
            heartbeat_ms,
            last: 0,
            frames: 0,
            life,
            ends,
            followed: Vec::new(),
        }
    }

    /// Its reader is there.
    pub(super) fn live_on(&mut self, now: Millis) {
        self.ends = self.ends.max(now + self.life.ms).min(self.life.until);
    }

    /// When its next frame is due even without news.
    pub(super) fn due(&self) -> Millis {
        match self.hello {
            Some(_) => 0,
            None => (self.last + Millis::from(self.heartbeat_ms) - AHEAD_MS).min(self.ends),
        }
    }

    /// Ends it as soon as the host looks.
    pub(super) fn end(&mut self) {
        self.life.until = 0;
        self.ends = 0;
    }

    pub(super) fn is_over(&self, now: Millis) -> bool {
        now >= self.ends
    }

    /// Follows the shards of `cursors` from there on, where it does not already; returns those that are new.
    pub(super) fn follow(&mut self, cursors: &[Cursor]) -> Vec<u16> {
        let mut added = Vec::new();
        for &Cursor { shard, position } in cursors {
            match self.followed.binary_search_by_key(&shard, |followed| followed.shard) {
                // Named twice at once: from the lower position on.
                Ok(at) if self.followed[at].is_new => {
                    self.followed[at].position = self.followed[at].position.min(position);
                }
                Ok(_) => {}
                Err(at) => {
                    self.followed.insert(at, Followed { shard, is_new: true, position });
                    added.push(shard);
                }
            }
        }
        // Most feeds never follow more than at first.
        self.followed.shrink_to_fit();
        added
    }

    /// The shards it follows, ascending.
    pub(super) fn shards(&self) -> impl Iterator<Item = u16> {
        self.followed.iter().map(|followed| followed.shard)
    }

    /// The next frame where there is one to send now. Where it had no room for everything, the one after is there at once.
    pub(super) fn next(&mut self, now: Millis, shards: &[Shard]) -> Option<MadeFrame> {
        if self.is_over(now) {
            return None;
        }
        let is_due = now >= self.due();
        let draft = self.draft(now, shards);
        if draft.steps.is_empty() && !is_due {
            return None;
        }
        let (age_ms, late) = ages(draft.ages);
        let hello = self.hello.take();
        let (number, steps) = (self.frames, draft.steps);
        (self.last, self.frames) = (now, number.wrapping_add(1));
        let frame = FeedFrame { hello, number, clock_ms: now, age_ms, steps, late, changes: Vec::new() };
        Some(MadeFrame { bytes: frame.encode_joined(draft.count, &draft.changes), gaps: draft.gaps })
    }

    fn draft(&mut self, now: Millis, shards: &[Shard]) -> Draft {
        let ages = Vec::with_capacity(self.followed.len());
        let mut draft = Draft { steps: Vec::new(), ages, changes: Vec::new(), count: 0, gaps: 0 };
        for followed in &mut self.followed {
            let Followed { shard, is_new, position } = *followed;
            let Some(state) = shards.get(usize::from(shard)) else { continue };
            let point = state.point();
            if !is_new && point.position <= position {
                draft.ages.push(LateShard { shard, age_ms: point.age(now) });
                continue;
            }
            let room = Room { changes: MAX_CHANGES - draft.count, bytes: MAX_CHANGE_BYTES - draft.changes.len() };
            if draft.steps.len() == MAX_STEPS || room.changes == 0 {
                draft.ages.push(LateShard { shard, age_ms: u32::MAX });
                continue;
            }
            let news = state.news(now, Cursor { shard, position }, room, self.prefixes.as_deref(), &mut draft.changes);
            draft.ages.push(LateShard { shard, age_ms: news.age_ms });
            draft.count += news.changes;
            draft.gaps += u64::from(news.is_gap);
            if is_new || news.step.to > position {
                draft.steps.push(news.step);
                (followed.position, followed.is_new) = (news.step.to, false);
            }
        }
        draft
    }
}

/// One age for all shards but those that are known much less well.
fn ages(mut ages: Vec<LateShard>) -> (u32, Vec<LateShard>) {
    let best = ages.iter().map(|shard| shard.age_ms).min().unwrap_or(0);
    let worst = ages.iter().map(|shard| shard.age_ms).max().unwrap_or(0);
    let most = best.saturating_add(LATE_MS);
    if worst <= most {
        return (worst, Vec::new());
    }
    let age_ms = ages.iter().map(|shard| shard.age_ms).filter(|&age| age <= most).max().unwrap_or(worst);
    ages.retain(|shard| shard.age_ms > most);
    if ages.len() > MAX_STEPS { (worst, Vec::new()) } else { (age_ms, ages) }
}
