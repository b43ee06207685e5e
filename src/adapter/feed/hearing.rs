//! What a feed says, and how it ends.

use super::super::action::{Action, FlightId};
use super::super::adapter::Adapter;
use super::{COST, FEED_SCOPE, FIRST_WAIT_MS, FeedEnd, MAX_FAILURES, REFUSED_MS};
use crate::Millis;
use crate::clock::ClockBroke;
use crate::protocol::{ClockReading, FeedFrame, Hello};

/// The feed did not survive a frame.
struct Unheard;

/// Where a frame stands in its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Next,
    /// Heard before.
    Again,
    /// Another one should have come first.
    Missing,
}

impl Adapter {
    /// Bytes of the feed `feed`, as they arrived; of any other they are passed over.
    pub fn on_feed_bytes(&mut self, now: Millis, feed: FlightId, bytes: &[u8]) {
        let Some(open) = self.feed.open.as_mut().filter(|open| open.id == feed) else { return };
        self.counters.bytes_received += bytes.len() as u64;
        self.feed.counted.bytes += bytes.len() as u64;
        open.heard_at = now;
        match open.reader.push(bytes) {
            Ok(frames) => {
                for frame in frames {
                    if self.hear(now, feed, &frame).is_err() {
                        break;
                    }
                }
            }
            Err(_) => self.feed_lost(now, FeedEnd::Broken),
        }
        self.settle_evicted(now);
        self.feed_due(now);
        self.rearm(now, FEED_SCOPE, false);
    }

    /// The feed `feed` is over.
    pub fn on_feed_end(&mut self, now: Millis, feed: FlightId, end: FeedEnd) {
        if self.feed.open.as_ref().is_some_and(|open| open.id == feed) {
            self.feed_lost(now, end);
            self.feed_due(now);
            self.rearm(now, FEED_SCOPE, false);
        }
    }

    pub(super) fn feed_lost(&mut self, now: Millis, end: FeedEnd) {
        let Some(open) = self.feed.open.take() else { return };
        self.cache.feed_ended();
        self.act(Action::CloseFeed { scope: FEED_SCOPE, feed: open.id });
        if end == FeedEnd::Ended && open.hello.is_some() {
            // Whoever goes on asking opens another one. All feeds of a gateway that restarts end at once, but what is cached
            // grows too old for each client at a time of its own.
            self.feed.requests = 0;
            return;
        }
        self.feed.counted.lost += 1;
        // What broke has earned nothing, which is no fault of the user's: how often it is tried is for the back-off to bound.
        self.feed.credit = self.feed.credit.max(COST);
        self.feed.failures = (self.feed.failures + 1).min(MAX_FAILURES);
        self.feed.avoid = Some(open.origin.clone());
        let wait = match end {
            // Busy, or a gateway behind a worker is: soon again. Anything else will not change by asking.
            FeedEnd::Refused { status: 429 | 500.., retry_after } => {
                retry_after.unwrap_or(0).min(REFUSED_MS) + self.jitter.within(FIRST_WAIT_MS << self.feed.failures)
            }
            FeedEnd::Refused { .. } => REFUSED_MS,
            FeedEnd::Ended | FeedEnd::Broken => {
                self.origins.failed(now, &open.origin);
                self.jitter.within(FIRST_WAIT_MS << self.feed.failures)
            }
        };
        self.feed.not_before = now + wait;
    }

    /// Takes in one frame. `Err` where the feed did not survive it.
    fn hear(&mut self, now: Millis, feed: FlightId, frame: &FeedFrame) -> Result<(), Unheard> {
        match self.in_turn(frame) {
            Turn::Next => {}
            Turn::Again => return Ok(()),
            Turn::Missing => {
                self.feed_lost(now, FeedEnd::Broken);
                return Err(Unheard);
            }
        }
        let clock = match frame.hello {
            Some(hello) => self.greet(now, hello, frame.clock_ms)?,
            None => self.feed.open.as_ref().and_then(|open| open.hello).map_or(0, |hello| hello.clock),
        };
        // What another client makes up may be of a later time than it was sent, as far as this one knows the clock better.
        let made_up = frame.hello.is_some_and(|hello| hello.relayed);
        let told_at = match self.feed.clocks.date(ClockReading { id: clock, ms: frame.clock_ms }, now) {
            _ if made_up => None,
            Ok(told_at) => told_at,
            Err(ClockBroke) => {
                self.clock_broke(now);
                return Err(Unheard);
            }
        };
        self.feed.counted.frames += 1;
        for change in &frame.changes {
            self.counters.changes += u64::from(self.cache.apply_change(change));
        }
        frame.steps.iter().for_each(|&step| self.cache.step(step));
        if let Some(told_at) = told_at {
            let age =
                |shard| frame.late.iter().find(|late| late.shard == shard).map_or(frame.age_ms, |late| late.age_ms);
            self.cache.heard(told_at, age);
            if frame.age_ms != u32::MAX {
                let as_of = told_at - i64::from(frame.age_ms);
                self.feed.fresh_at = self.feed.fresh_at.max(u64::try_from(as_of).ok());
            }
        }
        if frame.hello.is_some_and(|hello| hello.relayed) {
            self.feed_joined();
        }
        self.relay(feed, frame);
        Ok(())
    }

    /// Whether a frame is the one that follows what was heard.
    fn in_turn(&mut self, frame: &FeedFrame) -> Turn {
        let Some(open) = &mut self.feed.open else { return Turn::Again };
        let next = open.number.wrapping_add(1);
        let turn = match (open.hello, frame.hello) {
            (None, None) => Turn::Missing,
            (None, Some(_)) => Turn::Next,
            (Some(_), None) if frame.number == next => Turn::Next,
            // Counted round the circle, so that the newest of two is known.
            (Some(_), _) if frame.number.wrapping_sub(next) > u32::MAX / 2 => Turn::Again,
            (Some(_), _) => Turn::Missing,
        };
        if turn == Turn::Next {
            open.number = frame.number;
        }
        turn
    }

    /// Takes in how a feed introduces itself; returns the clock that it counts on.
    fn greet(&mut self, now: Millis, hello: Hello, clock_ms: u64) -> Result<u64, Unheard> {
        if !self.heed(now, hello.incarnation) {
            // Whoever passed it on may not know yet, which is not the fault of a gateway.
            let end = if hello.relayed { FeedEnd::Refused { status: 503, retry_after: None } } else { FeedEnd::Broken };
            self.feed_lost(now, end);
        }
        // A store that is new to this client has closed it: its cursors were those of the old one.
        let Some(open) = &mut self.feed.open else { return Err(Unheard) };
        open.hello = Some(hello);
        let (asked_at, origin) = (open.asked_at, open.origin.clone());
        let reading = ClockReading { id: hello.clock, ms: clock_ms };
        // What is passed on was made up when this client asked for it, or later.
        let received = (!hello.relayed).then_some(now);
        self.feed.failures = 0;
        if !hello.relayed {
            self.origins.succeeded(now, &origin, now.saturating_sub(asked_at));
        }
        match self.feed.clocks.observe(reading, asked_at, received, now) {
            Ok(()) => Ok(hello.clock),
            Err(ClockBroke) => {
                self.forget_ages(now);
                Err(Unheard)
            }
        }
    }
}
