//! Effects of the network and the machines on messages: cuts and pauses.

use std::collections::BTreeMap;

use foremap::Millis;

use super::cluster::Server;

/// A place that messages come from and go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Client(usize),
    Gateway(usize),
    Server(Server),
}

#[derive(Default)]
pub(crate) struct Net {
    /// Until when each place stands still: whatever reaches it waits.
    paused: BTreeMap<Place, Millis>,
    /// Until when nothing passes between two places.
    cuts: BTreeMap<(Place, Place), Millis>,
    /// Until when it loses most packets.
    lossy: Millis,
}

fn pair(a: Place, b: Place) -> (Place, Place) {
    (a.min(b), a.max(b))
}

impl Net {
    /// When `place` goes on; `None` where it is running.
    pub(crate) fn paused(&self, now: Millis, place: Place) -> Option<Millis> {
        self.paused.get(&place).copied().filter(|&until| until > now)
    }

    pub(crate) fn pause(&mut self, place: Place, until: Millis) {
        self.paused.insert(place, until);
    }

    /// When messages between `a` and `b` pass again; `None` where they do.
    pub(crate) fn cut(&self, now: Millis, a: Place, b: Place) -> Option<Millis> {
        self.cuts.get(&pair(a, b)).copied().filter(|&until| until > now)
    }

    pub(crate) fn sever(&mut self, a: Place, b: Place, until: Millis) {
        self.cuts.insert(pair(a, b), until);
    }

    /// Share of packets that are lost, in percent.
    pub(crate) fn loss(&self, now: Millis) -> u64 {
        if now < self.lossy { 80 } else { 2 }
    }

    pub(crate) fn lose(&mut self, until: Millis) {
        self.lossy = until;
    }

    /// Everything runs, and is reached.
    pub(crate) fn heal(&mut self) {
        self.paused.clear();
        self.cuts.clear();
    }
}
