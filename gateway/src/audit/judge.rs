//! [`Key`]: what is known of one key by the auditor's own clock, and what that says of an answer.

use std::collections::VecDeque;

/// Microseconds on the auditor's clock.
pub type Time = u64;

/// Ages are whole milliseconds, and each tier that an answer goes through may lose one in rounding.
pub(super) const GRANULARITY: Time = 5_000;
/// Versions that are remembered of one key. At the usual rates that is minutes; an answer from before them is judged by
/// the oldest of them, which only makes it look younger.
const KEPT: usize = 256;

/// A write that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcknowledgedWrite {
    /// The version that it made.
    pub version: u64,
    /// True if it removed the key.
    pub deleted: bool,
    /// When it was first sent: it was not committed before.
    pub sent: Time,
    /// When it was acknowledged: it was committed by then.
    pub acknowledged: Time,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObservedRead {
    /// When the request was sent.
    pub sent: Time,
    /// When its answer was there.
    pub returned: Time,
    /// The version found; `None` for nothing.
    pub found: Option<u64>,
    /// Age that the answer claims for itself.
    pub claimed: Time,
    /// The position of the change log that the answer says that it includes.
    pub position: Option<u64>,
}

/// Why an answer, or a frame of a feed, must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It misses a version for longer than it claims to be old.
    Age,
    /// It misses a version that its position, or step, includes.
    Position,
    /// It has a version that nobody wrote.
    Invented,
    /// It misses a version for longer than the bound.
    Broken,
}

impl Finding {
    /// Tells whether what was told is false, not only late.
    pub fn is_lie(self) -> bool {
        self != Self::Broken
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Age => "claims to be younger than it is",
            Self::Position => "misses what its position includes",
            Self::Invented => "has a version that nobody wrote",
            Self::Broken => "is older than the bound",
        }
    }
}

/// Bounds of how stale an answer truly was, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// A newer version was committed for so long when the request was sent, certainly.
    pub at_least: Time,
    /// It was not committed for longer than that when the answer was there.
    pub at_most: Time,
    /// Faults of the answer; usually none.
    pub findings: Vec<Finding>,
}

/// The history of one key: its newest 256 acknowledged versions.
///
/// Nobody else writes it, and one write at a time is under way.
#[derive(Debug, Default)]
pub struct Key {
    writes: VecDeque<AcknowledgedWrite>,
    /// The write under way: when it was sent, and whether it removes the key.
    pending: Option<(Time, bool)>,
    was_pruned: bool,
    is_retired: bool,
}

impl Key {
    /// A write is about to be sent.
    pub fn writes(&mut self, sent: Time, deleted: bool) {
        self.pending = Some((sent, deleted));
    }

    /// The write was acknowledged.
    pub fn wrote(&mut self, written: AcknowledgedWrite) {
        self.pending = None;
        self.writes.push_back(written);
        if self.writes.len() > KEPT {
            self.writes.pop_front();
            self.was_pruned = true;
        }
    }

    /// Nobody will know what became of the write: it may take effect at any time, so nothing more can be said of the key.
    pub fn retire(&mut self) {
        self.is_retired = true;
    }

    /// Tells whether answers about it can still be judged.
    pub fn is_judged(&self) -> bool {
        !self.is_retired
    }

    /// Tells whether it may be there now.
    pub fn may_exist(&self) -> bool {
        self.pending.is_some() || self.writes.back().is_some_and(|write| !write.deleted)
    }

    /// Judges an answer, at a time when it is there; `None` where nothing can be said of it.
    pub fn judge(&self, read: &ObservedRead, bound: Time) -> Option<Judged> {
        if self.is_retired {
            return None;
        }
        let Some(at) = self.newest_that_fits(read) else {
            return Some(Judged { findings: vec![Finding::Invented], ..Judged::default() });
        };
        let missed = self.writes.iter().find(|write| write.version > at);
        let pending = self.pending.filter(|_| at < u64::MAX).map(|(sent, _)| sent);
        let since = missed.map(|write| write.sent).or(pending);
        let mut judged = Judged {
            at_least: missed.map_or(0, |write| read.sent.saturating_sub(write.acknowledged)),
            at_most: since.map_or(0, |since| read.returned.saturating_sub(since)),
            findings: Vec::new(),
        };
        if judged.at_least > read.claimed.saturating_add(GRANULARITY) {
            judged.findings.push(Finding::Age);
        }
        if missed.is_some_and(|write| read.position.is_some_and(|position| write.version <= position)) {
            judged.findings.push(Finding::Position);
        }
        if judged.at_least > bound.saturating_add(GRANULARITY) {
            judged.findings.push(Finding::Broken);
        }
        Some(judged)
    }

    /// The newest version of which the answer may tell, `u64::MAX` where it may be of the write under way; `None` where
    /// there is none. Its successor is what the answer misses.
    fn newest_that_fits(&self, read: &ObservedRead) -> Option<u64> {
        let Some(version) = read.found else {
            if self.pending.is_some_and(|(_, deleted)| deleted) {
                return Some(u64::MAX);
            }
            let marker = self.writes.iter().rev().find(|write| write.deleted);
            // Before its first version there was nothing either.
            return Some(marker.map_or(0, |write| write.version));
        };
        if self.writes.iter().any(|write| write.version == version && !write.deleted) {
            return Some(version);
        }
        let (oldest, newest) = (self.writes.front(), self.writes.back());
        if self.was_pruned && oldest.is_some_and(|write| version < write.version) {
            return Some(version);
        }
        let is_pending = self.pending.is_some_and(|(_, deleted)| !deleted);
        let is_newer = newest.is_none_or(|write| version > write.version);
        (is_pending && is_newer).then_some(u64::MAX)
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
