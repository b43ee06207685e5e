//! One feed for several clients of a host, such as the tabs of a browser: one of them holds it and passes it on.

use super::action::Action;
use super::adapter::Adapter;
use super::feed::FEED_SCOPE;
use crate::Millis;
use crate::protocol::{FeedFrame, FeedStep, Hello};

impl Adapter {
    /// Whether each frame comes back as [`Action::Relay`], for a host that holds the feed for several clients.
    pub fn set_relaying(&mut self, relaying: bool) {
        self.feed.relaying = relaying;
    }

    /// What another client of this host needs in order to follow this one's feed from here on, as bytes of a feed; `None`
    /// without one. Frames passed on as [`Action::Relay`] go on from there. The other one must have asked for a feed before this
    /// is called.
    pub fn feed_opening(&self, now: Millis) -> Option<Vec<u8>> {
        let open = self.feed.open.as_ref()?;
        let (hello, number) = (open.hello?, open.number);
        let clock_ms = self.feed.clocks.shows(hello.clock, now)?.ms;
        let steps = self.cache.fed().map(|(shard, to)| FeedStep { shard, from: to, to }).collect();
        let hello = Some(Hello { relayed: true, ..hello });
        let frame = FeedFrame { hello, number, clock_ms, age_ms: u32::MAX, steps, ..FeedFrame::default() };
        Some([&FeedFrame::PREAMBLE[..], &frame.encode()].concat())
    }

    /// Whether another client of this host holds a feed, which costs nothing to join.
    pub fn set_feed_at_hand(&mut self, now: Millis, at_hand: bool) {
        self.feed.at_hand = at_hand;
        self.feed_due(now);
        self.rearm(now, FEED_SCOPE, false);
    }

    /// This client follows the feed that another one holds. That begins where the feed stands, not where this client is,
    /// so what lies in between is asked for at once, and the feed extended by what only this client has. It has cost no
    /// request.
    pub(super) fn feed_joined(&mut self) {
        if let Some(open) = &mut self.feed.open {
            self.feed.credit += std::mem::take(&mut open.paid);
        }
        if !self.cache.cursors().is_empty() {
            self.scopes.get(FEED_SCOPE).exchange_wanted = true;
        }
    }

    /// Takes a frame to the others.
    pub(super) fn relay(&mut self, feed: super::FlightId, frame: &FeedFrame) {
        if self.feed.relaying {
            self.act(Action::Relay { scope: FEED_SCOPE, feed, frame: frame.encode() });
        }
    }

    /// What other clients of the session did meanwhile was not heard, invalidations among it: of what is cached nothing is known to
    /// be current any more, and it is confirmed before it is served.
    pub fn missed(&mut self, now: Millis) {
        self.cache.forget_ages(now);
        self.feed.fresh_at = None;
    }
}

#[cfg(test)]
#[path = "sharing_tests.rs"]
mod tests;
