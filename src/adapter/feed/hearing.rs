//! Frames of a feed, and its loss.

use super::unheard::Unheard;
use super::{Below, COST, FIRST_WAIT_MS, Feed, MAX_FAILURES, REFUSED_MS};
use crate::Millis;
use crate::adapter::action::{Action, FeedEnd, FlightId};
use crate::adapter::agenda::{Agenda, OWN_SCOPE};
use crate::adapter::transport::Transport;
use crate::cache::LocalCache;
use crate::clock::ClockBroke;
use crate::protocol::{ClockReading, FeedFrame, Hello};

/// Place of a frame in its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Next,
    /// Heard before.
    Again,
    /// Another one should have come first.
    Missing,
}

impl Feed {
    /// Returns whether `feed` is the one that is open.
    pub(in crate::adapter) fn is_open(&self, feed: FlightId) -> bool {
        self.open.as_ref().is_some_and(|open| open.id == feed)
    }

    /// Takes bytes of the open feed, as they arrived; returns the frames that are whole.
    pub(in crate::adapter) fn read(
        &mut self,
        now: Millis,
        bytes: &[u8],
        (cache, agenda, transport): Below<'_>,
    ) -> Vec<FeedFrame> {
        let Some(open) = &mut self.open else { return Vec::new() };
        self.counted.bytes += bytes.len() as u64;
        open.heard_at = now;
        open.reader.push(bytes).unwrap_or_else(|_| {
            self.lose(now, FeedEnd::Broken, (cache, agenda, transport));
            Vec::new()
        })
    }

    /// The open feed is over.
    pub(in crate::adapter) fn lose(&mut self, now: Millis, end: FeedEnd, (cache, agenda, transport): Below<'_>) {
        let Some(open) = self.close(cache, agenda) else { return };
        if end == FeedEnd::Ended && open.hello.is_some() {
            // Whoever goes on asking opens another one. All feeds of a gateway that restarts end at once, but what is cached
            // grows too old for each client at a time of its own.
            self.requests = 0;
            return;
        }
        self.counted.lost += 1;
        // What broke has earned nothing, which is no fault of the user's: how often it is tried is for the back-off to bound.
        self.credit = self.credit.max(COST);
        self.failures = (self.failures + 1).min(MAX_FAILURES);
        self.avoid = Some(open.origin.clone());
        let within = |transport: &mut Transport| transport.jitter().within(FIRST_WAIT_MS << self.failures);
        let wait = match end {
            // Busy, or a gateway behind a worker is: soon again. Anything else will not change by asking.
            FeedEnd::Refused { status: 429 | 500.., retry_after } => {
                retry_after.unwrap_or(0).min(REFUSED_MS) + within(transport)
            }
            FeedEnd::Refused { .. } => REFUSED_MS,
            FeedEnd::Ended | FeedEnd::Broken => {
                transport.failed(now, &open.origin);
                within(transport)
            }
        };
        self.not_before = now + wait;
    }

    /// Returns whether a frame is the next one; `false` where it was heard before.
    pub(in crate::adapter) fn follow(
        &mut self,
        now: Millis,
        frame: &FeedFrame,
        (cache, agenda, transport): Below<'_>,
    ) -> Result<bool, Unheard> {
        let turn = self.turn(frame);
        if turn == Turn::Missing {
            self.lose(now, FeedEnd::Broken, (cache, agenda, transport));
            return Err(Unheard::Lost);
        }
        Ok(turn == Turn::Next)
    }

    fn turn(&mut self, frame: &FeedFrame) -> Turn {
        let Some(open) = &mut self.open else { return Turn::Again };
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

    /// Takes in the next frame. `of_store` says whether it is of the store at hand, and not of one that is gone.
    pub(in crate::adapter) fn hear(
        &mut self,
        now: Millis,
        frame: &FeedFrame,
        of_store: bool,
        (cache, agenda, transport): Below<'_>,
    ) -> Result<(), Unheard> {
        let relayed = frame.hello.is_some_and(|hello| hello.relayed);
        if !of_store {
            // Whoever passed it on may not know yet, which is not the fault of a gateway.
            let end = if relayed { FeedEnd::Refused { status: 503, retry_after: None } } else { FeedEnd::Broken };
            self.lose(now, end, (cache, agenda, transport));
        }
        let clock = match frame.hello {
            Some(hello) => self.greet(now, hello, frame.clock_ms, transport)?,
            None => self.open.as_ref().and_then(|open| open.hello).map_or(0, |hello| hello.clock),
        };
        // What another client makes up may be of a later time than it was sent, as far as this one knows the clock better.
        let told_at = match self.clocks.date(ClockReading { id: clock, ms: frame.clock_ms }, now) {
            _ if relayed => None,
            Ok(told_at) => told_at,
            Err(ClockBroke) => {
                self.clocks.clear();
                return Err(Unheard::ClockBroke);
            }
        };
        self.counted.frames += 1;
        for change in &frame.changes {
            self.changes += u64::from(cache.apply_change(change));
        }
        frame.steps.iter().for_each(|&step| cache.step(step));
        if let Some(told_at) = told_at {
            let age =
                |shard| frame.late.iter().find(|late| late.shard == shard).map_or(frame.age_ms, |late| late.age_ms);
            cache.heard(told_at, age);
            if frame.age_ms != u32::MAX {
                let as_of = told_at - i64::from(frame.age_ms);
                self.fresh_at = self.fresh_at.max(u64::try_from(as_of).ok());
            }
        }
        if relayed {
            self.joined(cache, agenda);
        }
        if let Some(open) = self.open.as_ref().filter(|_| self.relaying) {
            agenda.act(Action::Relay { scope: OWN_SCOPE, feed: open.id, frame: frame.encode() });
        }
        Ok(())
    }

    /// Takes in how a feed introduces itself; returns the clock that it counts on.
    fn greet(&mut self, now: Millis, hello: Hello, clock_ms: u64, transport: &mut Transport) -> Result<u64, Unheard> {
        // A store that is new to this client has closed it: its cursors were those of the old one.
        let Some(open) = &mut self.open else { return Err(Unheard::Lost) };
        open.hello = Some(hello);
        let reading = ClockReading { id: hello.clock, ms: clock_ms };
        // What is passed on was made up when this client asked for it, or later.
        let received = (!hello.relayed).then_some(now);
        self.failures = 0;
        if !hello.relayed {
            transport.succeeded(now, &open.origin, now.saturating_sub(open.asked_at));
        }
        match self.clocks.observe(reading, open.asked_at, received, now) {
            Ok(()) => Ok(hello.clock),
            Err(ClockBroke) => Err(Unheard::ClockBroke),
        }
    }

    /// This client follows the feed that another one holds. That begins where the feed stands, not where this client is,
    /// so what lies in between is asked for at once, and the feed extended by what only this client has. It has cost no
    /// request.
    fn joined(&mut self, cache: &LocalCache, agenda: &mut Agenda) {
        if let Some(open) = &mut self.open {
            self.credit += std::mem::take(&mut open.paid);
        }
        if !cache.cursors().is_empty() {
            agenda.want_exchange(OWN_SCOPE);
        }
    }
}
